"""Two images of the same field: one to translate, and what it has to become."""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from cellmm.datasets.base import CellDataset
from cellmm.datasets.simulated import simulate_once
from cellmm.errors import CellMMError
from cellmm.io.file_index import group_images, suffix_pattern, without_unpaired
from cellmm.messages import name_some
from cellmm.registry import DATASETS
from cellmm.simulation import make_dataset


@DATASETS.register_module()
class PairedImageDataset(CellDataset):
    """Inputs and targets with the same names, for Pix2Pix: ``phase/a.tif`` goes with ``images/a.tif``.

    The files of a pair are read as the channels of one image, those of the input first, so that every step
    that moves, crops or flips pixels does so alike with both; ``PackImagePair`` takes them apart. No cells
    are read. For the translation of masks, take a dataset with annotated cells, LoadCells, and
    ``PackImagePair(inputs="mask")``.

    If a subfolder has only one image of a pair, a warning counts what is left out.
    Source: sparseseunet 4.4.2.

    Args:
        input_dir, target_dir: folders, relative to ``data_root``.
        input_suffix, target_suffix: what follows the name in the file names, such as '.tif', '_ph.png'; None:
            any image suffix. A list of suffixes, such as ['_low.tif', '_high.tif'], means that many files
            per image, one after the other.
        pattern: only images whose name, with or without its subfolder, matches, with * and ?.
        simulation: as of SimulatedDataset: a missing ``data_root`` is simulated, with phase contrast in
            ``<split>/phase`` and two focal planes of brightfield in ``<split>/images``.

    Raises:
        CellMMError: an image without a partner, or none at all.
    """

    def __init__(
        self,
        *,
        input_dir: str | os.PathLike = "phase",
        target_dir: str | os.PathLike = "images",
        input_suffix: str | Sequence[str] | None = None,
        target_suffix: str | Sequence[str] | None = None,
        pattern: str = "*",
        simulation: Mapping | None = None,
        **kwargs,
    ) -> None:
        self.input_dir, self.target_dir = input_dir, target_dir
        self.input_suffix, self.target_suffix, self.pattern = input_suffix, target_suffix, pattern
        if simulation is not None:
            simulation = dict(simulation, extra_modalities=True)
            simulate_once(kwargs.get("data_root", ""), simulation, make_dataset, os.fspath(input_dir))
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        folders = self.resolve(self.input_dir), self.resolve(self.target_dir)
        if folders[0] == folders[1] and None in (self.input_suffix, self.target_suffix):
            raise CellMMError(
                f"{folders[0]} holds inputs and targets: tell them apart by input_suffix and target_suffix"
            )
        inputs = self._find(folders[0], self.input_suffix, leave_out=folders[1])
        targets = self._find(folders[1], self.target_suffix, leave_out=folders[0])
        names = without_unpaired(list(inputs), list(targets), folders[0], "inputs")
        others = without_unpaired(list(targets), list(inputs), folders[1], "targets")
        for folder, lacking in (
            (folders[1], set(names) - set(others)),
            (folders[0], set(others) - set(names)),
        ):
            if lacking:
                raise CellMMError(
                    f"{folder}: no partner for {name_some(sorted(lacking))} of {len(names)} inputs and "
                    f"{len(others)} targets; add these images, or leave them out by pattern"
                )
        if not names:
            raise CellMMError(
                f"{folders[0]}: no image has a name like {self.pattern!r} and a partner of the same path in "
                f"{folders[1]}; change pattern, or name the folders"
            )
        return [
            dict(img_path=[*inputs[name], *targets[name]], img_id=number)
            for number, name in enumerate(names, start=1)
        ]

    def _find(
        self, folder: Path, suffix: str | Sequence[str] | None, leave_out: Path
    ) -> dict[str, list[str]]:
        """{name: the files of its image} of those that ``pattern`` chooses."""
        suffixes = [suffix] if suffix is None or isinstance(suffix, str) else list(suffix)
        found = group_images(folder, [suffix_pattern(end) for end in suffixes], [leave_out])
        return {
            name: [files] if isinstance(files, str) else files
            for name, files in found.items()
            if any(fnmatchcase(text, self.pattern) for text in (name, PurePosixPath(name).name))
        }
