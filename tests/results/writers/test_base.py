"""How formats are chosen, and what is said of losses."""

from collections import Counter

import pytest

from cellmm.errors import CellMMError
from cellmm.results.writers import Writer, build_writers, options, tell_losses


def test_formats_by_name():
    assert {"coco", "geojson", "labels", "layers", "ome-zarr", "png", "rois", "svg"} <= set(options())
    writers = build_writers("rois, coco")
    assert [writer.option for writer in writers] == ["rois", "coco"]
    assert all(isinstance(writer, Writer) for writer in writers)
    assert build_writers(["ome-zarr:version=0.4:image=true"])[0].image is True
    folders = [cls.folder for cls in options().values()]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("roi", r"--save roi: not a format of results; choose from .*coco.*rois"),
        ("coco,coco", "--save coco: given twice"),
        ("rois:size=3", r"--save rois:size=3: 'size=3' is not an argument; rois takes no arguments"),
        ("ome-zarr:image", r"'image' is not an argument; ome-zarr takes ome-zarr:version=\.\.\., "),
        ("", "--save : not a format of results"),
    ],
)
def test_other_names(names, message):
    with pytest.raises(CellMMError, match=message):
        build_writers(names)


def test_losses_of_a_run():
    total = Counter({"cells without a pixel": 2}) + Counter({"cells without a pixel": 1})
    assert tell_losses("rois", total) == "rois: not kept are 3 cells without a pixel"
    assert tell_losses("rois", Counter({"cells without a pixel": 0})) is None
