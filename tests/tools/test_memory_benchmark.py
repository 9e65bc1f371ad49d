"""The benchmark of memory: a step of each form, in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_step_of_both_forms(tmp_path):
    form = '_base_ = ["{}"]\nmodel = dict(heads=dict(instances=dict(criterion=dict(points={}))))\n'
    for name, points in (("full", None), ("points", dict(type="UncertainPoints", num_points=100))):
        (tmp_path / f"{name}.py").write_text(form.format(ROOT / "tests/configs/tiny.py", points))
    configs = [str(tmp_path / f"{name}.py") for name in ("full", "points")]
    tool = str(ROOT / "tools/benchmarks/memory.py")
    options = ["--size", "64", "--batch", "1", "--cells", "3"]
    done = subprocess.run([sys.executable, tool, *configs, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [re.fullmatch(r"(\S+): (\d+) MiB, loss ([\d.]+), .*", line) for line in done.stdout.splitlines()]
    assert [row[1] for row in rows] == configs
    assert all(int(row[2]) > 0 for row in rows)
    full, points = (float(row[3]) for row in rows)
    assert full != points and abs(full - points) < full / 2  # other pixels, the same weights and cells
