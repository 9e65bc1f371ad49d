"""Look at what the model sees: images after a config's pipeline, beside their cells.

Writes one PNG per image, and page.png with all of them. For the training set these are the first
images that a training with this config draws, augmented as there.
"""

import argparse
import sys
from itertools import islice
from pathlib import Path

from mmengine.config import Config, DictAction

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.registry import DATA_SAMPLERS, DATASETS
from cellmm.structures import LabelLayers
from cellmm.visualization import caption, draw_instances, grid, save_picture, to_display


def browse(cfg: Config, split: str, out: Path, number: int) -> Path:
    """Draw the first ``number`` draws of a split; returns the path of the page with all of them."""
    loader = cfg.get(f"{split}_dataloader")
    if not loader:
        raise CellMMError(f"{cfg.filename}: no {split}_dataloader in this config")
    dataset = DATASETS.build(loader.dataset)
    seed = cfg.get("randomness", {}).get("seed")
    sampler = DATA_SAMPLERS.build(loader.sampler, default_args=dict(dataset=dataset, seed=seed))
    rows = []
    for place, index in enumerate(islice(sampler, number)):
        item = dataset[index]
        image, sample = item["inputs"].numpy().transpose(1, 2, 0), item["data_samples"]
        cells = LabelLayers(sample.gt_layers.numpy(), num=len(sample.gt_instances))
        path = sample.img_path if isinstance(sample.img_path, str) else sample.img_path[0]
        drawn = draw_instances(image, cells, scale=1)
        row = grid([to_display(image), drawn], 2)
        shape, overlap = " x ".join(map(str, image.shape)), int(cells.overlap().sum())
        row = caption(row, f"{Path(path).name}  {shape}  {len(cells)} cells, {overlap} px of several")
        save_picture(out / f"{place:03d}_{Path(path).stem}.png", row)
        rows.append(row)
    page = out / "page.png"
    save_picture(page, grid(rows, columns=2))
    return page


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("--split", choices=["train", "val", "test"], default="train")
    parser.add_argument("--out", type=Path, default=Path("browse"), help="folder of the pictures")
    parser.add_argument("--num", type=int, default=8, help="how many images")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f"--num is {args.num}: 1 or more is needed")
    try:
        print(browse(load_config(args.config, args.cfg_options), args.split, args.out, args.num))
    except CellMMError as error:
        print(f"browse_dataset: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
