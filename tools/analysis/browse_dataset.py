"""Look at what the model sees: images after augmentation with their cells, one PNG each and one page."""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from cellmm.engine.runner import load_config
from cellmm.errors import CellMMError
from cellmm.registry import DATASETS
from cellmm.structures import rle
from cellmm.visualization import draw_instances, save_picture, to_display


def browse(cfg: Config, split: str, out: Path, number: int) -> Path:
    """Draw the first ``number`` draws of a split, plain beside annotated; the path of the page of all."""
    dataset = DATASETS.build(cfg[f"{split}_dataloader"].dataset)
    rows = []
    for draw in range(number):
        item = dataset[draw % len(dataset), draw]
        image = item["inputs"].numpy().transpose(1, 2, 0)
        masks = rle.encode(item["data_samples"].gt_masks().numpy())
        row = np.hstack([to_display(image), draw_instances(image, masks)])
        save_picture(out / f"{draw:03d}_{Path(str(item['data_samples'].img_path)).stem}.png", row)
        rows.append(cv2.resize(row, (800, round(800 * row.shape[0] / row.shape[1]))))
    height = max(len(row) for row in rows)
    rows = [cv2.copyMakeBorder(row, 0, height - len(row), 0, 0, cv2.BORDER_CONSTANT) for row in rows]
    rows += [np.zeros_like(rows[0])] * (len(rows) % 2)
    page = np.vstack([np.hstack(rows[i : i + 2]) for i in range(0, len(rows), 2)])
    save_picture(out / "page.png", page)
    return out / "page.png"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    parser.add_argument("--out", type=Path, default=Path("browse"))
    parser.add_argument("--num", type=int, default=8)
    args = parser.parse_args()
    try:
        print(browse(load_config(args.config), args.split, args.out, args.num))
    except CellMMError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
