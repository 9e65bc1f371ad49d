"""A folder per image with a label image per class (image.tif, class1.tif, ...), to a COCO json."""

import argparse

from cellmm.datasets import ClassFolderDataset
from cellmm.datasets.class_folders import CLASS_FILES
from cellmm.datasets.to_coco import convert_to_coco

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("data_root", help="folder of the folders")
parser.add_argument("out", help="the json to write")
parser.add_argument("--image-file", default="image.tif", help="in each folder; default: %(default)s")
parser.add_argument("--class-files", nargs="+", default=CLASS_FILES, help="default: class1.tif to class4.tif")
parser.add_argument("--classes", nargs="+", help="their names, in the same order; default: class1, ...")
parser.add_argument("--split-file", help="a text file with the names of the folders to take, a line each")
parser.add_argument("--allow-empty", action="store_true", help="accept images without a class file")
args = parser.parse_args()
convert_to_coco(
    lambda: ClassFolderDataset(
        data_root=args.data_root,
        image_file=args.image_file,
        class_files=args.class_files,
        split_file=args.split_file,
        allow_empty=args.allow_empty,
        metainfo={} if args.classes is None else {"classes": tuple(args.classes)},
    ),
    args.out,
)
