"""Files of tracks, read back by the readers of the formats."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from ctc_metrics.scripts.evaluate import evaluate_sequence
from ctc_metrics.scripts.validate import validate_sequence

from cellmm.errors import CellMMError
from cellmm.registry import TRACK_WRITERS
from cellmm.results import Instances
from cellmm.structures import MaskRuns
from cellmm.tracking import Tracks, track_cells
from cellmm.tracking.writers import CTCWriter, TrackWriter, build_track_writers
from tests.tracking.bars import SHAPE, cells, crossing_bars, dividing_cell

OPTIONS = "csv,ctc,napari,trackmate"


def written(folder, tracks, option):
    (writer,) = build_track_writers(option)
    assert isinstance(writer, TrackWriter)
    return writer.write(folder, tracks, "film")


def table(path):
    return [[int(value) for value in line.split()] for line in path.read_text().splitlines()]


def test_every_registered_format_writes_the_same_bytes_twice(tmp_path):
    TRACK_WRITERS.import_from_location()
    assert sorted(cls.option for cls in TRACK_WRITERS.module_dict.values()) == OPTIONS.split(",")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for writer in build_track_writers(OPTIONS):
            writer.write(tmp_path / name, track_cells(dividing_cell()), "film")
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) == 6 + 1 + 1 + 1 + 2
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("ctc,tiff", "--save tiff: not a format of tracks; choose from csv, ctc"),
        ("csv,csv", "csv is given twice"),
    ],
)
def test_wrong_names_are_refused(names, message):
    with pytest.raises(CellMMError, match=message):
        build_track_writers(names)


def test_challenge_folder_of_a_division(tmp_path):
    assert written(tmp_path, track_cells(dividing_cell()), "ctc") == []
    folder = tmp_path / "01_RES"
    assert table(folder / "res_track.txt") == [[1, 0, 2, 0], [2, 3, 5, 1], [3, 3, 5, 1]]
    image = tifffile.imread(folder / "mask004.tif")
    assert image.dtype == np.uint16 and image.shape == SHAPE
    expected = np.zeros(SHAPE, int)
    expected[10:22, 17:25], expected[10:22, 31:39] = 2, 3
    np.testing.assert_array_equal(image, expected)
    assert validate_sequence(str(folder), threads=1)["Valid"] == 1


def test_challenge_folder_says_what_overlap_costs_and_splits_tracks_at_gaps(tmp_path):
    """The second cell lies under the first one in frame 1, and the first one is missing in frame 3."""
    boxes = [(10, 10, 9, 9), (11, 11, 5, 5)]
    under = cells(boxes, scores=[0.9, 0.8])
    apart = cells([(10, 10, 9, 9), (11, 21, 5, 5)])
    frames = [apart, under, apart, cells([(11, 21, 5, 5)]), apart]
    frame, cell = np.repeat(np.arange(5), [2, 2, 2, 1, 2]), np.array([0, 1, 0, 1, 0, 1, 0, 0, 1])
    tracks = Tracks(frames, frame, cell, np.array([1, 2, 1, 2, 1, 2, 2, 1, 2]), {})
    assert written(tmp_path, tracks, "ctc") == [
        "25 pixels of cells below cells with a better score",
        "cells that others cover whole, 1: track 2 in frame 1",
    ]
    rows = table(tmp_path / "01_RES/res_track.txt")
    assert rows == [[1, 0, 2, 0], [2, 0, 0, 0], [3, 2, 4, 2], [4, 4, 4, 1]]
    assert validate_sequence(str(tmp_path / "01_RES"), threads=1)["Valid"] == 1


def test_challenge_scores_tell_true_tracks_from_exchanged_ones(tmp_path):
    truth = track_cells(crossing_bars())
    CTCWriter("TRA", "man_track", "man_track.txt").write(tmp_path, truth, "truth")
    ids = truth.track_id.copy()
    ids[truth.frame > 4] = 3 - ids[truth.frame > 4]
    scores = {}
    for name, tracks in (("same", truth), ("exchanged", replace(truth, track_id=ids))):
        (tmp_path / name).mkdir()
        written(tmp_path / name, tracks, "ctc")
        folder = str(tmp_path / name / "01_RES")
        scores[name] = evaluate_sequence(folder, str(tmp_path), ["Valid", "DET", "TRA", "LNK"], threads=1)
    assert [scores["same"][key] for key in ("Valid", "DET", "TRA", "LNK")] == [1, 1, 1, 1]
    assert scores["exchanged"]["DET"] == 1 and scores["exchanged"]["TRA"] < 1


def test_challenge_folder_has_room_for_16_bit(tmp_path):
    frame = cells([(1, 1, 3, 3)])
    tracks = Tracks([frame], np.array([0]), np.array([0]), np.array([2**16]), {})
    with pytest.raises(CellMMError, match="film: more than 65535 tracks do not fit into 16 bit labels"):
        written(tmp_path, tracks, "ctc")


def test_names_of_masks_sort_in_long_films(tmp_path):
    none = Instances(MaskRuns.empty((2, 2)), np.zeros(0, np.float32), np.zeros(0, np.int64))
    written(tmp_path, track_cells([none] * 1001), "ctc")
    names = sorted(path.name for path in (tmp_path / "01_RES").glob("*.tif"))
    assert names[0] == "mask0000.tif" and names[-1] == "mask1000.tif"


@pytest.fixture
def spots(tmp_path):
    """``spots(tracks)``: the root of the XML, and its spots by ID."""

    def read(tracks):
        losses = written(tmp_path, tracks, "trackmate")
        root = ElementTree.parse(tmp_path / "trackmate.xml").getroot()
        return root, {int(spot.get("ID")): spot for spot in root.iter("Spot")}, losses

    return read


def test_trackmate_has_what_its_reader_needs(spots):
    root, _, losses = spots(track_cells(dividing_cell()))
    assert losses == [] and root.tag == "TrackMate" and root.get("version")
    assert [child.tag for child in root] == ["Log", "Model", "Settings", "GUIState", "DisplaySettings"]
    model, settings = root.find("Model"), root.find("Settings")
    assert model.get("spatialunits") == "pixel" and model.get("timeunits") == "frame"
    parts = ["FeatureDeclarations", "AllSpots", "AllTracks", "FilteredTracks"]
    assert [child.tag for child in model] == parts
    for tag, kind in (("Spot", "SpotFeatures"), ("Edge", "EdgeFeatures"), ("Track", "TrackFeatures")):
        features = model.find("FeatureDeclarations").find(kind).findall("Feature")
        for feature in features:
            assert set(feature.attrib) == {"feature", "name", "shortname", "dimension", "isint"}
        declared = {feature.get("feature") for feature in features} | {"ID", "name", "ROI_N_POINTS"}
        for element in model.iter(tag):
            assert set(element.attrib) <= declared
            assert all(np.isfinite(float(v)) for key, v in element.attrib.items() if key != "name")
    image = settings.find("ImageData").attrib
    assert (image["width"], image["height"], image["nframes"]) == ("60", "40", "6")
    for part in ("BasicSettings", "DetectorSettings", "InitialSpotFilter", "SpotFilterCollection"):
        assert settings.find(part) is not None
    assert settings.find("TrackerSettings").get("TRACKER_NAME") and root.find("GUIState").get("state")


def test_trackmate_tree_of_a_division(spots):
    root, _, _ = spots(track_cells(dividing_cell()))
    assert root.find("Model/AllSpots").get("nspots") == "9"
    assert [len(frame) for frame in root.iter("SpotsInFrame")] == [1, 1, 1, 2, 2, 2]
    (track,) = root.iter("Track")
    edges = [[int(edge.get("SPOT_SOURCE_ID")), int(edge.get("SPOT_TARGET_ID"))] for edge in track]
    assert edges == track_cells(dividing_cell()).edges().tolist()
    assert (track.get("NUMBER_SPOTS"), track.get("NUMBER_SPLITS")) == ("9", "1")
    assert [element.get("TRACK_ID") for element in root.find("Model/FilteredTracks")] == ["1"]


def test_trackmate_outlines_are_the_masks_in_micrometres(spots):
    frames = [replace(frame, pixel_size=(0.5, 0.25)) for frame in crossing_bars()]
    root, by_id, _ = spots(track_cells(frames))
    assert root.find("Model").get("spatialunits") == "micron"
    assert root.find("Settings/ImageData").get("pixelwidth") == "0.25"
    spot = by_id[0]  # rows 10 to 15, columns 8 to 16
    points = np.array(spot.text.split(" "), dtype=float).reshape(-1, 2)
    assert len(points) == int(spot.get("ROI_N_POINTS"))
    centre = float(spot.get("POSITION_X")), float(spot.get("POSITION_Y"))
    assert centre == (12 * 0.25, 12.5 * 0.5)
    corners = (points + centre) / (0.25, 0.5)
    assert sorted(map(tuple, corners.tolist())) == [(7.5, 9.5), (7.5, 15.5), (16.5, 9.5), (16.5, 15.5)]
    assert float(spot.get("AREA")) == 54 * 0.125


def test_trackmate_counts_holes_and_parts(spots):
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    two = np.zeros((5, 9), bool)
    two[:, :3] = two[:, 5:] = True
    masks = MaskRuns.from_crops([ring, two], [(2, 2), (20, 20)], SHAPE)
    frame = Instances(masks, np.ones(2, np.float32), np.zeros(2, np.int64))
    _, by_id, losses = spots(track_cells([frame]))
    assert losses == ["2 cells whose mask has holes or several parts"]
    larger = np.array(by_id[1].text.split(" "), dtype=float).reshape(-1, 2)
    assert np.ptp(larger, axis=0).tolist() == [4, 5]


def test_napari_data_and_graph(tmp_path):
    assert written(tmp_path, track_cells(dividing_cell()), "napari") == []
    data = np.loadtxt(tmp_path / "napari_tracks.csv", delimiter=",", skiprows=1)
    assert data[:, 0].tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert data[:, 1].tolist() == [0, 1, 2, 3, 4, 5, 3, 4, 5]
    assert data[0].tolist() == [1, 0, 15.5, 27.5]
    assert json.loads((tmp_path / "napari_graph.json").read_text()) == {"2": [1], "3": [1]}


def test_table(tmp_path):
    frames = [replace(frame, pixel_size=(0.5, 0.25)) for frame in dividing_cell()]
    tracks = track_cells(frames)
    assert written(tmp_path, tracks, "csv") == []
    found = pd.read_csv(tmp_path / "tracks.csv", keep_default_na=False)
    assert found.columns.tolist() == tracks.to_dataframe().columns.tolist()
    assert found.loc[0, ["y_um", "x_um", "area_um2"]].tolist() == [7.75, 6.875, 24.0]


@pytest.mark.parametrize("frames", [[cells([])], [cells([])] * 3])
def test_films_without_cells_are_written(tmp_path, frames):
    for writer in build_track_writers(OPTIONS):
        assert writer.write(tmp_path, track_cells(frames), "film") == []
    assert len(pd.read_csv(tmp_path / "tracks.csv")) == 0
