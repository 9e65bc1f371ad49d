"""The contract of formats of tracks, tested: cellmm/tracking/writers/base.py."""

import tempfile
from pathlib import Path

import numpy as np

from cellmm.registry import TRACK_WRITERS
from cellmm.results import Instances
from cellmm.structures import MaskRuns
from cellmm.testing.rules import build, must_work, require
from cellmm.tracking import Tracks
from cellmm.tracking.writers import TrackWriter

NAME = 'plate 1 µm <"a">'


def check_track_writer(config: dict) -> None:
    """Test that a format of tracks follows ``TrackWriter``, also without cells.

    Raises:
        CellMMError: one line that names the writer and the rule.
    """
    name, writer = build(TRACK_WRITERS, config)
    require(isinstance(writer, TrackWriter), name, "it must have option and write")
    with tempfile.TemporaryDirectory() as root:
        for what, tracks in (("tracks", _tracks()), ("a film without cells", _empty())):
            found = []
            for i in range(2):
                folder = Path(root) / f"{what} {i}"
                folder.mkdir()
                with must_work(name, f"writing {what}"):
                    losses = writer.write(folder, tracks, NAME)
                lines = isinstance(losses, list) and all(isinstance(loss, str) for loss in losses)
                require(lines, name, "write must return a list of lines, one for each kind of loss")
                files = sorted(file for file in folder.rglob("*") if file.is_file())
                found.append({str(file.relative_to(folder)): file.read_bytes() for file in files})
            require(bool(found[0]), name, f"{what} must give a file in the folder")
            require(found[0] == found[1], name, f"{what} must give the same bytes every time")


def _tracks() -> Tracks:
    """A cell that is covered in frame 1 and missing in frame 2, and one that divides in frame 3."""
    shape, places = (24, 32), ([(2, 2), (9, 9)], [(9, 9), (9, 9)], [(9, 10)], [(2, 4), (9, 6), (9, 14)])
    frames = []
    for t, corners in enumerate(places):
        sizes = [(6, 6)] * len(corners) if t < 3 else [(6, 6), (6, 4), (6, 4)]
        masks = MaskRuns.from_crops([np.ones(size, bool) for size in sizes], corners, shape)
        scores = np.linspace(0.5, 0.9, len(masks), dtype=np.float32)
        labels = np.zeros(len(masks), dtype=np.int64)
        frames.append(Instances(masks, scores, labels, pixel_size=(0.5, 0.25), name=f"{NAME}_t{t:04d}"))
    return Tracks(
        frames=frames,
        frame=np.array([0, 0, 1, 1, 2, 3, 3, 3]),
        cell=np.array([0, 1, 0, 1, 0, 0, 1, 2]),
        track_id=np.array([1, 2, 1, 2, 2, 1, 3, 4]),
        parents={3: 2, 4: 2},
    )


def _empty() -> Tracks:
    frame = Instances(MaskRuns.empty((24, 32)), np.zeros(0, np.float32), np.zeros(0, np.int64))
    none = np.zeros(0, dtype=np.int64)
    return Tracks([frame] * 2, none, none, none, {})
