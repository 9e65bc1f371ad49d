"""tools/peers: what other programs get to read, and the requirements of their programs."""

import ast
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.io.annotations import cell_runs, read_yolo
from cellmm.structures import MaskRuns

PEERS = Path(__file__).parents[2] / "tools/peers"


@pytest.fixture
def tool(load_tool, monkeypatch):
    monkeypatch.syspath_prepend(str(PEERS))
    return lambda name: load_tool(f"peers/{name}")


@pytest.mark.parametrize("program", ["cellpose3", "stardist2d", "yolo11", "instanseg2d"])
def test_requirements_are_pinned_and_read_without_running(tool, program):
    run = tool("run")
    pins = run.requirements(program)
    assert program in run.PEERS and any("==" in pin for pin in pins)


def test_nothing_imports_ultralytics():
    root = PEERS.parents[1]
    for path in [*(root / "cellmm").rglob("*.py"), *(root / "tools").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "ultralytics" for name in names), path


def test_export(tool, tiny_config, tmp_path):
    export = tool("export")
    config = str(tiny_config(tmp_path))
    counts = export.export(config, tmp_path / "data")
    assert [counts[split]["images"] for split in export.SPLITS] == [5, 3]
    assert "5 images" in export.describe(counts)
    for split in export.SPLITS:
        covered = losing = cells = 0
        for name, image, truth in export.images_of(config, split):
            label = tifffile.imread(tmp_path / f"data/label_images/{split}/{name}_masks.tif")
            shown = tifffile.imread(tmp_path / f"data/label_images/{split}/{name}.tif")
            np.testing.assert_array_equal(shown, image[..., 0])  # the first of two planes
            masks = np.stack([_mask(truth.masks, i) for i in range(len(truth))])
            np.testing.assert_array_equal(label > 0, masks.any(0))
            covered += int((masks.sum(0) - 1).clip(0).sum())
            losing += sum(int((label == i + 1).sum() < mask.sum()) for i, mask in enumerate(masks))
            cells += len(masks)
            path = tmp_path / f"data/yolo/labels/{split}/{name}.txt"
            (found,) = read_yolo(path, label.shape)
            runs = MaskRuns.concatenate([cell_runs(cell, label.shape) for cell in found.cells])
            for i, mask in enumerate(masks):  # simulated cells have one part and no hole: overlap is kept
                np.testing.assert_array_equal(_mask(runs, i), mask)
            picture = cv2.imread(str(tmp_path / f"data/yolo/images/{split}/{name}.png"))
            assert picture.shape == (*label.shape, 3)
        assert counts[split]["cells"] == cells
        assert counts[split]["label image: pixels of a second cell dropped"] == covered
        assert counts[split]["label image: cells that lose pixels"] == losing
        assert counts[split]["channels dropped"] == counts[split]["images"]
    assert "train: images/train" in (tmp_path / "data/yolo/data.yaml").read_text()


def _mask(runs: MaskRuns, index: int) -> np.ndarray:
    pixels, (top, left) = runs.crop(index)
    mask = np.zeros(runs.shape, bool)
    mask[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return mask


@pytest.fixture
def side_by_side(tool, monkeypatch):
    """The tool, whose trainings are calls that are noted, in place of processes."""
    module, calls = tool("side_by_side"), []

    def run(command, **options):
        calls.append(command)
        failed = "yolo11" in command
        return type("Ended", (), dict(returncode=int(failed)))()

    monkeypatch.setattr(module.subprocess, "run", run)
    monkeypatch.setattr(module.peers, "environment", lambda *args: None)
    return module, calls


def test_trainings_are_equal_and_compared(side_by_side, tiny_config, tmp_path, capsys):
    tool, calls = side_by_side
    config, out = str(tiny_config(tmp_path)), tmp_path / "out"
    command = [config, "--ours", f"A={config}", f"B={config}", "--peers", "cellpose3", "--minutes", "3"]
    assert tool.main([*command, "--seed", "7", "--out", str(out)]) == 0
    (ours, peer, second, compared) = calls
    assert [part[part.index("--minutes") + 1] for part in (ours, peer, second)] == ["3"] * 3
    assert "randomness.seed=7" in ours and peer[peer.index("--seed") + 1] == "7"
    assert peer[-2:] == ["--cores", "0"] and "val_cfg=None" in second
    names = [f"A={out / 'A'}", f"cellpose3={out / 'cellpose3/results.json'}", f"B={out / 'B'}"]
    assert [part for part in compared if str(out) in part][:3] == names
    calls.clear()
    assert tool.main([*command, "--seed", "7", "--out", str(out)]) == 0
    assert len(calls) == 1, "what is done is only compared again"
    calls.clear()
    assert tool.main([*command, "--seed", "8", "--out", str(out)]) == 1 and not calls
    assert "A: was trained by another command" in capsys.readouterr().err


def test_a_training_that_fails_is_named_and_tried_again(side_by_side, tiny_config, tmp_path, capsys):
    tool, calls = side_by_side
    config = str(tiny_config(tmp_path))
    command = [config, "--peers", "yolo11", "stardist2d", "--out", str(tmp_path / "out")]
    for _ in range(2):
        calls.clear()
        assert tool.main(command) == 1
        assert "side_by_side: yolo11: ended with status 1, see " in capsys.readouterr().err
        assert any("yolo11" in call for call in calls)
    assert not any("compare" in call for call in calls)


def test_configs_of_other_images_are_refused(side_by_side, tiny_config, tmp_path, capsys):
    tool, calls = side_by_side
    config = str(tiny_config(tmp_path))
    other = "configs/diskmask/bbbc010_cpu.py"
    assert tool.main([config, "--ours", f"A={other}", "--out", str(tmp_path / "out")]) == 1
    assert "give configs of the same images" in capsys.readouterr().err
    assert tool.main([config, "--ours", f"A={config}", f"A={config}", "--out", str(tmp_path)]) == 1
    assert "two results have one name: A, A" in capsys.readouterr().err and not calls


def test_an_interrupt_begins_no_other_training(side_by_side, tiny_config, tmp_path, capsys, monkeypatch):
    tool, calls = side_by_side
    begun = threading.Event()

    def run(command, **options):
        calls.append(command)
        begun.set()
        tool.ended.wait(30)
        return type("Ended", (), dict(returncode=-2))()

    class Thread(threading.Thread):
        def join(self, timeout=None):
            if begun.wait(30) and not tool.ended.is_set():
                raise KeyboardInterrupt
            super().join(timeout)

    monkeypatch.setattr(tool.subprocess, "run", run)
    monkeypatch.setattr(tool, "ended", threading.Event(), raising=False)
    monkeypatch.setattr(tool.threading, "Thread", Thread)
    command = [str(tiny_config(tmp_path)), "--peers", "yolo11", "stardist2d", "--out", str(tmp_path / "out")]
    assert tool.main(command) == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err
    tool.ended.set()
    for thread in threading.enumerate():
        if isinstance(thread, Thread):
            thread.join(30)
    assert len(calls) == 1
