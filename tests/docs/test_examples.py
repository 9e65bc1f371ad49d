"""Examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in (ROOT / "cellmm").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_true(name):
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted and not done.failed


def test_public_functions_have_examples():
    tests = [
        test
        for name in MODULES
        for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
        if test.examples
    ]
    assert len(tests) >= 20
    assert not any(part.startswith("_") for test in tests for part in test.name.split("."))
