"""What training asks of a dataset and of a sampler. No base class is needed."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from cellmm.errors import CellMMError


@runtime_checkable
class NumberedDataset(Protocol):
    """Images by index, read with the randomness of a numbered draw.

    ``metainfo``: dict with ``classes``, the names of the labels 0, 1, ... A subclass of ``CellDataset``
    follows the rules and only writes ``load_data_list``; ``cellmm.testing.check_dataset`` tests them.

    Optional are

    - ``pipeline``, mmengine's Compose of the transforms, without which images and the places of labels are
      not checked before training;
    - ``take_class_order(classes, source, category_ids)``, which numbers the classes as another dataset does,
      or raises CellMMError; without it, classes in another order are refused;
    - ``names_classes``: False where any classes will do, so that a wrapper asks the next dataset for them;
    - ``seed``, an argument of the constructor: training gives its own where the config states none;
    - ``METAINFO``, of the class: metainfo for a prediction with weights that do not state their classes;
      without it the only class is 'cell'.
    """

    metainfo: dict

    def __len__(self) -> int:
        """Number of images, at least 1."""

    def get_data_info(self, index: int) -> dict:
        """What is known of an image without reading it.

        - ``img_path``: str, or list[str] where the channels are in several files;
        - ``img_id``: int, unique in the set;
        - one of ``instances`` (dicts in COCO's style: ``segmentation``, ``label`` from 0, ``iscrowd``,
          ``area``), ``label_path`` (a label image, or a TIFF of layers), ``class_paths`` (pairs of a label
          and the label image of its cells), ``mask_paths`` (one mask per file);
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


def knows_draws(dataset: Any) -> bool:
    """Whether a built dataset follows ``NumberedDataset``; those of mmengine take an index alone."""
    reads = getattr(type(dataset), "__getitem__", None)
    is_mmengines = getattr(reads, "__module__", "").startswith("mmengine.")
    return isinstance(dataset, NumberedDataset) and not is_mmengines


def take_class_order(
    dataset: Any, classes: Sequence[str], source: str, category_ids: Sequence[int] | None = None
) -> None:
    """Let a dataset number its classes as ``source`` does, by their names.

    Raises:
        CellMMError: it has classes of other names, or in another order and cannot change that.
    """
    if hasattr(dataset, "take_class_order"):
        dataset.take_class_order(classes, source, category_ids)
        return
    own = list(getattr(dataset, "metainfo", {}).get("classes", classes))
    if len(own) > 1 and own != list(classes):
        raise CellMMError(
            f"{type(dataset).__name__}: its classes are {own}, those of {source} {list(classes)}: "
            "name them in the same order"
        )
