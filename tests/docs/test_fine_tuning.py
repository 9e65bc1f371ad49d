"""docs/how_to/fine_tuning.md: its config and every command on it, on simulated images."""

import numpy as np
import pytest
import tifffile

from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.simulation import SceneConfig, simulate_scene
from tests.docs.pages import ROOT, blocks, run_commands

PAGE = ROOT / "docs/how_to/fine_tuning.md"


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
    (folder / "mine.py").write_text(blocks(PAGE, "python")[0], encoding="utf-8")
    return folder, run_commands(PAGE, folder)


def test_every_command_runs(done):
    folder, status = done
    assert len(status) == 5 and not any(status.values()), status
    for work in ("data/mine_cellmm/training", "work_dirs/mine", "work_dirs/frozen"):
        assert best_checkpoint(folder / work).is_file()
    assert (folder / "results/cells.json").is_file()


def test_the_log_has_the_lines_of_the_page(done):
    folder, _ = done
    log = "\n".join(path.read_text() for path in folder.rglob("*.log"))
    shown = [line for text in blocks(PAGE, "text") for line in text.splitlines()]
    assert len(shown) == 2
    for line in shown:
        assert line in log
