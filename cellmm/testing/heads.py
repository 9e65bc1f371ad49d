"""The contracts of heads and of postprocesses, tested: cellmm/models/heads/base.py."""

import contextlib
import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmengine.logging import MessageHub
from torch import Tensor, nn

from cellmm.models.derive import build_derived, from_specs
from cellmm.models.feature_spec import FeatureSpec
from cellmm.models.head_inputs import reads_image
from cellmm.models.heads.base import Head, HeadContract, InstanceHead, targets_of
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances
from cellmm.testing import generated
from cellmm.testing.generated import SIDE, TARGETS
from cellmm.testing.networks import CHANNELS, IN_SPECS, random_maps
from cellmm.testing.rules import build, must_work, name_of, require, same

SHAPES = ((SIDE, SIDE), (48, 56))  # px, of the images of a batch
BATCHES = {
    "a batch with cells": (True, True),
    "a batch with one image without cells": (True, False),
    "a batch without cells": (False, False),
}


def check_head(
    config: dict, *, in_specs: Sequence[FeatureSpec] = IN_SPECS, steps: Sequence[dict] = TARGETS
) -> None:
    """Test that a head follows ``Head`` and, where it predicts, ``InstanceHead`` or ``MapHead``.

    It learns from batches of two images of different sizes, with and without cells, in float32 and under
    autocast to bfloat16: its losses are finite and give finite gradients. What it predicts is made of
    probabilities, lies inside the images, and is the same a second time.

    Args:
        config: of the head, without what the model fills in.
        in_specs: of the decoder's maps, finest first; the default has 4, 6 and 8 channels at strides 1, 2 and
            4. A head that reads the image gets one of two channels, too.
        steps: configs of the transforms that make its targets, the last is PackCellInputs; the default makes
            all targets of cellmm.

    Raises:
        CellMMError: one line that names the head and the rule.
    """
    name, specs = name_of(config), tuple(in_specs)
    if reads_image(config):
        specs = (FeatureSpec(CHANNELS), *specs)
    with must_work(name, "building it"), torch.random.fork_rng(devices=()):
        torch.manual_seed(0)  # the same weights, whatever ran before
        derived = dict(stride=specs[0].stride, **from_specs(specs))
        head = build_derived(MODELS, config, name, **derived)
    require(isinstance(head, nn.Module) and isinstance(head, Head), name, "it must be an nn.Module with loss")
    _check_stated(name, head)
    features = random_maps(specs, (SIDE, SIDE))
    for what, cells in BATCHES.items():
        samples = [
            generated.sample(steps, shape, cells=has_cells, seed=seed)["data_samples"]
            for seed, (shape, has_cells) in enumerate(zip(SHAPES, cells, strict=True))
        ]
        for key, writer in HeadContract.of(head).needs.items():
            require(
                key in samples[0], name, f"no step writes {key}, which its needs name; add {writer} to steps"
            )
        with _first_iteration():
            _check_loss(name, head, features, samples, what)
    head.eval()
    with torch.no_grad():
        if isinstance(head, InstanceHead):
            _check_instance_head(name, head, features, samples)
        if hasattr(head, "predict_maps"):
            _check_map_head(name, head, features)


@contextlib.contextmanager
def _first_iteration() -> Iterator[None]:
    """Losses that change during a training are as at its start, whatever was trained in this process."""
    told = MessageHub.get_current_instance().runtime_info
    before = dict(told)
    told.pop("iter", None)
    try:
        yield
    finally:
        told.update(before)


def _check_stated(name: str, head: nn.Module) -> None:
    stated = HeadContract.of(head)
    for key, value in (("num_classes", stated.num_classes), ("num_queries", stated.num_queries)):
        whole = value is None or (isinstance(value, int) and value >= 1)
        require(whole, name, f"{key} must be a whole number from 1, or None")
    right = stated.out_spec is None or isinstance(stated.out_spec, FeatureSpec)
    require(right, name, "out_spec must be a FeatureSpec, or None")


def _check_loss(
    name: str, head: nn.Module, features: list[Tensor], samples: list[CellSample], what: str
) -> None:
    head.train()
    for half in (False, True):
        what = f"{what} under autocast" if half else what
        maps = [level.bfloat16() if half else level.clone() for level in features]
        with must_work(name, f"loss of {what}"), torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses = head.loss(maps, samples)
        require(isinstance(losses, dict), name, "loss must return a dict of scalars")
        scalars = all(isinstance(value, Tensor) and value.numel() == 1 for value in losses.values())
        require(scalars, name, "loss must return a dict of scalars")
        learned = [value for key, value in losses.items() if "loss" in key]
        require(bool(learned), name, "the name of what is learned must have 'loss' in it")
        for key, value in losses.items():
            finite = bool(torch.isfinite(value))
            require(finite, name, f"{key} of {what} must be finite; divide by at least 1, in float32")
        total = sum(value.float().sum() for value in learned)
        require(total.requires_grad, name, f"the loss of {what} must have a gradient, be it 0")
        head.zero_grad()
        total.backward()
        gradients = [p.grad for p in head.parameters() if p.grad is not None]
        finite = all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        require(finite, name, f"the gradients of {what} must be finite")
        if what == "a batch with cells":
            learns = any(bool(gradient.any()) for gradient in gradients)
            require(learns, name, "the loss must have a gradient in the head's parameters")


def _check_instance_head(
    name: str, head: nn.Module, features: list[Tensor], samples: list[CellSample]
) -> None:
    for half in (False, True):
        what = "predict under autocast" if half else "predict"
        maps = [level.bfloat16() if half else level for level in features]
        with must_work(name, what), torch.autocast("cpu", torch.bfloat16, enabled=half):
            found, again = head.predict(maps, samples), head.predict(maps, samples)
        listed = isinstance(found, list) and len(found) == len(samples)
        require(listed, name, "predict must return a list, one PredictedInstances per image")
        for first, second, sample in zip(found, again, samples, strict=True):
            check_instances(name, first, sample, HeadContract.of(head).num_classes)
            repeated = same(first.scores, second.scores) and same(first.probs, second.probs)
            require(repeated, name, "predict must give the same for the same maps")


def check_instances(
    name: str, found: PredictedInstances, sample: CellSample, num_classes: int | None = None
) -> None:
    """Raise CellMMError where what ``name`` found in one image is not as PredictedInstances says."""
    right = isinstance(found, PredictedInstances)
    require(right, name, f"it must give PredictedInstances, got {type(found).__name__}")
    for probs, origin in zip(found.probs, found.origins, strict=True):
        share = probs.ndim == 2 and np.isfinite(probs).all() and ((0 <= probs) & (probs <= 1)).all()
        require(bool(share), name, "probs must be maps or windows (h, w) of probabilities")
        end = origin + probs.shape
        inside = (origin >= 0).all() and (end <= found.grid_shape).all()
        require(bool(inside), name, f"windows must lie inside grid_shape, {found.grid_shape}")
    scores, labels = found.scores, found.labels
    share = scores.is_floating_point() and bool(((0 <= scores) & (scores <= 1)).all())
    require(share, name, "scores must be float, from 0 to 1")
    require(bool((scores.diff() <= 0).all()), name, "instances must come best first, by their scores")
    kept = not labels.is_floating_point() and bool((labels >= 0).all())
    kept = kept and (num_classes is None or bool((labels < num_classes).all()))
    require(kept, name, "labels must be whole numbers from 0 to num_classes - 1")
    if found.points is not None:
        kept = found.points.shape == (len(found), 2) and bool(np.isfinite(found.points).all())
        require(kept, name, "points must be (N, 2) in pixels of the input, or None")
    with must_work(name, "taking its instances to the original image"):
        written = found.on_image(sample).in_original_frame(sample)
    sizes = {tuple(mask["size"]) for mask in written.masks}
    require(sizes <= {tuple(sample.ori_shape)}, name, "masks must end where the image ends")


def _check_map_head(name: str, head: nn.Module, features: list[Tensor]) -> None:
    targets = targets_of(head)
    named = bool(targets) and all(isinstance(target, str) for target in targets)
    require(
        named, name, "a head with predict_maps must have target, the name of its map, or targets, their names"
    )
    for half in (False, True):
        maps = [level.bfloat16() if half else level for level in features]
        with must_work(name, "predict_maps"), torch.autocast("cpu", torch.bfloat16, enabled=half):
            probs = head.predict_maps(maps)
        num = () if HeadContract.of(head).target is not None else (len(targets),)
        shape = (len(features[0]), *num, *features[0].shape[-2:])
        if HeadContract.of(head).out_spec is None:
            right = isinstance(probs, Tensor) and tuple(probs.shape) == shape
            require(right, name, f"predict_maps must return maps at the finest map's size, {shape}")
        share = bool(((0 <= probs) & (probs <= 1)).all())
        require(share, name, "predict_maps must return probabilities, from 0 to 1")


def check_refinement(config: dict) -> None:
    """Test that a refinement follows ``Refinement``: with the maps of its cells, with empty maps, without
    instances.

    The instances are cells at stride 2, the maps at stride 1. However many there are, what comes out lies on
    the same grid, and the arguments stay as they are.

    Raises:
        CellMMError: one line that names the refinement and the rule.
    """
    name, refine = build(TASK_UTILS, config)
    needs = getattr(refine, "needs_maps", ())
    named = isinstance(needs, list | tuple) and all(isinstance(target, str) for target in needs)
    require(named, name, "needs_maps must be a tuple of the maps' names")
    sample = generated.sample()["data_samples"]
    masks = sample.gt_masks(2)
    none = torch.zeros(len(masks), dtype=torch.long)
    cells = PredictedInstances(masks, torch.linspace(0.9, 0.5, len(masks)), none, stride=2)
    known = sample.gt_semantic
    maps = {target: known.get(target, known.cytoplasm).numpy().astype(np.float32) for target in needs}
    empty = {target: 0 * values for target, values in maps.items()}
    cases = {
        "maps of the cells": (cells, maps),
        "empty maps": (cells, empty),
        "no instances": (cells.select([]), maps),
    }
    grids = set()
    for what, (found, given) in cases.items():
        before = copy.deepcopy((found.probs, given))
        with must_work(name, what):
            refined = refine(found, given, dict.fromkeys(given, 1))
        check_instances(name, refined, sample)
        kept = same(before[0], found.probs) and same(before[1], given)
        require(kept, name, "it must not change its arguments")
        grids.add((refined.stride, tuple(refined.grid_shape), refined.mask_thr))
    require(len(grids) == 1, name, "stride, grid_shape and mask_thr must be the same whatever is found")


def check_postprocess(config: dict) -> None:
    """Test that a postprocess follows ``Postprocess``: with maps of cells, without a cell, and of one pixel.

    Raises:
        CellMMError: one line that names the postprocess and the rule.
    """
    name, postprocess = build(TASK_UTILS, config)
    needs = getattr(postprocess, "needs_maps", ())
    named = isinstance(needs, list | tuple) and all(isinstance(target, str) for target in needs)
    require(named, name, "needs_maps must be a tuple of the maps' names")
    known = generated.sample()["data_samples"].gt_semantic
    maps = {target: known.get(target, known.cytoplasm).numpy().astype(np.float32) for target in needs}
    cases = {
        "maps of cells": maps,
        "empty maps": {target: 0 * values for target, values in maps.items()},
        "maps of one pixel": {target: values[:1, :1] for target, values in maps.items()},
    }
    for what, given in cases.items():
        with must_work(name, what):
            found = postprocess(given)
        shape = next(iter(given.values())).shape if given else (SIDE, SIDE)
        sample = CellSample(metainfo=dict(img_shape=shape, ori_shape=shape, to_original=np.eye(3)))
        check_instances(name, found, sample)
    with must_work(name, "maps of cells"):
        require(len(postprocess(maps)) > 0, name, "it must find cells in the maps of cells")
