"""Draw how overlap is learned: cells of a simulated scene, two targets, and the five proximity maps.

    python tools/analysis/draw_overlap.py [--boundaries] [--seed 0] [--out docs/pictures]

writes overlap_maps.jpg; with --boundaries boundary_maps.jpg, the targets of boundary networks.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.simulation import SceneConfig, simulate_scene
from cellmm.simulation.scene import SCENES
from cellmm.visualization import caption, draw_instances, grid, save_picture, to_display

SCALE = 2  # picture pixels per image pixel
CROWDED = replace(SCENES["small"], cells=(18, 22), neighbour_share=0.6)
TITLES = {
    "v0": "v0: nuclei within cell",
    "v1": "v1: nuclei over all",
    "v2": "v2: overlap-relaxed",
    "v3": "v3: v1 and v2 merged",
    "v4": "v4: border-based",
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--boundaries", action="store_true", help="draw boundaries, cuts and U-Net's weights")
    parser.add_argument("--seed", type=int, default=0, help="of the scene")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    return parser.parse_args(argv)


def panel(picture: np.ndarray, title: str) -> np.ndarray:
    """RGB (H, W, 3), enlarged by SCALE, with a caption."""
    return caption(np.ascontiguousarray(picture.repeat(SCALE, 0).repeat(SCALE, 1)), title)


def heat(values: np.ndarray) -> np.ndarray:
    """(H, W) from 0 to 1 -> RGB."""
    return cv2.applyColorMap((values * 255).round().astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]


def panels(scene: SceneConfig, seed: int) -> list[np.ndarray]:
    """Image, cells with nuclei, overlap and border targets, and the maps v0 to v4."""
    seen = simulate_scene(scene, np.random.default_rng(seed))
    image = to_display(seen.brightfield[0])
    cells = draw_instances(image, seen.cells, scale=1)
    cells[seen.nuclei.layers.any(0)] = (cells[seen.nuclei.layers.any(0)] * 0.5).astype(np.uint8)
    results = dict(gt_layers=seen.cells, gt_nuclei=seen.nuclei)
    targets = TRANSFORMS.build(dict(type="SemanticTargets", targets=("overlap", "border")))
    maps = targets(dict(results))["gt_semantic"]
    page = [
        panel(image, "simulated brightfield, below focus"),
        panel(cells, "cells; hatched: overlap, dark: nuclei"),
        panel(heat(maps["overlap"]), "target: overlap"),
        panel(heat(maps["border"]), "target: border, 2 px"),
    ]
    for kind, title in TITLES.items():
        done = TRANSFORMS.build(dict(type="ProximityMap", kind=kind))(dict(results))
        page.append(panel(heat(done["gt_proximity"]), title))
    return page


def boundary_panels(scene: SceneConfig, seed: int) -> list[np.ndarray]:
    """Cells, three classes, boundaries of 2 and 8 px, bell, cuts and U-Net's weights."""
    seen = simulate_scene(scene, np.random.default_rng(seed))

    def maps(**options: object) -> dict[str, np.ndarray]:
        step = TRANSFORMS.build(dict(type="BoundaryTargets", **options))
        return step(dict(gt_layers=seen.cells))["gt_semantic"]

    weight = TRANSFORMS.build(dict(type="PixelWeights"))(dict(gt_layers=seen.cells))["gt_weight"]
    classes = maps(width=2)
    cells = draw_instances(to_display(seen.brightfield[0]), seen.cells, scale=1)
    return [
        panel(cells, "cells; hatched: overlap"),
        panel(heat(classes["boundary"] + classes["interior"] / 2), "exterior, interior, boundary of 2 px"),
        panel(heat(maps(width=8)["boundary"]), "boundary of 8 px"),
        panel(heat(maps(kind="bell", width=8)["boundary"]), "bell of 8 px, sigma 2 px"),
        panel(heat(maps(kind="cuts", width=4)["boundary"]), "cuts of 4 px"),
        panel(heat(weight / weight.max()), f"U-Net's weights, to {weight.max():.0f}"),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        name, drawn = ("boundary", boundary_panels) if args.boundaries else ("overlap", panels)
        path = args.out / f"{name}_maps.jpg"
        save_picture(path, grid(drawn(CROWDED, args.seed), columns=3))
        print(path)
    except (CellMMError, OSError) as error:
        print(f"draw_overlap: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
