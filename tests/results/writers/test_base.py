"""How formats are chosen, names of images of every kind, and what is said of losses."""

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import pytest
import tifffile

from cellmm.errors import CellMMError
from cellmm.results.writers import CollectingWriter, Writer, build_writers, options, tell_losses


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


@pytest.mark.parametrize(
    "name", ["not utf-8 \udcff.tif", "control \x01\n.tif", "\"<&>'.tif", "=1+1", "a" * 300]
)
@pytest.mark.parametrize("option", options())
def test_names_of_images_that_a_file_cannot_hold(option, name, odd, source, tmp_path):
    (writer,) = build_writers(option)
    path = tmp_path / f"cells{writer.suffix}"
    writer.write(path, replace(odd, name=name, classes=(name.replace("\udcff", "µ"), "b")), source)
    if option == "svg":
        title = ET.parse(path).find("{http://www.w3.org/2000/svg}title").text
        assert title == name.replace("\udcff", r"\udcff").replace("\x01\n", r"\x01\n")
    if path.name.endswith(".tif"):
        with tifffile.TiffFile(path) as file:
            ET.fromstring(file.ome_metadata)
    if isinstance(writer, CollectingWriter):
        writer.collect(tmp_path / writer.collection, [path])
        assert (tmp_path / writer.collection).stat().st_size > 0


def test_losses_of_a_run():
    total = Counter({"cells without a pixel": 2}) + Counter({"cells without a pixel": 1})
    assert tell_losses("rois", total) == "rois: left out 3 cells without a pixel"
    assert tell_losses("rois", Counter({"cells without a pixel": 0})) is None
