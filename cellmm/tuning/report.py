"""What a search shows: a table of its trials, and two plots."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cellmm.io.files import atomic_path
from cellmm.tuning.space import Parameter
from cellmm.tuning.trial_config import TrialSettings

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TABLE, HISTORY, PARAMETERS = "trials.csv", "history.png", "parameters.png"
COLORS = {"COMPLETE": "tab:blue", "PRUNED": "tab:orange"}
ACROSS = 3  # plots of parameters in a row
SHOWN = 24  # characters of a choice


def write_report(
    folder: Path,
    trials: Sequence["FrozenTrial"],
    space: Sequence[Parameter],
    settings: TrialSettings,
    per_round: int,
) -> None:
    """Write TABLE, HISTORY and PARAMETERS into ``folder``; the plots as soon as a trial has a score."""
    _write_table(folder / TABLE, trials, space, settings.metric, per_round)
    scored = [trial for trial in trials if trial.state.name in COLORS and trial.value is not None]
    if scored:
        _save(_history(scored, settings, per_round), folder / HISTORY)
        _save(_parameters(scored, space, settings.metric), folder / PARAMETERS)


def _write_table(
    path: Path, trials: Sequence["FrozenTrial"], space: Sequence[Parameter], metric: str, per_round: int
) -> None:
    """CSV with one line per trial: its score is empty if it failed or is not finished."""
    keys = [parameter.key for parameter in space]
    with atomic_path(path) as tmp, open(tmp, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "round", "state", metric, "validations", "minutes", *keys, "reason"])
        for trial in trials:
            about = trial.user_attrs
            score = "" if trial.value is None else f"{trial.value:.6g}"
            minutes = f"{about['minutes']:.2f}" if "minutes" in about else ""
            row = [trial.number, trial.number // per_round + 1, trial.state.name.lower(), score]
            row += [len(trial.intermediate_values), minutes, *(trial.params.get(key, "") for key in keys)]
            writer.writerow([*row, about.get("reason", "")])


def _history(trials: Sequence["FrozenTrial"], settings: TrialSettings, per_round: int) -> Figure:
    """The score of each trial, and the best so far."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for state, color in COLORS.items():
        of_state = [trial for trial in trials if trial.state.name == state]
        axes.plot(
            [trial.number for trial in of_state],
            [trial.value for trial in of_state],
            "o",
            color=color,
            label=f"{state.lower()} ({len(of_state)})",
        )
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = [
        (min if settings.minimize else max)(trial.value for trial in complete[: i + 1])
        for i in range(len(complete))
    ]
    axes.step([trial.number for trial in complete], best, where="post", color="black", label="best so far")
    for number in range(per_round, max(trial.number for trial in trials) + 1, per_round):
        axes.axvline(number - 0.5, color="grey", linestyle=":")
    axes.set(xlabel="trial", ylabel=settings.metric)
    axes.legend()
    return figure


def _parameters(trials: Sequence["FrozenTrial"], space: Sequence[Parameter], metric: str) -> Figure:
    """The score against each parameter; later trials are darker."""
    rows = -(-len(space) // ACROSS)
    figure = Figure(figsize=(4 * min(len(space), ACROSS), 3.2 * rows), layout="constrained")
    plots = figure.subplots(rows, min(len(space), ACROSS), squeeze=False).ravel()
    for axes in plots[len(space) :]:
        axes.remove()
    for axes, parameter in zip(plots, space, strict=False):
        values = [trial.params[parameter.key] for trial in trials]
        if parameter.choices:
            axes.set_xticks(
                range(len(parameter.choices)), [choice[:SHOWN] for choice in parameter.choices], rotation=20
            )
            values = [parameter.choices.index(value) for value in values]
        elif parameter.log:
            axes.set_xscale("log")
        numbers = [trial.number for trial in trials]
        axes.scatter(values, [trial.value for trial in trials], c=numbers, cmap="Blues", edgecolors="grey")
        axes.set(xlabel=parameter.key, ylabel=metric)
    return figure


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=120)
