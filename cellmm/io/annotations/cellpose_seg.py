"""Cellpose: the file <image>_seg.npy of its window."""

import io
from pathlib import Path

import numpy as np

from cellmm.errors import CellMMError
from cellmm.io.annotations.base import ImageAnnotation
from cellmm.io.annotations.collected import CollectedCells, checked_cells, file_name
from cellmm.io.annotations.label_image import add_labels
from cellmm.io.annotations.safe_pickle import load_arrays
from cellmm.registry import ANNOTATION_READERS

MAGIC = b"\x93NUMPY"
SUFFIX = "_seg"


@ANNOTATION_READERS.register_module()
class CellposeReader:
    """The masks of a _seg.npy; its pickle is read without running what it names."""

    title = "Cellpose _seg.npy"
    suffixes = (".npy",)

    def recognises(self, path: Path) -> bool:
        try:
            with open(path, "rb") as file:
                head = file.read(2**10)
        except OSError:
            return False
        return head.startswith(MAGIC) and b"'|O'" in head and path.stem.endswith(SUFFIX)

    def read(self, path: Path) -> list[ImageAnnotation]:
        try:
            data = path.read_bytes()
            stream = io.BytesIO(data)
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
            if header is None or header(stream)[2] != np.dtype(object):
                raise ValueError("it is not one dict")
        except OSError as error:
            raise CellMMError(
                f"{path} cannot be read ({error.strerror}): get the right to read it"
            ) from error
        except ValueError as error:
            raise CellMMError(
                f"{path} is not a _seg.npy of Cellpose ({error}): save it again there"
            ) from error
        content = load_arrays(data[stream.tell() :], str(path))
        masks = content.get("masks") if isinstance(content, dict) else None
        if not isinstance(masks, np.ndarray):
            raise CellMMError(f"{path} holds no masks: save it again in Cellpose")
        if masks.ndim != 2:
            raise CellMMError(
                f"{path} holds masks of shape {masks.shape}, not of one image: save the masks of each plane"
            )
        name = file_name(content.get("filename"))
        found = CollectedCells(path, Path(name).name if name else path.stem.removesuffix(SUFFIX), masks.shape)
        add_labels(found, masks)
        return checked_cells(path, [found])
