"""The report of a training: one HTML file that needs nothing else."""

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import cv2
import jinja2
import numpy as np

import cellmm
from cellmm.engine.training_report import curves
from cellmm.engine.training_report.scalars import METRICS, curve, metric_keys, validations
from cellmm.engine.training_report.settings import commands, iterations_of, settings
from cellmm.engine.training_report.training import Training, read_training
from cellmm.engine.work_dir import BEST_AND_WORST, TRANSLATED
from cellmm.io.files import atomic_path
from cellmm.results.report.distributions import shown
from cellmm.results.report.page import data_uri
from cellmm.results.report.preview import to_jpeg
from cellmm.visualization import fit

REPORT = "report.html"
LINES = 200  # warnings that are listed
PICTURES = 12  # validation pictures that are shown
SIZE = 2000  # pixels of the longer side of a picture, at most
DRAWN = 6  # metrics that are drawn where METRICS has none of them


def write_training_report(work_dir: str | Path) -> Path:
    """Write ``report.html`` into the work dir of a training, from what the training left there.

    The page holds the curves, the scores of the last validation and the best ones, settings, warnings,
    pictures and the commands that go on. What is missing is said on it.

    Returns:
        The path of the page.

    Raises:
        CellMMError: no training wrote into the folder, or what it logged is damaged.
    """
    work_dir = Path(work_dir)
    training = read_training(work_dir)
    missing = list(training.missing)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    about = {"Work dir": str(work_dir), **(settings(training.config) if training.config else {})}
    if times := curve(training.rows, "time")[1]:
        about["Time of an iteration"] = f"{shown(float(np.median(times)))} s"
    scored = training.best_and_worst
    page = environment.get_template("page.html").render(
        title=_title(training),
        about={**about, "cellmm": cellmm.__version__},
        warnings=list(training.warnings.items())[:LINES],
        num_warnings=len(training.warnings),
        figures=_figures(training.rows),
        scores=_scores(training.rows),
        last_validation=max((row["step"] for row in validations(training.rows)), default=None),
        scored=scored,
        ranked={
            key: _pictures([work_dir / BEST_AND_WORST / one["picture"] for one in scored[key]], missing)
            for key in ("best", "worst")
            if scored
        },
        translated=TRANSLATED,
        validated=_pictures(training.validation_pictures[:PICTURES], missing),
        validation_folder=training.validation_pictures[0].parent.name if training.validation_pictures else "",
        more=max(len(training.validation_pictures) - PICTURES, 0),
        sheet=_pictures([training.contact_sheet] if training.contact_sheet else [], missing),
        commands=commands(training.config, training.config_file, work_dir),
        missing=missing,
        css=(files("cellmm.results.report") / "page.css").read_text(encoding="utf-8"),
    )
    path = work_dir / REPORT
    with atomic_path(path) as tmp:
        tmp.write_text(page, encoding="utf-8", errors="backslashreplace")
    return path


def _title(training: Training) -> str:
    name = training.config_file.stem if training.config_file else training.work_dir.resolve().name
    done = max((row["step"] for row in training.rows), default=0)
    wanted = training.config and iterations_of(training.config)
    return f"{name}: {done:,} of {wanted:,} iterations" if wanted else f"{name}: {done:,} iterations"


def _figures(rows: Sequence[dict]) -> dict[str, str]:
    """Title -> address, of the curves that there are."""
    runs, keys = {"": rows}, metric_keys(rows)
    drawn = [key for key in METRICS if key in keys] or keys[:DRAWN]
    found = {}
    if curve(rows, "loss")[0]:
        found["Losses"] = curves.svg_of(lambda axes: curves.draw_losses(axes, runs))
    if drawn:
        found["Scores of validation"] = curves.svg_of(lambda axes: curves.draw_scores(axes, runs, drawn))
    if curve(rows, "lr")[0]:
        found["Learning rate"] = curves.svg_of(lambda axes: curves.draw_rate(axes, rows))
    return {title: data_uri(svg) for title, svg in found.items()}


def _scores(rows: Sequence[dict]) -> list[tuple[str, str, str, str]]:
    """Metric, its value at the last validation, its highest value, and after which iteration that was."""
    table = []
    for key in metric_keys(rows):
        points = [(value, -step) for step, value in zip(*curve(rows, key), strict=True)]
        defined = [point for point in points if math.isfinite(point[0])]
        best, step = max(defined, default=(math.nan, 0))
        table.append((key, _number(points[-1][0]), _number(best), f"{-step:,}" if defined else ""))
    return table


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "not defined"


def _pictures(paths: Sequence[Path], missing: list[str]) -> list[tuple[str, str | None]]:
    """Name and address of each; None for one that cannot be read, which ``missing`` then names."""
    found: list[tuple[str, str | None]] = []
    for path in paths:
        data = path.read_bytes() if path.is_file() else b""
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if picture is None:
            missing.append(f"a picture: {path} is {'damaged' if path.is_file() else 'absent'}")
        elif max(picture.shape) > SIZE:
            data = to_jpeg(fit(picture[..., ::-1], SIZE))
        found.append((path.stem, None if picture is None else data_uri(data)))
    return found
