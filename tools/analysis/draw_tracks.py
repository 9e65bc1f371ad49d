"""Draw the tracks of a simulated film over three of its frames.

    python tools/analysis/draw_tracks.py [--seed 0] [--out docs/pictures]

writes tracks.jpg: each track has a colour, and a line where its cell was before.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.results import Instances
from cellmm.simulation import FilmConfig, simulate_film, take_images
from cellmm.simulation.scene import SCENES
from cellmm.structures import outlines_of
from cellmm.tracking import Tracks, track_cells
from cellmm.visualization import caption, grid, save_picture, to_display

SCALE = 2  # picture pixels per image pixel
SHOWN = (8, 14, 20)  # frames
FILM = FilmConfig(
    scene=replace(SCENES["small"], cells=(16, 16), worm_share=0.4), frames=21, division_share=0.2
)
SHIFT = 4  # OpenCV's lines end at multiples of 2^-SHIFT pixels


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of the film")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    return parser.parse_args(argv)


def color_of(track: int) -> tuple[int, int, int]:
    """RGB; neighbouring ids differ by the golden angle in hue."""
    hue = np.uint8([[[int(track * 137.5 / 2) % 180, 200, 255]]])
    return tuple(cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist())


def draw(picture: np.ndarray, tracks: Tracks, frame: int) -> np.ndarray:
    """The outlines of the cells in a frame, and where they came from, on an enlarged picture."""
    picture = cv2.resize(picture, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR)
    points = (tracks.ellipses().centroid[:, ::-1] + 0.5) * SCALE
    for source, target in tracks.edges().tolist():
        if tracks.frame[target] <= frame:
            line = np.rint(points[[source, target]] * 2**SHIFT).astype(np.int32)
            color = color_of(int(tracks.track_id[target]))
            cv2.polylines(picture, [line], False, color, 1, cv2.LINE_AA, SHIFT)
    rows = tracks.rows(frame)
    for cell, track in zip(tracks.cell[rows].tolist(), tracks.track_id[rows].tolist(), strict=True):
        for part in outlines_of(tracks.frames[frame].masks, cell):
            outline = np.rint(part[0] * SCALE).astype(np.int32)
            cv2.polylines(picture, [outline], True, color_of(track), 1, cv2.LINE_AA)
    return picture


def panels(config: FilmConfig, seed: int, shown: Sequence[int]) -> list[np.ndarray]:
    """RGB pictures of the frames ``shown``."""
    film = simulate_film(config, np.random.default_rng(seed))
    tracks = track_cells(
        [
            Instances(frame.masks, np.ones(len(frame.ids), np.float32), np.zeros(len(frame.ids), np.int64))
            for frame in film.frames
        ]
    )
    pictures = []
    for t in shown:
        scene = take_images(film.frames[t].shapes, config.scene, np.random.default_rng((seed, t)))
        shade = to_display(scene.brightfield[0])
        pictures.append(caption(draw(shade, tracks, t), f"frame {t}"))
    return pictures


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    path = args.out / "tracks.jpg"
    try:
        save_picture(path, grid(panels(FILM, args.seed, SHOWN), columns=len(SHOWN)))
    except (CellMMError, OSError) as error:
        print(f"draw_tracks: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
