"""Every config builds, and its model takes a training step and predicts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from cellmm.config.load import load_config
from cellmm.config.lookup import has_weights
from cellmm.models.heads.base import targets_of
from cellmm.registry import METRICS, MODELS, TRANSFORMS
from cellmm.structures import LabelLayers

ROOT = Path(__file__).parents[1]
EVERY = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "configs").glob("[!_]*/*.py"))
WEIGHTLESS = [path for path in EVERY if not has_weights(Config.fromfile(ROOT / path).model)]
TRANSLATING = [path for path in EVERY if path.startswith("configs/pix2pix/")]
CONFIGS = [path for path in EVERY if path not in (*WEIGHTLESS, *TRANSLATING)]  # that learn cells


TARGETS = (
    "ReferencePoints",
    "DiskTargets",
    "SemanticTargets",
    "BoundaryTargets",
    "ProximityMap",
    "PixelWeights",
    "AuxiliaryMaps",
    "PackCellInputs",
)


def item(cfg: Config, size: int) -> dict:
    """What the config's pipeline makes of two cells that overlap, in the middle of noise."""
    layers = np.zeros((2, size, size), np.int32)
    middle = size // 2
    layers[0, middle - 28 : middle, middle - 28 : middle] = 1
    layers[1, middle - 12 : middle + 18, middle - 12 : middle + 18] = 2
    nuclei = np.zeros_like(layers)
    nuclei[:, 4:-4, 4:-4] = layers[:, 8:, 8:]
    rng = np.random.default_rng(0)
    results = dict(
        img=rng.random((size, size, cfg.model.data_preprocessor.in_channels), np.float32),
        img_id=1,
        img_path="a.tif",
        img_shape=(size,) * 2,
        ori_shape=(size,) * 2,
        to_original=np.eye(3),
        gt_layers=LabelLayers(layers, num=2),
        gt_nuclei=LabelLayers(nuclei, num=2),
        gt_labels=np.zeros(2, np.int64),
        gt_ignore=np.zeros(2, bool),
        rng=rng,
    )
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type in TARGETS:
            results = TRANSFORMS.build(step)(results)
    return results


# divisor of the preprocessor, strides of what heads give, pixels lost at a side, weights in channels_last
DERIVED = {
    "others": (64, {2}, 0, True),
    "maskrcnn": (32, {4}, 0, False),
    "diskmask/bbbc010.py": (32, {1}, 0, True),
    "diskmask/bbbc010_outlines_cpu.py": (64, {1, 2}, 0, True),
    "diskmask/bbbc010_paper.py": (1, {1}, 92 + 92, False),
    "diskmask/nuclei.py": (32, {2}, 0, True),
    "diskmask/nuclei_calibrated.py": (32, {2}, 0, True),
    "glas/maskrcnn.py": (32, {4}, 0, False),
    "glas/maskrcnn_cpu.py": (32, {4}, 0, False),
    "glas/unet.py": (16, {1}, 0, False),
    "glas/unet_second.py": (16, {1}, 0, False),
    "queryseunet": (32, {2}, 0, True),
    "queryseunet/bbbc010.py": (32, {2}, 0, False),
    "queryseunet/brightfield.py": (32, {2}, 0, False),
    "sparseseunet/bbbc010.py": (32, {1}, 0, True),
    **{
        f"sparseseunet/{name}.py": (16, {1}, 0, False)
        for name in (
            "brightfield",
            "brightfield_iou_mse",
            "brightfield_multi_level",
            "brightfield_overlap",
            "brightfield_overlap_v4",
            "brightfield_points",
            "livecell_paper",
        )
    },
    "paper": (16, {1}, 0, False),  # of seunet
    "unet": (32, {2}, 0, True),
    "unet/three_class_paper.py": (16, {1}, 0, False),
    "unet/boundary_paper.py": (16, {1}, 0, False),
    "unet/regression_paper.py": (16, {1}, 0, False),
}


def known_of(path: str) -> tuple:
    """Of a config, of its folder, or of the others."""
    if path.startswith("seunet/") and path.endswith("_paper.py"):
        return DERIVED["paper"]
    return DERIVED.get(path, DERIVED.get(path.partition("/")[0], DERIVED["others"]))


def derived(model) -> tuple:
    strides = {model.head_inputs.specs(name)[0].stride for name in model.heads}
    channels_last = model.memory_format is torch.channels_last
    return model.data_preprocessor.divisor, strides, model.margin, channels_last


def stated(part, key: str = "") -> Iterator[str]:
    """Dotted keys of numbers that a model derives, and of the one place where images have channels."""
    parts = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, value in parts:
        where = f"{key}.{name}" if key else str(name)
        if name in ("in_channels", "in_specs", "divisor", "stride", "channels_last", "origin"):
            yield where
        yield from stated(value, where)


@pytest.mark.parametrize(
    "path", [*CONFIGS, "tests/configs/tiny.py", "examples/cellmm_border/configs/border.py"]
)
def test_it_states_no_number_that_the_model_derives(path):
    cfg = Config.fromfile(ROOT / path)
    assert set(stated(cfg.model.to_dict())) == {"data_preprocessor.in_channels"}
    steps = [step for step in cfg.train_dataloader.dataset.pipeline if "stride" in step]
    assert [step.type for step in steps] in ([], ["ReferencePoints"])


@pytest.mark.parametrize("path", CONFIGS)
def test_its_optimizer_can_be_built(path):
    wrapper = build_optim_wrapper(torch.nn.Conv2d(1, 1, 1), load_config(ROOT / path).optim_wrapper)
    assert wrapper.optimizer.param_groups


@pytest.mark.parametrize("path", CONFIGS)
def test_model_trains_and_predicts(path):
    cfg = load_config(ROOT / path)
    for head in cfg.model.heads.values():
        if head.get("type") == "MaskRCNNHead":  # its published size takes a minute on its 2,000 boxes
            head.update(max_proposals=8, roi_samples=8)
    model = MODELS.build(cfg.model)
    size = 388 if cfg.model.encoder.get("padding") == "valid" else 128 if "diskmask" in path else 64
    items = [item(cfg, size) for _ in range(2)]
    data = {key: [item[key] for item in items] for key in ("inputs", "data_samples")}
    losses = model(**model.data_preprocessor(data, True), mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total) and all(p.grad is not None for p in model.parameters() if p.requires_grad)
    model.eval()
    maps = model.extract(data["inputs"][0][None])
    for name in model.heads:
        specs = model.head_inputs.specs(name)
        features = model.head_inputs.features(name, maps, data["inputs"][0][None])
        for spec, feature in zip(specs, features, strict=True):
            assert spec.channels == feature.shape[1]
            assert spec.origin + spec.stride * (feature.shape[-1] - 1) < size
        finest = specs[0]
        assert finest.stride == round(size / (features[0].shape[-1] + 2 * finest.origin / finest.stride))
    assert derived(model) == known_of(path.removeprefix("configs/"))
    results = model.test_step(data)
    gives_instances = model.postprocess is not None or model.instance_head is not None
    assert all(("pred_instances" in s) == gives_instances for s in results)
    maps = {target for head in model.heads.values() for target in targets_of(head)}
    assert all(set(s.get("pred_semantic", {}).keys()) == maps for s in results)


@pytest.mark.parametrize("path", CONFIGS)
def test_pipelines_metric_and_schedule(path):
    cfg = load_config(ROOT / path)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        steps = [TRANSFORMS.build(step) for step in cfg[loader].dataset.pipeline]
        assert type(steps[-1]).__name__ == "PackCellInputs"
        keep = [step.keep_original for step in steps if type(step).__name__ == "LoadCells"]
        assert keep == [loader != "train_dataloader"]
    for metric in cfg.test_evaluator if isinstance(cfg.test_evaluator, list) else [cfg.test_evaluator]:
        METRICS.build(metric)
    assert cfg.default_hooks.plain_checkpoint.type == "WeightsOnlyHook"
    assert cfg.train_dataloader.sampler.type == "DrawSampler"
    for schedule in cfg.param_scheduler:
        assert max(schedule.get("end", 0), *schedule.get("milestones", [0])) <= cfg.train_cfg.max_iters


@pytest.mark.parametrize("path", CONFIGS)
def test_images_are_resized_alike_in_training_and_tests(path):
    cfg = load_config(ROOT / path)
    frames = [
        [
            step
            for step in cfg[f"{split}_dataloader"].dataset.pipeline
            if step.type in ("Rescale", "CropRegion")
        ]
        for split in ("train", "val", "test")
    ]
    assert frames[0] == frames[1] == frames[2]
    resizes = path in ("configs/glas/unet.py", "configs/glas/unet_second.py")  # as published
    assert ("ResizeTo" in cfg.pretty_text) == resizes, "the scale of cells would change with the image"


def test_a_child_changes_the_data_of_its_dataloaders():
    cfg = load_config(ROOT / "configs/sparseseunet/brightfield_quickstart.py")
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = cfg[loader].dataset
        assert dataset.data_root == cfg.data_root == "data/brightfield_quickstart"
        assert dataset.simulation.scene == "small"
        assert not any(step.type == "Rescale" for step in dataset.pipeline)


@pytest.mark.parametrize("path", WEIGHTLESS)
def test_model_without_weights_predicts(path):
    cfg = load_config(ROOT / path)
    assert cfg.get("train_dataloader") is None
    model = MODELS.build(cfg.model)
    assert not list(model.parameters())
    image = np.full((64, 64, model.data_preprocessor.in_channels), 0.2, np.float32)
    image[20:44, 24:48] = 0.9
    if model.contrast == "dark":
        image = 1 - image
    steps = [TRANSFORMS.build(step) for step in cfg.test_dataloader.dataset.pipeline]
    assert type(steps[-1]).__name__ == "PackCellInputs"
    results = dict(img=image, img_id=1, img_shape=(64, 64), ori_shape=(64, 64), to_original=np.eye(3))
    for step in steps:
        if type(step).__name__ in ("Normalize", "PackCellInputs"):
            results = step(results)
    batch = dict(inputs=[results["inputs"]], data_samples=[results["data_samples"]])
    (sample,) = model.eval().test_step(batch)
    assert len(sample.pred_instances) == 1
    METRICS.build(cfg.test_evaluator)


@pytest.mark.parametrize("path", TRANSLATING)
def test_model_of_images_trains_and_predicts(path):
    cfg = load_config(ROOT / path)
    model = MODELS.build(cfg.model)
    assert set(stated(cfg.model.to_dict())) == {"data_preprocessor.in_channels"}
    loader = cfg.train_dataloader
    assert loader.sampler.type == "DrawSampler"
    crop, pack = (TRANSFORMS.build(step) for step in loader.dataset.pipeline[-2:])
    side = crop.crop_size[0]
    assert crop.crop_size == (side, side) and side % model.generator.divisor == 0
    rng, is_mask = np.random.default_rng(0), pack.inputs == "mask"
    image = rng.integers(0, 4096, (side + 9, side, 2 if is_mask else 3)).astype(np.float32)
    results = dict(img=image, img_id=1, img_path="a.tif", img_shape=image.shape[:2], draw=0, rng=rng)
    results["gt_layers"] = LabelLayers((image[None, ..., 0] > 2000).astype(np.int32), num=1)
    results = pack(crop(results))
    data = {key: [results[key]] for key in ("inputs", "data_samples")}
    before = [p.detach().clone() for p in model.parameters()]
    logged = model.train().train_step(data, build_optim_wrapper(model, cfg.optim_wrapper))
    assert all(torch.isfinite(value) for value in logged.values())
    assert all(not torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    (sample,) = model.eval().test_step(data)
    assert sample.pred_image.shape == sample.gt_image.shape == (2, side, side)
    for metric in cfg.val_evaluator:
        METRICS.build(metric)
