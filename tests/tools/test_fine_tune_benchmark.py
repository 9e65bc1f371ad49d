"""tools/benchmarks/fine_tune.py: every row is trained and scored, with three images and two iterations."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cellmm.errors import CellMMError


@pytest.fixture
def tool(load_tool, monkeypatch):
    tool = load_tool("benchmarks/fine_tune")
    monkeypatch.setattr(tool, "SPLITS", dict(train=2, test=1))
    monkeypatch.setattr(tool, "BACTERIA", replace(tool.BACTERIA, size=(96, 96), cells=(5, 8)))
    return tool


def test_images(tool):
    """Bright rods on black, and the same ones for the same seed."""
    image, cells = tool.bacteria(np.random.default_rng(0))
    again, _ = tool.bacteria(np.random.default_rng(0))
    assert image.shape == cells.shape == (96, 96) and image.dtype == np.uint16
    assert np.array_equal(image, again)
    inside = cells.to_masks().any(0)
    assert np.mean(image[inside] - 100.0) > 3 * np.mean(image[~inside] - 100.0)  # without the camera's offset


def test_every_row(tool, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["train_dataloader.batch_size=2", "train_dataloader.num_workers=0"]
    options += ["train_dataloader.persistent_workers=False"]
    tool.main(["--out", str(out), "--iters", "2", "--cfg-options", *options])
    rows = json.loads((out / "results.json").read_text())
    assert [row["iterations"] for row in rows.values()] == [0, 0, 2, 2]
    assert all(0 <= row["AP"] <= 1 for row in rows.values())
    text = (out / "table.md").read_text()
    assert capsys.readouterr().out.endswith(text) and text.count("\n") == 6
    logs = {name: (out / name).rglob("*.log") for name in list(rows)[2:]}
    logs = {name: "".join(path.read_text() for path in paths) for name, paths in logs.items()}
    assert "training starts from all" in logs["fine-tuned from nuclei"]
    assert "training starts from" not in logs["from scratch"]
    assert "lr=0.001" in logs["from scratch"] and "lr=0.0005" in logs["fine-tuned from nuclei"]
    with pytest.raises(CellMMError, match="out exists"):
        tool.main(["--out", str(out), "--iters", "2"])
