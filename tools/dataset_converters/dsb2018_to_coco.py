"""Data Science Bowl 2018 (<id>/images, <id>/masks) to a COCO json."""

import argparse

from cellmm.datasets import DSB2018Dataset
from cellmm.datasets.to_coco import convert_to_coco

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data_root", help="folder of the <id> folders")
parser.add_argument("out", help="the json to write")
parser.add_argument("--allow-empty", action="store_true", help="accept images without a mask")
args = parser.parse_args()
convert_to_coco(lambda: DSB2018Dataset(data_root=args.data_root, allow_empty=args.allow_empty), args.out)
