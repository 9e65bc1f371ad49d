"""The folder of the Cell Tracking Challenge, which many trackers, editors and scores read."""

from pathlib import Path

import numpy as np
import tifffile

from cellmm.errors import CellMMError
from cellmm.messages import name_some
from cellmm.registry import TRACK_WRITERS
from cellmm.tracking.tracks import Tracks

MOST_LABELS = 2**16 - 1


@TRACK_WRITERS.register_module()
class CTCWriter:
    """Label images ``mask000.tif`` (16 bit) in a folder, with a table of tracks: label, begin, end, parent.

    A pixel belongs to one cell, that with the best score, then the first one. A label must be seen in all
    frames from its begin to its end: where a track has a gap, or other cells cover a cell whole, the rest of
    the track is a label of its own with the first one as its parent. The first label of a track is its id.

    Args:
        folder: the name of the folder.
        prefix: of the images' names.
        table: the name of the table. For a ground truth: 'TRA', 'man_track' and 'man_track.txt'.
    """

    option = "ctc"

    def __init__(self, folder: str = "01_RES", prefix: str = "mask", table: str = "res_track.txt") -> None:
        self.folder, self.prefix, self.table = folder, prefix, table

    def write(self, folder: Path, tracks: Tracks, name: str) -> list[str]:
        folder = folder / self.folder
        folder.mkdir()
        digits = max(3, len(str(len(tracks.frames) - 1)))
        next_label = int(tracks.track_id.max(initial=0)) + 1
        spans: dict[int, list[int]] = {}  # label -> [begin, end, parent]
        label_of: dict[int, int] = {}  # track -> its latest label
        covered, hidden = 0, []
        for t, cells in enumerate(tracks.frames):
            rows = tracks.rows(t)
            labels, lost = cells.to_labels()
            covered += lost
            seen = np.bincount(labels.ravel(), minlength=len(cells) + 1)[tracks.cell[rows] + 1] > 0
            table = np.zeros(len(cells) + 1, dtype=np.uint16)
            for cell, track, is_seen in zip(
                tracks.cell[rows].tolist(), tracks.track_id[rows].tolist(), seen.tolist(), strict=True
            ):
                if not is_seen:
                    hidden.append(f"track {track} in frame {t}")
                    continue
                label = label_of.get(track)
                if label is None:
                    label = track
                    spans[label] = [t, t, label_of.get(tracks.parents.get(track, 0), 0)]
                elif spans[label][1] < t - 1:
                    spans[next_label] = [t, t, label]
                    label, next_label = next_label, next_label + 1
                if label > MOST_LABELS:
                    raise CellMMError(
                        f"{name}: more than {MOST_LABELS} tracks do not fit into 16 bit labels; use --save "
                        "csv, trackmate or napari"
                    )
                label_of[track], spans[label][1], table[cell + 1] = label, t, label
            path = folder / f"{self.prefix}{t:0{digits}d}.tif"
            tifffile.imwrite(path, table[labels], compression="zlib", metadata=None)
        lines = [" ".join(map(str, (label, *span))) for label, span in sorted(spans.items())]
        (folder / self.table).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        losses = []
        if covered:
            losses.append(f"{covered} pixels of cells below cells with a better score")
        if hidden:
            losses.append(f"cells that others cover whole, {name_some(hidden)}")
        return losses
