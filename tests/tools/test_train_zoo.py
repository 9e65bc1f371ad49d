"""tools/train_zoo.sh: trainings in pieces end in rows of metafiles; also zoo_row.py and check_device.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from cellmm.errors import CellMMError

ROOT = Path(__file__).parents[2]
METAFILES = sorted((ROOT / "configs").glob("*/metafile.yml"))
METAFILE = """Collections:
  - Name: Tiny
    README: README.md
Models:
  - Name: {folder}_other
    Config: other.py  # a comment
    Metadata:
      Training Data: some
      Made For: one GPU
  - Name: {folder}_tiny
    Config: tiny.py
    Description: the smallest
    Metadata:
      Training Data: some
      Made For: one GPU, days
"""
TWO_STEPS = (
    "train_cfg = dict(max_iters=2, val_interval=2)\ndefault_hooks = dict(checkpoint=dict(interval=100))\n"
)


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("zoo_row")


@pytest.fixture
def metafile(tmp_path):
    path = tmp_path / "metafile.yml"
    path.write_text(METAFILE.format(folder=tmp_path.name))
    return path


def zoo(folder, *options):
    """Run the script; its status and what it printed."""
    environment = dict(os.environ, PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", str(ROOT / "tools/train_zoo.sh"), *options]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=580)
    return done.returncode, done.stdout + done.stderr


def test_two_calls_train_test_and_write_the_row(tiny_config, tmp_path, metafile):
    """Each piece is shorter than an iteration; the third call finds the row and does nothing."""
    recipes = tmp_path / "recipes.txt"
    recipes.write_text(f"{tiny_config(tmp_path, TWO_STEPS)}||tiny scenes, 5 images|tiny scenes, 3 images|\n")
    call = ["--list", str(recipes), "--no-check", "--minutes", "0.0001", "--pieces", "1", "--out", "zoo"]
    before = metafile.read_text()
    work = tmp_path / "zoo" / tmp_path.name / "tiny"
    status, text = zoo(tmp_path, *call)
    assert status == 75 and "not at its end yet" in text, text
    assert [path.name for path in work.glob("iter_*")] == ["iter_1.pth"] and metafile.read_text() == before
    status, text = zoo(tmp_path, *call)
    assert status == 0 and (work / "iter_2.pth").is_file(), text
    other, entry = yaml.safe_load(metafile.read_text())["Models"]
    assert other == yaml.safe_load(before)["Models"][0] and "# a comment" in metafile.read_text()
    data = entry["Metadata"]
    assert list(data) == ["Training Data", "Hardware", "Minutes", "Seed", "Iterations"]
    assert data["Training Data"] == "tiny scenes, 5 images" and (data["Seed"], data["Iterations"]) == (0, 2)
    seconds = [torch.load(work / f"iter_{i}.pth", weights_only=True)["trained_seconds"] for i in (1, 2)]
    assert 0 < seconds[0] < seconds[1] and data["Minutes"] == round(seconds[1] / 60, 1)
    (cells,) = entry["Results"]
    assert cells["Dataset"] == "tiny scenes, 3 images" and {"AP", "AP50", "S"} <= set(cells["Metrics"])
    written = metafile.read_text()
    status, text = zoo(tmp_path, *call)
    assert status == 0 and "its row is there" in text and metafile.read_text() == written


def test_data_that_are_missing_and_recipes_that_are_not_asked_for(tmp_path, metafile):
    recipes = tmp_path / "recipes.txt"
    config = tmp_path / "tiny.py"
    recipes.write_text(f"{config}|no_such_data|a|b|\nother/one||a|b|\n")
    status, text = zoo(tmp_path, "--list", str(recipes), "--no-check", str(config))
    assert status == 1 and "no_such_data is missing; put the data there" in text and "other/one" not in text
    status, text = zoo(tmp_path, "--pieces")
    assert status == 2 and "tools/train_zoo.sh [--minutes M]" in text and "set -euo" not in text


@pytest.mark.parametrize(
    "options, words",
    [
        (["other/two"], "other/two: not in the list; its recipes are\nother/one"),
        (["--minutes", "x"], "--minutes x: give a number"),
        (["--pieces", "-2"], "--pieces -2: give a whole number"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, options, words):
    recipes = tmp_path / "recipes.txt"
    recipes.write_text("other/one||a|b|\n")
    status, text = zoo(tmp_path, "--list", str(recipes), "--no-check", *options)
    assert status == 2 and words in text


def test_nothing_is_trained_without_an_entry_or_a_finished_start(tmp_path, metafile):
    recipes = tmp_path / "recipes.txt"
    recipes.write_text(f"{tmp_path / 'absent.py'}||a|b|\n")
    status, text = zoo(tmp_path, "--list", str(recipes), "--no-check")
    assert status == 1 and "no entry" in text and not (tmp_path / "work_dirs").exists()
    recipes.write_text(f"{tmp_path / 'tiny.py'}||a|b|--from OUT/glas/unet\n")
    status, text = zoo(tmp_path, "--list", str(recipes), "--no-check")
    assert status == 1 and "which is not at its end; train glas/unet first" in text
    assert not (tmp_path / "work_dirs").exists()


def test_recipes_of_the_list_have_configs_and_entries(tool):
    lines = re.search(r"^recipes='\n(.*?)^'", (ROOT / "tools/train_zoo.sh").read_text(), re.M | re.S)[1]
    recipes = [line.split("|") for line in lines.splitlines()]
    assert len(recipes) > 10 and len({recipe[0] for recipe in recipes}) == len(recipes)
    for name, _, trained_on, tested_on, _ in recipes:
        config = ROOT / "configs" / f"{name}.py"
        assert config.is_file() and tool.entry(*tool.metafile_of(config)) and trained_on and tested_on


class TestRow:
    MODEL = dict(
        Metadata={"Training Data": "two: sets", "Minutes": 12.5},
        Results=[
            dict(Task="Instance Segmentation", Dataset="a, 3 images", Metrics=dict(AP=0.5, S=0.12345)),
            dict(Task="Semantic Segmentation", Map="overlap", Dataset="a", Metrics=dict(F1=0.00004)),
        ],
    )

    def test_text_by_hand(self, tool):
        assert tool.row(self.MODEL) == (
            "    Metadata:\n"
            '      Training Data: "two: sets"\n'
            "      Minutes: 12.5\n"
            "    Results:\n"
            "      - Task: Instance Segmentation\n"
            "        Dataset: a, 3 images\n"
            "        Metrics: {AP: 0.500, S: 0.123}\n"
            "      - Task: Semantic Segmentation\n"
            "        Map: overlap\n"
            "        Dataset: a\n"
            "        Metrics: {F1: 0.0000}\n"
        )

    @pytest.mark.parametrize("path", METAFILES, ids=lambda path: path.parent.name)
    def test_entries_can_be_written_and_the_others_stay(self, tool, path, tmp_path):
        """The first, one in the middle and the last, without and with results."""
        copy = tmp_path / "metafile.yml"
        models = yaml.safe_load(path.read_text())["Models"]
        for model in (models[0], models[len(models) // 2], models[-1]):
            if model["Metadata"]["Training Data"] == "none":  # no weights
                continue
            copy.write_text(path.read_text())
            tool.write_row(copy, model["Name"], self.MODEL)
            models = {found["Name"]: found for found in yaml.safe_load(copy.read_text())["Models"]}
            written = models[model["Name"]]
            assert written["Metadata"] == self.MODEL["Metadata"] and len(written["Results"]) == 2
            assert {key: written[key] for key in model if key not in self.MODEL} == {
                key: value for key, value in model.items() if key not in self.MODEL
            }

    def test_an_entry_with_more_than_a_row_has_is_left_alone(self, tool, metafile):
        name = f"{metafile.parent.name}_tiny"
        metafile.write_text(metafile.read_text() + "      Weights: somewhere.pth\n")
        before = metafile.read_text()
        with pytest.raises(CellMMError, match="Weights.*write the row by hand"):
            tool.write_row(metafile, name, self.MODEL)
        assert metafile.read_text() == before

    def test_results_by_hand(self, tool):
        metrics = dict(AP=0.5, S=None, AR=0.9, checkpoint="a.pth", config="b.py")
        metrics |= {
            "overlap/F1": 0.25,
            "overlap/IoU": 0.125,
            "A/F1": 0.7,
            "A/object_dice": 0.75,
            "x/other": 1.0,
        }
        assert tool.results(metrics, "GlaS, 40 images") == [
            dict(Task="Instance Segmentation", Dataset="GlaS, 40 images", Metrics=dict(AP=0.5)),
            dict(
                Task="Semantic Segmentation",
                Map="overlap",
                Dataset="GlaS, 40 images",
                Metrics=dict(F1=0.25, IoU=0.125),
            ),
            dict(
                Task="Instance Segmentation",
                Dataset="GlaS",
                Part="A",
                Metrics=dict(F1=0.7, object_dice=0.75),
            ),
        ]
        with pytest.raises(CellMMError, match="none of.*is a score"):
            tool.results(dict(FID=3.0), "a")

    def test_one_line_for_what_is_not_ready(self, tool, metafile, tmp_path, capsys):
        config = tmp_path / "tiny.py"
        row = [str(config), str(tmp_path), "--tested-on", "a"]
        assert tool.main([str(config), "--has"]) == tool.NO
        assert tool.main(row) == 1 and "run `cellmm test`" in capsys.readouterr().err
        (tmp_path / "metrics.json").write_text('{"AP": 0.5, "checkpoint": "iter_2.pth"}')
        config_text = '{"train_cfg": {"max_iters": 4}}'
        state = dict(
            state_dict=dict(a=torch.zeros(1)),
            meta=dict(iter=2, seed=0),
            trained_with=dict(config=config_text),
        )
        torch.save(state, tmp_path / "iter_2.pth")
        assert tool.main(row) == 1 and "has not ended" in capsys.readouterr().err
        assert tool.main([*row[:2], "--ended"]) == tool.NO
        state["meta"]["iter"] = 4
        torch.save(state, tmp_path / "iter_4.pth")
        assert tool.main([*row[:2], "--ended"]) == 0
        assert tool.main(row) == 1 and "--pause-after" in capsys.readouterr().err
        torch.save(state | dict(trained_seconds=90.0), tmp_path / "iter_4.pth")
        assert tool.main(row) == 1 and "is not of iter_4.pth" in capsys.readouterr().err
        (tmp_path / "metrics.json").write_text('{"AP": 0.5, "checkpoint": "iter_4.pth", "tta": ["flips"]}')
        assert tool.main(row) == 1 and "is of a test with --tta" in capsys.readouterr().err
        (tmp_path / "metrics.json").write_text('{"AP": 0.5, "checkpoint": "iter_4.pth"}')
        assert tool.main([*row, "--hardware", "one pocket calculator"]) == 0
        assert "Hardware: one pocket calculator\n      Minutes: 1.5\n" in metafile.read_text()
        assert tool.main([str(config), "--has"]) == 0
        assert tool.main(row) == 1 and "--replace" in capsys.readouterr().err
        assert tool.main([*row, "--replace", "--trained-on", "more"]) == 0
        assert "Training Data: more" in metafile.read_text() and "calculator" not in metafile.read_text()


def test_what_of_a_device_works_is_said(load_tool, capsys, monkeypatch):
    tool = load_tool("check_device")
    assert tool.check("bfloat16", lambda: tool.step("cpu", torch.bfloat16))
    assert tool.check("processes", lambda: tool.processes("cpu"))

    def broken():
        raise RuntimeError("no\nkernel")

    assert not tool.check("float16", broken)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith("ok      bfloat16: loss ") and "gloo, 1 process" in second
    assert third.startswith("failed  float16: dtype='float16' does not work") and "no kernel" in third
    monkeypatch.setattr(torch.cuda, "is_available", bool)
    assert tool.main([]) == 1 and "finds no GPU" in capsys.readouterr().out
