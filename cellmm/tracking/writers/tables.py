"""Tracks as tables."""

import json
from pathlib import Path

import numpy as np

from cellmm.registry import TRACK_WRITERS
from cellmm.tracking.tracks import Tracks


@TRACK_WRITERS.register_module()
class TrackTableWriter:
    """``tracks.csv``: one row per cell and frame, see :meth:`Tracks.to_dataframe`."""

    option = "csv"

    def write(self, folder: Path, tracks: Tracks, name: str) -> list[str]:
        table = tracks.to_dataframe()
        table.to_csv(folder / "tracks.csv", index=False, float_format="%.6g", lineterminator="\n")
        return []


@TRACK_WRITERS.register_module()
class NapariWriter:
    """The data and the graph of napari's tracks layer.

    ``napari_tracks.csv``: track_id, t, y, x in pixels, sorted by track and time. ``napari_graph.json``: the
    mother of each daughter, {"track_id": [track_id]}.
    """

    option = "napari"

    def write(self, folder: Path, tracks: Tracks, name: str) -> list[str]:
        table = np.column_stack([tracks.track_id, tracks.frame, tracks.ellipses().centroid])
        table = table[np.lexsort((tracks.frame, tracks.track_id))]
        with open(folder / "napari_tracks.csv", "w", encoding="utf-8", newline="\n") as file:
            np.savetxt(
                file,
                table,
                fmt=("%d", "%d", "%.3f", "%.3f"),
                delimiter=",",
                header="track_id,t,y,x",
                comments="",
            )
        graph = {str(child): [parent] for child, parent in sorted(tracks.parents.items())}
        (folder / "napari_graph.json").write_text(json.dumps(graph), encoding="utf-8")
        return []
