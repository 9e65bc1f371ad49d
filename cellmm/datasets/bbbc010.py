"""BBBC010, the C. elegans live/dead assay of the Broad Bioimage Benchmark Collection."""

import json
import os
import re
from collections.abc import Sequence

from mmengine.logging import print_log

from cellmm.datasets.mask_folders import MaskFolderDataset
from cellmm.errors import CellMMError
from cellmm.messages import name_some
from cellmm.registry import DATASETS

IMAGE = r".*_(?P<image>[A-Z]\d\d)_{channel}_.*\.tif"
MASK = r"(?P<image>[A-Z]\d\d)_\d+_ground_truth\.png"
BRIGHTFIELD = "w2"


@DATASETS.register_module()
class BBBC010Dataset(MaskFolderDataset):
    """Worms, up to three deep: ``images/*_<WELL>_<channel>_*.tif``, ``masks/<WELL>_<NN>_ground_truth.png``.

    ``split``: a key of ``split_file``, a json {"train": [wells], "test": [wells]} with any keys, or 'all' for
    every well in it; a relative name of the file is looked for in ``data_root``. ``channel``: 'w2' is
    brightfield, 'w1' GFP; a list gives an image with these channels.
    Wells in no split are left out, and a line in the log counts their masks. ``img_id`` counts from 1 in
    the sorted wells of the split.
    Source: BBBC010, image set version 1, Ljosa et al., Nature Methods 2012.
    """

    METAINFO: dict = {"classes": ("worm",)}

    def __init__(
        self,
        *,
        data_root: str | os.PathLike,
        split: str = "train",
        channel: str | Sequence[str] = BRIGHTFIELD,
        split_file: str | os.PathLike = "split.json",
        **kwargs,
    ) -> None:
        self.split = split
        self.split_file = split_file
        channels = [channel] if isinstance(channel, str) else channel
        super().__init__(
            data_root=data_root,
            img_pattern=[IMAGE.format(channel=re.escape(name)) for name in channels],
            mask_pattern=MASK,
            **kwargs,
        )

    def select(self, images: dict, masks: dict) -> tuple[dict, dict]:
        wells, listed = self._read_split()
        if absent := [well for well in wells if well not in images]:
            raise CellMMError(
                f"{self.resolve(self.img_dir)}: no image for {name_some(absent)} of {len(wells)} wells that "
                f"{self.resolve(self.split_file)} lists in {self.split!r}"
            )
        if unlisted := sorted(masks.keys() - listed):
            count = sum(len(masks[well]) for well in unlisted)
            print_log(
                f"{self.resolve(self.split_file)} lists no split for wells {name_some(unlisted)}: "
                f"their {count} masks are not used",
                logger="current",
            )
        return {well: images[well] for well in wells}, {well: masks[well] for well in wells if well in masks}

    def _read_split(self) -> tuple[list[str], set[str]]:
        """The sorted wells of the split, and all wells that any split lists."""
        path = self.resolve(self.split_file)
        try:
            splits = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            raise CellMMError(
                f'{path} is absent: write it, {{"train": ["A01", ...], "test": ["C03", ...]}}'
            ) from None
        except OSError as error:
            raise CellMMError(f"{path} cannot be read ({error.strerror}): check split_file") from error
        except (ValueError, RecursionError) as error:
            raise CellMMError(f"{path} is not valid json ({error}): write it again") from error
        if not isinstance(splits, dict):
            raise CellMMError(
                f'{path} is not a dict of splits: write {{"train": ["A01", ...], "test": [...]}}'
            )
        splits = {name: wells for name, wells in splits.items() if isinstance(wells, list)}
        for name, wells in splits.items():
            if odd := [well for well in wells if not isinstance(well, str)]:
                raise CellMMError(f"{path}: {name!r} lists {odd[0]!r}: wells are names such as 'A01'")
        splits["all"] = sorted(set().union(*splits.values()))
        if self.split not in splits:
            raise CellMMError(f"{path}: no split {self.split!r}; it has {', '.join(splits)}")
        return sorted(splits[self.split]), set(splits["all"])
