"""A config's text: Python that gives the same config, readable, quick, and nothing that cannot be written."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from cellmm.config.load import load_config
from cellmm.config.text import config_text, objects
from cellmm.datasets import DrawSampler

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("[!_]*/*.py"))


def read(text: str, folder: Path) -> Config:
    (folder / "written.py").write_text(text, encoding="utf-8")
    return Config.fromfile(str(folder / "written.py"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_reads_as_the_same(path, tmp_path):
    """Its order too: networks are built, and their weights drawn, in the order of the heads."""
    cfg = load_config(path)
    text = cfg.pretty_text
    assert repr(read(text, tmp_path).to_dict()) == repr(cfg.to_dict())
    assert text == config_text(cfg) and max(map(len, text.splitlines())) <= 115


HARD = dict(
    numbers=[float("inf"), -float("inf"), 0.1, 10**30, True, None, 1e-300, 2 + 1j, ...],
    words=[
        "it's",
        'a "b"',
        "two\nlines",
        "{{ fileDirname }}",
        "{{{x}}}",
        "\\{{",
        "Zelle µ",
        "\udcff",
        b"\x00",
    ],
    keys={"a b": 1, 3: dict(x=1), None: [], (1, 2): "t"},
    reserved={"class": 1, "from": 2},
    empty=[{}, [], (), set(), "", frozenset()],
    one=(1,),
    nested=[[1, (2, [3])], [dict(a=(dict(b=1),))]],
    sets=[{3, 1, 2}, frozenset("ab"), range(3)],
    long=list(range(200)),
    texts=["x" * 60, "y" * 60],
    heads=dict(z=1, a=2),
)


def test_hard_values_read_as_the_same(tmp_path):
    text = config_text(Config(HARD))
    assert read(text, tmp_path).to_dict() == HARD and list(read(text, tmp_path).heads) == ["z", "a"]
    nan = read(config_text(Config(dict(a=float("nan")))), tmp_path).a
    assert nan != nan


def test_text_by_hand():
    cfg = Config(
        dict(model=dict(type=DrawSampler, sizes=[1, 2]), steps=[dict(type="A"), dict()], n=np.float64(2))
    )
    assert config_text(cfg) == (
        "model = dict(\n    type='cellmm.datasets.samplers.DrawSampler',\n    sizes=[1, 2],\n)\n"
        "steps = [\n    dict(\n        type='A',\n    ),\n    dict(),\n]\nn = 2.0\n"
    )


def test_nothing_is_formatted(monkeypatch):
    """mmengine's own text of 3,000 dicts takes two minutes of formatting."""
    monkeypatch.setattr("mmengine.config.config.FormatCode", None)
    load_config(CONFIGS[0])
    steps = [dict(type="LinearLR", begin=i, end=i + 1, by_epoch=False) for i in range(3000)]
    assert Config(dict(param_scheduler=steps)).pretty_text.count("type='LinearLR'") == 3000


def local():
    def inside():
        pass

    return inside


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (dict(type=DrawSampler), []),
        (dict(type=torch.optim.AdamW, size=(1, [2.0]), path=Path("a"), more={1, 2}), []),
        (dict(act=torch.nn.ReLU), ["a.act"]),
        (dict(type=lambda x: x), ["a.type"]),
        (dict(type=local()), ["a.type"]),
        (dict(x=[0, np.zeros(2), np.int64(3)]), ["a.x.1", "a.x.2"]),
        (dict(x=os, y=dict(z=DrawSampler([1])), k=partial(print)), ["a.x", "a.y.z", "a.k"]),
        ({1: object(), "s": {object()}}, ["a.1", "a.s"]),
    ],
)
def test_objects_by_hand(value, found):
    assert [key for key, _ in objects(dict(a=value))] == found


def test_variables_of_a_file_may_be_classes_and_functions():
    assert list(objects(dict(join=os.path.join, sampler=DrawSampler, optimizer=torch.optim.AdamW))) == []
    assert [key for key, _ in objects(dict(array=np.zeros(1), module=os))] == ["array", "module"]
