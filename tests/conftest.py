"""Fixtures that all tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

torch.set_num_threads(1)
init_default_scope("cellmm")  # as every config does

_ROOT = Path(os.environ.get("CELLMM_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data('bbbc010')`` is that folder of real images; the test is skipped where it is absent."""

    def folder(name: str) -> Path:
        if not (_ROOT / name).is_dir():
            pytest.skip(f"no real data at {_ROOT / name}: set CELLMM_DATA to the folder that holds it")
        return _ROOT / name

    return folder
