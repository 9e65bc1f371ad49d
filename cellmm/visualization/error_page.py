"""A page of images with their errors: ground truth beside prediction, with a colour per kind of error."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np

from cellmm.evaluation.functional import ClassInImage, Errors
from cellmm.io.files import atomic_path
from cellmm.io.images import read_image
from cellmm.io.sources import ReadOptions
from cellmm.structures import rle as rle_ops
from cellmm.visualization.montage import caption, grid, save_picture
from cellmm.visualization.overlay import draw_instances

WIDTH = 900  # pixels of a panel's longer side, about
COLORS = {
    "right": (90, 210, 90),
    "missed": (0, 225, 255),
    "merged": (255, 80, 255),
    "split": (70, 150, 255),
    "duplicate": (255, 150, 0),
    "boundary": (255, 235, 60),
    "false alarm": (255, 40, 40),
    "ignored": (150, 150, 150),
}
MEANING = {  # in short; docs/evaluation.md has the rules
    "right": "a cell and the prediction that finds it",
    "missed": "a cell that nothing finds",
    "merged": "one prediction over several cells",
    "split": "several predictions inside one cell",
    "duplicate": "a further prediction of a cell",
    "boundary": "a cell found with too poor an outline",
    "false alarm": "a prediction where no cell is",
    "ignored": "in a region that is not annotated cell by cell",
}
STYLE = """body { font: 15px sans-serif; margin: 2em; background: #fff; color: #111; }
table { border-collapse: collapse; margin: 1em 0; }
td, th { padding: .2em .8em; border-bottom: 1px solid #ccc; text-align: right; }
td:first-child, th:first-child { text-align: left; }
img { max-width: 100%; }
.key { display: inline-block; padding: .1em .6em; margin-right: .4em; color: #000; }"""


def draw_errors(
    image: np.ndarray, classes: Mapping[int, ClassInImage], errors: Mapping[int, Errors]
) -> np.ndarray:
    """Ground truth (left) and prediction (right) of all classes, RGB uint8, in COLORS.

    A cell has the colour of the error that explains why it is not found. Right predictions are drawn over
    their duplicates.
    """
    cells, guesses = cell_kinds(classes, errors), prediction_kinds(classes, errors)
    parts = []
    for text, instances in (("cells of the ground truth", cells), ("predictions", guesses)):
        parts.append(caption(draw_kinds(image, instances), f"{len(instances)} {text}"))
    return grid(parts, 2)


def cell_kinds(classes: Mapping[int, ClassInImage], errors: Mapping[int, Errors]) -> list[tuple[dict, str]]:
    """Each cell of all classes, as RLE, with a word of COLORS: what happened to it."""
    cells = []
    for label, found in classes.items():
        of_class = errors[label]
        kinds = np.where(found.gt_crowd, "ignored", np.where(of_class.found, "right", "missed")).astype(
            object
        )
        for kind in ("boundary", "split"):
            kinds[[of_class.explains[i][0] for i in of_class.of_kind(kind)]] = kind
        merged = [j for i in of_class.of_kind("merged") for j in of_class.explains[i]]
        kinds[[j for j in merged if not of_class.found[j]]] = "merged"
        cells += zip(found.gt_masks, kinds, strict=True)
    return cells


def prediction_kinds(
    classes: Mapping[int, ClassInImage], errors: Mapping[int, Errors]
) -> list[tuple[dict, str]]:
    """Each prediction of all classes, as RLE, with its kind, a word of COLORS; right ones come last."""
    guesses = []
    for label, found in classes.items():
        guesses += zip(found.masks, errors[label].kind, strict=True)
    return sorted(guesses, key=lambda guess: guess[1] == "right")


def draw_kinds(image: np.ndarray, instances: Sequence[tuple[dict, str]], width: int = WIDTH) -> np.ndarray:
    """Masks on an image in their colours, RGB uint8; ``width``: of the longer side, px, about."""
    height, across = image.shape[:2]
    scale = max(1, round(width / max(height, across)))
    shrink = 2 * width / max(height, across)
    shape = height, across
    if shrink < 1:  # before anything is drawn: a whole slide would not fit into memory in colour
        shape = max(1, round(height * shrink)), max(1, round(across * shrink))
        image = cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA)
    colors = np.array([COLORS[kind] for _, kind in instances], np.uint8).reshape(-1, 3)
    masks = [mask if shrink >= 1 else _shrunk(mask, shape) for mask, _ in instances]
    return draw_instances(image, masks, scale=scale, colors=colors)


def _shrunk(mask: dict, shape: tuple[int, int]) -> dict:
    """A mask as RLE of a smaller image of ``shape`` (h, w): the pixels that it fills at least half.

    If there are no such pixels, those that it touches, so that no cell is lost. Overlap is kept.
    """
    (height, width), (h, w) = mask["size"], shape
    _, start, length = rle_ops.to_runs([mask])
    x, y = np.divmod(rle_ops.run_pixels(start, length), height)
    pixel, filled = np.unique(x * w // width * h + y * h // height, return_counts=True)
    most = filled >= height * width / (h * w) / 2
    columns = np.zeros((w, h), bool)
    columns.reshape(-1)[pixel[most] if most.any() else pixel] = True
    return rle_ops.encode_one(columns.T)


def write_page(
    path: Path,
    *,
    title: str,
    tables: Sequence[tuple[Sequence[Sequence[str]], str]],
    images: Sequence[
        tuple[
            tuple[str | Sequence[str], ReadOptions | None],
            Mapping[int, ClassInImage],
            Mapping[int, Errors],
            Mapping,
        ]
    ],
) -> None:
    """Write ``path`` (HTML) and, in ``images`` beside it, a JPEG of each image.

    Args:
        tables: rows of text each, the first row its head, with the text below it.
        images: (path or paths that it is read from, with which options), instances and errors by label, and
            the row of its numbers (``image``, ``S`` and counts).
    """
    body = [f"<h1>{escape(title)}</h1>"]
    body += [f"{_table(rows)}<p>{escape(text)}</p>" for rows, text in tables]
    body.append("<ul>")
    body += [
        f'<li><span class="key" style="background: rgb{color}">{kind}</span>{MEANING[kind]}</li>'
        for kind, color in COLORS.items()
    ]
    body.append(
        "</ul><p>Left the ground truth, right the predictions. A cell that is not found has the colour of "
        "what happened to it.</p>"
    )
    for rank, (where, classes, errors, row) in enumerate(images, start=1):
        name = f"{rank:03d}_{Path(row['image']).stem}.jpg"
        save_picture(path.parent / "images" / name, draw_errors(read_image(*where), classes, errors))
        text = ", ".join(
            f"{key} {_short(value)}" for key, value in row.items() if key not in ("img_id", "image")
        )
        body.append(f"<h2>{rank}. {escape(row['image'])}</h2><p>{escape(text)}</p>")
        body.append(f'<img src="images/{escape(quote(name))}" alt="{escape(row["image"])}" loading="lazy">')
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    html = (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )
    with atomic_path(path) as tmp:
        tmp.write_text(html, encoding="utf-8")


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = [[escape(cell) for cell in row] for row in rows]
    lines = ["<table><tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rest]
    return "\n".join(lines) + "</table>"


def _short(value: float | int) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
