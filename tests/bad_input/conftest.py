"""What every row of the tables of bad input has in common."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

import cellmm.models  # noqa: F401
from cellmm.apis.inferencer import CellInferencer
from cellmm.errors import CellMMError
from cellmm.registry import MODELS

CONFIG = """
default_scope = "cellmm"
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    encoder=dict(type="SEUNetEncoder", widths=(4, 4, 4)),
    decoder=dict(type="SEUNetDecoder", widths=(4, 4)),
    heads=dict(
        instances=dict(
            type="IAMHead", num_queries=9, feature_dim=8,
            instance_branch=dict(channels=4, depth=1), mask_branch=dict(channels=4, depth=1, mask_dim=4),
            test_cfg=dict(score_thr=0.0, mask_thr=0.05),  # random weights find nine cells
        )
    ),
)
pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadCells", keep_original=True),
    dict(type="Normalize", mode="mean_std"),
    dict(type="PackCellInputs"),
]
test_dataloader = dict(
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="CellCocoDataset", ann_file="cells.json", pipeline=pipeline),
)
test_cfg = dict()
test_evaluator = dict(type="CellCocoMetric")
"""


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file below, hidden ones too, with its content; None for folders and links to nothing."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(tmp_path) -> Callable[..., None]:
    """``refused(act, *parts)``: ``act()`` gives one line with these, and leaves every file as it was."""

    def check(act: Callable[[], object], *parts: str) -> None:
        before = snapshot(tmp_path)
        with pytest.raises(CellMMError) as caught:
            act()
        _check_line(str(caught.value), *parts)
        assert snapshot(tmp_path) == before

    return check


@pytest.fixture(scope="session")
def check_line() -> Callable[..., None]:
    """``check_line(text, *parts)``: it is one line with a cure, in which each regular expression is found."""
    return _check_line


def _check_line(text: str, *parts: str) -> None:
    for part in parts:
        assert re.search(part, text), f"no {part!r} in {text}"
    assert text.isprintable() and len(text) < 600, text
    assert re.search(r"[:;,] [^:;]{4,}$", text), f"no cure at its end: {text}"


@pytest.fixture(scope="session")
def model_files(tmp_path_factory) -> tuple[Path, Path]:
    """(config, checkpoint) of a tiny network with random weights, for images of one channel."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "tiny.py").write_text(CONFIG)
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(folder / "tiny.py").model)
    torch.save(dict(state_dict=model.state_dict()), folder / "tiny.pth")
    return folder / "tiny.py", folder / "tiny.pth"


@pytest.fixture(scope="session")
def inferencer(model_files) -> CellInferencer:
    return CellInferencer(*model_files, device="cpu")
