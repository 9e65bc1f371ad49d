"""Draw the pictures of docs/own_images.md, in the folder in which the commands of that page were run.

    python tools/analysis/draw_own_images.py FOLDER [--out docs/pictures]

It holds my_cells and new_cells, which `cellmm simulate` made, my_cells_cellmm, and results.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellmm.config.load import load_config
from cellmm.datasets.folders import AnnotatedFolderDataset
from cellmm.errors import CellMMError
from cellmm.registry import DATA_SAMPLERS, DATASETS
from cellmm.results.run_folder import read_run
from cellmm.structures import LabelLayers
from cellmm.visualization import caption, draw_instances, grid, save_picture, to_display
from cellmm.visualization.contact_sheet import draw_contact_sheet

SCALE = 2  # picture pixels per pixel of the image
READ = [dict(type="LoadImage"), dict(type="LoadCells")]


def beside(image: np.ndarray, *drawn: tuple[LabelLayers | list[dict], str]) -> list[np.ndarray]:
    """The image (H, W, 1), and the image with each of the cells, with captions."""
    large = to_display(image).repeat(SCALE, 0).repeat(SCALE, 1)
    return [
        caption(np.ascontiguousarray(large), "image"),
        *(caption(draw_instances(image, cells, scale=SCALE), text) for cells, text in drawn),
    ]


def annotated(folder: Path, images: int) -> np.ndarray:
    """Images of a folder beside their annotation."""
    dataset = AnnotatedFolderDataset(data_root=folder, pipeline=READ)
    panels = []
    for item in (dataset[number] for number in range(images)):
        cells = item["gt_layers"]
        panels += beside(item["img"], (cells, f"{len(cells)} annotated cells; hatched: overlap"))
    return grid(panels, columns=4)


def sheet(config: Path, samples: int) -> np.ndarray:
    """The first samples of the training, as on its contact sheet."""
    cfg = load_config(config)
    loader = cfg.train_dataloader
    dataset = DATASETS.build(loader.dataset)
    seed = dict(dataset=dataset, seed=cfg.get("randomness", {}).get("seed"))
    draws = iter(DATA_SAMPLERS.build(loader.sampler, default_args=seed))
    return draw_contact_sheet([dataset[next(draws)] for _ in range(samples)])


def found(results: Path, truth: Path) -> np.ndarray:
    """The first image of a run, the cells found in it, and the simulated ones."""
    cells = min(read_run(results), key=lambda instances: instances.name)
    dataset = AnnotatedFolderDataset(data_root=truth, pipeline=READ)
    item = next(item for item in dataset if Path(item["img_path"]).stem == Path(cells.name).stem)
    true = item["gt_layers"]
    return grid(
        beside(
            item["img"],
            (cells.masks.to_rles(), f"{len(cells)} cells found"),
            (true, f"{len(true)} simulated cells"),
        ),
        columns=3,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    args = parser.parse_args(argv)
    try:
        pages = {
            "own_images_annotated.jpg": annotated(args.folder / "my_cells", 2),
            "own_images_sheet.jpg": sheet(args.folder / "my_cells_cellmm/config.py", 2),
            "own_images_found.jpg": found(args.folder / "results", args.folder / "new_cells"),
        }
        args.out.mkdir(parents=True, exist_ok=True)
        for name, picture in pages.items():
            save_picture(args.out / name, picture)
            print(args.out / name)
    except (CellMMError, OSError) as error:
        print(f"draw_own_images: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
