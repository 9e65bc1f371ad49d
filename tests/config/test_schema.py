"""Models of several decoders, maps and a postprocess, as the check of a config sees them."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.errors import CellMMError

BRIGHTFIELD = Path(__file__).parents[2] / "configs/sparseseunet/brightfield.py"
WIDTHS = (64, 128, 256, 512)
NAMES = ("cytoplasm", "nuclei", "border", "background")


def head(target, **more):
    return dict(type="SemanticHead", target=target, **more)


def four_heads(parallel: bool) -> dict:
    decoder = dict(type="SEUNetDecoder", widths=WIDTHS)
    return dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="SEUNetEncoder"),
        decoder=dict(type="ParallelDecoders", decoders={name: dict(decoder) for name in NAMES})
        if parallel
        else decoder,
        heads={name: head(name, loss=dict(type="BCELoss", loss_weight=0.5)) for name in NAMES},
        instance_head=None,
        postprocess=dict(type="SeededWatershed", min_seed=20),
    )


def overlap_aware() -> dict:
    decoder = dict(type="SEUNetDecoder", widths=WIDTHS, keep_skips=True)
    model = dict(four_heads(parallel=True), instance_head="instances", postprocess=None)
    model["decoder"] = dict(type="ParallelDecoders", decoders=dict(cells=decoder, overlap=dict(decoder)))
    model["heads"] = dict(
        instances=dict(type="IAMHead", reads=["cells", "overlap"]),
        overlap=head("overlap", loss=dict(type="ProximityFocalLoss", gamma=2.0)),
    )
    return model


MODELS = dict(one=four_heads(False), four=four_heads(True), overlap=overlap_aware())


def problems(model: dict) -> str:
    cfg = load_config(BRIGHTFIELD).to_dict()
    try:
        check_config(Config(dict(cfg, model=model)))
    except CellMMError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", MODELS)
def test_the_models_pass(name):
    assert problems(copy.deepcopy(MODELS[name])) == ""


@pytest.mark.parametrize(
    ("name", "key", "value", "says"),
    [
        ("four", "decoder.decoders.nuclei.widht", 3, "SEUNetDecoder takes no such argument"),
        ("four", "decoder.decoders.nuclei.type", "SEUnetDecoder", "did you mean SEUNetDecoder?"),
        ("four", "decoder.decoder", {}, "ParallelDecoders takes no such argument; did you mean decoders?"),
        ("four", "decoder.decoders.nuclei", 5, "a dict is needed, got 5"),
        ("one", "decoder.decoders", {}, "SEUNetDecoder takes no such argument"),
        (
            "one",
            "heads.border.loss.loss_wieght",
            2,
            "BCELoss takes no such argument; did you mean loss_w",
        ),
        ("one", "heads.border.targt", "x", "SemanticHead takes no such argument; did you mean target?"),
        ("one", "postprocess.min_sed", 2, "SeededWatershed takes no such argument; did you mean min_seed?"),
        ("one", "postprocess.type", "SeedWatershed", "did you mean SeededWatershed?"),
        ("one", "postproces", None, "CellSegmentor takes no such argument; did you mean postprocess?"),
        ("overlap", "heads.instances.read", "cells", "IAMHead takes no such argument; did you mean reads?"),
        ("overlap", "heads.overlap.raeds", [], "SemanticHead takes no such argument; did you mean reads?"),
        ("overlap", "heads.overlap.loss.gamma", "x", "ProximityFocalLoss needs a number, got 'x'"),
    ],
)
def test_what_is_misspelt_is_named(name, key, value, says):
    model = copy.deepcopy(MODELS[name])
    *parents, last = key.split(".")
    below = model
    for parent in parents:
        below = below[parent]
    below[last] = value
    text = problems(model)
    assert f"model.{key}: " in text and says in text
