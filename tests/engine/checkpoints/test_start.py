"""What a training takes from the weights that it starts from, and what it says about the rest."""

import copy
import re

import pytest
import torch
from torch import nn

from cellmm.engine.checkpoints import fit_start_weights, load_start_weights
from cellmm.engine.checkpoints.start import with_channels
from cellmm.errors import CellMMError
from cellmm.registry import MODELS


def segmentor(channels: int = 3, **kwargs) -> nn.Module:
    config = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=channels),
        encoder=dict(type="SEUNetEncoder", widths=(4, 6)),
        decoder=dict(type="SEUNetDecoder", widths=(4,)),
        heads=dict(
            instances=dict(
                type="IAMHead",
                feature_dim=4,
                instance_branch=dict(channels=4, depth=1),
                mask_branch=dict(channels=4, depth=1, mask_dim=4),
            )
        ),
    )
    return MODELS.build(config | kwargs)


def test_the_same_model_is_loaded_whole():
    source, model = segmentor(), segmentor()
    start = fit_start_weights(model, source.state_dict(), "a.pth")
    load_start_weights(model, start, "a.pth")
    assert start.is_whole and start.parameters[0] == start.parameters[1]
    assert all(map(torch.equal, source.state_dict().values(), model.state_dict().values()))
    (line,) = start.lines()
    total = sum(parameter.numel() for parameter in model.parameters())
    number = len(model.state_dict())
    assert (
        line == f"training starts from all {number} tensors of the model ({total:,} of {total:,} parameters)"
    )


def test_every_tensor_is_loaded_or_new_with_its_reason():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3))
    weights = {"0.weight": torch.ones(2, 2), "1.weight": torch.ones(4, 2), "x": torch.ones(1)}
    start = fit_start_weights(model, weights, "a.pth")
    assert list(start.weights) == ["0.weight"] and start.parameters == (4, 15) and not start.is_whole
    assert list(start.lines()) == [
        "training starts from 1 of 4 tensors of the model (4 of 15 parameters); to keep more, take the "
        "config that it was trained with as _base_",
        "tensors that start from scratch, since the file has another shape, 1: 1.weight [4, 2], not [3, 2]",
        "tensors that start from scratch, since the file has none with that name, 2: 0.bias, 1.bias",
        "tensors of the file that are left out, since the model has none with that name, 1: x",
    ]
    before = copy.deepcopy(model.state_dict())
    load_start_weights(model, start, "a.pth")
    assert model[0].weight.tolist() == [[1, 1], [1, 1]]
    assert all(
        torch.equal(before[name], model.state_dict()[name]) for name in ("0.bias", "1.weight", "1.bias")
    )


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (dict(weight=torch.ones(3)), "a.pth: none of its 1 tensors fits"),
        (dict(weight=torch.full((1, 2), torch.nan)), "a.pth: its weights hold NaN or infinity"),
        (dict(weight=torch.ones(1, 2, device="meta")), "a.pth: its tensors cannot be copied"),
    ],
)
def test_what_is_refused(weights, says):
    model = nn.Linear(2, 1)
    with pytest.raises(CellMMError, match=says):
        load_start_weights(model, fit_start_weights(model, weights, "a.pth"), "a.pth")


@pytest.mark.parametrize(
    ("there", "here", "says"),
    [
        (3, 1, "of 3 channels and the model takes 1: .* the sum over its channels"),
        (3, 2, "of 3 channels and the model takes 2: .* keeps channels 1 to 2, times 1.5"),
        (1, 2, "of 1 channels and the model takes 2: .* repeats its channel 1, times 0.5"),
        (2, 5, "of 2 channels and the model takes 5: .* repeats its channels 1 to 2, times 0.4"),
    ],
)
def test_images_with_another_number_of_channels(there, here, says):
    """Where all channels of an image are equal, the maps of the two models are too."""
    torch.manual_seed(0)
    source, model = segmentor(there).eval(), segmentor(here).eval()
    start = fit_start_weights(model, source.state_dict(), "a.pth")
    load_start_weights(model, start, "a.pth")
    assert start.channels == (there, here) and not start.new and not start.is_whole
    assert start.parameters[0] == start.parameters[1]
    _, line = start.lines()
    assert re.search(says, line)
    if here != 1 and here % there:  # some of the old channels count twice, or not at all
        return
    image = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        expected = source.extract(image.repeat(1, there, 1, 1))
        got = model.extract(image.repeat(1, here, 1, 1))
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(one, other)


def test_weights_for_other_channels():
    rgb = torch.arange(1.0, 4)[None, :, None, None]
    assert with_channels(rgb, 1).flatten().tolist() == [6]
    assert with_channels(rgb, 2).flatten().tolist() == [1.5, 3]
    assert with_channels(rgb, 4).flatten().tolist() == [0.75, 1.5, 2.25, 0.75]


def test_a_frozen_part_must_not_stay_random():
    model, source = segmentor(frozen=["encoder"]), segmentor().state_dict()
    some = {name: value for name, value in source.items() if not name.startswith("encoder.levels.0")}
    start = fit_start_weights(model, some, "a.pth")
    with pytest.raises(
        CellMMError, match=r"a.pth: model.frozen: tensors .*stay random, \d+: encoder.levels.0"
    ):
        load_start_weights(model, start, "a.pth")
    load_start_weights(model, fit_start_weights(model, source, "a.pth"), "a.pth")
    load_start_weights(segmentor(frozen=["decoder"]), start, "a.pth")


@pytest.mark.parametrize(
    ("head", "new"),
    [(dict(num_queries=7), "activation.conv"), (dict(num_classes=3), "classifier.0")],
)
def test_other_numbers_of_queries_and_of_classes_begin_anew_and_all_else_is_kept(head, new):
    source = segmentor()
    config = dict(type="IAMHead", feature_dim=4, instance_branch=dict(channels=4, depth=1))
    config |= dict(mask_branch=dict(channels=4, depth=1, mask_dim=4), **head)
    model = segmentor(heads=dict(instances=config))
    start = fit_start_weights(model, source.state_dict(), "a.pth")
    names = {f"heads.instances.{new}.{kind}" for kind in ("weight", "bias")}
    assert model.state_dict().keys() - start.weights.keys() == names and not start.left_out
    assert [name.partition(" ")[0] for name in start.new["another shape"]] == sorted(names)
