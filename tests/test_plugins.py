"""Plug-ins: the example package through custom_imports and through its entry point, and broken ones."""

import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.plugins import load_plugins
from cellmm.simulation import make_dataset
from cellmm.testing import check_component

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "cellmm_border"
SOURCE = EXAMPLE / "cellmm_border.py"
PAGE = ROOT / "docs" / "how_to" / "add_a_head.md"
TINY = """
_base_ = ["{base}"]
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(data_root="{wells}/train")
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root="{wells}/val"))
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root="{wells}/test"))
model = dict(
    encoder=dict(widths=(4, 4, 4)),
    decoder=dict(widths=(4, 4)),
    heads=dict(
        instances=dict(
            num_queries=16,
            feature_dim=8,
            instance_branch=dict(channels=4, depth=1),
            mask_branch=dict(channels=4, depth=1, mask_dim=4),
            test_cfg=dict(score_thr=0.0),
        )
    ),
)
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=2), logger=dict(interval=1))
"""
TRAIN_AND_TEST = """
import sys
from cellmm.commands.cli import main
config, work = sys.argv[1:]
sys.exit(main(["train", config, "--work-dir", work])
    or main(["test", config, f"{work}/iter_2.pth", "--work-dir", work]))
"""


@pytest.fixture(scope="module")
def wells(tmp_path_factory, load_tool):
    """Simulated images as the example's dataset wants them: train/0001/image.tif and cells.tif, ..."""
    folder = tmp_path_factory.mktemp("wells")
    make_dataset(folder / "simulated", splits=dict(train=2, val=1, test=2), scene="small")
    load_tool("../examples/simulate_data").write_wells(folder / "simulated", folder)
    return folder


@pytest.fixture
def example(monkeypatch):
    """The example's module, imported here."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return importlib.import_module("cellmm_border")


def install(site: Path, name: str, entry_points: str, **modules: str) -> None:
    """What pip leaves of a package: its modules, and its name and entry points."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cellmm.plugins]\n{entry_points}\n")
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)


def python(*argv: str, path: Path) -> subprocess.CompletedProcess:
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join([str(ROOT), str(path)]))
    return subprocess.run(
        [sys.executable, *argv], env=environment, cwd=path, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("way", ["custom_imports", "entry point"])
def test_the_example_trains_and_tests(way, wells, tmp_path):
    site = tmp_path / "site"
    if way == "custom_imports":
        base, path = EXAMPLE / "configs" / "border_imported.py", EXAMPLE
    else:
        base, path = EXAMPLE / "configs" / "border.py", site
        entry_point = re.search(
            r'^\[project.entry-points."cellmm.plugins"\]\n(\w+) = "(\w+)"$',
            (EXAMPLE / "pyproject.toml").read_text(),
            re.MULTILINE,
        )
        install(site, "cellmm-border", " = ".join(entry_point.groups()), cellmm_border=SOURCE.read_text())
    config, work = tmp_path / "tiny.py", tmp_path / "work"
    config.write_text(TINY.format(base=base, wells=wells))
    done = python("-c", TRAIN_AND_TEST, str(config), str(work), path=path)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = torch.load(work / "iter_2.pth", weights_only=True)["state_dict"]
    assert weights["heads.border.logits.weight"].shape == (1, 4, 1, 1)
    log = [json.loads(line) for line in next(work.glob("*/vis_data/scalars.json")).read_text().splitlines()]
    assert all(0 < row["border.loss_border"] < 5 for row in log if "loss" in row) and len(log) >= 2
    metrics = json.loads((work / "metrics.json").read_text())
    assert metrics["count_error"] >= 0 and "AP" in metrics


def test_the_example_is_short():
    """Lines with something on them, comments and docstrings included."""
    files = sorted(EXAMPLE.rglob("*.py"))
    assert [path for path in files if "configs" not in path.parts] == [SOURCE]
    assert len([line for line in SOURCE.read_text().splitlines() if line.strip()]) < 60


def test_the_page_shows_the_examples_own_lines():
    """Every excerpt is in one of its files as it stands; every class of it is shown."""
    shipped = [path.read_text() for path in (*EXAMPLE.rglob("*.py"), EXAMPLE / "pyproject.toml")]
    blocks = re.findall(r"^```(?:python|toml)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for block in blocks:
        assert any(block in text for text in shipped), f"not in the example:\n{block}"
    shown = "".join(blocks)
    for name in re.findall(r"^class (\w+)", SOURCE.read_text(), re.MULTILINE):
        assert f"class {name}(" in shown


def test_border_loss_and_head_by_hand(example):
    """One cell of 5 x 5 in 9 x 9 pixels: a border of one pixel has 16, of two 24."""
    masks = torch.zeros(1, 9, 9)
    masks[0, 2:7, 2:7] = 1
    for width, pixels in ((1, 16), (2, 24)):
        head = example.BorderHead(in_channels=[3, 5], stride=1, width=width)
        borders = head.borders(masks)
        assert borders.sum() == pixels and borders[4, 4] == 0 and borders[2, 2] == 1
    touching = torch.zeros(2, 6, 6)
    touching[0, :, :3], touching[1, :, 3:] = 1, 1
    assert torch.equal(head.borders(touching)[0], torch.tensor([0.0, 1, 1, 1, 1, 0]))
    assert head.borders(torch.zeros(0, 6, 6)).sum() == 0  # an image without cells
    assert head([torch.rand(2, 3, 7, 5), torch.rand(2, 5, 3, 2)]).shape == (2, 1, 7, 5)
    loss = example.BorderLoss()
    targets = torch.tensor([[1.0, 0, 0, 1]])
    # sigmoid(0) = 1/2: Dice = 2 * (2 / 2) / (4 / 4 + 2) = 2/3, cross-entropy ln 2
    assert loss(torch.zeros(1, 4), targets).item() == pytest.approx(1 / 3 + 0.693147, abs=1e-5)
    assert loss(targets * 40 - 20, targets).item() == pytest.approx(0, abs=1e-5)


def test_the_example_follows_the_contracts(example, wells):
    for config in (
        dict(type="BorderLoss"),
        dict(type="BorderHead", width=1),
        dict(type="WellDataset", data_root=str(wells / "train")),
        dict(type="CountError"),
    ):
        check_component(config)


def test_wells_and_count_error_by_hand(example, wells, tmp_path):
    dataset = example.WellDataset(data_root=wells / "train")
    assert [dataset.get_data_info(i)["img_id"] for i in range(len(dataset))] == [1, 2]
    assert dataset.get_data_info(1)["label_path"] == str(wells / "train" / "0002" / "cells.tif")
    with pytest.raises(CellMMError, match="WellDataset: no image in"):
        example.WellDataset(data_root=tmp_path)
    metric = example.CountError(score_thr=0.5)
    for scores, ignore in (([0.9, 0.5, 0.2], [False]), ([], [False, False, True])):
        sample = dict(
            pred_instances=dict(scores=torch.tensor(scores)), eval_instances=dict(ignore=torch.tensor(ignore))
        )
        metric.process(None, [sample])
    assert metric.evaluate(2) == dict(count_error=1.5)  # |2 - 1| and |0 - 2|


BROKEN = {
    "no module": ("absent = cellmm_absent_module", "", "ModuleNotFoundError: No module named"),
    "fails": ("fails = cellmm_broken", 'raise RuntimeError("two\\nlines")', "RuntimeError: two lines"),
    "stops": ("stops = cellmm_broken", "raise SystemExit", "SystemExit"),
    "a name that is taken": (
        "takes = cellmm_broken",
        """
        from cellmm.registry import MODELS
        @MODELS.register_module()
        class IAMHead: pass
        """,
        "IAMHead is already registered",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_plug_in_is_one_line(kind, tmp_path, monkeypatch):
    entry_point, source, cause = BROKEN[kind]
    install(tmp_path / "site", "cells-of-mine", entry_point, cellmm_broken=textwrap.dedent(source))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "cellmm_broken", raising=False)
    load_plugins.cache_clear()
    try:
        with pytest.raises(CellMMError) as info:
            load_plugins()
    finally:
        load_plugins.cache_clear()
        sys.modules.pop("cellmm_broken", None)
    line = str(info.value)
    assert "\n" not in line and cause in line
    assert f"plug-in {entry_point.split()[0]} = " in line and "of the package cells-of-mine" in line


def test_a_plug_in_is_imported_once(tmp_path, monkeypatch):
    counts = "import sys\nsys.cellmm_imports = getattr(sys, 'cellmm_imports', 0) + 1\n"
    install(tmp_path, "cells-of-mine", "one = cellmm_counted", cellmm_counted=counts)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "cellmm_imports", 0, raising=False)
    load_plugins.cache_clear()
    try:
        load_plugins()
        load_plugins()
    finally:
        load_plugins.cache_clear()
        sys.modules.pop("cellmm_counted", None)
    assert sys.cellmm_imports == 1


@pytest.mark.parametrize("way", ["custom_imports", "entry point"])
def test_a_broken_plug_in_stops_a_command(way, tmp_path):
    base = ROOT / "configs/sparseseunet/brightfield_quickstart.py"
    text = f'_base_ = ["{base}"]\n'
    if way == "custom_imports":
        text += 'custom_imports = dict(imports=["cellmm_absent_module"])\n'
    else:
        install(tmp_path, "cells-of-mine", "absent = cellmm_absent_module")
    (tmp_path / "config.py").write_text(text)
    argv = [
        "-m",
        "cellmm.commands.cli",
        "train",
        str(tmp_path / "config.py"),
        "--work-dir",
        str(tmp_path / "work"),
    ]
    done = python(*argv, path=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("cellmm train: ") and "cellmm_absent_module" in line
    assert not (tmp_path / "work").exists()
