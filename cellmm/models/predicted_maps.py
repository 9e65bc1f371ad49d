"""Probability maps: which heads give them, and how they come into the sample of their image."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.heads.base import MapHead, Postprocess, Refinement, targets_of
from cellmm.structures import CellSample, map_in_original_frame


def find_map_heads(heads: Mapping[str, nn.Module]) -> dict[str, str]:
    """{target: name} of the heads that give maps.

    Raises:
        CellMMError: two heads of one target.
    """
    found: dict[str, str] = {}
    for name, head in heads.items():
        for target in targets_of(head) if hasattr(head, "predict_maps") else ():
            if target in found:
                raise CellMMError(f"model.heads.{name}.target: {target!r} is that of {found[target]} already")
            found[target] = name
    return found


def map_stride(spec: FeatureSpec, where: str) -> int:
    """The stride of a map, which must start at the first pixel of the input; ``where``: its head's key."""
    if spec.origin:
        raise CellMMError(
            f"{where}: its map starts at pixel {spec.origin} of the input, and maps must start at 0; set "
            "padding='same' in the encoder and in the decoder"
        )
    return spec.stride


def check_postprocess(postprocess: Postprocess, strides: Mapping[str, int]) -> None:
    """Refuse a postprocess that the maps, ``strides`` by their targets, cannot serve."""
    kind = type(postprocess).__name__
    if not strides:
        raise CellMMError(
            f"model.postprocess: {kind} makes instances of maps, but no head gives a map; add a "
            "SemanticHead, or leave postprocess out"
        )
    for target in getattr(postprocess, "needs_maps", ()):
        if target not in strides:
            raise CellMMError(
                f"model.postprocess: {kind} needs a map {target!r}, but the heads give {sorted(strides)}; "
                f"add a SemanticHead with target={target!r}"
            )
    if len(set(strides.values())) > 1:
        raise CellMMError(
            "model.postprocess: the heads that give maps must have the same stride; let them read decoders "
            "of one stride"
        )


def check_refine(refine: Refinement, strides: Mapping[str, int]) -> None:
    """Refuse a refinement that needs a map which no head gives."""
    for target in getattr(refine, "needs_maps", ()):
        if target not in strides:
            raise CellMMError(
                f"model.refine: {type(refine).__name__} needs a map {target!r}, but the heads give "
                f"{sorted(strides)}; add a SemanticHead with target={target!r}, or leave refine out"
            )


def predict_maps(
    head: MapHead, where: str, features: list[Tensor], stride: int, shape: Sequence[int]
) -> dict[str, np.ndarray]:
    """{target: probabilities, float32 (B, h, w)} of inputs of ``shape`` (H, W) at ``stride``.

    Raises:
        CellMMError: a map of another size; ``where`` is the head's key in the config.
    """
    probs, targets = head.predict_maps(features).detach().float().cpu().numpy(), targets_of(head)
    if probs.shape[-2:] != tuple(-(-side // stride) for side in shape):
        raise CellMMError(
            f"{where}: {tuple(shape)} pixels give a map of {probs.shape[-2:]}, not one of stride {stride}; "
            "set self.out_spec of the head to the FeatureSpec of its map"
        )
    probs = probs.reshape(len(probs), len(targets), *probs.shape[-2:])
    return {target: probs[:, k] for k, target in enumerate(targets)}


def without_padding(
    maps: Mapping[str, np.ndarray], strides: Mapping[str, int], img_shape: Sequence[int]
) -> dict[str, np.ndarray]:
    """The part of each map (h, w) that shows the image of ``img_shape`` (H, W), not the batch's padding."""
    own = {}
    for target, probs in maps.items():
        rows, cols = (-(-side // strides[target]) for side in img_shape)
        own[target] = probs[:rows, :cols]
    return own


def maps_in_original_frame(
    maps: Mapping[str, np.ndarray], strides: Mapping[str, int], sample: CellSample
) -> BaseDataElement:
    """``pred_semantic`` of a sample: each map without padding, (h, w), in the pixels of the file."""
    written = {}
    for target, probs in maps.items():
        frame = (strides[target], sample.img_shape, sample.to_original, sample.ori_shape)
        written[target] = torch.from_numpy(map_in_original_frame(probs, *frame))
    return BaseDataElement(**written)
