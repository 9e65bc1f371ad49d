"""Fields of cells that were copied from annotated images."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cellmm.checks import check_ranges, check_whole
from cellmm.datasets.transforms.cutouts import cut_out, draw_group, draw_warp
from cellmm.datasets.transforms.pasting import check_pasting, paste_cells
from cellmm.datasets.transforms.warping import check_warp
from cellmm.errors import CellMMError
from cellmm.structures import LabelLayers
from cellmm.synthesis.backgrounds import without_cells
from cellmm.synthesis.sources import Sources

BLANK, IMAGES, BACKGROUNDS = "blank", "images", "backgrounds"


@dataclass(frozen=True)
class FieldOptions:
    """How fields are made. The thesis gives ``cells``, ``overlap`` and ``blur``; the other numbers are ours.

    Args:
        size: (height, width) of a blank field, px.
        cells: (fewest, most) that are pasted into a field.
        overlap: (least, most) share of a pasted cell that lies on others.
        blur: standard deviation of the blend beyond the outline, px; 0: none.
        background: level without cells; None: the median outside of the cells of each image.
        rotate: (lowest, highest), degrees.
        scale: (lowest, highest).
        elastic_magnitude: standard deviation of the random displacements, px.
        onto: ``'blank'`` fields, annotated ``'images'``, or their ``'backgrounds'``: images whose cells are
            taken away, see ``without_cells``.
        mode: ``'add'`` or ``'replace'``, see ``paste_cells``.
        seed: of all draws.

    Raises:
        ValueError: a number out of range.
    """

    size: Sequence[int] = (512, 512)
    cells: Sequence[int] = (20, 50)
    overlap: Sequence[float] = (0.0, 0.2)
    blur: float = 20.0
    background: float | None = None
    rotate: Sequence[float] = (-180, 180)
    scale: Sequence[float] = (0.8, 1.25)
    elastic_magnitude: float = 2.0
    onto: str = BLANK
    mode: str = "add"
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(1, size=self.size)
        check_whole(0, cells=self.cells, seed=self.seed)
        check_ranges(0, cells=self.cells)
        check_pasting(self.overlap, self.mode, tries=1)
        check_warp(
            rotate=self.rotate,
            scale=self.scale,
            flip=0.5,
            elastic_spacing=64.0,
            elastic_magnitude=self.elastic_magnitude,
        )
        if not 0 <= self.blur < math.inf:
            raise ValueError(f"blur must be 0 px or more, got {self.blur}")
        if self.onto == BACKGROUNDS and self.background is not None:
            raise ValueError("background is measured in each image with onto='backgrounds'; leave it out")
        for name in ("background", "elastic_magnitude"):
            if not math.isfinite(getattr(self, name) or 0):
                raise ValueError(f"{name} must be a finite number, got {getattr(self, name)}")


@dataclass(frozen=True)
class Field:
    """An image of pasted cells.

    Args:
        image: float32 (H, W, C).
        cells: all N of them.
        nuclei: with the ids of ``cells``; None if those of the sources are not known.
        entries: what the json says of each of the N cells, besides its mask: ``label``, ``iscrowd`` and
            ``source``.
        unplaced: how many cells fitted nowhere.
        lacking: how many were wanted that no source had left.
    """

    image: np.ndarray
    cells: LabelLayers
    nuclei: LabelLayers | None
    entries: list[dict]
    unplaced: int
    lacking: int


def paste_field(sources: Sources, number: int, options: FieldOptions) -> Field:
    """Field ``number``, which depends on it, ``options`` and the sources alone.

    Raises:
        CellMMError: no source has a cell that can be copied.
    """
    rng = np.random.default_rng([options.seed, number])
    order = rng.permutation(sources.used).tolist()
    wanted = int(rng.integers(options.cells[0], options.cells[1] + 1))
    first, entries = sources[order[0]], []
    if options.onto == IMAGES:
        canvas, cells, nuclei = first["img"], first["gt_layers"], first.get("gt_nuclei")
        entries = [sources.entry(first, i) for i in range(len(cells))]
        order = order[1:] or order
    else:
        if options.onto == BACKGROUNDS:
            canvas = _turned(without_cells(first["img"], sources.background(order[0]), rng), rng)
        else:
            level = first["level"] if options.background is None else options.background
            canvas = np.zeros((*options.size, first["img"].shape[2]), np.float32) + level
        cells = LabelLayers.empty(*canvas.shape[:2])
        nuclei = cells if "gt_nuclei" in first else None
    cutouts, drawn = [], []
    for index in order:
        source = sources[index]
        image, level = source["img"], options.background
        if options.mode == "replace":
            level = 0.0
        elif options.onto == BACKGROUNDS:
            image, level = image - sources.background(index).light, 0.0
        elif level is None:
            level = source["level"]
        for cell in draw_group(source["gt_layers"], source["usable"], wanted - len(cutouts), rng):
            warp = draw_warp(
                rng,
                rotate=options.rotate,
                scale=options.scale,
                elastic_magnitude=options.elastic_magnitude,
            )
            cutouts.append(
                cut_out(
                    image,
                    source["gt_layers"],
                    cell,
                    warp,
                    box=source["boxes"][cell],
                    nuclei=source.get("gt_nuclei"),
                    background=level,
                    blur=options.blur,
                )
            )
            drawn.append(sources.entry(source, cell))
            drawn[-1]["source"]["warp"] = asdict(warp)
        if len(cutouts) == wanted:
            break
    if wanted and not cutouts:
        raise CellMMError(
            f"{sources.dataset.ann_file}: no cell of {len(sources.used)} images can be copied: all are cut "
            "by the border, lie on others by more than a fifth, or are crowd regions; give other images"
        )
    pasted = paste_cells(
        canvas, cells, cutouts, rng, nuclei=nuclei, overlap=options.overlap, mode=options.mode
    )
    for i, place, overlap in zip(pasted.placed, pasted.places, pasted.overlaps, strict=True):
        drawn[i]["source"] |= dict(place=place.tolist(), overlap=float(overlap))
        entries.append(drawn[i])
    return Field(
        image=pasted.image,
        cells=pasted.cells,
        nuclei=pasted.nuclei,
        entries=entries,
        unplaced=pasted.num_unplaced,
        lacking=wanted - len(cutouts),
    )


def _turned(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An image (H, W, C) flipped and turned at random; turned by half where it is not square."""
    turns = int(rng.integers(4)) if image.shape[0] == image.shape[1] else 2 * int(rng.integers(2))
    image = np.rot90(image, turns)
    return np.ascontiguousarray(image[:, ::-1] if rng.integers(2) else image)


def whole_counts(image: np.ndarray, white: float = 65535) -> tuple[np.ndarray, int]:
    """An image (H, W, C) as whole counts from 0 to ``white``, uint16 (C, H, W), and how many were clipped."""
    values = np.rint(image)
    counts = np.clip(values, 0, white)
    clipped = int(np.count_nonzero(values != counts))
    return np.ascontiguousarray(counts.transpose(2, 0, 1)).astype(np.uint16), clipped
