"""A set of simulated images like those of a person, to train on before theirs."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tifffile
from tqdm import tqdm

from cellmm import __version__
from cellmm.datasets import AnnotatedFolderDataset, CellCocoDataset, CellDataset
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path
from cellmm.io.json_file import json_keys, read_json
from cellmm.io.planes import write_planes
from cellmm.messages import name_some
from cellmm.own_data.likeness import LARGEST, LikenessReport, measure_likeness
from cellmm.own_data.likeness_table import likeness_table
from cellmm.simulation.alike import LikeScene, simulate_like
from cellmm.simulation.dataset import coco_annotations, new_set
from cellmm.simulation.likeness import Likeness
from cellmm.visualization.display import to_display
from cellmm.visualization.montage import caption, save_picture

PAIRS = 4  # of a real and a simulated image in the picture


def _write_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def simulate_alike(
    out: str | Path,
    like: Sequence[str | Path],
    *,
    number: int = 100,
    layout: str | None = None,
    seed: int = 0,
    say: Callable[[str], object] = _write_line,
) -> Likeness:
    """Simulate ``number`` images like those of ``like`` into a new folder ``out``, all of it or nothing.

    ``images/`` (TIFF of the type of the person's) and ``annotations.json`` (COCO, RLE masks), which
    ``look_at`` reads. Beside the folder: ``<out>.json``, what was measured, and ``<out>.png``, real and
    simulated images side by side. Image i depends on (seed, i) and what was measured alone.

    Args:
        like: a folder of annotated images, in any layout that ``look_at`` knows; or a COCO json and the
            folder of its images; or an ``<out>.json`` of an earlier simulation.
        layout: see ``look_at``.
        say: is told, line by line, what was measured and done.

    Raises:
        CellMMError: ``out`` exists; there are too few annotated cells, or images that do not go together.
    """
    out = Path(out)
    numbers, picture = (out.with_name(f"{out.name}.{suffix}") for suffix in ("json", "png"))
    for path in (out, numbers, picture):
        if path.exists():
            raise CellMMError(f"{path} exists: name a new folder")
    if number < 1:
        raise CellMMError(f"--images {number}: give 1 or more")
    if seed < 0:
        raise CellMMError(f"--seed {seed}: give 0 or more")
    found = _numbers_of(like)
    report = None
    if found is None:
        report = measure_set(like, layout)
        found = report.likeness
        for line in _notes(report):
            say(line)
    for line in likeness_table(found):
        say(line)
    scenes, unplaced = [], 0
    with new_set(out) as folder:
        (folder / "images").mkdir()
        images, annotations = [], []
        for i in tqdm(range(number), desc=f"simulating {out}", unit="image"):
            scene = simulate_like(found, i, seed)
            unplaced += scene.unplaced
            scenes += [scene] if i < PAIRS else []
            name = f"{i + 1:04d}.tif"
            _save(folder / "images" / name, scene.image, found.color)
            height, width = scene.image.shape[:2]
            images.append(dict(id=i + 1, file_name=name, height=height, width=width))
            annotations += coco_annotations(i + 1, scene.cells)
        content = dict(
            info=dict(description=f"simulated by cellmm {__version__} like {_title(like)}", seed=seed),
            images=images,
            annotations=[dict(id=i) | annotation for i, annotation in enumerate(annotations, 1)],
            categories=[dict(id=1, name="cell")],
        )
        (folder / "annotations.json").write_text(json.dumps(content))
        with atomic_path(numbers) as tmp:
            tmp.write_text(json.dumps(asdict(found)), encoding="utf-8")
        if report is not None:
            save_picture(picture, side_by_side(report.examples, scenes))
    say(f"{out}: {number} simulated images with {len(annotations)} cells")
    if unplaced:
        say(f"{unplaced} cells found no room: images are less crowded than those that were measured")
    say(f"{numbers}: what was measured")
    if report is not None:
        pairs = min(len(report.examples), len(scenes))
        say(f"{picture}: real images beside simulated ones ({pairs})")
    return found


def side_by_side(real: Sequence[np.ndarray], scenes: Sequence[LikeScene]) -> np.ndarray:
    """RGB uint8 (H, W, 3): each of ``real``, (H, W, C), and the scene that is like it, equally bright."""
    pairs = []
    for pixels, scene in zip(real, scenes, strict=False):
        image = scene.image[..., : pixels.shape[2]].astype(np.float32)
        gap = np.full((image.shape[0], 4, image.shape[2]), float(pixels.max()), np.float32)
        pairs.append(caption(to_display(np.hstack([pixels, gap, image])), f"{scene.name}, and simulated"))
    width = max(pair.shape[1] for pair in pairs)
    return np.vstack([np.pad(pair, ((0, 6), (0, width - pair.shape[1]), (0, 0))) for pair in pairs])


def measure_set(like: Sequence[str | Path], layout: str | None = None) -> LikenessReport:
    """Measure a folder of annotated images, or a COCO json and the folder of its images."""
    return measure_likeness(_dataset(like, layout))


def _numbers_of(like: Sequence[str | Path]) -> Likeness | None:
    """What an earlier simulation measured; None: ``like`` are images."""
    path = Path(like[0])
    if len(like) > 1 or path.is_dir():
        return None
    if not path.exists():
        raise CellMMError(f"--like {path}: there is no such file or folder")
    if "annotations" in json_keys(path)[1][0]:
        raise CellMMError(f"--like {path}: add the folder of its images, --like {path} IMAGES")
    return Likeness.from_json(read_json(path), path)


def _dataset(like: Sequence[str | Path], layout: str | None) -> CellDataset:
    if len(like) == 1:
        return AnnotatedFolderDataset(data_root=like[0], layout=layout, allow_empty=True, class_agnostic=True)
    annotations, images = map(Path, like)
    for path, there in ((annotations, annotations.is_file()), (images, images.is_dir())):
        if not there:
            kind = "COCO json" if path is annotations else "folder of images"
            raise CellMMError(f"--like {path}: there is no such {kind}")
    return CellCocoDataset(
        ann_file=annotations.resolve(), img_dir=images.resolve(), allow_empty=True, class_agnostic=True
    )


def _notes(report: LikenessReport) -> list[str]:
    measured = len(report.likeness.images)
    lines = [f"measured: {measured} of {report.total} images"]
    if report.empty:
        lines.append(f"{report.empty} images without cells are not imitated")
    if report.failed:
        lines.append(f"not readable: {name_some(report.failed.values())}")
    if report.parts:
        lines.append(f"{report.parts} large images: the {LARGEST} px in their middle are imitated")
    if report.edge:
        lines.append(f"{report.edge} cells on the edge of their image tell nothing of shapes")
    if report.odd:
        lines.append(f"{report.odd} cells are left out: more than 10 times smaller or larger than the median")
    return lines


def _save(path: Path, image: np.ndarray, color: str) -> None:
    if color == "channels":
        write_planes(path, np.moveaxis(image, 2, 0))
    else:
        tifffile.imwrite(path, image, photometric="rgb")


def _title(like: Sequence[str | Path]) -> str:
    return Path(like[0]).name
