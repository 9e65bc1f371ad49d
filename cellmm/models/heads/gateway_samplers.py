"""Which gateways open in training, and which cells DecoNet should draw through them."""

from collections.abc import Sequence

import numpy as np
import torch
from skimage.morphology import thin
from torch import Tensor

from cellmm.checks import check_share, check_whole
from cellmm.models.heads.gateway_targets import ImageTargets
from cellmm.models.heads.gateways import Gateways, SampledGateways
from cellmm.models.heads.parts import GatewayFinder, GatewayWindows
from cellmm.registry import TASK_UTILS

# earlier versions drew a radius for each disk, this at most; the numbers are still drawn, unused, so that
# those after them are the same
FORMER_RADIUS = 4


@TASK_UTILS.register_module()
class UnionGatewaySampler:
    """All open gateways of an image together, in a window that is the whole map: the union of cells is drawn.

    Each disk opens with probability ``keep_prob``, except those that touch the border of the map. If no
    gateway is open, the mask to learn is empty. Source: diskmask 3.3.2.

    Args:
        keep_prob: see above.
        thinning: the open disks lose 0 to this many layers by morphological thinning, drawn once per image.
            0 is among them, since predicting opens whole disks. As published: the radius of the disks less 2.
    """

    one_per_window = False

    def __init__(self, keep_prob: float = 0.5, thinning: int = 3) -> None:
        check_share(keep_prob=keep_prob)
        check_whole(0, thinning=thinning)
        self.keep_prob, self.thinning = keep_prob, thinning

    def sample(
        self, targets: ImageTargets, disk_probs: Tensor, finder: GatewayFinder, windows: GatewayWindows
    ) -> SampledGateways:
        disks, ids = targets.disks, targets.ids
        torch.randint(1, FORMER_RADIUS + 1, (len(targets.points),))
        ids = ids[~torch.isin(ids, edge_ids(disks))]
        opened = ids[(torch.rand(len(ids)) < self.keep_prob).to(ids.device)]
        passes = int(torch.randint(0, self.thinning + 1, ()))
        gates = thinned(torch.isin(disks, opened.to(disks.dtype)), passes)[None]
        first = torch.zeros(1, 2, dtype=torch.long, device=disks.device)
        return SampledGateways(first[:, 0], first, gates, gates.new_ones(1).float(), [opened], [True])


@TASK_UTILS.register_module()
class SingleGatewaySampler:
    """One gateway per window. Source: ours.

    Most open at the disk of their cell, some at a random place of their cell, and some where the head itself
    sees a disk, rightly or wrongly. A wrong gateway has no mask to learn, but the quality of what is drawn
    through it is learned.

    Args:
        num_gates: how many gateways open per image, at most.
        random_share: share of them that open at a random pixel that belongs to their cell alone.
        detected_share: share of them that open where ``finder`` finds a disk.
        radius: the radius of each gateway is drawn from 1 to this, in pixels of the map, so that no size is
            learned; only what lies on the cell's disk is open.
    """

    one_per_window = True

    def __init__(
        self,
        num_gates: int = 6,
        random_share: float = 0.17,
        detected_share: float = 0.33,
        radius: int = 4,
    ) -> None:
        check_whole(1, num_gates=num_gates, radius=radius)
        check_share(random_share=random_share, detected_share=detected_share)
        self.num_random, self.num_detected = (
            round(num_gates * random_share),
            round(num_gates * detected_share),
        )
        self.num_known = num_gates - self.num_random - self.num_detected
        self.radius = radius
        if self.num_known < 0:
            raise ValueError(
                f"random_share {random_share} and detected_share {detected_share} are more than {num_gates} "
                "num_gates; lower them"
            )

    def sample(
        self, targets: ImageTargets, disk_probs: Tensor, finder: GatewayFinder, windows: GatewayWindows
    ) -> SampledGateways:
        ids, points = targets.ids, targets.points
        radius = random_radius(len(points), self.radius, points)
        # cells without a disk have no point (nan): they get (0, 0), and their ids are never opened
        points = torch.where(points.isnan(), 0.0, points)
        known = Gateways(points, radius, torch.ones_like(radius), targets.disks)
        chosen = random_subset(ids, self.num_known)
        parts = [(known, chosen - 1, chosen)]
        own = targets.own_pixels()
        if self.num_random:
            chosen = random_subset(ids, self.num_random)
            radius = random_radius(len(chosen), self.radius, points)
            scattered, chosen = gateways_at_random(own, chosen, radius)
            parts.append((scattered, torch.arange(len(chosen), device=ids.device), chosen))
        if self.num_detected:
            found = finder.find(disk_probs)
            which = random_subset(torch.arange(len(found), device=ids.device), self.num_detected)
            parts.append((found, which, owners(found, targets.disks, own)[which]))
        return _in_windows(parts, disk_probs, windows)


def _in_windows(
    parts: Sequence[tuple[Gateways, Tensor, Tensor]], disk_probs: Tensor, windows: GatewayWindows
) -> SampledGateways:
    """Each gateway in a window of its own, from (gateways, which of them (K,), id of its cell or 0 (K,))."""
    shape = disk_probs.shape
    size = windows.shape_on(shape)
    first, gates, probs, cells = [], [], [], []
    for gateways, which, owner in parts:
        first.append(windows.first_pixels(gateways.points[which], size, shape))
        gates.append(gateways.open(which, first[-1], size))
        row, col = gateways.pixels()
        probs.append(disk_probs[row[which], col[which]])
        cells += [cell[cell > 0] for cell in owner[:, None]]
    first = torch.cat(first)
    return SampledGateways(
        image=torch.zeros_like(first[:, 0]),
        first=first,
        gates=torch.cat(gates),
        probs=torch.cat(probs),
        cells=cells,
        has_mask=[len(cell) > 0 for cell in cells],
    )


def edge_ids(disks: Tensor) -> Tensor:
    """Ids on the outermost pixels of (h, w)."""
    return torch.cat([disks[0], disks[-1], disks[:, 0], disks[:, -1]]).unique()


def random_subset(ids: Tensor, most: int) -> Tensor:
    """At most ``most`` of ``ids``, in random order."""
    return ids[torch.randperm(len(ids))[:most].to(ids.device)]


def random_radius(count: int, largest: int, like: Tensor) -> Tensor:
    """Whole radii from 1 to ``largest``, of the type and on the device of ``like``: (count,)."""
    return torch.randint(1, largest + 1, (count,)).to(like)


def thinned(disks: Tensor, passes: int) -> Tensor:
    """bool (h, w) after so many passes of morphological thinning (diskmask 3.3.2)."""
    if not passes:
        return disks
    return torch.from_numpy(np.ascontiguousarray(thin(disks.cpu().numpy(), passes))).to(disks.device)


def gateways_at_random(own: Tensor, ids: Tensor, radius: Tensor) -> tuple[Gateways, Tensor]:
    """A gateway at a random pixel of each cell of ``ids`` that has pixels to itself, and those ids.

    ``own``: ids on the grid of the feature map, see ImageTargets.own_pixels.
    """
    points, kept = [], []
    for i, cell in enumerate(ids.tolist()):
        pixels = (own == cell).nonzero()
        if len(pixels):
            points.append(pixels[torch.randint(len(pixels), ())])
            kept.append(i)
    points = torch.stack(points).float() if points else radius.new_zeros(0, 2)
    return Gateways(points, radius[kept], torch.ones_like(radius[kept])), ids[kept]


def owners(gateways: Gateways, disks: Tensor, own: Tensor) -> Tensor:
    """Id of the cell that each gateway found by the head belongs to; 0: none, or it cannot be told."""
    row, col = gateways.pixels()
    disk = disks[row, col]
    return torch.where(disk > 0, disk, own[row, col])
