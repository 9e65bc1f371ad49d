"""`cellmm tune` on trainings of a few iterations."""

import csv
import math

import pytest

from cellmm.commands import tune
from cellmm.config.load import load_config
from cellmm.errors import CellMMError

MORE = """
train_cfg = dict(max_iters=4, val_interval=2)
search_space = {"optim_wrapper.optimizer.lr": [1e-3, 1e30], "train_dataloader.batch_size": "int 1 2"}
"""


def test_a_search_in_which_one_value_diverges(tiny_config, tmp_path, capsys):
    config, folder = str(tiny_config(tmp_path, MORE)), tmp_path / "search"
    options = ["--metric", "FP_per_image", "--minimize", "--rounds", "1", "--iters", "2", "--work-dir"]
    tune.main([config, "--trials", "2", "--seed", "1", *options, str(folder)])
    with open(folder / "trials.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    by_rate = {row["optim_wrapper.optimizer.lr"]: row for row in rows}
    assert set(by_rate) == {"0.001", "1e+30"}  # the seed draws both
    assert by_rate["1e+30"]["state"] == "fail" and "not finite" in by_rate["1e+30"]["reason"]
    good = by_rate["0.001"]
    assert good["state"] == "complete" and not math.isnan(float(good["FP_per_image"]))
    assert load_config(folder / "best.py").optim_wrapper.optimizer.lr == 1e-3
    assert {path.name for path in folder.glob("*.png")} == {"history.png", "parameters.png"}
    assert "best.py trains with its values" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--metric", "APP"], "no 'APP'; did you mean"),
        ([], "say which to improve: --metric"),
        (["--metric", "S", "--trials", "0"], "--trials 0"),
        (["--metric", "S", "--sampler", "tpe", "--rounds", "2"], "narrows the space by itself"),
        (["--metric", "S", "--epochs", "3"], "give --iters"),
        (["--metric", "S", "--space", "absent.yml"], "absent.yml"),
    ],
)
def test_mistakes_are_said_before_the_first_trial(tiny_config, tmp_path, argv, message):
    folder = tmp_path / "search"
    with pytest.raises(CellMMError, match=message) as error:
        tune.main([str(tiny_config(tmp_path, MORE)), *argv, "--work-dir", str(folder)])
    assert "\n" not in str(error.value) and not list(folder.glob("trial_*"))


def test_a_config_without_a_space(tiny_config, tmp_path):
    with pytest.raises(CellMMError, match="search_space: missing"):
        tune.main([str(tiny_config(tmp_path)), "--metric", "S"])
