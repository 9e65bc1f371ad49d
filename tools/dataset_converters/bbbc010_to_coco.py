"""BBBC010 worms (images, masks, split.json) to a COCO json."""

import argparse

from cellmm.datasets import BBBC010Dataset
from cellmm.datasets.to_coco import convert_to_coco
from cellmm.errors import CellMMError

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data_root", help="folder with images/, masks/ and split.json")
parser.add_argument("out", help="the json to write")
parser.add_argument("--split", default="train", help="train, test or all")
parser.add_argument("--channel", nargs="+", default=["w2"], help="w2 brightfield, w1 GFP")
parser.add_argument("--first", type=int, metavar="N", help="only the first N wells; default: all")
args = parser.parse_args()
if args.first is not None and args.first < 1:
    parser.error(f"--first is {args.first}: at least 1 well is needed")
options = dict(split=args.split, channel=args.channel, indices=args.first)


def wells() -> BBBC010Dataset:
    found = BBBC010Dataset(data_root=args.data_root, **options)
    if args.first is not None and len(found) < args.first:
        raise CellMMError(f"--first {args.first}: {args.data_root} has {len(found)} wells of this split")
    return found


convert_to_coco(wells, args.out)
