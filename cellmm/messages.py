"""How counts and names are written in warnings."""

from collections.abc import Iterable

NAMED = 10  # warnings of a kind that are all given


def is_told(number: int) -> bool:
    """Whether to give warning ``number`` (from 1) of a kind: the first ten, then 20, 50, 100, 200, ...

    Examples:
        >>> [number for number in range(1, 300) if is_told(number)]
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100, 200]
    """
    digits = str(number)
    return number <= NAMED or (digits[0] in "125" and not digits[1:].strip("0"))


def name_some(items: Iterable, most: int = 5) -> str:
    """'12: a, b, c, d, e, ...': the count and the first few, for messages.

    Examples:
        >>> name_some(["a.tif", "b.tif", "c.tif"], most=2)
        '3: a.tif, b.tif, ...'
    """
    items = [text if (text := str(item)).isprintable() else repr(text) for item in items]
    items = [text if len(text) <= 300 else f"{text[:140]} ... {text[-140:]}" for text in items]
    return f"{len(items)}: {', '.join(items[:most])}{', ...' if len(items) > most else ''}"
