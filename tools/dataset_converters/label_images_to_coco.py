"""Label images (PNG, TIFF, one page or layers) to a COCO json."""

import argparse

from mmengine.config import DictAction

from cellmm.datasets import LabelImageDataset
from cellmm.datasets.to_coco import convert_to_coco

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data_root", help="folder of the two folders")
parser.add_argument("out", help="the json to write")
parser.add_argument("--img-dir", default="images")
parser.add_argument("--label-dir", default="labels")
parser.add_argument("--img-suffix", nargs="+", help="such as .tif; several: the planes of an image")
parser.add_argument("--label-suffix", help="such as _masks.png")
parser.add_argument("--pattern", default="*", help="which image names, such as train_*")
parser.add_argument("--class-name", default="cell")
parser.add_argument(
    "--load-image",
    nargs="+",
    action=DictAction,
    default={},
    metavar="KEY=VALUE",
    help="how the config's LoadImage reads the images, such as z=max or level=1",
)
args = parser.parse_args()
convert_to_coco(
    lambda: LabelImageDataset(
        data_root=args.data_root,
        img_dir=args.img_dir,
        label_dir=args.label_dir,
        img_suffix=args.img_suffix,
        label_suffix=args.label_suffix,
        pattern=args.pattern,
        metainfo={"classes": (args.class_name,)},
        pipeline=[dict(type="LoadImage", **args.load_image)],
    ),
    args.out,
)
