"""What training asks of a dataset and of a sampler. No base class is needed."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class NumberedDataset(Protocol):
    """Images by index, read with the randomness of a numbered draw.

    ``metainfo``: dict with ``classes``, the names of the labels 0, 1, ... A subclass of ``CellDataset``
    follows the rules and only writes ``load_data_list``; ``cellmm.testing.check_dataset`` tests them.

    Optional are ``pipeline``, mmengine's Compose of the transforms, without which images and the places of
    labels are not checked before training; and ``take_class_order(classes, source, category_ids)``, which
    numbers the classes as another dataset does, or raises CellMMError. Without it, classes in another order
    are refused.
    """

    metainfo: dict

    def __len__(self) -> int:
        """Number of images, at least 1."""

    def get_data_info(self, index: int) -> dict:
        """What is known of an image without reading it.

        - ``img_path``: str, or list[str] where the channels are in several files;
        - ``img_id``: int, unique in the set;
        - one of ``instances`` (dicts in COCO's style: ``segmentation``, ``label`` from 0, ``iscrowd``,
          ``area``), ``label_path`` (a label image, or a TIFF of layers), ``mask_paths`` (one mask per file);
        - ``height``, ``width`` in pixels and ``nuclei_path``, where they are known.
        """

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        """What the pipeline makes of image ``index``, or of ``(index, draw)``.

        The dict above gets ``draw`` and ``rng``, a numpy Generator that depends on the seed and the draw
        alone: the same pair gives the same sample in any process. A plain index means draw = index.
        """


@runtime_checkable
class SeekableSampler(Protocol):
    """The order in which training draws its images.

    Built as ``SAMPLER(dataset=dataset, seed=seed, ...)``. ``cellmm.testing.check_sampler`` tests these rules.
    """

    def __len__(self) -> int:
        """Draws of one rank in one pass over the dataset."""

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Endless pairs (index, draw); draw counts 0, 1, 2, ... over all ranks and never starts again.

        Rank r of R yields the draws r, r + R, r + 2 R, ... The index is a function of seed and draw alone.
        """

    def seek(self, draws: int) -> None:
        """The next ``iter()`` goes on after so many draws of all ranks: this makes resuming exact."""
