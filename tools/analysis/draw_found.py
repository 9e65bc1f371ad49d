"""Draw what a trained model finds in a crowded simulated scene: the image beside the cells found.

    python tools/analysis/draw_found.py CONFIG CHECKPOINT [--seed 0] [--out docs/pictures]

writes cells_found.jpg, the README's picture. The scene is made anew from the seed, so no training saw it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cellmm.apis.inferencer import CellInferencer
from cellmm.errors import CellMMError
from cellmm.simulation import simulate_scene
from cellmm.simulation.scene import SCENES
from cellmm.visualization import caption, draw_instances, grid, save_picture, to_display

CROWDED = replace(SCENES["small"], cells=(14, 18), neighbour_share=0.6, worm_share=0.3)
SCALE = 2  # picture pixels per pixel of the image


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="a config of two brightfield planes")
    parser.add_argument("checkpoint", help="weights of a training with it")
    parser.add_argument("--seed", type=int, default=0, help="of the scene")
    parser.add_argument("--score-thr", type=float, default=0.3, help="cells with a lower score are left out")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    return parser.parse_args(argv)


def find_cells(config: str, checkpoint: str, planes: np.ndarray, score_thr: float) -> list[dict]:
    """COCO RLEs of the cells that the model finds in ``planes`` (2, H, W)."""
    inferencer = CellInferencer(config, checkpoint, device="cpu", score_thr=score_thr)
    return inferencer.predict(np.moveaxis(planes, 0, -1)).masks.to_rles()


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        scene = simulate_scene(CROWDED, np.random.default_rng(args.seed))
        found = find_cells(args.config, args.checkpoint, scene.brightfield, args.score_thr)
        below = scene.brightfield[0]
        image = to_display(below).repeat(SCALE, 0).repeat(SCALE, 1)
        page = [
            caption(np.ascontiguousarray(image), "image"),
            caption(
                draw_instances(below, found, scale=SCALE),
                f"{len(found)} cells found, of {len(scene.cells)}; hatched: overlap",
            ),
        ]
        args.out.mkdir(parents=True, exist_ok=True)
        save_picture(args.out / "cells_found.jpg", grid(page, columns=len(page)))
        print(args.out / "cells_found.jpg")
    except (CellMMError, OSError) as error:
        print(f"draw_found: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
