"""Files that would keep a reader busy for ever, fill the memory or end the process by a signal."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from mmengine.dataset import BaseDataset

from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms import LoadCells, LoadImage
from cellmm.errors import CellMMError
from cellmm.io.coco_segmentations import instance_rle
from cellmm.io.images import read_image

GREY = np.arange(600, dtype=np.uint16).reshape(20, 30)
OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" SizeC="{c}" '
    'SizeZ="{z}" SizeT="1"><TiffData IFD="0" PlaneCount="{planes}" FirstC="{first}"/></Pixels></Image></OME>'
)


def pages(*links: int, order: str = "<", big: bool = False) -> Callable[[Path], None]:
    """Pages of which number i leads on to page ``links[i]`` (-1: to none), each with an image."""

    def write(path: Path) -> None:
        with tifffile.TiffWriter(path, byteorder=order, bigtiff=big) as writer:
            for _ in links:
                writer.write(GREY, contiguous=False, metadata=None)
        with tifffile.TiffFile(path) as tiff:
            starts = [page.offset for page in tiff.pages]
        data = bytearray(path.read_bytes())
        for start, link in zip(starts, links, strict=True):
            count, head, entry, number = ("Q", 8, 20, "Q") if big else ("H", 2, 12, "I")
            tags = struct.unpack_from(f"{order}{count}", data, start)[0]
            struct.pack_into(
                f"{order}{number}", data, start + head + entry * tags, 0 if link < 0 else starts[link]
            )
        path.write_bytes(data)

    return write


def many_pages(path: Path) -> None:
    """400,000 pages without a tag."""
    links = b"".join(struct.pack("<HI", 0, 8 + 6 * (i + 1)) for i in range(400_000))
    path.write_bytes(struct.pack("<2sHI", b"II", 42, 8) + links)


def described(text: str) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, GREY, description=text, metadata=None)


AGAIN = "copy or export it again"
BAD = {
    "a page that is its own next": (pages(0), f"its page 1 leads back to an earlier one: {AGAIN}"),
    "two pages in a ring": (pages(1, 0), f"its page 2 leads back.*{AGAIN}"),
    "a ring, Motorola": (pages(1, 2, 1, order=">"), f"its page 3 leads back.*{AGAIN}"),
    "a ring, BigTIFF": (pages(1, 1, big=True), f"its page 2 leads back.*{AGAIN}"),
    "400,000 pages": (many_pages, "more than 100000 pages: save one image per file"),
    "10^9 channels": (
        described(OME.format(c=10**9, z=1, planes=1, first=10**9 - 1)),
        f"states 1000000000 planes, more than.*{AGAIN}",
    ),
    "10^5 channels at 10^5 heights": (
        described(OME.format(c=10**5, z=10**5, planes=1, first=1)),
        f"states 10000000000 planes.*{AGAIN}",
    ),
    "10^9 planes of a channel": (
        described(OME.format(c=1, z=1, planes=10**9, first=0)),
        f"states 1000000000 planes.*{AGAIN}",
    ),
    "10^9 images of ImageJ": (
        described("ImageJ=1.54f\nimages=1000000000\nslices=1000000000\n"),
        f"states 1000000000 planes.*{AGAIN}",
    ),
}


@pytest.mark.parametrize("row", BAD)
def test_a_tiff_without_an_end_is_refused(row, tmp_path, refused):
    write, message = BAD[row]
    write(tmp_path / "a.tif")
    refused(lambda: read_image(tmp_path / "a.tif"), r"a\.tif", message)


def test_pages_in_a_row_and_a_whole_ome_header_are_read(tmp_path):
    for number, options in enumerate((dict(), dict(order=">"), dict(big=True))):
        pages(1, -1, **options)(tmp_path / f"{number}.tif")
        assert read_image(tmp_path / f"{number}.tif").shape == (20, 30, 2)
    described(OME.format(c=1, z=1, planes=1, first=0))(tmp_path / "ome.tif")
    assert read_image(tmp_path / "ome.tif").shape == (20, 30, 1)


def zigzag(side: int, turns: int) -> list[int]:
    """A polygon that crosses an image of ``side`` pixels so many times."""
    return [value for i in range(turns) for value in (side * (i % 2), i * side // turns)]


def write_coco(root: Path, side: int, segmentation: object) -> None:
    cv2.imwrite(str(root / "a.png"), np.zeros((side, side), np.uint8))
    coco = dict(
        images=[dict(id=1, file_name="a.png", height=side, width=side)],
        annotations=[dict(id=7, image_id=1, category_id=1, segmentation=segmentation)],
        categories=[dict(id=1, name="cell")],
    )
    (root / "cells.json").write_text(json.dumps(coco))


def test_a_long_zigzag_is_refused_before_it_is_drawn(tmp_path, refused):
    side = 2000
    write_coco(tmp_path, side, [zigzag(side, 200_000)])
    said = "annotation 7 is a polygon with an outline of [0-9]+ px, more than 4194304"
    refused(lambda: CellCocoDataset(data_root=tmp_path, ann_file="cells.json"), r"cells\.json", said)
    write_coco(tmp_path, side, [zigzag(side, 1000)] * 3)  # together
    refused(lambda: CellCocoDataset(data_root=tmp_path, ann_file="cells.json"), r"cells\.json", said)


@pytest.mark.parametrize("seed", range(10))
def test_an_index_with_damaged_bytes_is_made_anew(seed, tmp_path, monkeypatch):
    write_coco(tmp_path, 40, [[5, 5, 15, 5, 15, 15, 5, 15]])
    options = dict(data_root=tmp_path, ann_file="cells.json", cache_index=True)
    CellCocoDataset(**options)
    kept = tmp_path / ".cells.json.index.json"
    good = kept.read_bytes()
    rng = np.random.default_rng(seed)
    data = bytearray(good)
    place = rng.integers(len(data))
    data[place] = (data[place] + rng.integers(1, 256)) % 256
    kept.write_bytes(data)
    said = []
    monkeypatch.setattr("cellmm.io.coco_index.print_log", lambda text, **_: said.append(text))
    dataset = CellCocoDataset(**options, pipeline=[LoadImage(), LoadCells()])
    assert "made anew" in said[0] and kept.read_bytes() == good
    assert dataset[0]["gt_layers"].areas().tolist() == [100]


class Own(BaseDataset):
    """A dataset of somebody else, which checks nothing."""

    def __init__(self, instances: list, path: Path) -> None:
        self.instances, self.path = instances, path
        super().__init__(pipeline=[LoadImage(), LoadCells()])

    def load_data_list(self) -> list[dict]:
        return [dict(img_path=str(self.path), img_id=1, instances=self.instances)]


SQUARE = [5, 5, 15, 5, 15, 15, 5, 15]
OWN = {
    "a polygon far outside": (
        [dict(segmentation=[[0, 0, 1e300, 0, 1e300, 9]])],
        "instance 0 is a polygon with",
    ),
    "a zigzag": ([dict(segmentation=[zigzag(40, 300_000)])], "instance 0 is a polygon with an outline"),
    "two points": (
        [dict(segmentation=[SQUARE]), dict(segmentation=[[1, 1, 2, 2]])],
        "instance 1 is a polygon",
    ),
    "negative counts": (
        [dict(segmentation=dict(size=[40, 40], counts=[-5, 1605]))],
        "instance 0 is an RLE with counts",
    ),
    "another size": ([dict(segmentation=dict(size=[9, 9], counts=[81]))], "instance 0 is an RLE of size"),
    "no segmentation": ([dict(bbox=[1, 2, 3, 4])], "instance 0 has no segmentation; give"),
    "a label that is a name": (
        [dict(segmentation=[SQUARE], label="cell")],
        "instance 0 has the label 'cell', not a whole number",
    ),
}


@pytest.mark.parametrize("row", OWN)
def test_segmentations_of_a_plug_in_are_checked(row, tmp_path):
    instances, message = OWN[row]
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40), np.uint8))
    with pytest.raises(CellMMError, match=rf"a\.png: .*{message}"):
        Own(instances, tmp_path / "a.png")[0]


def test_plain_and_other_types_of_a_plug_in_are_read(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40), np.uint8))
    instances = [
        dict(segmentation=[np.array(SQUARE)], label=np.int64(1)),
        dict(segmentation=dict(size=(40, 40), counts=np.array([3, 2, 1595]))),
        dict(segmentation=dict(size=(40, 40), counts=instance_rle([SQUARE], (40, 40))["counts"].encode())),
    ]
    results = Own(instances, tmp_path / "a.png")[0]
    assert results["gt_layers"].areas().tolist() == [100, 2, 100]
    assert results["gt_labels"].tolist() == [1, 0, 0]
