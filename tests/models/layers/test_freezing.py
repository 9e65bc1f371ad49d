"""Frozen parts take no gradient and keep the statistics of their batch norms; misspelt names are refused."""

import copy

import pytest
import torch
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models.layers.freezing import freeze
from cellmm.registry import MODELS


def build(**options) -> nn.Module:
    torch.manual_seed(0)
    head = dict(
        type="IAMHead",
        feature_dim=4,
        instance_branch=dict(channels=4, depth=1),
        mask_branch=dict(channels=4, depth=1, mask_dim=4),
    )
    return MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=(4, 6)),
            decoder=dict(type="SEUNetDecoder", widths=(4,)),
            heads=dict(instances=head),
            **options,
        )
    )


@pytest.mark.parametrize(
    "options", [{}, dict(activation_checkpointing=["encoder.levels.1", "decoder.levels.0.1"])]
)
def test_a_step_changes_nothing_that_is_frozen(options):
    """Averages of the model, which are copies of it, and a return from validation change nothing about it."""
    names = {name for name, _ in build().named_modules()}
    options = {key: [name for name in value if name in names] for key, value in options.items()}
    model = copy.deepcopy(build(frozen=["encoder"], **options))
    model.train(False).train(True)
    assert model.training and model.decoder.training
    assert not any(part.training for part in model.encoder.modules())
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    model.extract(torch.rand(2, 1, 16, 16))[0].square().sum().backward()
    optimizer.step()
    same = {name: torch.equal(value, before[name]) for name, value in model.state_dict().items()}
    assert all(value for name, value in same.items() if name.startswith("encoder."))
    assert not any(value for name, value in same.items() if name.startswith("decoder."))


def test_the_step_is_that_of_the_whole_model_where_nothing_is_frozen():
    model = build()
    assert model.frozen == () and all(p.requires_grad for p in model.parameters())
    assert all(part.training for part in model.modules())


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["encodr"], "model.frozen: the model has no part 'encodr'; did you mean encoder"),
        (["encoder.levels.7"], "no part 'encoder.levels.7'; did you mean encoder.levels.1"),
        (["xyz"], "no part 'xyz'; it has encoder, decoder, heads$"),
        ([""], "no part ''"),
        (["encoder.pool"], "encoder.pool has no parameters"),
        ("encoder", r"'encoder' is one name; write a list of names: \['encoder'\]"),
        (["encoder", "decoder", "heads"], "nothing is left to train"),
    ],
)
def test_names_that_are_refused(names, says):
    with pytest.raises(CellMMError, match=says):
        build(frozen=names)


def test_parts_of_parts_are_named_once():
    assert freeze(build(), ["encoder.levels.0", "encoder", "encoder"]) == ("encoder",)
