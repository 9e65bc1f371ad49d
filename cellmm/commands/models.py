"""`cellmm models`: the models that come with cellmm."""

import argparse
import sys
from collections.abc import Sequence

from cellmm.errors import CellMMError
from cellmm.zoo.shipped import ShippedModel, shipped_models

COLUMNS = ("name", "for", "trained on", "licence", "scores", "parameters", "size")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm models",
        description="List the models that come with cellmm: `cellmm predict IMAGES --model NAME --out DIR`.",
    )
    parser.add_argument("name", nargs="?", help="show the card of this one")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table, or a card. Raises CellMMError for a name that does not exist."""
    name = parse_args(argv).name
    models = shipped_models()
    if name is None:
        sys.stdout.write(table([COLUMNS, *map(row, models.values())]))
    elif name in models:
        sys.stdout.write(describe(models[name]))
    else:
        raise CellMMError(f"{name}: no such model; cellmm has {', '.join(models)}")


def row(model: ShippedModel) -> tuple[str, ...]:
    """The cells of a model in the table."""
    card = model.card
    scores = ", ".join(f"{name} {value:g}" for name, value in card["scores"][0]["metrics"].items())
    size = f"{model.weights.stat().st_size / 1e6:.1f} MB"
    millions = f"{card['parameters'] / 1e6:.1f} M"
    return (model.name, card["for"], card["data"], card["licence"], scores, millions, size)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def describe(model: ShippedModel) -> str:
    """The card of a model, as plain text."""
    card = model.card
    scores = [
        f"{score['test']}: " + ", ".join(f"{name} {value:g}" for name, value in score["metrics"].items())
        for score in card["scores"]
    ]
    return "\n".join(
        [
            f"{model.name}: {card['for']}",
            f"trained on: {card['data']}",
            f"licence: {card['licence']}",
            f"images: {card['images']}",
            f"training: {card['training']}",
            f"limits: {card['limits']}",
            f"config: {card['config']}",
            f"parameters: {card['parameters']:,}",
            f"weights: {model.weights}",
            *scores,
            "",
        ]
    )
