"""Curves of what trainings logged, drawn with matplotlib."""

import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cellmm.engine.training_report.scalars import curve, loss_keys

STYLES = ("-", "--", "-.", ":")


def draw_losses(axes: Axes, runs: Mapping[str, Sequence[dict]]) -> None:
    """A line style per training, by name, and a colour per loss; of several only the total loss is drawn."""
    for (name, rows), style in zip(runs.items(), STYLES * len(runs), strict=False):
        for key in loss_keys(rows) if len(runs) == 1 else ["loss"]:
            label = f"{name} {key}" if len(runs) > 1 else key
            axes.plot(*curve(rows, key), style, label=label, linewidth=2 if key == "loss" else 1)
    axes.set(ylabel="loss", yscale="log")
    _finish(axes)


def draw_scores(axes: Axes, runs: Mapping[str, Sequence[dict]], metrics: Sequence[str]) -> None:
    """A line style per training, by name, and a colour per metric; the legend names the last value."""
    least, most = 0.0, 1.0
    for (name, rows), style in zip(runs.items(), STYLES * len(runs), strict=False):
        for i, key in enumerate(key for key in metrics if curve(rows, key)[0]):
            steps, values = curve(rows, key)
            label = f"{name} {key} {values[-1]:.3f}" if len(runs) > 1 else f"{key} {values[-1]:.3f}"
            axes.plot(steps, values, style, color=f"C{i}", marker="o", markersize=4, label=label)
            least, most = min([least, *values]), max([most, *values])
    axes.set(xlabel="iteration", ylabel="score (legend: the last)", ylim=(least, most))
    _finish(axes)


def draw_rate(axes: Axes, rows: Sequence[dict]) -> None:
    """The learning rate."""
    axes.plot(*curve(rows, "lr"))
    axes.set(ylabel="learning rate", ylim=(0, None))
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, ncols=2)


def svg_of(draw: Callable[[Axes], None]) -> bytes:
    """A figure as SVG; the same numbers give the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "cellmm"}):
        figure = Figure(figsize=(6, 4))
        axes = figure.subplots()
        axes.set_xlabel("iteration")
        draw(axes)
        figure.tight_layout()
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()
