"""Keys and transforms of other libraries, packages that are not installed, objects: refused with the cure."""

import copy
import importlib.util
from pathlib import Path

import mmcv.transforms
import mmengine.visualization.vis_backend as backends
import numpy as np
import pytest
from mmengine.config import Config

from cellmm.config import foreign as config_foreign
from cellmm.config.check import check_config, check_pipeline
from cellmm.config.load import load_config
from cellmm.datasets import DrawSampler
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS

BRIGHTFIELD = Path(__file__).parents[2] / "configs/sparseseunet/brightfield.py"
PLAIN = load_config(BRIGHTFIELD).to_dict()
START, END = [dict(type="LoadImage"), dict(type="LoadCells")], [dict(type="PackCellInputs")]


def problems(options: dict) -> str:
    cfg = Config(copy.deepcopy(PLAIN))
    cfg.merge_from_dict(options)
    try:
        check_config(Config(cfg.to_dict()))
    except CellMMError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


MMCV = [
    name
    for name, cls in vars(mmcv.transforms).items()
    if isinstance(cls, type) and name not in ("BaseTransform", "RandomApply", "RandomChoice")
]
MMDET = [
    "RandomCrop",
    "PhotoMetricDistortion",
    "PackDetInputs",
    "MinIoURandomCrop",
    "Expand",
    "Mosaic",
    "Albu",
]
FOREIGN = [
    (prefix, name)
    for prefix in ("", "mmcv.", "mmengine.", "mmdet.", "class")
    for name in sorted({*MMCV, *MMDET})
    if prefix or name not in TRANSFORMS.module_dict  # of a name of both cellmm's is taken
]


@pytest.mark.parametrize(("prefix", "name"), FOREIGN)
def test_transforms_of_other_libraries_are_refused_with_what_to_use(name, prefix):
    kind = getattr(mmcv.transforms, name, f"mmdet.{name}") if prefix == "class" else f"{prefix}{name}"
    with pytest.raises(CellMMError) as error:
        check_pipeline([*START, dict(type=kind), *END], "train_pipeline")
    cure = config_foreign.CURES_BY_TRANSFORM.get(name, f"cellmm's {name}, by its plain name")
    text = str(error.value)
    refused = text.startswith("train_pipeline.2.type: ") and text.endswith(f"; use {cure}")
    assert refused or prefix == "mmengine." and name in MMDET


@pytest.mark.parametrize(
    "kind", ["mmcv.Normalize", "mmcv.transforms.processing.Normalize", mmcv.transforms.Normalize]
)
def test_a_name_of_both_is_cellmms_unless_it_says_otherwise(kind):
    check_pipeline([dict(type="Normalize")], "pipeline")
    with pytest.raises(CellMMError, match="use cellmm's Normalize, by its plain name"):
        check_pipeline([dict(type=kind)], "pipeline")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_they_are_found_in_every_pipeline_and_in_lists_of_lists(split):
    inside = dict(
        type="RandomChoice",
        transforms=[[dict(type="RandomIntensity")], [dict(type="CachedMosaic", prob=1.0)]],
    )
    text = problems({f"{split}_dataloader.dataset.pipeline": [*START, inside, *END]})
    assert f"{split}_dataloader.dataset.pipeline.2.transforms.1.0.type: CachedMosaic would change" in text
    repeat = dict(
        type="RepeatDataset", times=2, dataset=dict(type="LabelImageDataset", img_dir="x", label_dir="y")
    )
    repeat["dataset"]["pipeline"] = [dict(type="CachedMixUp", img_scale=(64, 64))]
    text = problems({f"{split}_dataloader.dataset": dict(_delete_=True, **repeat)})
    assert f"{split}_dataloader.dataset.dataset.pipeline.0.type: CachedMixUp would change" in text


def test_containers_of_cellmms_own_transforms_pass():
    steps = [dict(type="RandomApply", prob=0.5, transforms=[dict(type="RandomIntensity", blur=1.0)])]
    steps += [dict(type="RandomChoice", transforms=[[dict(type="RandomWarp")], []])]
    check_pipeline([*START, *steps, *END], "pipeline")


VALUES = ["x.pth", 7, dict(type="SGD", lr=0.5), [("train", 1)]]


@pytest.mark.parametrize(("number", "key"), list(enumerate(config_foreign.CURES_BY_KEY)))
def test_keys_of_other_libraries_are_refused_with_the_cure(number, key):
    assert (
        problems({key: VALUES[number % 4]}) == f"{key}: nothing reads it; {config_foreign.CURES_BY_KEY[key]}"
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("train_pipelines", [dict(type="LoadImage"), *END], "train_pipelines: no dataloader uses it"),
        ("test_pipelin", [dict(type="LoadImage"), *END], "test_pipelin: no dataloader uses it"),
        ("param_schedulers", [], "param_schedulers: unknown; did you mean param_scheduler?"),
        ("custom_hook", [], "custom_hook: unknown; did you mean custom_hooks?"),
        ("load_form", "a.pth", "load_form: unknown; did you mean load_from?"),
        (
            "default_scope",
            "mmdet",
            "default_scope: 'mmdet', where classes of cellmm are not found; set 'cellmm'",
        ),
    ],
)
def test_misspelt_keys_and_another_scope_are_refused(name, value, says):
    assert says in problems({name: value})


@pytest.mark.parametrize(
    "text",
    [
        "seed = 3\nrandomness = dict(seed=seed)",
        "optimizer = dict(type='AdamW', lr=2e-4)\noptim_wrapper = dict(_delete_=True, type='OptimWrapper', "
        "optimizer=optimizer)",
        "total_iters = 700\ntrain_cfg = dict(max_iters=total_iters)",
        "fp16 = None\nresume_from = None",
        "my_lr, batch = 0.1, 3\nfrom math import pi\nfrom pathlib import Path\nhere = Path('x')",
        "import os\nimport math as data\nfrom functools import partial as optimizers_of_mine",
    ],
)
def test_variables_that_a_key_reads_and_those_of_ones_own_pass(text, tmp_path):
    (tmp_path / "own.py").write_text(f"_base_ = [{str(BRIGHTFIELD)!r}]\n{text}\n")
    check_config(load_config(tmp_path / "own.py"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model.encoder.widths", np.array([4, 8])),
        ("model.heads.instances.num_queries", np.int64(4)),
        ("train_dataloader.collate_fn", lambda batch: batch),
        ("train_dataloader.sampler.type", lambda dataset: None),
        ("model.encoder.init_cfg", DrawSampler([1])),
        ("work_dir", importlib.util),
        ("mine", np.zeros(3)),
    ],
)
def test_an_object_is_named_with_its_key(key, value):
    text = problems({key: value})
    assert (
        f"{key}: {type(value).__name__}, which a config cannot hold; write text, numbers, lists" in text
        or (text.startswith(f"{key}.type: ") or text.startswith(f"{key}: "))
    )
    assert ("end the file with `del mine`" in text) == (key == "mine")


def test_a_key_that_is_no_name():
    assert "a b: not a name" in problems({"a b": 1})


PACKAGES = [(kind, package) for kind, packages in config_foreign.PACKAGES.items() for package in packages]


@pytest.mark.parametrize(("kind", "package"), PACKAGES)
def test_a_package_that_is_not_installed_is_named_before_training(kind, package, monkeypatch):
    assert isinstance(getattr(backends, kind), type)
    options = {"visualizer.vis_backends": [dict(type="LocalVisBackend"), dict(type=kind)]}
    monkeypatch.setattr(config_foreign, "find_spec", lambda name: None if name == package else "there")
    text = problems(options)
    install = f"{kind} needs what is not installed; pip install {package}"
    assert text == f"visualizer.vis_backends.1.type: {install}"
    monkeypatch.setattr(config_foreign, "find_spec", lambda name: "there")
    assert "not installed" not in problems(options)


def test_all_packages_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr(config_foreign, "find_spec", lambda name: None)
    text = problems({"visualizer.vis_backends": [dict(type="DVCLiveVisBackend")]})
    assert text.endswith("pip install dvclive pygit2")
