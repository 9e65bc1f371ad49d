"""Draw overlaps of pasted cells below overlaps that were simulated: pasting in brightfield gives fake ones.

    python tools/analysis/draw_pasted.py [--number 4] [--seed 0] [--out docs/pictures]

writes pasted_overlaps.jpg, rows of crops at one scale, each around an overlap: simulated and pasted ones in
brightfield, by both modes of CopyPaste, then in phase contrast. The rows of simulated overlaps show the same
cells, and so do those of pasted ones. Source: sparseseunet 5.5, figure 5.4.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cellmm.datasets.transforms.cutouts import (
    background_level,
    cells_to_copy,
    cut_out,
    draw_group,
    draw_warp,
)
from cellmm.datasets.transforms.pasting import Pasted, paste_cells
from cellmm.errors import CellMMError
from cellmm.simulation import Scene, SceneConfig, simulate_scene
from cellmm.simulation.scene import SCENES
from cellmm.visualization import caption, grid, save_picture, to_display

CROWDED = replace(SCENES["small"], size=(320, 320), cells=(22, 28), neighbour_share=0.6)
CELLS = 16  # that are pasted
OVERLAP = (0.05, 0.2)  # share of a pasted cell on others
BLUR = 4.0  # px, in proportion to cells of 20 to 50 px
SIDE = 60  # px of a crop
SCALE = 2  # picture pixels per image pixel


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=4, help="of crops in a row")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes and of what is pasted")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    return parser.parse_args(argv)


def image_of(scene: Scene, kind: str) -> np.ndarray:
    """The first plane of brightfield or phase contrast, float32 (H, W, 1)."""
    plane = scene.brightfield[0] if kind == "brightfield" else scene.phase
    return plane.astype(np.float32)[..., None]


def paste(onto: Scene, source: Scene, kind: str, mode: str, seed: int) -> Pasted:
    """Cells of ``source`` pasted onto the other scene: the same cells at the same places for any image."""
    rng = np.random.default_rng(seed)
    image, cells = image_of(source, kind), source.cells
    level = background_level(image, cells) if mode == "add" else 0.0
    boxes = cells.bboxes()
    cutouts = [
        cut_out(image, cells, i, draw_warp(rng), box=boxes[i], background=level, blur=BLUR)
        for i in draw_group(cells, cells_to_copy(cells), CELLS, rng).tolist()
    ]
    return paste_cells(image_of(onto, kind), onto.cells, cutouts, rng, overlap=OVERLAP, mode=mode)


def corners(overlap: np.ndarray, number: int) -> list[tuple[int, int]]:
    """(row, column) of the crops around the largest pieces of ``overlap``, bool (H, W), largest first.

    Pieces that are nearer to the border than half a crop do not count.

    Raises:
        CellMMError: fewer pieces than ``number``.
    """
    _, _, stats, centres = cv2.connectedComponentsWithStats(overlap.astype(np.uint8), connectivity=8)
    first = np.rint(centres[1:, ::-1] - SIDE / 2).astype(int)
    inside = np.flatnonzero(((first >= 0) & (first + SIDE <= overlap.shape)).all(1))
    if not 0 < number <= len(inside):
        raise CellMMError(
            f"--number {number}, but an image has {len(inside)} overlaps; give another number or --seed"
        )
    largest = inside[np.argsort(-stats[1 + inside, cv2.CC_STAT_AREA], kind="stable")[:number]]
    return [tuple(corner) for corner in first[largest].tolist()]


def row(image: np.ndarray, places: Sequence[tuple[int, int]], title: str) -> np.ndarray:
    """Crops of one image (H, W, 1) side by side, in the contrast of the whole image."""
    picture = to_display(image)
    crops = [picture[y : y + SIDE, x : x + SIDE] for y, x in places]
    large = [cv2.resize(crop, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC) for crop in crops]
    return caption(grid(large, len(large)), title)


def rows(scene: SceneConfig, seed: int, number: int) -> list[np.ndarray]:
    """The rows of the page."""
    onto, source = (simulate_scene(scene, np.random.default_rng((seed, i))) for i in (0, 1))
    real = corners(onto.cells.overlap(), number)
    page = []
    for kind, modes in (("brightfield", ("replace", "add")), ("phase", ("add",))):
        page.append(row(image_of(onto, kind), real, f"{kind}: simulated overlaps"))
        for mode in modes:
            pasted = paste(onto, source, kind, mode, seed)
            new = corners(pasted.cells.overlap() & ~onto.cells.overlap(), number)
            page.append(row(pasted.image, new, f"{kind}: pasted, mode {mode}"))
    return page


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    path = args.out / "pasted_overlaps.jpg"
    try:
        page = rows(CROWDED, args.seed, args.number)
        args.out.mkdir(parents=True, exist_ok=True)
        save_picture(path, grid(page, columns=1))
    except (CellMMError, OSError) as error:
        print(f"draw_pasted: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
