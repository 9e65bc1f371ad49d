"""Identities kept where cells cross: whole masks against label maps, on the same simulated films.

    python tools/benchmarks/tracking.py [--films 3] [--frames 40] [--cells 45] [--missing 0.03]

Films of cells and of worms, each once with the true masks and once with imperfect ones: a share of the cells
is missing in each frame, and every mask is moved by up to a pixel and grown or shrunk by up to one. Tracked
are the whole masks with the linker of `cellmm track`, and the label maps of the same masks (the first cell on
top) with the same linker, with laptrack's OverLapTrack on the IoU, and with LapTrack on the distance of
centroids. Prints the share of crossings after which both cells have the identities that they had before: of
all crossings, and of the deep ones, where a cell shares 30 % of its pixels or more. Crossings do not count
where a cell is missing in every frame before or after. DET, TRA and LNK are those of the Cell Tracking
Challenge, by py-ctcmetrics on the written folders. They compare successive frames, so that an exchange of two
cells costs little.
"""

import argparse
import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from ctc_metrics.scripts.evaluate import evaluate_sequence
from laptrack import LapTrack, OverLapTrack
from scipy import ndimage

from cellmm.results import Instances
from cellmm.simulation import Film, FilmConfig, SceneConfig, simulate_film
from cellmm.structures import MaskRuns
from cellmm.tracking import Ellipses, Tracks, track_cells
from cellmm.tracking.crossings import are_kept, find_crossings
from cellmm.tracking.linking import typical_diameter
from cellmm.tracking.writers import CTCWriter

DEEP = 0.3  # share of the smaller cell's pixels
SCORES = ("DET", "TRA", "LNK")


def with_scores(masks: MaskRuns) -> Instances:
    return Instances(masks, np.ones(len(masks), np.float32), np.zeros(len(masks), np.int64))


def true_tracks(film: Film) -> Tracks:
    """The film with its true identities."""
    sizes = [len(frame.masks) for frame in film.frames]
    return Tracks(
        frames=[with_scores(frame.masks) for frame in film.frames],
        frame=np.repeat(np.arange(len(sizes)), sizes),
        cell=np.concatenate([np.arange(size) for size in sizes]),
        track_id=np.concatenate([frame.ids for frame in film.frames]),
        parents=film.parents,
    )


def imperfect(truth: Tracks, missing: float, rng: np.random.Generator) -> Tracks:
    """The same tracks without a share of the cells, the others moved, grown and shrunk by up to a pixel."""
    frames, rows = [], []
    for t, cells in enumerate(truth.frames):
        masks, kept = imperfect_masks(cells.masks, missing, rng)
        frames.append(with_scores(masks))
        rows.append(truth.rows(t).start + kept)
    sizes = [len(kept) for kept in rows]
    return Tracks(
        frames=frames,
        frame=np.repeat(np.arange(len(sizes)), sizes),
        cell=np.concatenate([np.arange(size) for size in sizes]),
        track_id=truth.track_id[np.concatenate(rows)],
        parents=truth.parents,
    )


def imperfect_masks(masks: MaskRuns, missing: float, rng: np.random.Generator) -> tuple[MaskRuns, np.ndarray]:
    """The masks that are left, and their indices."""
    crops, origins, kept = [], [], []
    for i in np.flatnonzero(rng.random(len(masks)) >= missing).tolist():
        crop, origin = masks.crop(i)
        crop = np.pad(crop, 2)
        change = rng.integers(-1, 2)
        if change:
            crop = ndimage.binary_dilation(crop) if change > 0 else ndimage.binary_erosion(crop)
        low = np.array(origin) - 2 + rng.integers(-1, 2, size=2)
        inside = [slice(max(-a, 0), max(n - a, 0)) for a, n in zip(low.tolist(), masks.shape, strict=True)]
        crop = crop[tuple(inside)]
        if crop.any():
            crops.append(crop)
            origins.append(np.maximum(low, 0))
            kept.append(i)
    return MaskRuns.from_crops(crops, origins, masks.shape), np.array(kept, dtype=np.int64)


def flat(cells: Instances) -> Instances:
    """The cells that are left in a label map, with the pixels that are left of them."""
    labels, _ = cells.to_labels()
    crops, origins = [], []
    for i, box in enumerate(ndimage.find_objects(labels, max_label=len(cells)), start=1):
        if box is not None:
            crops.append(labels[box] == i)
            origins.append((box[0].start, box[1].start))
    return with_scores(MaskRuns.from_crops(crops, origins, cells.shape))


def of_table(frames: Sequence[Instances], table: pd.DataFrame, splits: pd.DataFrame) -> Tracks:
    """laptrack's result, a table with frame, cell and track_id."""
    table = table.sort_values(["frame", "cell"])
    parents = {}
    if len(splits):
        children = (splits["child_track_id"] + 1).tolist()
        parents = dict(zip(children, (splits["parent_track_id"] + 1).tolist(), strict=True))
    columns = (table[name].to_numpy(dtype=np.int64) for name in ("frame", "cell", "track_id"))
    frame, cell, track = columns
    return Tracks(frames, frame, cell, track + 1, parents)


def by_iou(frames: Sequence[Instances]) -> Tracks:
    """laptrack's OverLapTrack on label maps, with the cutoffs of its documentation."""
    labels = np.stack([cells.to_labels()[0] for cells in frames])
    linker = OverLapTrack(
        cutoff=0.9,
        metric_coefs=(1.0, 0.0, -1.0, 0.0, 0.0),
        gap_closing_cutoff=0.9,
        gap_closing_metric_coefs=(1.0, 0.0, -1.0, 0.0, 0.0),
        gap_closing_max_frame_count=2,
    )
    table, splits, _ = linker.predict_overlap_dataframe(labels)
    table = table.reset_index()
    return of_table(frames, table.assign(cell=table["label"] - 1), splits)


def by_distance(frames: Sequence[Instances]) -> Tracks:
    """laptrack's LapTrack on centroids, the linker of most films today."""
    centroids = [Ellipses.of_masks(cells.masks).centroid for cells in frames]
    sizes = [len(some) for some in centroids]
    table = pd.DataFrame(np.concatenate(centroids), columns=["y", "x"])
    table["frame"] = np.repeat(np.arange(len(sizes)), sizes)
    table["cell"] = np.concatenate([np.arange(size) for size in sizes])
    cutoff = typical_diameter(frames) ** 2
    linker = LapTrack(cutoff=cutoff, gap_closing_cutoff=cutoff, gap_closing_max_frame_count=2)
    found, splits, _ = linker.predict_dataframe(table, ["y", "x"], only_coordinate_cols=False)
    return of_table(frames, found.rename(columns={"frame_y": "frame"}).reset_index(drop=False), splits)


LINKERS: dict[str, tuple[Callable[[Sequence[Instances]], Tracks], bool]] = {
    "cellmm, whole masks": (track_cells, False),
    "cellmm, label maps": (track_cells, True),
    "OverLapTrack (IoU), label maps": (by_iou, True),
    "LapTrack (centroids), label maps": (by_distance, True),
}


def challenge_scores(truth: Tracks, tracks: Tracks) -> dict[str, float]:
    """DET, TRA and LNK of the written folders."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        CTCWriter(folder="TRA", prefix="man_track", table="man_track.txt").write(root, truth, "truth")
        CTCWriter().write(root, tracks, "tracks")
        with contextlib.redirect_stdout(io.StringIO()):
            return evaluate_sequence(str(root / "01_RES"), str(root), metrics=["Valid", *SCORES], threads=1)


def share(values: np.ndarray) -> str:
    """Of bools that are true; a dash if there are none."""
    return f"{values.mean():6.1%}" if len(values) else "     -"


def measure(truths: Sequence[Tracks], given: Sequence[Tracks]) -> None:
    """Print a line for each linker of what is ``given``, over all films.

    Args:
        given: what is linked, with the identities that a perfect linker would find.
    """
    crossings, num_all = [], 0
    for truth, perfect in zip(truths, given, strict=True):
        found = find_crossings(truth)
        num_all += len(found)
        crossings.append(
            [crossing for crossing, ok in zip(found, are_kept(found, truth, perfect), strict=True) if ok]
        )
    deep = np.array([crossing.depth >= DEEP for some in crossings for crossing in some], dtype=bool)
    print(f"  {len(deep)} of {num_all} crossings count, {deep.sum()} of them are deep")
    for name, (linker, is_flat) in LINKERS.items():
        kept, scores, seconds = [], [], 0.0
        for truth, perfect, some in zip(truths, given, crossings, strict=True):
            frames = [flat(cells) for cells in perfect.frames] if is_flat else list(perfect.frames)
            start = time.perf_counter()
            tracks = linker(frames)
            seconds += time.perf_counter() - start
            kept += are_kept(some, truth, tracks)
            result = challenge_scores(truth, tracks)
            scores.append([result[key] for key in SCORES])
        kept = np.array(kept, dtype=bool)
        means = zip(SCORES, np.mean(scores, axis=0), strict=True)
        print(
            f"  {name:<34}kept {share(kept)}, deep {share(kept[deep])}  "
            f"{'  '.join(f'{key} {value:.4f}' for key, value in means)}  {seconds:.1f} s",
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=3, help="films of each kind")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--cells", type=int, default=45, help="cells that are placed")
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--missing", type=float, default=0.03, help="share of cells, in the imperfect masks")
    args = parser.parse_args(argv)
    track_cells([with_scores(MaskRuns.from_crops([np.ones((4, 4), bool)], [(0, 0)], (8, 8)))] * 2)  # imports
    for kind, worm_share in (("cells", 0.15), ("worms", 1.0)):
        scene = SceneConfig(
            size=(args.size, args.size),
            pixel=0.5,
            cells=(args.cells, args.cells),
            worm_share=worm_share,
            min_visible=40,
        )
        films = [
            simulate_film(FilmConfig(scene=scene, frames=args.frames), np.random.default_rng(seed))
            for seed in range(args.films)
        ]
        truths = [true_tracks(film) for film in films]
        print(f"{kind}, true masks")
        measure(truths, truths)
        print(f"{kind}, imperfect masks, {args.missing:.0%} missing")
        rng = np.random.default_rng(0)
        measure(truths, [imperfect(truth, args.missing, rng) for truth in truths])
    return 0


if __name__ == "__main__":
    sys.exit(main())
