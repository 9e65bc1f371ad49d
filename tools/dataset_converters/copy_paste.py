"""Synthetic images with annotated overlap: cells of annotated phase-contrast images, pasted together.

    python tools/dataset_converters/copy_paste.py data/train.json data/phase data/synthetic/train --number 100
        --test data/test.json data/phase

writes images/, layers/, annotations.json (COCO) and, with --nuclei-dir, nuclei/ into a new folder. Each
annotation says in "source" which image and annotation it comes from, how the cell was warped and where it was
pasted. The same seed gives the same files. Source: sparseseunet 4.4.1, whose sets have 100 and 1000 images.
"""

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import tifffile
from tqdm import tqdm

from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms.cutouts import (
    background_level,
    cells_to_copy,
    cut_out,
    draw_group,
    draw_warp,
)
from cellmm.datasets.transforms.pasting import MODES, Pasted, paste_cells
from cellmm.errors import CellMMError
from cellmm.io.json_file import read_json
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.simulation.dataset import new_set
from cellmm.structures import LabelLayers, rle

KEPT = 64  # source images in memory


@dataclass
class Counts:
    """What was made and what was left out, of a whole set."""

    images: int = 0
    cells: int = 0
    unplaced: int = 0  # cells that fitted nowhere
    lacking: int = 0  # cells that no source had left
    clipped: int = 0  # values beyond 16 bit, of all pixels


@dataclass
class Sources:
    """The annotated images that cells come from, read as they are needed.

    Args:
        dataset: loads them.
        ids: of the annotations of each image, by the image's id.
        used: indices of the images that may be used.
    """

    dataset: CellCocoDataset
    ids: dict[int, list[int]]
    used: list[int]
    read: dict[int, dict] = field(default_factory=dict)

    def __getitem__(self, index: int) -> dict:
        """An image with its cells, those that can be copied, and its background."""
        if index not in self.read:
            loaded = self.dataset[index]
            cells = loaded["gt_layers"]
            usable = cells_to_copy(cells)
            loaded["usable"] = usable[~loaded["gt_ignore"][usable]]
            loaded["boxes"], loaded["level"] = cells.bboxes(), background_level(loaded["img"], cells)
            if len(self.read) == KEPT:
                del self.read[next(iter(self.read))]
            self.read[index] = loaded
        return self.read[index]

    def entry(self, loaded: dict, cell: int) -> dict:
        """What the json says of a cell of a source, besides its mask."""
        source = dict(
            file_name=Path(np.atleast_1d(loaded["img_path"])[0]).name,
            image_id=loaded["img_id"],
            annotation_id=self.ids[loaded["img_id"]][cell],
        )
        return dict(label=loaded["gt_labels"][cell], iscrowd=loaded["gt_ignore"][cell], source=source)


def open_sources(
    ann_file: Path, img_dir: Path, nuclei_dir: Path | None, test: Sequence[Path] | None
) -> Sources:
    """The images of a COCO json but those of the test set: files of the same bytes, whatever their names."""
    steps = [dict(type="LoadImage"), dict(type="LoadCells")]
    steps += [] if nuclei_dir is None else [dict(type="LoadNuclei")]
    nuclei = None if nuclei_dir is None else nuclei_dir.absolute()
    dataset = CellCocoDataset(
        ann_file=ann_file.absolute(),
        img_dir=img_dir.absolute(),
        nuclei_dir=nuclei,
        pipeline=steps,
        allow_empty=True,
    )
    ids = defaultdict(list)
    for annotation in read_json(ann_file)["annotations"]:
        ids[annotation["image_id"]].append(annotation["id"])
    tested = set()
    if test is not None:
        held_out = CellCocoDataset(ann_file=test[0].absolute(), img_dir=test[1].absolute(), allow_empty=True)
        tested = set().union(*(_digests(held_out, i) for i in range(len(held_out))))
    used = [i for i in range(len(dataset)) if not tested & _digests(dataset, i)]
    if not used:
        raise CellMMError(f"{ann_file}: all {len(dataset)} images are test images; give other images")
    return Sources(dataset, ids, used)


def _digests(dataset: CellCocoDataset, index: int) -> set[str]:
    paths = np.atleast_1d(dataset.get_data_info(index)["img_path"])
    return {hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}


def make_image(sources: Sources, rng: np.random.Generator, args: argparse.Namespace) -> tuple:
    """One synthetic image: (Pasted, one dict per cell for the json, how many cells were lacking)."""
    order = rng.permutation(sources.used).tolist()
    number = int(rng.integers(args.cells[0], args.cells[1] + 1))
    known = []
    if args.onto == "images":
        first = sources[order[0]]
        canvas, cells, nuclei = first["img"], first["gt_layers"], first.get("gt_nuclei")
        known = [sources.entry(first, i) for i in range(len(cells))]
        order = order[1:] or order
    else:
        height, width = args.size
        level = args.background if args.background is not None else sources[order[0]]["level"]
        canvas = np.zeros((height, width, sources[order[0]]["img"].shape[2]), np.float32) + level
        cells = LabelLayers.empty(height, width)
        nuclei = cells if args.nuclei_dir else None
    cutouts, drawn = [], []
    for index in order:
        source = sources[index]
        level = args.background if args.background is not None else source["level"]
        for cell in draw_group(source["gt_layers"], source["usable"], number - len(cutouts), rng):
            warp = draw_warp(
                rng, rotate=args.rotate, scale=args.scale, elastic_magnitude=args.elastic_magnitude
            )
            cutouts.append(
                cut_out(
                    source["img"],
                    source["gt_layers"],
                    cell,
                    warp,
                    box=source["boxes"][cell],
                    nuclei=source.get("gt_nuclei"),
                    background=0.0 if args.mode == "replace" else level,
                    blur=args.blur,
                )
            )
            drawn.append(sources.entry(source, cell))
            drawn[-1]["source"]["warp"] = asdict(warp)
        if len(cutouts) == number:
            break
    pasted = paste_cells(canvas, cells, cutouts, rng, nuclei=nuclei, overlap=args.overlap, mode=args.mode)
    for i, place, overlap in zip(pasted.placed, pasted.places, pasted.overlaps, strict=True):
        drawn[i]["source"] |= dict(place=place.tolist(), overlap=float(overlap))
        known.append(drawn[i])
    return pasted, known, number - len(cutouts)


def make_set(args: argparse.Namespace) -> Counts:
    """Write the whole set into ``args.out``, or nothing."""
    sources, counts = open_sources(args.ann_file, args.img_dir, args.nuclei_dir, args.test), Counts()
    categories = sources.dataset.metainfo["category_ids"]
    images, annotations = [], []
    with new_set(args.out) as folder:
        for name in ("images", "layers", *(["nuclei"] if args.nuclei_dir else [])):
            (folder / name).mkdir()
        for i in tqdm(range(1, args.number + 1), desc=f"pasting {args.out}", unit="image"):
            pasted, known, lacking = make_image(sources, np.random.default_rng([args.seed, i]), args)
            name, (height, width) = f"{i:04d}.tif", pasted.cells.shape
            counts.clipped += _write(folder, name, pasted)
            images.append(dict(id=i, file_name=name, height=height, width=width))
            masks = pasted.cells.to_rles()
            boxes, areas = rle.bbox(masks).tolist(), rle.area(masks).tolist()
            for cell, mask, box, area in zip(known, masks, boxes, areas, strict=True):
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=i,
                        category_id=categories[int(cell["label"])],
                        segmentation=mask,
                        bbox=box,
                        area=area,
                        iscrowd=int(cell["iscrowd"]),
                        source=cell["source"],
                    )
                )
            counts.cells += len(known)
            counts.images, counts.unplaced = i, counts.unplaced + pasted.num_unplaced
            counts.lacking += lacking
        names = sources.dataset.metainfo["classes"]
        content = dict(
            info={key: str(value) for key, value in sorted(vars(args).items()) if key != "out"},
            images=images,
            annotations=annotations,
            categories=[dict(id=n, name=name) for n, name in zip(categories, names, strict=True)],
        )
        (folder / "annotations.json").write_text(json.dumps(content))
    return counts


def _write(folder: Path, name: str, pasted: Pasted) -> int:
    """Write an image and its label images; how many values had to be clipped to 16 bit."""
    values = np.rint(pasted.image)
    clipped = np.clip(values, 0, 2**16 - 1)
    planes = np.ascontiguousarray(clipped.transpose(2, 0, 1)).astype(np.uint16)
    if len(planes) == 1:
        tifffile.imwrite(folder / "images" / name, planes[0])
    else:
        tifffile.imwrite(folder / "images" / name, planes, metadata={"axes": "CYX"})
    write_layered_tiff(folder / "layers" / name, pasted.cells)
    if pasted.nuclei is not None:
        write_layered_tiff(folder / "nuclei" / name, pasted.nuclei)
    return int((values != clipped).sum())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ann_file", type=Path, help="COCO json of the annotated images")
    parser.add_argument("img_dir", type=Path, help="their folder")
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument(
        "--test", type=Path, nargs=2, metavar=("JSON", "IMG_DIR"), help="images that are never used"
    )
    parser.add_argument("--nuclei-dir", type=Path, help="nuclei of the images, numbered as their cells")
    parser.add_argument("--number", type=int, default=100, help="of images")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("H", "W"), help="px")
    parser.add_argument("--cells", type=int, nargs=2, default=(20, 50), help="fewest and most an image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overlap", type=float, nargs=2, default=(0.0, 0.2), help="least and most share")
    parser.add_argument("--blur", type=float, default=20.0, help="of the edges, px")
    parser.add_argument(
        "--background", type=float, help="level without cells; default: the median of each image"
    )
    parser.add_argument("--rotate", type=float, nargs=2, default=(-180, 180), help="degrees")
    parser.add_argument("--scale", type=float, nargs=2, default=(0.8, 1.25))
    parser.add_argument("--elastic-magnitude", type=float, default=2.0, help="px")
    parser.add_argument(
        "--onto", choices=("blank", "images"), default="blank", help="a blank field, or annotated images"
    )
    parser.add_argument(
        "--mode", choices=MODES, default="add", help="replace, onto images: the thesis's brightfield baseline"
    )
    args = parser.parse_args()
    if args.number < 1 or not 0 <= args.cells[0] <= args.cells[1] or min(args.size) < 1:
        parser.error("--number and --size must be 1 or more, --cells the fewest and the most")
    return args


def main() -> None:
    args = parse_args()
    try:
        counts = make_set(args)
    except (CellMMError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    sys.stdout.write(
        f"{args.out}: {counts.images} images, {counts.cells} cells; {counts.unplaced} cells fitted nowhere, "
        f"{counts.lacking} were lacking in the sources, {counts.clipped} values were clipped to 16 bit\n"
    )


if __name__ == "__main__":
    main()
