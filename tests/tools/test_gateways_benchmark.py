"""tools/benchmarks/gateways.py: features once and gateways in batches give what two passes each give."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("benchmarks/gateways")


@pytest.mark.parametrize(("config", "side"), [("bbbc010_paper", 388), ("bbbc010_cpu", 128)])
def test_masks_are_those_of_two_passes(tool, config, side):
    row = tool.compare(str(ROOT / f"configs/diskmask/{config}.py"), gates=3, rounds=1, side=side)
    assert row["difference"] < 1e-4
