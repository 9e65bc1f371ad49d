"""One mask per file, in one folder per image or with the image's name in the file's, to a COCO json."""

import argparse

from mmengine.config import DictAction

from cellmm.datasets import MaskFolderDataset
from cellmm.datasets.to_coco import convert_to_coco

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data_root", help="folder of the two folders")
parser.add_argument("out", help="the json to write")
parser.add_argument("--img-dir", default="images")
parser.add_argument("--mask-dir", default="masks")
parser.add_argument(
    "--img-pattern", nargs="+", help="regular expression with (?P<image>...); several: planes"
)
parser.add_argument("--mask-pattern", help='such as "(?P<image>.+)_[0-9]+[.]png"')
parser.add_argument("--class-name", default="cell")
parser.add_argument(
    "--load-image",
    nargs="+",
    action=DictAction,
    default={},
    metavar="KEY=VALUE",
    help="how the config's LoadImage reads the images, such as z=max or level=1",
)
parser.add_argument("--allow-empty", action="store_true", help="accept images without a mask")
args = parser.parse_args()
patterns = {"img_pattern": args.img_pattern, "mask_pattern": args.mask_pattern}
convert_to_coco(
    lambda: MaskFolderDataset(
        data_root=args.data_root,
        img_dir=args.img_dir,
        mask_dir=args.mask_dir,
        metainfo={"classes": (args.class_name,)},
        pipeline=[dict(type="LoadImage", **args.load_image)],
        allow_empty=args.allow_empty,
        **{name: pattern for name, pattern in patterns.items() if pattern is not None},
    ),
    args.out,
)
