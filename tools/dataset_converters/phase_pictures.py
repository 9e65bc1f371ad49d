"""Pictures of phase contrast for the person who outlines cells, and a list of how crowded the fields are.

    python tools/dataset_converters/phase_pictures.py data/phase pictures --fluorescence data/fluorescence

writes pictures/<image>.png, 8 bits, with a pixel for each of the image's, and pictures/crowding.csv, the
emptiest field first. Contrast is equalised in parts of the image (CLAHE), and fluorescence, from files of the
same names, is laid over it in --color. Fields that show cells on more than the share --most get none.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.image_folders import find_images, name_images
from cellmm.io.images import read_image
from cellmm.labelling.phase_pictures import crowding, phase_picture
from cellmm.visualization import save_picture

COLORS = dict(
    green=(0, 1, 0), magenta=(1, 0, 1), cyan=(0, 1, 1), red=(1, 0, 0), yellow=(1, 1, 0), blue=(0, 0.3, 1)
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("phase", type=Path, help="folder of phase images")
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--fluorescence", type=Path, help="folder of images with the same names")
    parser.add_argument("--color", choices=COLORS, default="green", help="default: %(default)s")
    parser.add_argument("--clip-limit", type=float, default=0.01, help="of CLAHE; default: %(default)s")
    parser.add_argument("--most", type=float, default=1.0, help="share of a field; default: all fields")
    return parser.parse_args()


def read_grey(path: Path) -> np.ndarray:
    """(H, W) of an image with one channel."""
    image = read_image(path, grey=True)
    if image.shape[2] != 1:
        raise CellMMError(f"{path}: {image.shape[2]} channels; save the one to show as a file of its own")
    return image[..., 0]


def picture_names(paths: list[Path]) -> list[str]:
    """What the pictures of images are called, without the suffix: a.tif and a.png in two folders agree."""
    return [name.removesuffix(".png") for name in name_images(paths)[1]]


def make_pictures(args: argparse.Namespace) -> tuple[int, int]:
    """Write all; how many pictures, and how many fields are too crowded for one."""
    if not 0 < args.most <= 1 or not 0 < args.clip_limit <= 1:
        raise CellMMError("--most and --clip-limit are from 0 to 1, 0 excluded")
    images = find_images([args.phase], leave_out=[args.out])[0]
    names = picture_names(images)
    second = {}
    if args.fluorescence is not None:
        found = find_images([args.fluorescence])[0]
        second = dict(zip(picture_names(found), found, strict=True))
        if lacking := [name for name in names if name not in second]:
            raise CellMMError(
                f"{args.fluorescence}: {len(lacking)} of {len(names)} phase images have no file of their "
                f"name, {lacking[0]} for one; add them, or leave out --fluorescence"
            )
    rows = []
    for path, name in zip(tqdm(images, desc="pictures", unit="image", disable=None), names, strict=True):
        phase, light = read_grey(path), read_grey(second[name]) if second else None
        if light is not None and light.shape != phase.shape:
            raise CellMMError(f"{second[name]}: {light.shape} pixels, but {path} has {phase.shape}")
        rows.append((crowding(phase), name))
        out = args.out / f"{name}.png"
        if rows[-1][0] > args.most:
            out.unlink(missing_ok=True)  # of an earlier run
            continue
        color = COLORS[args.color]
        save_picture(out, phase_picture(phase, light, clip_limit=args.clip_limit, color=color))
    with atomic_path(args.out / "crowding.csv") as tmp, open(tmp, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "share", "picture"])
        writer.writerows([name, f"{share:.4f}", int(share <= args.most)] for share, name in sorted(rows))
    crowded = sum(share > args.most for share, _ in rows)
    return len(rows) - crowded, crowded


def main() -> None:
    args = parse_args()
    try:
        number, crowded = make_pictures(args)
    except CellMMError as error:
        sys.exit(f"error: {error}")
    print(f"{args.out}: {number} pictures, crowding.csv", end="")
    print(f"; {crowded} fields show cells on more than {args.most:.0%}" if crowded else "")


if __name__ == "__main__":
    main()
