import re
from collections import defaultdict

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import read_label_layers, write_layered_tiff
from cellmm.structures import LabelLayers

MASKS = hnp.arrays(bool, st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 6)))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MASKS)
def test_round_trip_is_exact(tmp_path, masks):
    layers = LabelLayers.from_masks(masks)
    write_layered_tiff(tmp_path / "cells.tif", layers)
    back = read_label_layers(tmp_path / "cells.tif")
    np.testing.assert_array_equal(back.layers, layers.layers)
    assert len(back) == len(masks) and back.layers.dtype == np.int32
    np.testing.assert_array_equal(back.to_masks(), masks)


def test_file_is_plain_pages(tmp_path):
    path = tmp_path / "new" / "cells.tif"
    write_layered_tiff(path, LabelLayers.from_masks(np.ones((3, 4, 5), bool)))
    with tifffile.TiffFile(path) as tiff:
        assert [page.shape for page in tiff.pages] == [(4, 5)] * 3
        assert tiff.pages[0].dtype == np.uint16
    _, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    assert sorted(int(page.max()) for page in pages) == [1, 2, 3]
    assert list(path.parent.iterdir()) == [path]
    write_layered_tiff(path, LabelLayers(np.array([[0, 70_000]])))
    assert read_label_layers(path).layers.max() == 70_000


def test_pages_written_one_by_one(tmp_path):
    with tifffile.TiffWriter(tmp_path / "cells.tif") as tiff:
        for page in ([[0, 5]], [[6, 0]]):
            tiff.write(np.array(page, np.uint16))
    assert read_label_layers(tmp_path / "cells.tif").layers.tolist() == [[[0, 1]], [[2, 0]]]


def test_files_of_others_are_renumbered(tmp_path):
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, np.array([[0, 30], [7, 30]], np.uint16))
    assert read_label_layers(path).layers.tolist() == [[[0, 2], [1, 2]]]
    tifffile.imwrite(path, np.array([[[0, 30]], [[7, 0]], [[0, 9]]], np.uint8), imagej=True)
    assert read_label_layers(path).layers.tolist() == [[[0, 3]], [[1, 0]], [[0, 2]]]
    # Our description, but ids beyond its number: edited since.
    tifffile.imwrite(path, np.array([[0, 30]], np.uint16), metadata={"num_cells": 2})
    assert len(read_label_layers(path)) == 1


def test_what_is_no_layered_tiff_is_an_error_with_the_file(tmp_path):
    path = tmp_path / "cells.tif"
    with pytest.raises(CellMMError, match=r"cells\.tif is absent"):
        read_label_layers(path)
    path.write_bytes(b"II*\0nonsense")
    with pytest.raises(CellMMError, match=r"cells\.tif is damaged"):
        read_label_layers(path)
    tifffile.imwrite(path, np.full((4, 4), 0.5, np.float32))
    with pytest.raises(CellMMError, match=r"cells\.tif: it holds fractions"):
        read_label_layers(path)
    tifffile.imwrite(path, np.zeros((4, 4, 3), np.uint8), photometric="rgb")
    with pytest.raises(CellMMError, match=r"cells\.tif is a colour image of shape \(4, 4, 3\)"):
        read_label_layers(path)
    tifffile.imwrite(path, np.ones((2, 4, 4), np.uint16), photometric="minisblack")
    with pytest.raises(CellMMError, match=r"cells\.tif: label 1 .* is on 2 layers"):
        read_label_layers(path)


def test_worms_of_bbbc010(real_data, tmp_path):
    files = defaultdict(list)
    for path in sorted((real_data("bbbc010") / "masks").glob("*_ground_truth.png")):
        files[re.match(r"[A-Z]\d+", path.name).group()].append(path)
    most = 0
    for well in list(files)[::10]:
        masks = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0 for path in files[well]])
        layers = LabelLayers.from_masks(masks)
        most = max(most, layers.num_layers)
        write_layered_tiff(tmp_path / "worms.tif", layers)
        back = read_label_layers(tmp_path / "worms.tif")
        np.testing.assert_array_equal(LabelLayers.from_rles(back.to_rles(), back.shape).to_masks(), masks)
    assert 2 <= most <= 3
