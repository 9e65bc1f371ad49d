"""tools/benchmarks/memory.py: a training step of each form of the loss."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_step_of_both_forms(load_tool, tmp_path, capfd):
    form = '_base_ = ["{}"]\nmodel = dict(heads=dict(instances=dict(criterion=dict(points={}))))\n'
    for name, points in (("full", None), ("points", dict(type="UncertainPoints", num_points=100))):
        (tmp_path / f"{name}.py").write_text(form.format(ROOT / "tests/configs/tiny.py", points))
    full, points = (tmp_path / f"{name}.py" for name in ("full", "points"))
    tool = load_tool("benchmarks/memory")
    sizes = dict(size=64, batch=1, cells=3)
    options = [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
    assert tool.main([str(full), *options]) == 0  # in a process of its own
    row = re.fullmatch(r"(\S+): (\d+) MiB, loss ([\d.]+), .*\n", capfd.readouterr().out)
    assert row[1] == str(full) and int(row[2]) > 0
    here, other = tool.measure(str(full), **sizes), tool.measure(str(points), **sizes)
    assert float(row[3]) == pytest.approx(here["loss"], abs=1e-3)
    assert other["loss"] != here["loss"]  # other pixels, the same weights and cells
    assert abs(other["loss"] - here["loss"]) < here["loss"] / 2
