"""Fixtures that all tests share."""

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from cellmm.simulation import make_dataset

torch.set_num_threads(1)
init_default_scope("cellmm")  # as every config does

_ROOT = Path(os.environ.get("CELLMM_DATA") or Path(__file__).parents[2] / "shared" / "data")
CONFIG = """
_base_ = ["{root}/tests/configs/tiny.py"]
data_root = "{data}"
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root))
default_hooks = dict()
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
param_scheduler = []
custom_hooks = []
"""


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data('bbbc010')`` is that folder of real images; the test is skipped where it is absent."""

    def folder(name: str) -> Path:
        if not (_ROOT / name).is_dir():
            pytest.skip(f"no real data at {_ROOT / name}: set CELLMM_DATA to the folder that holds it")
        return _ROOT / name

    return folder


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The warnings that are logged during the test, in order."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    MMLogger.get_current_instance().addHandler(handler)
    yield lines
    MMLogger.get_current_instance().removeHandler(handler)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """A set of 64x64 pixels: 5 images to train, 2 to validate, 3 to test."""
    root = tmp_path_factory.mktemp("tiny") / "data"
    scene = dict(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)
    make_dataset(root, splits=dict(train=5, val=2, test=3), scene=scene, seed=0)
    return root


@pytest.fixture(scope="session")
def tiny_config(tiny_data) -> Callable[..., Path]:
    """``tiny_config(folder, more)`` writes ``folder/tiny.py``, with the lines ``more`` at its end."""

    def write(folder: Path, more: str = "") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tiny.py"
        path.write_text(CONFIG.format(root=Path(__file__).parents[1], data=tiny_data) + more)
        return path

    return write
