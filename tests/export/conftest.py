"""Small untrained models, each exported once."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cellmm.config.load import load_config
from cellmm.engine.checkpoints import save_weights
from cellmm.export import export_model
from cellmm.registry import MODELS

NETWORK = dict(encoder=dict(widths=(4, 6, 8), depth=1), decoder=dict(widths=(4, 6), depth=1))
DISKMASK = dict(
    feature_channels=4,
    mask_decoder=dict(widths=(4, 6), depth=1),
    finder=dict(score_thr=0.0, max_gates=12),
    scoring=dict(objectness=dict(hidden=4)),
    windows=dict(size=8, patience=None),
    test_cfg=dict(score_thr=0.0),
)
SPARSE = dict(
    num_queries=9,
    num_refine=1,
    feature_dim=8,
    instance_branch=dict(channels=4, depth=1, num_levels=2),
    mask_branch=dict(channels=4, depth=1, num_levels=2, mask_dim=4),
    test_cfg=dict(score_thr=0.0),
)
MAPS = {
    name: dict(_delete_=True, type="SEUNetDecoder", widths=(4, 6), depth=1)
    for name in ("cytoplasm", "nuclei", "border", "background")
}
TINY = dict(
    diskmask=("diskmask/brightfield_quickstart", NETWORK | dict(heads=dict(instances=DISKMASK))),
    sparseseunet=("sparseseunet/simulated_quality", NETWORK | dict(heads=dict(instances=SPARSE))),
    seunet=("seunet/four_heads", dict(encoder=NETWORK["encoder"], decoder=dict(decoders=MAPS))),
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Callable[[str], tuple[Path, Path]]:
    """The config and the weights of ``'diskmask'``, ``'sparseseunet'`` or ``'seunet'``, not trained."""

    @functools.cache
    def make(name: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp(name)
        base, model = TINY[name]
        config, weights = folder / f"{name}.py", folder / f"{name}.safetensors"
        config.write_text(f"_base_ = ['cellmm::{base}']\nmodel = {model!r}\n")
        torch.manual_seed(0)
        network = MODELS.build(load_config(config).model)
        for layer in network.modules():  # as if trained: statistics that change something
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.uniform_(-0.1, 0.1)
                layer.running_var.uniform_(0.5, 1.5)
        if name == "diskmask":  # masks of some pixels
            network.heads["instances"].mask_decoder.logits.weight.data *= 20
        save_weights(
            weights, network.state_dict(), dict(dataset_meta=dict(classes=["worm"], category_ids=[7]))
        )
        return config, weights

    return make


@pytest.fixture(scope="session")
def package(tiny_model, tmp_path_factory) -> Callable[[str, str], Path]:
    """``package(name, kind)``: that model as a package."""

    @functools.cache
    def export(name: str, kind: str) -> Path:
        config, weights = tiny_model(name)
        out = tmp_path_factory.mktemp("packages") / f"{name}-{kind}.zip"
        exported = export_model(config, kind, out, checkpoint=weights, name=name)
        assert all(difference < 1e-4 for difference in exported.differences.values())
        return out

    return export


@pytest.fixture(scope="session")
def noise() -> Callable[[int, int, int], np.ndarray]:
    """An image of blurred noise, uint8 (H, W, C)."""

    def make(rows: int, cols: int, channels: int) -> np.ndarray:
        image = np.random.default_rng(0).random((rows // 4, cols // 4, channels))
        return (255 * image.repeat(4, 0).repeat(4, 1)).astype(np.uint8)

    return make
