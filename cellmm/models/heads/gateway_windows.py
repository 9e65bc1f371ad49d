"""Windows of the feature map that DecoNet looks at: where they lie, and how they grow when predicting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cellmm.checks import check_whole
from cellmm.models.heads.gateway_budget import DecodingBudget
from cellmm.models.heads.gateways import Gateways
from cellmm.registry import TASK_UTILS

FREE_WINDOWS = 16  # plus once the whole map: what may be looked at in an image without any mask

# which gateways (K,), first pixels of their windows (K, 2), open pixels, bool (K, h, w) ->
# probabilities (K, h', w'), first pixels of those (K, 2), scores (K,)
Decode = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


@dataclass
class DecodedMasks:
    """The masks of G gateways, each in its last window.

    Attributes:
        probs: per gateway float (h', w'), empty where ``limits`` left it out.
        origins: first pixels of the masks on the feature map, int64 (G, 2).
        scores: float (G,).
        limits: {message with ``{}`` for a number: how many gateways were not opened, or not again in a window
            that holds their mask}.
    """

    probs: list[Tensor]
    origins: Tensor
    scores: Tensor
    limits: dict[str, int]


@TASK_UTILS.register_module()
class GrowingWindows:
    """A window around each gateway; where a mask reaches the border, a window twice as large, until it fits.

    Args:
        multiple: windows start at multiples of this; the head gives the coarsest stride of DecoNet.
        size: side of the window in pixels of the feature map. None: the whole map.
        patience: limits the work that gives no mask when predicting an image: this many times 16 windows
            plus once the whole map, and half of the work that gives masks (see DecodingBudget). Beyond that
            the least probable gateways are left out, and a warning counts them. None: no limit.
        batch_size: gateways that go through DecoNet together when predicting.
    """

    def __init__(
        self, multiple: int = 1, size: int | None = None, patience: float | None = 1.0, batch_size: int = 16
    ) -> None:
        check_whole(1, multiple=multiple, size=size, batch_size=batch_size)
        if patience is not None and patience <= 0:
            raise ValueError(f"patience must be None or above 0, got {patience}")
        self.multiple, self.size, self.patience, self.batch_size = multiple, size, patience, batch_size

    def shape_on(self, shape: Sequence[int], grow: int = 1) -> tuple[int, int]:
        """Rows and columns of a window on a map of ``shape`` (h, w), ``grow`` times as large as ``size``."""
        height, width = int(shape[0]), int(shape[1])
        if self.size is None:
            return height, width
        return min(self.size * grow, height), min(self.size * grow, width)

    def first_pixels(self, points: Tensor, size: tuple[int, int], shape: Sequence[int]) -> Tensor:
        """Where windows of ``size`` around ``points`` (K, 2) start, inside the map: int64 (K, 2)."""
        step = self.multiple
        most = [(whole - side) // step * step for whole, side in zip(shape, size, strict=True)]
        first = (points - points.new_tensor(size) / 2).div(step).round().long() * step
        return torch.minimum(first.clamp(min=0), torch.tensor(most, device=first.device))

    def decode_each(
        self, gateways: Gateways, shape: Sequence[int], decode: Decode, *, mask_thr: float, score_thr: float
    ) -> DecodedMasks:
        """Open each gateway alone, most probable first, in windows that grow on a map of ``shape`` (h, w).

        Args:
            decode: DecoNet, see ``Decode``.
            mask_thr: probability above which a pixel belongs to the mask.
            score_thr: masks that score less do not count as work that gave a mask.
        """
        probs = gateways.probs
        out = DecodedMasks(
            probs=[probs.new_zeros(0, 0)] * len(gateways),
            origins=torch.zeros(len(gateways), 2, dtype=torch.long, device=probs.device),
            scores=probs.new_zeros(len(gateways)),
            limits={},
        )
        budget = self._budget(len(gateways), shape)
        todo, grow, left_out = probs.argsort(descending=True, stable=True), 1, 0
        while len(todo):
            size, done, again = self.shape_on(shape, grow), 0, [todo[:0]]
            most, pixels = max(self.batch_size // grow**2, 1), size[0] * size[1]
            while num := min(most, len(todo) - done):
                if budget is not None and not (num := budget.allowed(pixels, num)):
                    break
                which = todo[done : done + num]
                first = self.first_pixels(gateways.points[which], size, shape)
                drawn, origins, scores = decode(which, first, gateways.open(which, first, size))
                out.origins[which], out.scores[which] = origins, scores
                for index, prob in zip(which.tolist(), drawn, strict=True):
                    out.probs[index] = prob
                masks = drawn > mask_thr
                cut = is_cut(masks, first, size, shape)
                again.append(which[cut])
                if budget is not None:
                    passes = ~cut & (scores > score_thr)
                    budget.spend(which, pixels, gateways.points[which], passes, masks, origins)
                done += num
            for index in todo[done:].tolist():  # a smaller window has cut its mask
                out.probs[index] = probs.new_zeros(0, 0)
            left_out += len(todo) - done
            todo, grow = torch.cat(again), 2 * grow
        if left_out:
            out.limits[
                "{} gateways were not opened, or left out since their window cuts their mask: too many "
                "before them gave no mask, as after a short training or in an image of another kind; train "
                "longer, or set windows.patience=None of the head"
            ] = left_out
        return out

    def _budget(self, num: int, shape: Sequence[int]) -> DecodingBudget | None:
        if self.patience is None:
            return None
        height, width = self.shape_on(shape)
        free = self.patience * (FREE_WINDOWS * height * width + shape[0] * shape[1])
        return DecodingBudget(num, free, shape)


def is_cut(masks: Tensor, first: Tensor, size: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Which masks (K, h', w') reach a border of their window that is not a border of the map: bool (K,)."""
    goes_on = first + first.new_tensor(size) < first.new_tensor(shape)
    edges = [masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]]
    inner = [first[:, 0] > 0, goes_on[:, 0], first[:, 1] > 0, goes_on[:, 1]]
    return torch.stack([edge.any(1) & open_side for edge, open_side in zip(edges, inner, strict=True)]).any(0)


def cut_windows(x: Tensor, image: Tensor, first: Tensor, size: Sequence[int]) -> Tensor:
    """Cut windows of ``size`` from ``first`` (K, 2) on out of images ``image`` (K,) of (B, C, H, W)."""
    if tuple(size) == tuple(x.shape[-2:]):
        return x[image]
    cuts = [
        x[b, :, row : row + size[0], col : col + size[1]]
        for b, (row, col) in zip(image.tolist(), first.tolist(), strict=True)
    ]
    return torch.stack(cuts) if cuts else x.new_zeros(0, x.shape[1], *size)
