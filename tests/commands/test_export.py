"""cellmm export, and predict with what it wrote: the commands of docs/how_to/export.md."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellmm.commands.cli import main
from cellmm.models.heads.base import HeadExport
from cellmm.registry import MODELS
from cellmm.zoo.packages.format import KINDS

PAGE = Path(__file__).parents[2] / "docs/how_to/export.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Holds ``images`` with three bright disks on a dark image."""
    root = tmp_path_factory.mktemp("export")
    rows, cols = np.mgrid[:96, :128]
    image = np.full((96, 128), 20.0)
    for row, col in ((24, 30), (60, 50), (40, 100)):
        image += 180 / (1 + np.exp(np.hypot(rows - row, cols - col) - 9))
    (root / "images").mkdir()
    tifffile.imwrite(root / "images/a.tif", image.astype(np.uint8))
    return root


EXPORT = (HeadExport, property)  # of a head, with parts that depend on its config or without


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


def test_the_commands_of_the_page(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert len(commands()) >= 2
    for argv in commands():
        assert main(argv) == 0
        said = capsys.readouterr().out
        if argv[0] == "predict":
            assert "3 cells with a score" in said
        else:
            assert "instances.masks: differs from the model by" in said
    assert (folder / "results/cells.json").is_file()


def test_what_graphs_compute_is_fixed(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    if not Path("nuclei.zip").exists():
        assert main(["export", "nuclei", "--to", "onnx", "--out", "nuclei.zip"]) == 0
    run = ["predict", "images", "--model", "nuclei.zip", "--out", "again", "--cfg-options"]
    assert main([*run, "model.heads.instances.test_cfg.mask_thr=0.4"]) == 1
    assert "mask_thr is fixed in the graphs of an exported model" in capsys.readouterr().err
    assert main([*run, "model.heads.instances.test_cfg.score_thr=0.999"]) == 0
    assert "0 cells with a score" in capsys.readouterr().out
    assert main(["predict", "images", "--model", "nuclei.zip", "--out", "again", "--device", "openvino"]) == 1
    assert "device 'openvino' cannot be used: ONNX Runtime here has cpu" in capsys.readouterr().err


def test_a_model_that_does_not_exist(capsys):
    assert main(["export", "nuclie", "--to", "onnx"]) == 1
    assert "did you mean nuclei?" in capsys.readouterr().err


def test_the_table_of_the_page_names_every_head_that_can_be_exported():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| .*\(`(\w+Head)`\) \|(.*)\|$", text, re.MULTILINE)
    heads = {name for name in MODELS.module_dict if isinstance(vars(MODELS.get(name)).get("export"), EXPORT)}
    assert {name for name, _ in rows} == heads
    assert all(cells.split("|") == [" yes "] * len(KINDS) for _, cells in rows)
