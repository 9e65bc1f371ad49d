"""Draw what a trained model finds in a crowded simulated scene: the image beside the cells found.

    python tools/analysis/draw_found.py CONFIG CHECKPOINT [--seed 0] [--out docs/pictures]
    python tools/analysis/draw_found.py nuclei --fluorescence --name nuclei_found.jpg

The first writes cells_found.jpg, the README's picture, the second that of a model that comes with cellmm. The
scene is made anew from the seed, so no training saw it.
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
    parser.add_argument("config", help="a config, or the name of a model that comes with cellmm")
    parser.add_argument("checkpoint", nargs="?", help="weights of a training with the config")
    parser.add_argument(
        "--fluorescence",
        action="store_true",
        help="nuclei in fluorescence, not cells in two brightfield planes",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the scene")
    parser.add_argument("--score-thr", type=float, default=0.3, help="cells with a lower score are left out")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    parser.add_argument("--name", default="cells_found.jpg", help="of the picture")
    return parser.parse_args(argv)


def find_cells(config: str, checkpoint: str | None, image: np.ndarray, score_thr: float) -> list[dict]:
    """COCO RLEs of the cells that the model finds in ``image``, (H, W) or (H, W, C)."""
    inferencer = CellInferencer(config, checkpoint, device="cpu", score_thr=score_thr)
    return inferencer.predict(image).masks.to_rles()


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        scene = simulate_scene(CROWDED, np.random.default_rng(args.seed))
        if args.fluorescence:
            image = shown = scene.fluorescence
            text = f"nuclei found, of {len(scene.nuclei)}"
        else:
            image, shown = np.moveaxis(scene.brightfield, 0, -1), scene.brightfield[0]
            text = f"cells found, of {len(scene.cells)}; hatched: overlap"
        found = find_cells(args.config, args.checkpoint, image, args.score_thr)
        large = to_display(shown).repeat(SCALE, 0).repeat(SCALE, 1)
        page = [
            caption(np.ascontiguousarray(large), "image"),
            caption(draw_instances(shown, found, scale=SCALE), f"{len(found)} {text}"),
        ]
        args.out.mkdir(parents=True, exist_ok=True)
        save_picture(args.out / args.name, grid(page, columns=len(page)))
        print(args.out / args.name)
    except (CellMMError, OSError) as error:
        print(f"draw_found: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
