"""The formats of tracks: registered classes that write the tracks of a film."""

from cellmm.tracking.writers.base import TrackWriter, build_track_writers
from cellmm.tracking.writers.ctc import CTCWriter
from cellmm.tracking.writers.tables import NapariWriter, TrackTableWriter
from cellmm.tracking.writers.trackmate import TrackMateWriter

__all__ = [
    "CTCWriter",
    "NapariWriter",
    "TrackMateWriter",
    "TrackTableWriter",
    "TrackWriter",
    "build_track_writers",
]
