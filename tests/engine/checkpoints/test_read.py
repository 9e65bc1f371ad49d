"""Checkpoints: read with weights_only, refused in one line, nothing in them runs."""

import ast
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import save_file

from cellmm.engine.checkpoints import (
    load_checkpoint,
    load_weights,
    save_weights,
    sha256,
)
from cellmm.engine.mmengine_fixes.safe_loader import use_safe_loader
from cellmm.errors import CellMMError

ROOT = Path(__file__).parents[3]


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("load", [load_checkpoint, load_weights])
def test_a_pickle_that_runs_code_runs_nothing(tmp_path, load):
    evil = Evil(str(tmp_path / "ran"))
    torch.save(dict(state_dict=dict(w=torch.ones(1)), meta=evil), tmp_path / "evil.pth")
    with pytest.raises(CellMMError, match="evil.pth: refused") as info:
        load(tmp_path / "evil.pth")
    assert "\n" not in str(info.value)
    assert not (tmp_path / "ran").exists()


def test_code_in_meta_config_is_dropped(tmp_path):
    meta = dict(config="raise SystemExit", cfg="x = 1", iter=3)
    torch.save(dict(state_dict=dict(w=torch.ones(1)), meta=meta), tmp_path / "a.pth")
    assert load_checkpoint(tmp_path / "a.pth")["meta"] == dict(cfg="x = 1", iter=3)


def test_damaged_absent_and_remote_files(tmp_path):
    torch.save(dict(state_dict=dict(w=torch.ones(1000))), tmp_path / "whole.pth")
    half = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(half[: len(half) // 2])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    for name in ("half.pth", "empty.pth", "text.pth", "absent.pth"):
        with pytest.raises(CellMMError, match=name):
            load_checkpoint(tmp_path / name)
    for url in ("https://example.org/a.pth", "torchvision://resnet50"):
        with pytest.raises(CellMMError, match="downloads nothing"):
            load_checkpoint(url)


def test_weights_with_and_without_a_training_state(tmp_path):
    weights = dict(w=torch.arange(3.0))
    torch.save(dict(state_dict={"module.w": weights["w"]}, meta={}), tmp_path / "a.pth")
    torch.save(weights, tmp_path / "b.pth")
    torch.save(dict(meta=dict(iter=1)), tmp_path / "c.pth")
    for name in ("a.pth", "b.pth"):
        assert load_weights(tmp_path / name)["w"].tolist() == [0, 1, 2]
        assert load_checkpoint(tmp_path / name)["meta"] == {}
    with pytest.raises(CellMMError, match="no weights that can be used, 'meta' in it is a dict"):
        load_weights(tmp_path / "c.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_saved_comes_back_and_gives_the_same_bytes(tmp_path, suffix):
    weights = dict(a=torch.arange(6.0).view(2, 3).T, b=torch.tensor(3), c=torch.ones(2, requires_grad=True))
    weights["shared"] = weights["a"]
    meta = dict(iter=3, dataset_meta=dict(classes=["cell"]))
    for name in ("one", "two"):
        save_weights(tmp_path / f"{name}{suffix}", weights, meta)
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    loaded = load_checkpoint(tmp_path / f"one{suffix}")
    assert loaded["meta"] == meta and set(loaded["state_dict"]) == set(weights)
    for name, value in loaded["state_dict"].items():
        assert torch.equal(value, weights[name]) and value.dtype == weights[name].dtype


def test_safetensors_that_are_no_checkpoint(tmp_path):
    save_weights(tmp_path / "whole.safetensors", dict(w=torch.ones(1000)), {})
    whole = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    save_file(dict(w=torch.ones(1)), tmp_path / "meta.safetensors", metadata=dict(cellmm="{cut"))
    save_file(dict(w=torch.ones(1)), tmp_path / "list.safetensors", metadata=dict(cellmm="[1]"))
    save_file({}, tmp_path / "empty.safetensors")
    for name in ("half", "text", "meta", "list", "empty"):
        with pytest.raises(CellMMError, match=f"{name}.safetensors: ") as info:
            load_checkpoint(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(info.value)
    save_file(dict(w=torch.ones(2)), tmp_path / "foreign.safetensors")
    assert load_weights(tmp_path / "foreign.safetensors")["w"].tolist() == [1, 1]


def test_without_safetensors_the_line_names_the_command(tmp_path, monkeypatch):
    save_weights(tmp_path / "a.safetensors", dict(w=torch.ones(1)), {})
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(CellMMError, match="a.safetensors: .*: pip install safetensors$"):
        load_weights(tmp_path / "a.safetensors")
    with pytest.raises(CellMMError, match="b.safetensors: .*: pip install safetensors$"):
        save_weights(tmp_path / "b.safetensors", dict(w=torch.ones(1)), {})
    assert not (tmp_path / "b.safetensors").exists()


def test_the_hash_beside_a_file_is_checked(tmp_path):
    file, about = tmp_path / "a.pth", tmp_path / "a.pth.json"
    file.write_bytes(b"abc")
    assert sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    save_weights(file, dict(w=torch.ones(1)), {})
    about.write_text(json.dumps(dict(sha256=sha256(file))))
    assert load_weights(file)["w"].tolist() == [1]
    save_weights(file, dict(w=torch.zeros(1)), {})
    with pytest.raises(CellMMError, match="a.pth: not the file that was published"):
        load_weights(file)
    for text in ("{", "[]", "{}"):
        about.write_text(text)
        with pytest.raises(CellMMError, match="a.pth.json: names no sha256"):
            load_weights(file)


def test_all_of_mmengines_schemes_go_through_the_safe_loader(tmp_path):
    before = dict(CheckpointLoader._schemes)
    try:
        use_safe_loader()
        for source in ("https://example.org/a.pth", "open-mmlab://a", str(tmp_path / "absent.pth")):
            with pytest.raises(CellMMError):
                CheckpointLoader.load_checkpoint(source, logger="silent")
    finally:
        CheckpointLoader._schemes = before


def loads_that_run_code(source: str) -> list[str]:
    """Calls that unpickle or run text: torch.load and numpy.load but for their safe forms, pickle, eval."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {option.arg: ast.unparse(option.value) for option in node.keywords}
        first, _, last = name.rpartition(".")
        if name == "torch.load" and options.get("weights_only") == "True":
            continue
        if (
            name in ("torch.load", "eval", "exec", "Config.fromstring")
            or first
            in ("pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal", "mmengine")
            and last in ("load", "loads", "open", "Unpickler", "track_load")
            or options.get("allow_pickle", "False") != "False"
        ):
            found.append(name)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            unsafe = {"torch.load", "pickle.load", "pickle.loads", "mmengine.load", "mmengine.fileio.load"}
            found += sorted(names & unsafe | {name for name in names if name.startswith("joblib.")})
    return found


@pytest.mark.parametrize(
    ("source", "number"),
    [
        ("torch.load(f, weights_only=True)", 0),
        ("torch.load(f)", 1),
        ("torch.load(f, weights_only=safe)", 1),
        ("torch.load(f, weights_only=False)", 1),
        ("pickle.load(f); pickle.loads(b); joblib.load(f)", 3),
        ("np.load(f)", 0),
        ("np.load(f, allow_pickle=True)", 1),
        ("from pickle import loads", 1),
        ("from mmengine import load", 1),
        ("eval(text)", 1),
        ("model.eval()", 0),
    ],
)
def test_the_search_for_unsafe_loads_finds_them(source, number):
    assert len(loads_that_run_code(source)) == number


def test_nothing_in_the_package_and_the_tools_loads_unsafely():
    """Exceptions: the tool that asks for consent, and the copy that the tester makes of a dataset."""
    found = {
        path.relative_to(ROOT).as_posix(): calls
        for folder in ("cellmm", "tools", "examples", "configs")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (calls := loads_that_run_code(path.read_text(encoding="utf-8")))
    }
    assert found == {
        "cellmm/testing/data.py": ["pickle.loads"],
        "tools/model_converters/convert_pickle_checkpoint.py": ["torch.load"],
    }
