"""How the gateways of one image are looked at: in windows that grow, with bounded work."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cellmm.models.heads.gateways import Gateways
from cellmm.models.postprocess.mask_nms import window_nms
from cellmm.structures import PredictedInstances

FREE_WINDOWS = 16  # and once all of F: what may give no mask in an image without any


@dataclass
class Drawn:
    """The masks of G gateways, each in its last window.

    ``probs[g]``: (h', w'), empty where the gateway is among those ``left``; ``origins``: int64 (G, 2),
    first pixels of the masks; ``scores``: (G,). ``left``: how many gateways were not opened, or not again in
    a window that holds their mask, by the bound on the work.
    """

    probs: list[Tensor]
    origins: Tensor
    scores: Tensor
    left: int = 0


class Work:
    """Pixels through DecoNet for one image: those that may be wasted are limited.

    A gateway pays when it gives a mask of its own: whole in its window, with a score that passes, and not
    at a place that the mask of an earlier one covers. All pixels of the others are wasted so far; a window
    that grows pays for the smaller ones before it. Wasted pixels may be ``free`` and half of those that paid.
    A net that has learned wastes little, whatever the number of cells, and stays below; one that has not
    would otherwise look at thousands of places, up to the whole image for each.
    """

    def __init__(self, num: int, free: float, shape: Sequence[int]) -> None:
        self.free = free
        self.spent = torch.zeros(num, dtype=torch.float64)
        self.paid = torch.zeros(num, dtype=torch.bool)
        self._covered = torch.zeros(tuple(shape), dtype=torch.bool)

    def allowed(self, pixels: int) -> int:
        """How many windows of so many pixels may be wasted now."""
        paid = float(self.spent[self.paid].sum())
        wasted = float(self.spent.sum()) - paid
        return max(int((self.free + paid / 2 - wasted) // pixels), 0)

    def add(self, which: Tensor, pixels: int, points: Tensor, whole: Tensor, masks: Tensor, first: Tensor):
        """Gateways ``which`` (K,) at ``points`` (K, 2) took ``pixels`` each: ``whole`` (K,) and passing or
        not, with masks (K, h, w) from ``first`` (K, 2) on."""
        which, masks, whole = which.cpu(), masks.cpu(), (whole & masks.flatten(1).any(1)).tolist()
        self.spent[which] += pixels
        for k, ((row, col), (top, left)) in enumerate(
            zip(points.round().long().tolist(), first.tolist(), strict=True)
        ):
            if whole[k] and not self._covered[row, col]:
                self.paid[which[k]] = True
                self._covered[top : top + masks.shape[1], left : left + masks.shape[2]] |= masks[k]


def predict_image(
    head: nn.Module, features: list[Tensor], f: Tensor, image: int, class_probs: Tensor
) -> PredictedInstances:
    """The instances of ``image`` of the batch, with class probabilities (K + 1, h, w).

    See GatewayHead.predict.
    """
    disk_probs = 1 - class_probs[0]
    gateways = head.find(disk_probs)
    row, col = gateways.points.round().long().unbind(1)
    drawn = draw_gateways(head, features, f, image, gateways, disk_probs[row, col])
    probs, origins, scores = drawn.probs, drawn.origins, drawn.scores
    inside = [(one > head.mask_thr).cpu() for one in probs]
    order = scores.argsort(descending=True, stable=True)
    order = order[scores[order] > head.score_thr]
    keep = [i for i in order.tolist() if inside[i].any()]
    if head.nms_thr is not None:
        stays = window_nms([inside[i] for i in keep], origins[keep], head.nms_thr)
        keep = [keep[i] for i in stays.tolist()]
    reached = {
        f"{{}} gateways beyond the best max_gates={head.max_gates} were not opened; set max_gates=None": (
            gateways.left_out
        ),
        "{} gateways were not opened, or left out since their window cuts their mask: too many before them "
        "gave no mask, as after a short training or in an image of another kind; train longer, or set "
        "patience=None of the head": drawn.left,
    }
    before = head.origin // head.stride  # pixels of the map before F's first one
    return PredictedInstances(
        probs=[probs[i] for i in keep],
        origins=origins[keep] + before,
        grid_shape=tuple(side + before for side in f.shape[-2:]),
        stride=head.stride,
        mask_thr=head.mask_thr,
        limits={text: number for text, number in reached.items() if number},
        points=(gateways.points[keep] + 0.5) * head.stride - 0.5 + head.origin,
        scores=scores[keep],
        labels=class_probs[1:, row[keep], col[keep]].argmax(0),
    )


def draw_gateways(
    head: nn.Module, features: list[Tensor], f: Tensor, image: int, gateways: Gateways, probs: Tensor
) -> Drawn:
    """Open each gateway of ``image`` alone, best first, in ``head.window``; where a mask reaches the border
    of its window, again in one twice as large, until it fits or the window is all of F.

    Args:
        head: a GatewayHead.
        features: the maps of the batch, finest first; ``f``: F of the batch.
        probs: the disk probability at each gateway (G,).
    """
    shape = f.shape[-2:]
    out = Drawn(
        probs=[probs.new_zeros(0, 0)] * len(gateways),
        origins=torch.zeros(len(gateways), 2, dtype=torch.long, device=f.device),
        scores=probs.new_zeros(len(gateways)),
    )
    window = head.window_size(shape)
    free = FREE_WINDOWS * window[0] * window[1] + shape[0] * shape[1]
    work = None if head.patience is None else Work(len(gateways), head.patience * free, shape)
    todo, grow = gateways.probs.argsort(descending=True, stable=True), 1
    while len(todo):
        size = head.window_size(shape, grow)
        pixels, done, again = size[0] * size[1], 0, []
        while done < len(todo):
            batch = max(head.batch_gates // grow**2, 1)
            if work is not None and not (batch := min(batch, work.allowed(pixels))):
                break
            which = todo[done : done + batch]
            first = head.first_pixels(gateways.points[which], size, shape)
            gates = gateways.open(which, first, size)
            logits, coarsest = head.draw(features, f, torch.full_like(which, image), first, gates)
            drawn = logits[:, 0].sigmoid()
            out.origins[which] = first + head.deco_net.origin
            out.scores[which] = head.scores(logits, coarsest, probs[which])
            for i, index in enumerate(which.tolist()):
                out.probs[index] = drawn[i]
            masks = drawn > head.mask_thr
            cut = torch.zeros_like(which, dtype=torch.bool)
            if size != tuple(shape):
                cut = is_cut(masks, first, size, shape)
                again.append(which[cut])
            if work is not None:
                passes = ~cut & (out.scores[which] > head.score_thr)
                points = gateways.points[which]
                work.add(which, pixels, points, passes, masks, out.origins[which])
            done += len(which)
        out.left += len(todo) - done
        for index in todo[done:].tolist():  # what a smaller window showed of it is cut off
            out.probs[index] = probs.new_zeros(0, 0)
        todo, grow = torch.cat(again) if again else todo[:0], 2 * grow
    return out


def is_cut(masks: Tensor, first: Tensor, size: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Which masks (K, h', w') reach a border of their window that is not a border of the map: bool (K,)."""
    goes_on = first + first.new_tensor(size) < first.new_tensor(shape)
    edges = [masks[:, 0], masks[:, -1], masks[:, :, 0], masks[:, :, -1]]
    inner = [first[:, 0] > 0, goes_on[:, 0], first[:, 1] > 0, goes_on[:, 1]]
    return torch.stack([edge.any(1) & open_side for edge, open_side in zip(edges, inner, strict=True)]).any(0)
