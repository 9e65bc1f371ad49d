"""The confusion matrix of a test as numbers and as a picture."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellmm.io.files import atomic_path

THRESHOLD = 0.5  # IoU from which on a prediction lies on a cell


def write_confusion(prefix: str, table: np.ndarray, classes: Sequence[str], score_thr: float) -> None:
    """``<prefix>.confusion.json`` and ``<prefix>.confusion.png`` of ``confusion_matrix`` (K + 1, K + 1)."""
    content = dict(
        rows=[*classes, "background"],
        columns=[*classes, "background"],
        meaning="rows: class of the annotated cell, background where there is none; columns: class of the "
        "prediction on it, background where there is none",
        matrix=table.tolist(),
        iou=THRESHOLD,
        score_thr=score_thr,
    )
    with atomic_path(Path(f"{prefix}.confusion.json")) as tmp:
        tmp.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    figure = draw_confusion(table, classes, f"IoU {THRESHOLD:g} or more, score {score_thr:g} or more")
    with atomic_path(Path(f"{prefix}.confusion.png")) as tmp:
        figure.savefig(tmp, format="png", dpi=110)


def draw_confusion(table: np.ndarray, classes: Sequence[str], title: str = ""):
    """A matplotlib Figure: the numbers, coloured by their share of the row.

    Args:
        table: int (K + 1, K + 1), cells by class in rows, predictions in columns, the background last.
        classes: the K names.
    """
    from matplotlib.figure import Figure  # predicting does without it

    shares = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 2.5 + 0.6 * len(table)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    names = [name if name.isprintable() else repr(name) for name in classes]
    places = range(len(table))
    axes.set_xticks(places, [*names, "nothing"], rotation=45, ha="right", parse_math=False)
    axes.set_yticks(places, [*names, "nothing"], parse_math=False)
    axes.set(xlabel="predicted", ylabel="annotated", title=title)
    for (row, column), number in np.ndenumerate(table):
        if row < len(classes) or column < len(classes):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{number:,}", ha="center", va="center", color=color)
    figure.colorbar(image, label="share of the row")
    return figure
