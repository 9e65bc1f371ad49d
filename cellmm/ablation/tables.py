"""Tables of an ablation in Markdown, in the form of sparseseunet chapter 5."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from cellmm.ablation.grid import Grid, Row, Table, did_you_mean

# by (run, seed): what the result file of a run holds
Results = Mapping[tuple[str, int], Mapping[str, Any]]


def tables_text(grid: Grid, results: Results, *, command: str, notes: Mapping[str, str]) -> str:
    """All tables; ``notes``: why a run has no result, where it is not that it was not run."""
    parts = [table_text(table, grid, results, command=command, notes=notes) for table in grid.tables]
    return "\n".join([f"# Ablations: {grid.path.stem}\n", *parts])


def table_text(table: Table, grid: Grid, results: Results, *, command: str, notes: Mapping[str, str]) -> str:
    """One table, and below it what it was made by.

    A cell holds the mean over the seeds, for several ``mean (lowest to highest)``; '-' if no number is known.
    The best mean of a column is bold and the second best underlined; means that look the same are the same.
    """
    columns = [
        _column([_values(row, key, grid.seeds, results) for row in table.rows.values()], table)
        for key in table.columns.values()
    ]
    head = [*_parts(table.header), *table.columns]
    lines = [head, ["---"] * len(head)]
    lines += [[*_parts(label), *cells] for label, *cells in zip(table.rows, *columns, strict=True)]
    title = f"Table {table.number}: {table.title}" if table.number else table.title
    text = f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"
    return text + "".join(f"{line}\n\n" for line in _footer(table, grid, results, command, notes))


def _parts(label: str) -> list[str]:
    return [part.strip() for part in label.split("|")]


def _values(row: Row, key: str, seeds: Sequence[int], results: Results) -> list[float]:
    """The known numbers, one per seed."""
    found = [_numbers(row, results[row.run, seed]).get(key) for seed in seeds if (row.run, seed) in results]
    return [value for value in found if value is not None]


def _numbers(row: Row, result: Mapping[str, Any]) -> Mapping[str, float | None]:
    if row.errors is None:
        return result["metrics"]
    return (result.get("errors") or {}).get(row.errors, {})


def _column(rows: Sequence[Sequence[float]], table: Table) -> list[str]:
    digits = 4 if table.scale == 1 else 1
    means = [f"{table.scale * fmean(values):.{digits}f}" if values else "-" for values in rows]
    marked = mark_best(means) if table.mark else means
    cells = []
    for cell, values in zip(marked, rows, strict=True):
        if len(values) > 1:
            low, high = (f"{table.scale * value:.{digits}f}" for value in (min(values), max(values)))
            cell += f" ({low} to {high})"
        cells.append(cell)
    return cells


def mark_best(numbers: Sequence[str]) -> list[str]:
    """The highest number bold and the second highest underlined; '-' stands for a missing number."""
    ranking = sorted(set(numbers) - {"-"}, key=float, reverse=True)
    if len(numbers) - numbers.count("-") < 2:
        return list(numbers)
    marks = dict(zip(ranking, ("**{}**", "<u>{}</u>"), strict=False))
    return [marks.get(number, "{}").format(number) for number in numbers]


def _footer(
    table: Table, grid: Grid, results: Results, command: str, notes: Mapping[str, str]
) -> Iterator[str]:
    runs = list(dict.fromkeys(row.run for row in table.rows.values()))
    done = {name: [results[name, seed] for seed in grid.seeds if (name, seed) in results] for name in runs}
    seeds = ", ".join(map(str, grid.seeds))
    several = "; mean (lowest to highest) over the seeds" if len(grid.seeds) > 1 else ""
    yield f"`{command}`: {grid.iters} iterations a run, seed{'s' * (len(grid.seeds) > 1)} {seeds}{several}."
    trained = {name: [run["minutes"] for run in found] for name, found in done.items() if found}
    if trained:
        minutes = ", ".join(
            f"{name} {fmean(values):.1f}" if grid.runs[name].weights_of is None else f"{name} not trained"
            for name, values in trained.items()
        )
        every = [run for found in done.values() for run in found]
        machines = "; ".join(dict.fromkeys(f"{run['hardware']}, torch {run['torch']}" for run in every))
        yield f"Minutes of training{' (mean)' if several else ''}: {minutes}. {machines}."
        sizes = {name: found[0]["batch_size"] for name, found in done.items() if found}
        if len(set(sizes.values())) > 1:
            yield "Images a batch: " + ", ".join(f"{name} {size}" for name, size in sizes.items()) + "."
    for name in runs:
        if len(done[name]) < len(grid.seeds):
            yield f"{name}: {len(done[name])} of {len(grid.seeds)} done; {notes.get(name, 'not run so far')}."
    yield from _unknown_keys(table, done)


def _unknown_keys(table: Table, done: Mapping[str, Sequence[Mapping]]) -> Iterator[str]:
    """Rows and columns without a number in any finished run: most likely they are misspelt."""
    found = [_numbers(row, run) for row in table.rows.values() for run in done[row.run]]
    known = {key for numbers in found for key in numbers}
    for label, row in table.rows.items():
        rows = {key for run in done[row.run] for key in run.get("errors") or {}}
        if row.errors and rows and row.errors not in rows:
            yield f"{label}: the error analysis has no {row.errors!r}; {did_you_mean(row.errors, rows)}"
    for label, key in table.columns.items():
        if known and key not in known:
            yield f"{label}: no run gives {key}; {did_you_mean(key, sorted(known))}"
