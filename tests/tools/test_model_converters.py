"""Publishing a model, and converting an old pickle with consent only; `cellmm test` runs on the result."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from cellmm import __version__
from cellmm.commands.cli import main as cellmm
from cellmm.config.names import find_config
from cellmm.engine.checkpoints import load_checkpoint, save_weights, sha256
from cellmm.errors import CellMMError
from cellmm.zoo import resolve_model, shipped_models

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ["{root}/tests/configs/tiny.py"]
data_root = "{data}"
simulation = dict(
    _delete_=True,
    splits=dict(train=2, val=1, test=1),
    scene=dict(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20),
    seed=0,
)
dataset = dict(data_root=data_root, simulation=simulation)
train_dataloader = dict(batch_size=1, dataset=dataset)
val_dataloader = test_dataloader = dict(dataset=dataset)
train_cfg = dict(max_iters=2, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=2))
"""


@pytest.fixture(scope="module")
def publish(load_tool):
    return load_tool("model_converters/publish_model")


@pytest.fixture(scope="module")
def convert(load_tool):
    return load_tool("model_converters/convert_pickle_checkpoint")


class Evil:
    """Unpickling it makes the folder ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a config, ``work/iter_2.pth`` and its ``work/metrics.json``."""
    folder = tmp_path_factory.mktemp("trained")
    config = folder / "tiny.py"
    config.write_text(CONFIG.format(root=ROOT, data=folder / "data"))
    work = folder / "work"
    assert cellmm(["train", str(config), "--work-dir", str(work)]) == 0
    assert cellmm(["test", str(config), str(work / "iter_2.pth"), "--work-dir", str(work)]) == 0
    return folder


@pytest.fixture
def old(trained, tmp_path):
    """A checkpoint as older programs wrote it: numpy objects in it, and here one that runs code."""
    weights = torch.load(trained / "work" / "iter_2.pth", weights_only=True)["state_dict"]
    state = {f"module.{name}": value for name, value in weights.items()}
    first = next(iter(state))
    state[first] = state[first].numpy()
    meta = dict(CLASSES=("worm",), iter=np.int64(7), config="raise SystemExit", evil=Evil(tmp_path / "ran"))
    torch.save(dict(state_dict=state, meta=meta, optimizer=dict(lr=np.float64(0.1))), tmp_path / "old.pth")
    return tmp_path / "old.pth"


def scores(trained, checkpoint, out) -> dict:
    assert cellmm(["test", str(trained / "tiny.py"), str(checkpoint), "--work-dir", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    return {key: value for key, value in metrics.items() if key not in ("checkpoint", "config")}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_published_is_what_was_tested(publish, trained, tmp_path, capsys, suffix):
    out = tmp_path / f"worms{suffix}"
    options = ["--safetensors"] if suffix == ".safetensors" else []
    source = trained / "work" / "iter_2.pth"
    assert publish.main([str(source), str(tmp_path / "worms.pth"), *options]) == 0
    assert capsys.readouterr().out == f"{out}\n{out}.json\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.json"]
    about = json.loads(Path(f"{out}.json").read_text())
    numbers = about.pop("metrics")
    text = about.pop("config_text")
    assert about == dict(
        file=out.name,
        sha256=sha256(out),
        config="tiny",
        classes=["cell"],
        iter=2,
        cellmm_version=__version__,
    )
    assert "num_queries=16" in text and "AP" in numbers and "checkpoint" not in numbers
    published, whole = load_checkpoint(out), load_checkpoint(source)
    assert set(published) == {"state_dict", "meta"}
    assert set(published["meta"]) == {"cellmm_version", "dataset_meta", "iter", "trained_on"}
    assert published["meta"]["trained_on"] == whole["meta"]["trained_on"]
    for name, value in whole["state_dict"].items():
        assert torch.equal(published["state_dict"][name], value)
    last = whole["ema_state_dict"]["module.heads.instances.activation.conv.weight"]
    averaged = published["state_dict"]["heads.instances.activation.conv.weight"]
    assert averaged.shape == last.shape and not torch.equal(averaged, last)
    assert scores(trained, out, tmp_path / "tested") == numbers


def test_a_published_file_predicts_and_cannot_be_resumed(publish, trained, tmp_path, capsys):
    out = tmp_path / "worms.safetensors"
    publish.publish(trained / "work" / "iter_2.pth", out)
    argv = ["predict", str(trained / "data/test/images"), "--config", str(trained / "tiny.py")]
    argv += ["--checkpoint", str(out), "--out", str(tmp_path / "found")]
    assert cellmm(argv) == 0
    assert (tmp_path / "found" / "cells.json").is_file()
    argv = ["train", str(trained / "tiny.py"), "--work-dir", str(tmp_path / "more"), "--resume", str(out)]
    capsys.readouterr()
    assert cellmm(argv) == 1
    assert "weights only, no training state" in capsys.readouterr().err.splitlines()[-1]
    out.write_bytes(out.read_bytes()[:-1] + b"?")
    with pytest.raises(CellMMError, match="not the file that was published"):
        load_checkpoint(out)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_name_their_config_are_a_model(publish, tmp_path, capsys, suffix):
    weights, out = shipped_models()["cells-simulated"].weights, tmp_path / f"a{suffix}"
    assert (
        publish.main([str(weights), str(out), "--config-name", "configs/diskmask/brightfield_quickstart.py"])
        == 0
    )
    assert json.loads(Path(f"{out}.json").read_text())["config"] == "diskmask/brightfield_quickstart"
    assert load_checkpoint(out)["meta"]["config_name"] == "diskmask/brightfield_quickstart"
    assert resolve_model(out) == (find_config("diskmask/brightfield_quickstart"), out)
    capsys.readouterr()
    argv = [str(weights), str(tmp_path / "b.pth"), "--config-name", "diskmask/brightfield_quickstarts"]
    assert publish.main(argv) == 1
    assert "did you mean diskmask/brightfield_quickstart " in capsys.readouterr().err
    assert not (tmp_path / "b.pth").exists()


def test_weights_cannot_name_a_config_that_is_not_of_cellmm(tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for name in (str(tmp_path / "evil"), str(tmp_path / "evil.py"), f"../../{tmp_path}/evil"):
        save_weights(tmp_path / "a.safetensors", {"a": torch.zeros(1)}, dict(config_name=name))
        with pytest.raises(CellMMError, match="no such config file"):
            resolve_model(tmp_path / "a.safetensors")
    assert not (tmp_path / "ran").exists()


def test_publishing_overwrites_only_with_force(publish, trained, tmp_path, capsys):
    source, out = str(trained / "work" / "iter_2.pth"), tmp_path / "worms.pth"
    about = Path(f"{out}.json")
    for there in (out, about):
        there.write_text("mine")
        assert publish.main([source, str(out)]) == 1
        error = capsys.readouterr().err
        assert error.startswith(f"publish_model: {there} exists") and len(error.splitlines()) == 1
        assert there.read_text() == "mine"
        there.unlink()
    out.write_text("mine")
    about.write_text("mine")
    assert publish.main([source, str(out), "--force"]) == 0
    assert load_checkpoint(out)["meta"]["iter"] == 2
    assert publish.main([source, str(tmp_path / "worms.onnx")]) == 1
    assert "name the file *.pth or *.safetensors" in capsys.readouterr().err


def test_numbers_of_another_checkpoint_are_not_published(publish, tmp_path, capsys):
    source, metrics = tmp_path / "iter_2.pth", tmp_path / "metrics.json"
    torch.save(dict(w=torch.ones(1)), source)
    about = json.loads(publish.publish(source, tmp_path / "a.pth").read_text())
    unknown = ("metrics", "config", "config_text", "classes", "iter")
    assert [about[key] for key in unknown] == [None] * 5
    metrics.write_text(json.dumps(dict(AP=0.5, checkpoint="work/iter_4.pth", config="c.py")))
    about = json.loads(publish.publish(source, tmp_path / "b.pth").read_text())
    assert about["metrics"] is None and "is of iter_4.pth" in capsys.readouterr().err
    metrics.write_text(json.dumps(dict(AP=0.5, checkpoint="elsewhere/iter_2.pth", config="c.py")))
    about = json.loads(publish.publish(source, tmp_path / "c.pth").read_text())
    assert about["metrics"] == dict(AP=0.5)
    metrics.write_text("{")
    with pytest.raises(CellMMError, match="metrics.json: not what `cellmm test` writes"):
        publish.publish(source, tmp_path / "d.pth")
    assert not (tmp_path / "d.pth").exists()


@pytest.mark.parametrize("answer", [None, "no\n", "y\n", "\n", ""])
def test_nothing_runs_without_consent(convert, old, tmp_path, capsys, monkeypatch, answer):
    """None: no terminal; the others are typed at one."""
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n") if answer is None else Terminal(answer))
    assert convert.main([str(old), str(tmp_path / "new.pth")]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{old}: not converted" in line and "RUNS CODE THAT IS IN IT" in line
    assert "--i-trust-this-file" in line
    assert not (tmp_path / "ran").exists() and not (tmp_path / "new.pth").exists()


def test_without_a_terminal_the_answer_is_one_line(convert, old, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert convert.main([str(old), str(tmp_path / "new.pth")]) == 1
    out, error = capsys.readouterr()
    assert out == "" and len(error.splitlines()) == 1


@pytest.mark.parametrize("way", ["flag", "terminal"])
def test_with_consent_the_old_file_becomes_plain(convert, trained, old, tmp_path, capsys, monkeypatch, way):
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    new = tmp_path / "new.pth"
    assert convert.main([str(old), str(new), *(["--i-trust-this-file"] if way == "flag" else [])]) == 0
    out, error = capsys.readouterr()
    assert out == f"{new}\n" and ("Type yes" in error) == (way == "terminal")
    assert (tmp_path / "ran").is_dir()  # that is what was consented to
    loaded = load_checkpoint(new)
    assert loaded["meta"] == dict(dataset_meta=dict(classes=["worm"]), iter=7)
    weights = load_checkpoint(trained / "work" / "iter_2.pth")["state_dict"]
    assert all(torch.equal(loaded["state_dict"][name], value) for name, value in weights.items())
    assert "AP" in scores(trained, new, tmp_path / "tested")


def test_whole_modules_plain_files_and_what_is_no_checkpoint(convert, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    model = torch.nn.Linear(2, 1)
    torch.save(model, tmp_path / "module.pth")
    assert convert.main([str(tmp_path / "module.pth"), str(tmp_path / "a.pth"), "--i-trust-this-file"]) == 0
    assert torch.equal(load_checkpoint(tmp_path / "a.pth")["state_dict"]["weight"], model.weight)
    torch.save(model.state_dict(), tmp_path / "plain.pth")  # no consent is needed
    assert convert.main([str(tmp_path / "plain.pth"), str(tmp_path / "b.safetensors")]) == 0
    assert torch.equal(load_checkpoint(tmp_path / "b.safetensors")["state_dict"]["bias"], model.bias)
    torch.save(dict(state_dict=dict(w=Path("x"))), tmp_path / "path.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    capsys.readouterr()
    for name, out, says in (
        ("path.pth", "c.pth", "'w' in it is a .*Path, not a tensor"),
        ("text.pth", "c.pth", "cannot be unpickled"),
        ("absent.pth", "c.pth", "no such file"),
        ("plain.pth", "b.safetensors", "exists"),
        ("plain.pth", "c.onnx", "name the file"),
    ):
        assert convert.main([str(tmp_path / name), str(tmp_path / out), "--i-trust-this-file"]) == 1
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1, error
        assert re.search(says, error), error
    assert not (tmp_path / "c.pth").exists()
