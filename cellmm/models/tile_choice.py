"""How large tiles may be: by the memory that the network needs, with an overlap by the cells."""

import math
from collections.abc import ValuesView
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.heads.base import HeadContract
from cellmm.models.layers import SqueezeExcite

TILE_BYTES = 2**30  # what the network may take for a tile of which the user said nothing
LEAST, MOST = 256, 4096  # pixels per side; larger tiles save little more of the overlap


@dataclass(frozen=True)
class Footprint:
    """What tiles of a model depend on, for one whose layers are not at hand: ``footprint`` of the model.

    ``local``: see ``is_local``; ``bytes_per_pixel``: see the function of this name.
    """

    local: bool
    bytes_per_pixel: float

    @classmethod
    def of(cls, model: nn.Module) -> "Footprint":
        return cls(is_local(model), bytes_per_pixel(model))


def is_local(model: nn.Module) -> bool:
    """Whether what the network finds in a place depends on what is near it alone, not on the input's size.

    It does not with squeeze-and-excitation or group normalisation, which average over the input, nor with
    heads that find a limited number of cells per input. Models without ``heads`` count as dependent on it.
    """
    if (known := getattr(model, "footprint", None)) is not None:
        return known.local
    if not hasattr(model, "heads"):
        return False
    if not all(map(is_local, getattr(model, "ensemble", ()))):
        return False
    averages = any(isinstance(layer, (SqueezeExcite, nn.GroupNorm)) for layer in model.modules())
    limited = any(HeadContract.of(head).num_queries is not None for head in model.heads.values())
    return not averages and not limited


@torch.no_grad()
def bytes_per_pixel(model: nn.Module) -> float:
    """Memory that the network takes to predict, per pixel of its input.

    These are the maps of encoder, decoder and heads, which stay, and the largest layer's input and output
    twice, for copies in another memory order. It follows from the sizes of the maps of one small input, so
    that it is the same on every machine.
    """
    if (known := getattr(model, "footprint", None)) is not None:
        return known.bytes_per_pixel
    step, margin = model.tile_step, model.margin
    side = 4 * margin + 4 * step
    kept, largest = 0, 0
    outer = {model.encoder, model.decoder, *model.heads.values()}

    def note(layer: nn.Module, args: tuple, out: object) -> None:
        nonlocal kept, largest
        if layer in outer:
            kept += _bytes(out)
        else:
            largest = max(largest, _bytes(args) + _bytes(out))

    hooks = [layer.register_forward_hook(note) for layer in model.modules() if layer is not model]
    training = model.training
    model.eval()
    try:
        first = next(model.parameters())
        channels = model.data_preprocessor.in_channels
        image = first.new_zeros(1, channels, side, side, dtype=torch.float32)
        model(image, mode="tensor")
    finally:
        for hook in hooks:
            hook.remove()
        if training:
            model.train()
    return (_bytes(image) + kept + 2 * largest) / side**2


def choose_tile(model: nn.Module, free_bytes: int) -> int:
    """Side of the largest square tile whose maps fit into ``free_bytes``, a multiple of ``model.tile_step``.

    At least 256 px, and what the network needs; at most 4096 px. The larger the tiles, the less is computed
    twice where they overlap. Results depend a little on where tiles lie: give the same ``free_bytes`` on all
    machines that share the work.

    Raises:
        CellMMError: not even the smallest tile fits.
    """
    step = model.tile_step
    least = math.ceil(max(LEAST, 4 * model.margin, 2 * step) / step) * step
    side = int(math.sqrt(free_bytes / bytes_per_pixel(model))) // step * step
    if side < least:
        needed = math.ceil(bytes_per_pixel(model) * least**2 / 2**20)
        raise CellMMError(
            f"tiles of {least} px need {needed} MiB, but {free_bytes // 2**20} MiB are free; give more memory"
        )
    return min(side, max(MOST // step * step, least))


def choose_overlap(model: nn.Module, cell_length: float) -> int:
    """Pixels that neighbouring tiles share, a multiple of ``model.tile_step``.

    With the length of the longest cell every cell lies whole in some tile, outside of the ``model.margin``
    at its borders in which no mask can lie.
    """
    return math.ceil((cell_length + 2 * model.margin) / model.tile_step) * model.tile_step


def _bytes(values: object) -> int:
    """Of all tensors in nested tuples, lists and dicts."""
    if isinstance(values, Tensor):
        return values.numel() * values.element_size()
    if isinstance(values, dict):
        values = values.values()
    return sum(map(_bytes, values)) if isinstance(values, list | tuple | ValuesView) else 0
