"""Registered means tested: every class in the registries is named in a test."""

from pathlib import Path

import pytest

from cellmm.registry import ALL

TESTS = "\n".join(
    path.read_text() for path in Path(__file__).parent.rglob("test_*.py") if path != Path(__file__)
)


def registered() -> list[str]:
    names = set()
    for registry in ALL.values():
        registry.import_from_location()
        names |= {name for name, cls in registry.module_dict.items() if cls.__module__.startswith("cellmm.")}
    return sorted(names)


def test_the_registries_are_filled():
    assert {"IAMHead", "CellCocoMetric", "BBBC010Dataset", "Albumentations", "DrawSampler"} <= set(
        registered()
    )


@pytest.mark.parametrize("name", registered())
def test_is_tested(name):
    assert name in TESTS, f"{name} is registered, but no test names it"
