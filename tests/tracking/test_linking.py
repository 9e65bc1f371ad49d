"""Linking of cells: films whose tracks are known by hand."""

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results import Instances
from cellmm.structures import MaskRuns
from cellmm.tracking import LinkOptions, track_cells
from tests.tracking.bars import cells, crossing_bars, dividing_cell


def ids(tracks):
    """The track ids of each frame."""
    return [tracks.track_id[tracks.rows(t)].tolist() for t in range(len(tracks.frames))]


def test_bars_that_cross_keep_their_identities():
    tracks = track_cells(crossing_bars())
    assert ids(tracks) == [[1, 2], [2, 1]] * 4 + [[1, 2]]
    assert len(tracks) == 2 and tracks.parents == {}


def test_without_inertia_of_motion_the_bars_are_exchanged():
    tracks = track_cells(crossing_bars(), LinkOptions(inertia=1.0))
    assert ids(tracks)[-1] != [1, 2]


def test_a_cross_of_bars_that_turn_keeps_them_by_their_direction():
    frames = [
        cells([(18 - 3 * t, 20, 4, 20), (10 - 3 * t, 28, 20, 4)][:: -1 if t % 2 else 1]) for t in range(3)
    ]
    assert ids(track_cells(frames)) == [[1, 2], [2, 1], [1, 2]]


def test_division():
    tracks = track_cells(dividing_cell())
    assert ids(tracks) == [[1], [1], [1], [2, 3], [2, 3], [2, 3]]
    assert tracks.parents == {2: 1, 3: 1}
    assert tracks.founders() == {1: 1, 2: 1, 3: 1}
    edges = tracks.edges().tolist()
    assert edges == [[0, 1], [1, 2], [2, 3], [2, 4], [3, 5], [4, 6], [5, 7], [6, 8]]


def test_no_division_by_option():
    tracks = track_cells(dividing_cell(), LinkOptions(divisions=False))
    assert tracks.parents == {} and len(tracks) == 2


def test_a_newcomer_beside_a_cell_that_keeps_its_size_is_no_daughter():
    frames = [cells([(10, 20, 12, 16)])] * 2 + [cells([(10, 20, 12, 16), (10, 37, 12, 8)])] * 2
    tracks = track_cells(frames)
    assert ids(tracks) == [[1], [1], [1, 2], [1, 2]] and tracks.parents == {}


@pytest.mark.parametrize(("max_gap", "last"), [(2, [1]), (1, [2])])
def test_gap_is_bridged_where_the_cell_is_expected(max_gap, last):
    moving = [cells([(10, 4 + 5 * t, 8, 8)]) for t in range(8)]
    moving[3] = moving[4] = cells([])
    tracks = track_cells(moving, LinkOptions(max_gap=max_gap))
    assert ids(tracks)[:3] == [[1]] * 3 and ids(tracks)[3:5] == [[], []]
    assert ids(tracks)[5] == ids(tracks)[7] == last


def test_a_cell_that_leaves_ends_and_one_that_comes_is_new():
    frames = [cells([(10, 2, 8, 8), (28, 2, 8, 8)]), cells([(10, 3, 8, 8)]), cells([(10, 4, 8, 8)])]
    frames += [cells([(10, 5, 8, 8), (28, 50, 8, 8)])]
    assert ids(track_cells(frames)) == [[1, 2], [1], [1], [1, 3]]


@pytest.mark.parametrize("num", [0, 1, 3])
def test_empty_frames(num):
    tracks = track_cells([cells([])] * num)
    assert len(tracks) == 0 and tracks.edges().shape == (0, 2) and len(tracks.to_dataframe()) == 0


def test_one_frame():
    tracks = track_cells([cells([(3, 4, 5, 6), (20, 20, 4, 4)])])
    assert ids(tracks) == [[1, 2]] and len(tracks.edges()) == 0


def test_max_distance():
    frames = [cells([(10, 10, 4, 4)]), cells([(10, 17, 4, 4)])]
    assert len(track_cells(frames, LinkOptions(max_distance=8.0))) == 1
    assert len(track_cells(frames, LinkOptions(max_distance=6.0))) == 2


def test_cells_without_a_pixel_are_counted(said):
    empty = MaskRuns.from_crops([np.zeros((1, 1), bool), np.ones((4, 4), bool)], [(0, 0), (5, 5)], (40, 60))
    frame = Instances(empty, np.ones(2, np.float32), np.zeros(2, np.int64))
    tracks = track_cells([frame, frame])
    assert tracks.cell.tolist() == [1, 1] and "2 cells without a pixel are not tracked" in said[0]


def test_frames_of_different_sizes_are_refused():
    small = Instances(MaskRuns.empty((8, 8)), np.zeros(0, np.float32), np.zeros(0, np.int64), name="b")
    with pytest.raises(
        CellMMError, match=r"has \(40, 60\) pixels, b has \(8, 8\): the frames of a film must"
    ):
        track_cells([cells([]), small])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(max_distance=0), "max_distance is 0: give a positive number of pixels"),
        (dict(max_distance=float("nan")), "max_distance is nan: give a number from 0 to inf"),
        (dict(max_gap=-1), "max_gap is -1: give a number from 0 to 100"),
        (dict(gap_cost=-0.1), "gap_cost is -0.1: give a number from 0 to inf"),
        (dict(inertia=1.5), "inertia is 1.5: give a number from 0 to 1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(CellMMError, match=message):
        LinkOptions(**options)


def test_without_laptrack_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "laptrack", None)
    with pytest.raises(
        CellMMError,
        match=r'tracks of cells need laptrack: in the folder of cellmm, pip install -e "\.\[tracking\]"',
    ):
        track_cells(crossing_bars())


def test_table():
    table = track_cells(dividing_cell()).to_dataframe()
    assert table["track_id"].tolist() == [1, 1, 1, 2, 3, 2, 3, 2, 3]
    assert table["parent_track_id"].tolist() == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert table.loc[0, ["y", "x", "area", "cell", "class"]].tolist() == [15.5, 27.5, 192.0, 1, "cell"]
    assert "y_um" not in table
