"""ROIs as Fiji's ROI manager reads them."""

import zipfile
from dataclasses import replace

import numpy as np
import roifile

from cellmm.results.writers import build_writers


def test_names_and_properties(odd, tmp_path):
    (writer,) = build_writers("rois")
    writer.write(tmp_path / "a.zip", odd, None)
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        names = file.namelist()
        assert file.testzip() is None
    assert names[:2] == ["00001_worm.roi", "00002_größe_2 _ _b_.roi"]  # nothing that a path could not hold
    rois = roifile.roiread(tmp_path / "a.zip")
    assert [f"{roi.name}.roi" for roi in rois] == names
    assert rois[0].properties == {"class": "worm", "score": 0.4}
    assert [roi.group for roi in rois] == [1, 2, 1, 2, 1, 2]
    kinds = [roi.composite for roi in rois]
    assert kinds == [False, False, True, True, False, False]
    assert rois[0].roitype == roifile.ROI_TYPE.TRACED and not rois[0].subpixelresolution
    assert odd.to_rois() == rois
    assert [roi.t_position for roi in rois] == [0] * 6


def test_time_point(odd, source, tmp_path):
    (writer,) = build_writers("rois")
    writer.write(tmp_path / "a.zip", odd, replace(source, time=4))
    assert {roi.t_position for roi in roifile.roiread(tmp_path / "a.zip")} == {5}


def test_coordinates_beyond_16_bit_are_floats(odd):
    for far in (32_000, 40_000, 200_000):
        cells = replace(odd, masks=odd.masks.moved(far, far, (far + 40, far + 40)))
        near, shifted = odd.to_rois(), [roifile.ImagejRoi.frombytes(roi.tobytes()) for roi in cells.to_rois()]
        for roi, moved in zip(near, shifted, strict=True):
            assert moved.composite or moved.subpixelresolution == (far > 2**15)
            for ring, other in zip(roi.coordinates(multi=True), moved.coordinates(multi=True), strict=True):
                np.testing.assert_array_equal(ring + far, other)
