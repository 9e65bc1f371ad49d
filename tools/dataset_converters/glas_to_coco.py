"""GlaS glands (train_1.bmp, train_1_anno.bmp, ..., Grade.csv; or images/ and labels/) to a COCO json."""

import argparse

from cellmm.datasets import GlaSDataset
from cellmm.datasets.to_coco import convert_to_coco

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data_root", help="folder with the challenge's files")
parser.add_argument("out", help="the json to write")
parser.add_argument("--split", default="train", help="train, val, trainval, testA, testB or test (A and B)")
args = parser.parse_args()
convert_to_coco(lambda: GlaSDataset(data_root=args.data_root, split=args.split), args.out)
