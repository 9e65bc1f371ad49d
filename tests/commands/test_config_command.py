"""`cellmm config`: what it prints, in which words, and what it makes of a wrong config."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from cellmm.commands.cli import main as cellmm
from cellmm.commands.config import difference, load_bases

ROOT = Path(__file__).parents[2]
CHILD = ROOT / "configs/sparseseunet/bbbc010.py"
CHECKED = "# checked: nothing wrong found\n"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (dict(a=1, b=dict(c=2)), dict(a=1, b=dict(c=3)), ["b.c: 2 -> 3"]),
        (dict(a=1), dict(a="1"), ["a: 1 -> '1'"]),
        (dict(a=1), dict(a=True), ["a: 1 -> True"]),
        (dict(a=dict(b=1, c=dict(d=2))), {}, ["- a.b: 1", "- a.c.d: 2"]),
        ({}, dict(a=dict(b=1), c={}, d=[1]), ["+ a.b: 1", "+ c: {}", "+ d: [1]"]),
        (dict(a=dict(b=1)), dict(a=None), ["a: {'b': 1} -> None"]),
        (dict(a=[1, 2]), dict(a=[1, 3]), ["a: [1, 2] -> [1, 3]"]),
        (
            dict(a=[dict(type="L"), dict(type="P", x=1)]),
            dict(a=[dict(type="L"), dict(type="N"), dict(type="P", x=2)]),
            ["+ a.1.type: 'N'", "a.2.x: 1 -> 2"],
        ),
        (dict(a=[dict(type="L", x=1)]), dict(a=[]), ["a: [{'type': 'L', 'x': 1}] -> []"]),
        (dict(a=[dict(type="L")]), dict(a=[dict(type="M")]), ["- a.0.type: 'L'", "+ a.0.type: 'M'"]),
        (dict(a=[dict(type=dict)]), dict(a=[dict(type=dict)]), []),
    ],
)
def test_difference_by_hand(old, new, lines):
    assert list(difference(old, new)) == lines


def test_the_effective_config_is_a_config_and_then_comes_the_difference(capsys, tmp_path):
    options = ["--cfg-options", "model.heads.instances.num_queries=77"]
    assert cellmm(["config", str(CHILD), *options]) == 0
    out = capsys.readouterr().out
    text, changes = out.split("# difference from ./bbbc010_cpu.py\n")
    (tmp_path / "whole.py").write_text(text)
    whole = Config.fromfile(str(tmp_path / "whole.py"))
    assert whole.model.heads.instances.num_queries == 77 and whole.train_dataloader.batch_size == 8
    lines = changes.splitlines()
    assert "model.heads.instances.num_queries: 40 -> 77" in lines
    assert "train_dataloader.batch_size: 4 -> 8" in lines
    assert f"{lines[-1]}\n" == CHECKED
    assert cellmm(["config", str(CHILD), "--diff", *options]) == 0
    assert capsys.readouterr().out == f"# difference from ./bbbc010_cpu.py\n{changes}"


def test_several_bases_are_merged():
    names, bases = load_bases(ROOT / "configs/sparseseunet/brightfield.py")
    assert len(names) == 4
    assert bases["model"]["data_preprocessor"]["in_channels"] == 1 and bases["max_iters"] == 18_000
    assert load_bases(ROOT / "configs/_base_/schedules/cpu.py") == ([], {})


def test_a_wrong_config_is_printed_and_refused(capsys):
    options = ["--cfg-options", "train_dataloader.batch_sise=3"]
    assert cellmm(["config", str(CHILD), "--diff", *options]) == 1
    out, err = capsys.readouterr()
    assert "+ train_dataloader.batch_sise: 3\n" in out and CHECKED not in out
    assert err.startswith("cellmm config: train_dataloader.batch_sise: ")
    assert err.endswith("did you mean batch_size?\n") and err.count("\n") == 1


def test_a_missing_config_is_one_line(capsys):
    assert cellmm(["config", "nowhere.py"]) == 1
    cure = "`cellmm config --list` names those of cellmm"
    assert capsys.readouterr().err == f"cellmm config: nowhere.py: no such config file; {cure}\n"


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m cellmm.commands.cli config {CHILD} --diff | true; exit ${{PIPESTATUS[0]}}"
    environment = dict(os.environ, CELLMM_DATA="somewhere")  # which mmengine logs
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr
