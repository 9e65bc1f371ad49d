"""docs/how_to/fine_tuning.md: its config and every command on it, on simulated images."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from cellmm.commands.cli import main as cellmm
from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.simulation import SceneConfig, simulate_scene

PAGE = (Path(__file__).parents[2] / "docs/how_to/fine_tuning.md").read_text(encoding="utf-8")
SHORT = ["train_dataloader.batch_size=1", "train_dataloader.num_workers=0"]
SHORT += ["train_dataloader.persistent_workers=False", "default_hooks.checkpoint.interval=1"]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    return [shlex.split(line)[1:] for text in blocks("sh") for line in text.splitlines()]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder in which the commands were run in their order, and their status."""
    folder = tmp_path_factory.mktemp("fine_tuning")
    scene = SceneConfig(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)
    for name, number in (("mine", 4), ("new", 1)):
        for i in range(number):
            made = simulate_scene(scene, np.random.default_rng(i))
            (folder / "data" / name).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / "data" / name / f"{i}.tif", made.phase)
            if name == "mine":
                write_layered_tiff(folder / "data" / name / f"{i}_layers.tif", made.cells)
    (folder / "mine.py").write_text(blocks("python")[0], encoding="utf-8")
    status = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in commands():
            minutes = 0.1
            if "--resume" in words:  # those of both parts
                checkpoint = torch.load(best_checkpoint(folder / words[-1]), weights_only=True)
                minutes += checkpoint["time_budget"]["used"] / 60
            short = [str(minutes) if word.isdigit() else word for word in words]
            options = ["--cfg-options", *SHORT] if words[0] == "train" else []
            status[" ".join(words)] = cellmm([*short, *options])
    return folder, status


def test_every_command_runs(done):
    folder, status = done
    assert len(status) == 5 and not any(status.values()), status
    for work in ("data/mine_cellmm/training", "work_dirs/mine", "work_dirs/frozen"):
        assert best_checkpoint(folder / work).is_file()
    assert (folder / "results/cells.json").is_file()


def test_the_log_has_the_lines_of_the_page(done):
    folder, _ = done
    log = "\n".join(path.read_text() for path in folder.rglob("*.log"))
    shown = [line for text in blocks("text") for line in text.splitlines()]
    assert len(shown) == 2
    for line in shown:
        assert line in log
