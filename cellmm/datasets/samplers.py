"""The order in which training draws its images."""

from collections.abc import Iterator, Sized

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from cellmm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class DrawSampler(Sampler):
    """Yield pairs (index, draw) without end: draw counts 0, 1, 2, ... over all ranks and never starts again.

    Of n images, draw d is position d mod n of the permutation of pass d // n, a function of (seed, pass);
    with ``shuffle=False`` it is image d mod n. Rank r of R yields the draws r, r + R, r + 2R, ..., so that
    the draws of a global batch are the same for any number of ranks.
    """

    def __init__(self, dataset: Sized, seed: int | None = None, shuffle: bool = True) -> None:
        super().__init__()
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else seed
        self.shuffle = shuffle
        self.start = 0
        if len(dataset) == 0:
            raise ValueError("DrawSampler has nothing to draw from: the dataset is empty")

    def seek(self, draw: int) -> None:
        """The next ``iter()`` begins at this global draw number: iteration x batch size x number of ranks."""
        if draw < 0:
            raise ValueError(f"draw must be 0 or more, got {draw}")
        self.start = draw

    def __iter__(self) -> Iterator[tuple[int, int]]:
        size, last, order = len(self.dataset), None, None
        draw = self.start + self.rank
        while True:
            epoch, position = divmod(draw, size)
            if epoch != last:
                last, order = epoch, self._order(epoch, size)
            yield int(order[position]), draw
            draw += self.world_size

    def _order(self, epoch: int, size: int) -> np.ndarray:
        return (
            np.random.default_rng((self.seed, epoch)).permutation(size) if self.shuffle else np.arange(size)
        )

    def __len__(self) -> int:
        """Draws of a rank in a pass over the dataset, rounded up."""
        return -(-len(self.dataset) // self.world_size)
