"""On which pixels masks are matched and learned: on all, or on a sample."""

from collections.abc import Callable, Sequence

from torch import Tensor

from cellmm.checks import check_share, check_whole
from cellmm.models.layers.mask_kernels import resize_to
from cellmm.models.losses.point_sampling import CANDIDATES, candidate_pixels, uncertain_points
from cellmm.registry import TASK_UTILS
from cellmm.structures import CellSample

# of each image: a basis (1, E, h, w) for kernels, and the cells' masks on it, (M, h w)
PixelsOfImages = list[tuple[Tensor, Tensor]]


@TASK_UTILS.register_module()
class AllPixels:
    """Learn on all pixels, match on all pixels of the coarser map that ``match_level`` names."""

    def __call__(
        self, basis: Tensor, coarse_basis: Tensor, samples: Sequence[CellSample], stride: int
    ) -> tuple[PixelsOfImages, PixelsOfImages]:
        """What is learned on and what is matched on, from the bases of a batch (B, E, h, w) at ``stride``."""
        masks = [sample.gt_masks(stride, basis.shape[-2:]) for sample in samples]
        coarse = [resize_to(cells[None], coarse_basis)[0].flatten(1) for cells in masks]
        learned = [cells.flatten(1) for cells in masks]
        return (
            list(zip(basis.split(1), learned, strict=True)),
            list(zip(coarse_basis.split(1), coarse, strict=True)),
        )

    def pick(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the pixels (K, P) of K pairs that the losses see: all."""
        return logits, targets


@TASK_UTILS.register_module()
class UncertainPoints:
    """Learn each mask on ``num_points`` of its pixels, mostly uncertain ones; match on all candidates.

    Memory no longer grows with cells x pixels. Source: the training of PointRend and Mask2Former, see
    ``uncertain_points``.

    Args:
        num_points: pixels per mask.
    """

    def __init__(self, num_points: int) -> None:
        check_whole(1, num_points=num_points)
        self.num_points = num_points

    def __call__(
        self, basis: Tensor, coarse_basis: Tensor, samples: Sequence[CellSample], stride: int
    ) -> tuple[PixelsOfImages, PixelsOfImages]:
        """As AllPixels, with random candidates of each image as one column (1, E, C, 1)."""
        shape, parts = basis.shape[-2:], []
        for image, sample in zip(basis.split(1), samples, strict=True):
            pixels = candidate_pixels(self.num_points, sample.gt_layers, stride, shape)
            masks = sample.gt_masks_at(pixels, stride, shape)
            parts.append((image.flatten(2)[:, :, pixels, None], masks))
        return parts, parts

    def pick(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of the candidates (K, C) of K pairs, the points (K, P) that the losses see."""
        points = uncertain_points(logits, self.num_points)
        return logits.gather(1, points), targets.gather(1, points)


@TASK_UTILS.register_module()
class OverlapPoints(UncertainPoints):
    """As UncertainPoints, but some of the pixels lie where cells overlap, and matching sees fewer.

    Overlap is a small part of an image, and it decides between masks of cells that cross. Source:
    Mask2Former (3.3) for both numbers of points; the share in overlap is ours.

    Args:
        num_points: pixels per mask that are learned, of three times as many candidates.
        num_matched: pixels per image that queries and cells are matched on, the same for all of them.
        overlap_share: share of the candidates, and of the pixels for matching, where two or more cells lie.
    """

    def __init__(self, num_points: int = 12544, num_matched: int = 4096, overlap_share: float = 0.25) -> None:
        super().__init__(num_points)
        check_whole(1, num_matched=num_matched)
        check_share(overlap_share=overlap_share)
        self.num_matched, self.overlap_share = num_matched, overlap_share

    def __call__(
        self,
        basis: Tensor,
        coarse_basis: Tensor,
        samples: Sequence[CellSample],
        stride: int,
        masks_at: Callable[[CellSample, Tensor, int, Sequence[int]], Tensor] = CellSample.gt_masks_at,
    ) -> tuple[PixelsOfImages, PixelsOfImages]:
        """As UncertainPoints.

        ``masks_at(sample, pixels, stride, shape)``: what is learned at pixels (C,): (M, C), or with more rows
        for whoever calls.
        """
        shape = basis.shape[-2:]
        learned, matched = [], []
        for image, sample in zip(basis.split(1), samples, strict=True):
            for parts, number, oversample, masks_of in (
                (learned, self.num_points, CANDIDATES, masks_at),
                (matched, self.num_matched, 1, CellSample.gt_masks_at),
            ):
                pixels = candidate_pixels(
                    number,
                    sample.gt_layers,
                    stride,
                    shape,
                    oversample=oversample,
                    overlap_share=self.overlap_share,
                )
                masks = masks_of(sample, pixels, stride, shape)
                parts.append((image.flatten(2)[:, :, pixels, None], masks))
        return learned, matched
