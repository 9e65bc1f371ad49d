"""The commands on the pages have the options and choices of the program."""

import argparse
import importlib
import shlex

import pytest

from cellmm.commands.cli import COMMANDS
from cellmm.errors import CellMMError
from tests.docs.pages import ROOT, commands

PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts),
]


def completed(words: list[str]) -> list[str]:
    """A "..." at the end: --out results."""
    return [*words[:-1], "--out", "results"] if words[-1] == "..." else words


WRITTEN = [
    (page.relative_to(ROOT).as_posix(), completed(words)) for page in PAGES for words in commands(page)
]


class ParsedError(BaseException):
    """Raised when a command has understood its words, before it does anything."""


@pytest.fixture
def only_parse(monkeypatch):
    for name in ("parse_args", "parse_intermixed_args"):
        parse = getattr(argparse.ArgumentParser, name)

        def stop(parser, argv=None, namespace=None, parse=parse):
            parse(parser, argv, namespace)
            raise ParsedError

        monkeypatch.setattr(argparse.ArgumentParser, name, stop)


def run(command: str, words: list[str]) -> None:
    importlib.import_module(COMMANDS[command][0]).main(words)


@pytest.mark.parametrize(
    ("page", "words"), WRITTEN, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_the_program_understands_it(page, words, only_parse, capsys):
    try:
        # `cellmm tiles` parses in two steps and then misses its folder
        with pytest.raises((ParsedError, CellMMError) if words[0] == "tiles" else ParsedError):
            run(words[0], words[1:])
    except SystemExit:
        pytest.fail(f"{page}: cellmm {shlex.join(words)}: {capsys.readouterr().err}")


def test_there_are_many():
    assert len(WRITTEN) > 30
    assert {words[0] for _, words in WRITTEN} >= {
        "train",
        "test",
        "predict",
        "tiles",
        "track",
        "config",
        "doctor",
    }


def test_a_wrong_option_is_seen(only_parse):
    with pytest.raises(SystemExit):
        run("train", ["config.py", "--no-such-option"])
