"""Weights under earlier names load, however they are loaded."""

import copy

import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from cellmm.engine.checkpoints import fit_start_weights, load_fitting, load_weights
from cellmm.models.renamed_keys import rename_on_load, with_new_names


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Linear(1, 1))
        self.quality = nn.Linear(2, 2)
        rename_on_load(self, {"iam.": "maps.0.", "iou.": "quality."})


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 3), Part())


def earlier(weights: dict) -> dict:
    names = {"1.maps.0.": "1.iam.", "1.quality.": "1.iou."}
    return {
        next(
            (old + name.removeprefix(new) for new, old in names.items() if name.startswith(new)), name
        ): value
        for name, value in weights.items()
    }


def same(model: nn.Module, other: nn.Module) -> bool:
    return all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))


def test_every_way_of_loading():
    source = model()
    old = earlier(source.state_dict())
    assert "1.iam.weight" in old and "1.iou.weight" in old and "0.weight" in old
    for target in (model(), copy.deepcopy(model())):
        target.load_state_dict(old)
        assert same(source, target)
    target = model()
    load_state_dict(target, old, strict=True)  # mmengine's
    assert same(source, target)
    assert "1.iam.weight" in old, "what was given is not changed"
    assert list(with_new_names(target, old)) == list(source.state_dict())


def test_checkpoints_are_compared_under_the_new_names(tmp_path):
    """Weights to go on from, and weights to start from."""
    source, target = model(), model()
    path = tmp_path / "old.pth"
    torch.save(earlier(source.state_dict()), path)
    load_fitting(target, path)
    assert same(source, target)
    assert fit_start_weights(target, load_weights(path), path).is_whole
