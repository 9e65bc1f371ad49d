"""The models that come with cellmm: their cards tell the truth, and they work by name alone."""

import numpy as np
import pytest
import tifffile

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands.cli import main
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.errors import CellMMError
from cellmm.zoo import resolve_model, shipped_models, weights_of

MODELS = shipped_models()
KEYS = {"for", "config", "data", "licence", "again", "images", "training", "limits", "parameters", "scores"}
FREE = {"Apache-2.0", "CC0"}


@pytest.mark.parametrize("name", MODELS)
def test_its_card(name):
    model = MODELS[name]
    assert set(model.card) - {"base"} == KEYS
    assert model.card["licence"] in FREE
    assert all(set(score) == {"test", "metrics"} for score in model.card["scores"])
    assert model.weights.stat().st_size < 8e6


@pytest.mark.parametrize("name", MODELS)
def test_its_weights_go_with_its_config(name):
    inferencer = CellInferencer(name, device="cpu")
    weights = load_checkpoint(MODELS[name].weights)
    assert inferencer.trained_on is not None and inferencer.classes
    counters = [key for key in weights["state_dict"] if key.endswith("num_batches_tracked")]
    stored = sum(value.numel() for key, value in weights["state_dict"].items()) - len(counters)
    statistics = ("running_mean", "running_var")
    stored -= sum(v.numel() for key, v in weights["state_dict"].items() if key.endswith(statistics))
    assert MODELS[name].card["parameters"] == stored <= 3e6
    channels = inferencer.model.data_preprocessor.in_channels
    image = np.random.default_rng(0).integers(0, 255, (64, 80, channels)).astype(np.uint8)
    assert inferencer.predict(image).shape == (64, 80)


def test_the_table_and_a_card(capsys):
    assert main(["models"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == "name for trained on licence scores parameters size".split()
    assert [row.split()[0] for row in rows] == list(MODELS)
    for name, model in MODELS.items():
        assert main(["models", name]) == 0
        card = capsys.readouterr().out
        assert f"{name}: {model.card['for']}\n" in card and str(model.weights) in card
    assert main(["models", "nuclie"]) == 1
    assert "nuclie: no such model; cellmm has " in capsys.readouterr().err


def test_predict_by_name_needs_nothing_else(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 64, 64), np.uint16))
    out = tmp_path / "out"
    assert main(["predict", str(tmp_path / "a.tif"), "--model", "cells-simulated", "--out", str(out)]) == 0
    assert (out / "cells.json").is_file()


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ([], "give --model NAME"),
        (["--model", "cells-simulated", "--config", "a.py"], "give --model NAME"),
        (["--config", "diskmask/nuclei"], "give its weights as --checkpoint"),
        (["--model", "cell-simulated"], "did you mean cells-simulated?"),
        (["--model", "w.pth"], "these are weights: give --config too"),
        (["--model", "diskmask/bbbc010_cpu.py"], "give its weights as --checkpoint"),
        (["--model", "diskmask/no_such"], "no such model and no folder of a training"),
    ],
)
def test_what_is_not_a_model_is_one_line(options, cure, tmp_path, capsys):
    assert main(["predict", "a.tif", *options, "--out", str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err
    assert cure in line and line.count("\n") == 1
    assert not (tmp_path / "out").exists()


class TestWorkDir:
    def test_the_best_checkpoint_else_the_last(self, tmp_path):
        (tmp_path / "mine.py").write_text("a = 1\n")
        for name in ("iter_90.pth", "iter_1000.pth"):
            (tmp_path / name).touch()
        assert resolve_model(tmp_path) == (tmp_path / "mine.py", tmp_path / "iter_1000.pth")
        for name in ("best_AP_iter_90.pth", "best_AP_iter_500.pth"):
            (tmp_path / name).touch()
        assert resolve_model(tmp_path)[1].name == "best_AP_iter_500.pth"
        assert resolve_model(tmp_path, "other.pth")[1].name == "other.pth"

    def test_nothing_in_it(self, tmp_path):
        with pytest.raises(CellMMError, match="no config in it, as a training writes"):
            resolve_model(tmp_path)
        (tmp_path / "mine.py").touch()
        with pytest.raises(CellMMError, match="no checkpoint in it yet"):
            resolve_model(tmp_path)


def test_a_config_with_weights(tmp_path):
    config, weights = resolve_model("diskmask/bbbc010_cpu", tmp_path / "w.pth")
    assert config.name == "bbbc010_cpu.py" and weights == tmp_path / "w.pth"
    config, weights = resolve_model("cells-simulated", tmp_path / "w.pth")
    assert config.name == "brightfield_quickstart.py" and weights == tmp_path / "w.pth"


def test_the_weights_of_a_model_alone(tmp_path):
    assert weights_of("nuclei") == MODELS["nuclei"].weights
    (tmp_path / "iter_90.pth").touch()
    assert weights_of(tmp_path) == tmp_path / "iter_90.pth" == weights_of(tmp_path / "iter_90.pth")
    with pytest.raises(CellMMError, match="a.py: a config, which has no weights"):
        weights_of("a.py")
    with pytest.raises(CellMMError, match="diskmask/nuclei: a config, which has no weights"):
        weights_of("diskmask/nuclei")
    with pytest.raises(CellMMError, match="did you mean nuclei?"):
        weights_of("nuclie")
