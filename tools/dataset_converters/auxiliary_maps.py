"""Centre and boundary maps of the images of a config, one .npy of float32 (1, H, W) per image and map.

    python tools/dataset_converters/auxiliary_maps.py CONFIG data/train_maps

writes <image>_center.npy and <image>_boundary.npy, of the annotation as the file has it; images of equal
names in folders of their own are named by these. Training does not need the files: AuxiliaryMaps in the
pipeline makes the maps of the augmented cells. Source: maskrcnn-report.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from cellmm.config.load import load_config
from cellmm.datasets.transforms import AuxiliaryMaps
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.registry import DATASETS

LOAD = ("LoadImage", "LoadCells")


def write_maps(
    config: str | Path, out: str | Path, split: str, targets: list[str], sigma: float
) -> tuple[int, int]:
    """Write the maps of all images of a config's dataset into the folder ``out``.

    Returns:
        How many images there are, and how many have no cell.
    """
    cfg = load_config(config).get(f"{split}_dataloader", {}).get("dataset")
    if cfg is None or "pipeline" not in cfg:
        raise CellMMError(f"{config}: no {split}_dataloader.dataset with a pipeline; name another --split")
    steps = [step for step in cfg.pipeline if step["type"] in LOAD]
    if len(steps) != len(LOAD):
        raise CellMMError(f"{config}: the pipeline has no {' and '.join(LOAD)} to read the cells with")
    dataset = DATASETS.build(
        dict(cfg, pipeline=[*steps, dict(type="AuxiliaryMaps", targets=targets, sigma=sigma)])
    )
    names = _names([dataset.get_data_info(i)["img_path"] for i in range(len(dataset))])
    empty = 0
    for i, name in enumerate(names):
        results = dataset[i, 0]
        empty += not len(results["gt_layers"])
        for target in targets:
            with atomic_path(Path(out, f"{name}_{target}.npy")) as path, open(path, "wb") as file:
                values = np.asarray(results[f"gt_{target}"], np.float32)
                np.save(file, values.reshape(-1, *values.shape[-2:]))
    return len(names), empty


def _names(images: list[str | list[str]]) -> list[str]:
    """Of each image the name of its file, or of its folder where files have the same name."""
    paths = [Path(image if isinstance(image, str) else image[0]) for image in images]
    for names in ([path.stem for path in paths], [path.parent.name for path in paths]):
        if len(set(names)) == len(names):
            return names
    name, number = Counter(path.stem for path in paths).most_common(1)[0]
    raise CellMMError(f"{number} images are named {name}, and their folders alike too; rename them")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("out", help="folder for the maps")
    parser.add_argument("--split", default="train", choices=("train", "val", "test"))
    parser.add_argument("--targets", nargs="+", default=["center", "boundary"])
    parser.add_argument("--sigma", type=float, default=5.0, help="px, of the centres' Gaussian")
    args = parser.parse_args()
    try:
        AuxiliaryMaps(
            targets=args.targets, sigma=args.sigma
        )  # a wrong argument fails before anything is read
        number, empty = write_maps(args.config, args.out, args.split, args.targets, args.sigma)
    except CellMMError as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(
        f"{args.out}: {len(args.targets)} maps of each of {number} images, {empty} without cells\n"
    )


if __name__ == "__main__":
    main()
