"""LIVECell, whose polygons become RLE and whose file names get their folders, to a COCO json."""

import argparse

from cellmm.datasets import LIVECellDataset
from cellmm.datasets.to_coco import convert_to_coco

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data_root", help="folder with livecell_coco_<split>.json and images/")
parser.add_argument("out", help="the json to write")
parser.add_argument("--split", default="train", help="train, val or test")
parser.add_argument("--ann-file", help="another json than that of the split")
parser.add_argument("--allow-empty", action="store_true", help="accept images without annotation")
args = parser.parse_args()
convert_to_coco(
    lambda: LIVECellDataset(
        data_root=args.data_root, split=args.split, ann_file=args.ann_file, allow_empty=args.allow_empty
    ),
    args.out,
)
