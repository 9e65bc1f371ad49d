"""tools/benchmarks/predict.py: every stage of every form is measured, and peers where they are installed."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cellmm.config.load import load_config
from cellmm.registry import MODELS

ROOT = Path(__file__).parents[2]
TINY = """
_base_ = ["{base}"]
model = dict(
    encoder=dict(widths=(4, 4, 4)),
    decoder=dict(widths=(4, 4)),
    heads=dict(
        instances=dict(feature_channels=4, mask_decoder=dict(widths=(4, 4)), windows=dict(size=32))
    ),
)
"""


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("benchmarks/predict")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.py"
    path.write_text(TINY.format(base=ROOT / "configs/diskmask/bbbc010_cpu.py"))
    return path


def test_stages_forms_and_numbers(tool, config, tmp_path, capfd):
    out = tmp_path / "numbers.yml"
    options = ["--side", "600", "--cells", "5", "--rounds", "1", "--forms", "as trained", "fused"]
    assert tool.main([str(config), *options, "--out", str(out), "--peers", str(tmp_path)]) == 0
    said = capfd.readouterr()
    for name in tool.PEERS:
        assert f"{name}: {tmp_path / name} is not an environment; it is left out" in said.err
    content = yaml.safe_load(out.read_text())
    assert content["Weights"] == "random, 5 cells" and content["Peers"] == {}
    assert list(content["Forms"]) == ["as trained", "fused"]
    for stages in content["Forms"].values():
        assert list(stages) == ["read", "encoder and decoder", "gateways", "postprocess", "write"]
        assert all(row["seconds"] >= 0 and row["memory"] >= 0 for row in stages.values())
        assert stages["encoder and decoder"]["seconds"] > 0 and stages["gateways"]["seconds"] > 0
    assert len(re.findall(r"(?m)^    \w.* s/Mpx +\d+ MiB/Mpx$", said.out)) == 10


def test_random_weights_draw_every_window_whole_and_find_nothing(tool, config):
    torch.manual_seed(0)
    model = MODELS.build(load_config(str(config)).model).eval()
    tool.draw_whole_windows(model, 7)
    head = model.heads["instances"]
    points = head.finder.find(torch.zeros(64, 96)).points
    assert len(points) == 7 and len({tuple(point) for point in points.tolist()}) == 7
    assert (points >= 0).all() and (points < torch.tensor([64, 96])).all()
    model = tool.forms_of(model, ["fused"])["fused"]
    maps = model.extract(torch.rand(1, 1, 128, 128))
    zeros = torch.zeros(2, 2, dtype=torch.long)
    gates = torch.zeros(2, 32, 32, dtype=torch.bool)
    gates[:, 16, 16] = True
    with torch.inference_mode():
        logits, _ = model.heads["instances"].draw_windows(maps, maps[0], zeros[0], zeros, gates)
    assert (logits == 0).all()


def test_a_clock_counts_the_inner_stage_once(tool):
    clock = tool.Clock(with_memory=True)
    with clock.stage("outer"):
        with clock.stage("inner"):
            sum(range(200_000))
    assert clock.seconds["inner"] > clock.seconds["outer"] >= 0
    assert set(clock.memory) == {"inner", "outer"}


def test_a_peer_runs_in_its_own_environment(tool, tmp_path, monkeypatch):
    """A stand-in for an environment: what is called, and what its line of JSON becomes."""
    python = tmp_path / "stardist/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import numpy, sys; "
        'assert sys.argv[1].endswith("peers.py") and sys.argv[2] == "stardist" and sys.argv[4] == "3"; '
        'print("{\\"seconds\\":", numpy.load(sys.argv[3]).sum(), ", \\"memory\\": 7.6}")\' "$@"\n'
    )
    python.chmod(0o755)
    rows = tool.measure_peers(tmp_path, np.ones((2, 3), np.float32), rounds=3)
    assert rows == dict(stardist=dict(seconds=6.0, memory=8))
