"""TrackMate's XML, which Fiji opens with Plugins > Tracking > Load a TrackMate file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from cellmm.registry import TRACK_WRITERS
from cellmm.structures import outlines_of
from cellmm.structures.polygons import ring_area
from cellmm.tracking.tracks import Tracks

VERSION = "7.11.1"  # of TrackMate, whose form this is
# feature: (name, short name, dimension, whether it is a whole number)
SPOT_FEATURES = {
    "QUALITY": ("Quality", "Quality", "QUALITY", False),
    "POSITION_X": ("X", "X", "POSITION", False),
    "POSITION_Y": ("Y", "Y", "POSITION", False),
    "POSITION_Z": ("Z", "Z", "POSITION", False),
    "POSITION_T": ("T", "T", "TIME", False),
    "FRAME": ("Frame", "Frame", "NONE", True),
    "RADIUS": ("Radius", "R", "LENGTH", False),
    "VISIBILITY": ("Visibility", "Visibility", "NONE", True),
    "AREA": ("Area", "Area", "AREA", False),
}
EDGE_FEATURES = {
    "SPOT_SOURCE_ID": ("Source spot ID", "Source ID", "NONE", True),
    "SPOT_TARGET_ID": ("Target spot ID", "Target ID", "NONE", True),
}
TRACK_FEATURES = {
    "TRACK_INDEX": ("Track index", "Index", "NONE", True),
    "TRACK_ID": ("Track ID", "ID", "NONE", True),
    "NUMBER_SPOTS": ("Number of spots in track", "N spots", "NONE", True),
    "NUMBER_SPLITS": ("Number of split events", "N splits", "NONE", True),
    "TRACK_START": ("Track start", "Track start", "TIME", False),
    "TRACK_STOP": ("Track stop", "Track stop", "TIME", False),
}
ANALYZERS = "<SpotAnalyzers/><EdgeAnalyzers/><TrackAnalyzers/>"


@TRACK_WRITERS.register_module()
class TrackMateWriter:
    """``trackmate.xml``: a spot with its outline for each cell, an edge for each link, a track for each tree.

    Positions are in micrometres where the results state the pixel size, else in pixels. TrackMate's spots
    have one outline without holes, that of the largest part of the mask. A tree of one spot is not a track
    in TrackMate; its spot is there.
    """

    option = "trackmate"

    def write(self, folder: Path, tracks: Tracks, name: str) -> list[str]:
        size, unit = tracks.frames[0].pixel_size, "micron"
        if size is None:
            size, unit = (1.0, 1.0), "pixel"
        lost = [0]
        with open(folder / "trackmate.xml", "w", encoding="utf-8", newline="\n") as file:
            for line in _lines(tracks, name, size, unit, lost):
                file.write(f"{line}\n")
        return [f"{lost[0]} cells whose mask has holes or several parts"] if lost[0] else []


def _lines(tracks: Tracks, name: str, size: tuple[float, float], unit: str, lost: list[int]) -> Iterator[str]:
    height, width = tracks.frames[0].shape
    last = len(tracks.frames) - 1
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield f'<TrackMate version="{VERSION}">'
    yield "<Log>Written by cellmm.</Log>"
    yield f'<Model spatialunits="{unit}" timeunits="frame">'
    yield "<FeatureDeclarations>"
    for kind, features in (("Spot", SPOT_FEATURES), ("Edge", EDGE_FEATURES), ("Track", TRACK_FEATURES)):
        yield f"<{kind}Features>"
        for key, (long, short, dimension, whole) in features.items():
            yield _element(
                "Feature",
                feature=key,
                name=long,
                shortname=short,
                dimension=dimension,
                isint=str(whole).lower(),
            )
        yield f"</{kind}Features>"
    yield "</FeatureDeclarations>"
    yield from _spots(tracks, size, lost)
    yield from _tracks(tracks)
    yield "</Model>"
    yield "<Settings>"
    yield _element(
        "ImageData", filename=name, folder="", width=width, height=height, nslices=1, nframes=last + 1,
        pixelwidth=size[1], pixelheight=size[0], voxeldepth=1.0, timeinterval=1.0,
    )  # fmt: skip
    yield _element(
        "BasicSettings", xstart=0, xend=width - 1, ystart=0, yend=height - 1, zstart=0, zend=0, tstart=0,
        tend=last,
    )  # fmt: skip
    yield _element("DetectorSettings", DETECTOR_NAME="MANUAL_DETECTOR", RADIUS=1.0)
    yield _element("InitialSpotFilter", feature="QUALITY", value=0.0, isabove="true")
    yield "<SpotFilterCollection/>"
    yield _element("TrackerSettings", TRACKER_NAME="MANUAL_TRACKER")
    yield "<TrackFilterCollection/>"
    yield f"<AnalyzerCollection>{ANALYZERS}</AnalyzerCollection>"
    yield "</Settings>"
    yield '<GUIState state="ConfigureViews"/>'
    yield "<DisplaySettings/>"
    yield "</TrackMate>"


def _spots(tracks: Tracks, size: tuple[float, float], lost: list[int]) -> Iterator[str]:
    """The spots by frame; the spot of row i has the ID i. Counts in ``lost`` the cells with a loss."""
    ellipses = tracks.ellipses()
    yield f'<AllSpots nspots="{len(tracks.frame)}">'
    for t, cells in enumerate(tracks.frames):
        rows = range(*tracks.rows(t).indices(len(tracks.frame)))
        yield f'<SpotsInFrame frame="{t}">'
        for row in rows:
            cell = int(tracks.cell[row])
            parts = outlines_of(cells.masks, cell)
            lost[0] += len(parts) > 1 or len(parts[0]) > 1
            outline = max((part[0] for part in parts), key=ring_area)
            y, x = ellipses.centroid[row]
            area = float(ellipses.area[row]) * size[0] * size[1]
            points = (outline - 0.5 - (x, y)) * (
                size[1],
                size[0],
            )  # pixels have their middle at whole numbers
            text = " ".join(f"{value:.4f}" for value in points.ravel().tolist())
            spot = _element(
                "Spot",
                ID=row,
                name=f"{tracks.track_id[row]}",
                QUALITY=round(float(cells.scores[cell]), 6),
                POSITION_X=round(x * size[1], 4),
                POSITION_Y=round(y * size[0], 4),
                POSITION_Z=0.0,
                POSITION_T=float(t),
                FRAME=t,
                RADIUS=round((area / np.pi) ** 0.5, 4),
                VISIBILITY=1,
                AREA=round(area, 4),
                ROI_N_POINTS=len(points),
            )
            yield f"{spot[:-2]}>{text}</Spot>"
        yield "</SpotsInFrame>"
    yield "</AllSpots>"


def _tracks(tracks: Tracks) -> Iterator[str]:
    founders = tracks.founders()
    edges: dict[int, list[list[int]]] = {}
    for source, target in tracks.edges().tolist():
        edges.setdefault(founders[int(tracks.track_id[target])], []).append([source, target])
    splits: Mapping[int, set[int]] = {founder: set() for founder in edges}
    for parent in tracks.parents.values():
        splits[founders[parent]].add(parent)
    yield "<AllTracks>"
    for index, (founder, links) in enumerate(sorted(edges.items())):
        spots = np.unique(links)
        frames = tracks.frame[spots]
        track = _element(
            "Track",
            name=f"Track_{founder}",
            TRACK_INDEX=index,
            TRACK_ID=founder,
            NUMBER_SPOTS=len(spots),
            NUMBER_SPLITS=len(splits[founder]),
            TRACK_START=float(frames.min()),
            TRACK_STOP=float(frames.max()),
        )
        yield f"{track[:-2]}>"
        for source, target in links:
            yield _element("Edge", SPOT_SOURCE_ID=source, SPOT_TARGET_ID=target)
        yield "</Track>"
    yield "</AllTracks>"
    yield "<FilteredTracks>"
    for founder in sorted(edges):
        yield _element("TrackID", TRACK_ID=founder)
    yield "</FilteredTracks>"


def _element(tag: str, /, **attributes: object) -> str:
    text = " ".join(f"{key}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<{tag} {text}/>"
