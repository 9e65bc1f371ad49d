"""Weights that fit a model are loaded; others are refused in one line."""

import pytest
import torch

from cellmm.engine.checkpoints import load_fitting
from cellmm.errors import CellMMError


def test_weights_that_do_not_fit(tmp_path):
    model = torch.nn.Linear(2, 1)
    for name, weights, says in (
        ("less", dict(weight=torch.ones(1, 2)), r"1 missing \(bias\)"),
        ("more", dict(model.state_dict(), x=torch.ones(1)), r"1 unknown \(x\)"),
        ("other", dict(weight=torch.ones(2, 2), bias=torch.ones(1)), r"weight \[2, 2\], not \[1, 2\]"),
        ("no data", dict(weight=torch.ones(1, 2, device="meta"), bias=torch.ones(1)), "cannot be copied"),
    ):
        torch.save(weights, tmp_path / f"{name}.pth")
        with pytest.raises(CellMMError, match=f"{name}.pth: .*{says}"):
            load_fitting(model, tmp_path / f"{name}.pth")
    torch.save(dict(weight=torch.full((1, 2), 5.0), bias=torch.ones(1)), tmp_path / "fits.pth")
    load_fitting(model, tmp_path / "fits.pth")
    assert model.weight.tolist() == [[5, 5]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    """By everything that tests or predicts; running statistics count too."""
    model = torch.nn.BatchNorm1d(2)
    state = dict(model.state_dict(), running_var=torch.tensor([1.0, value]))
    torch.save(dict(state_dict=state), tmp_path / "a.pth")
    with pytest.raises(CellMMError, match=r"a.pth: its weights hold NaN or infinity, .*; give an earlier"):
        load_fitting(model, tmp_path / "a.pth")
