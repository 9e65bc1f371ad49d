"""Which cells of a film are the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cellmm.extras import need
from cellmm.results import Instances
from cellmm.tracking.ellipses import Ellipses

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Tracks:
    """The R cells of a film, each a row; rows are sorted by frame and cell.

    A track is one cell from its first frame to its last one, possibly with gaps. A division ends the mother's
    track and starts one for each daughter.

    Args:
        frames: the cells of each frame, in order of time.
        frame: int64 (R,), from 0.
        cell: int64 (R,), index of the cell in its frame.
        track_id: int64 (R,), from 1 in the order of appearance.
        parents: the mother's track of each daughter's, {track id: track id}.
    """

    frames: Sequence[Instances]
    frame: np.ndarray
    cell: np.ndarray
    track_id: np.ndarray
    parents: Mapping[int, int]

    def __len__(self) -> int:
        return len(np.unique(self.track_id))

    def rows(self, frame: int) -> slice:
        """The rows of a frame."""
        return slice(*np.searchsorted(self.frame, [frame, frame + 1]).tolist())

    def ellipses(self) -> Ellipses:
        """Area, centroid and second moments of each row."""
        parts = [
            Ellipses.of_masks(cells.masks.select(self.cell[self.rows(t)]))
            for t, cells in enumerate(self.frames)
        ]
        none = Ellipses(np.zeros(0), np.zeros((0, 2)), np.zeros((0, 2, 2)))
        return none.concatenate(parts)

    def edges(self) -> np.ndarray:
        """Pairs of rows, int64 (E, 2): each cell and the next of its track, each mother and her daughters.

        Sorted by the second row. An edge may bridge frames in which the cell was not found.
        """
        order = np.lexsort((self.frame, self.track_id))
        follows = self.track_id[order][1:] == self.track_id[order][:-1]
        edges = np.stack([order[:-1][follows], order[1:][follows]], 1)
        ids = self.track_id.tolist()
        last = {track: row for row, track in enumerate(ids)}
        first = {track: row for row, track in reversed(list(enumerate(ids)))}
        births = [(last[parent], first[child]) for child, parent in self.parents.items()]
        edges = np.concatenate([edges, np.array(births, dtype=np.int64).reshape(-1, 2)])
        return edges[np.lexsort((edges[:, 0], edges[:, 1]))]

    def founders(self) -> dict[int, int]:
        """{track id: id of the track that its tree starts with}, itself if it has no mother."""
        found: dict[int, int] = {}
        for track in np.unique(self.track_id).tolist():  # mothers have lower ids
            found[track] = found.get(self.parents.get(track, track), track)
        return found

    def to_dataframe(self) -> "pd.DataFrame":
        """One row per cell and frame, in pixels; also in micrometres where the frames state a pixel size.

        Columns: ``track_id``, ``parent_track_id`` (0: none), ``founder_track_id``, ``frame``, ``image``,
        ``cell`` (from 1, its id in label images of the frame), ``class``, ``score``, ``y``, ``x``
        (centroid), ``area``.

        Raises:
            CellMMError: pandas is not installed.
        """
        pandas = need("pandas", "tracking", "tables of tracks")
        founders, ellipses = self.founders(), self.ellipses()
        chosen = [cells.select(self.cell[self.rows(t)]) for t, cells in enumerate(self.frames)]
        scores = np.concatenate([np.zeros(0, np.float32), *(cells.scores for cells in chosen)])
        table = {
            "track_id": self.track_id,
            "parent_track_id": [self.parents.get(track, 0) for track in self.track_id.tolist()],
            "founder_track_id": [founders[track] for track in self.track_id.tolist()],
            "frame": self.frame,
            "image": [self.frames[t].name for t in self.frame.tolist()],
            "cell": self.cell + 1,
            "class": [name for cells in chosen for name in cells.class_names()],
            "score": scores,
            "y": ellipses.centroid[:, 0],
            "x": ellipses.centroid[:, 1],
            "area": ellipses.area,
        }
        if self.frames and (size := self.frames[0].pixel_size):
            table |= {"y_um": table["y"] * size[0], "x_um": table["x"] * size[1]}
            table["area_um2"] = ellipses.area * size[0] * size[1]
        return pandas.DataFrame(table)
