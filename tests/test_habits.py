"""Habits of a user of MMDetection: each is right, or refused in one line that says what to write instead."""

import copy

import numpy as np
import pytest
import tifffile
from mmengine.config import Config
from mmengine.runner import Runner

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands.train import parse_args, prepare_config
from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.datasets import LabelImageDataset
from cellmm.engine.preflight.building import build
from cellmm.engine.runner import build_runner
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import rle

SIZE = (48, 64)
LOAD = [dict(type="LoadImageFromFile", color_type="unchanged"), dict(type="LoadAnnotations", with_mask=True)]
PACK = dict(type="PackDetInputs")
FLIP, FLIP_ALL = dict(type="RandomFlip", prob=1.0), ["horizontal", "vertical", "diagonal"]
TO_SCALE = dict(type="Resize", scale=(32, 32), keep_ratio=True)
COCO = dict(type="CellCocoDataset", data_root="x", ann_file="a.json", pipeline=[*LOAD, PACK])


@pytest.fixture(scope="module")
def ids(tmp_path_factory):
    """A set of two images, 16 bit, in which each pixel of a cell has the cell's number."""
    root = tmp_path_factory.mktemp("ids")
    for folder in ("images", "labels"):
        (root / folder).mkdir()
    for number in range(2):
        label = np.zeros(SIZE, np.uint16)
        for i, (y, x) in enumerate([(4, 4), (24, 8), (8, 40), (28, 36)]):
            label[y : y + 16, x : x + 16] = 300 * number + i + 1
        tifffile.imwrite(root / "images" / f"{number}.tif", label)
        tifffile.imwrite(root / "labels" / f"{number}.tif", label)
    return lambda *steps: LabelImageDataset(
        data_root=root, img_dir="images", label_dir="labels", pipeline=[*LOAD, *steps, PACK]
    )


MOVES = {
    "LoadImageFromFile, LoadAnnotations, PackDetInputs": [],
    "RandomFlip": [FLIP],
    "RandomFlip with lists": [dict(type="RandomFlip", prob=[0.4, 0.3, 0.3], direction=FLIP_ALL)],
    "Resize": [dict(type="Resize", scale_factor=2.0, interpolation="nearest")],
    "RandomResize": [
        dict(type="RandomResize", scale=SIZE[::-1], ratio_range=(3.0, 3.0), interpolation="nearest")
    ],
    "RandomCrop": [dict(type="RandomCrop", crop_size=(40, 30), crop_type="absolute")],
    "CenterCrop": [dict(type="CenterCrop", crop_size=(37, 29))],
    "Pad": [dict(type="Pad", size_divisor=32, pad_val=dict(img=0, seg=255))],
    "RandomApply": [dict(type="RandomApply", transforms=[FLIP], prob=0.5)],
    "RandomChoice": [dict(type="RandomChoice", transforms=[[FLIP], [dict(type="Pad", size=(99, 99))]])],
    "flip, crop and pad": [
        FLIP,
        dict(type="RandomCrop", crop_size=(30, 30)),
        dict(type="Pad", size=(32, 32)),
    ],
}


@pytest.mark.parametrize("habit", MOVES)
def test_cells_move_as_the_image(ids, habit):
    dataset, same = ids(*MOVES[habit]), ids(*MOVES[habit])
    for draw in range(4):
        packed = dataset[draw % 2, draw]
        image, layers = packed["inputs"][0].int(), packed["data_samples"].gt_layers
        pairs = set(zip(image.ravel().tolist(), layers.amax(0).ravel().tolist(), strict=True))
        shown, numbers = zip(*pairs, strict=True)
        assert len(set(shown)) == len(set(numbers)) == len(pairs) > 1 and (0, 0) in pairs
        assert set(numbers) == set(range(len(numbers)))
        again = same[draw % 2, draw]
        assert (again["inputs"] == packed["inputs"]).all()  # of the draw alone


@pytest.mark.parametrize(
    "step",
    [dict(type="PhotoMetricDistortion"), dict(type="Normalize", mean=[100.0], std=[50.0], to_rgb=True)],
    ids=lambda step: step["type"],
)
def test_values_change_and_cells_stay(ids, step):
    changed, plain = ids(step)[1, 5], ids()[1, 5]
    assert (changed["data_samples"].gt_layers == plain["data_samples"].gt_layers).all()
    assert (changed["inputs"] != plain["inputs"]).any()


def test_a_test_pipeline_with_annotations_after_resize(ids):
    """The cells of the original image are for the metrics; the prediction goes back there."""
    dataset = ids()
    meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
    steps = [LOAD[0], TO_SCALE, LOAD[1], dict(type="PackDetInputs", meta_keys=meta)]
    dataset.pipeline.transforms = [TRANSFORMS.build(step) for step in steps]
    sample = dataset[1]["data_samples"]
    assert sample.img_shape == (24, 32) and sample.ori_shape == SIZE and sample.scale_factor == (0.5, 0.5)
    assert "gt_layers" not in sample
    label = ids()[1]["data_samples"].gt_layers[0].numpy()
    masks = rle.decode(sample.eval_instances.masks)
    assert np.array_equal(masks, label == np.arange(1, 5)[:, None, None])
    # an image whose cells come in another scale than those of training is refused
    seen = TrainedOn(size=(24, 32), scale=(0.5, 0.5))
    seen.check_scale(sample, (24, 32))
    sample.set_metainfo(dict(to_original=np.diag([4.0, 4.0, 1.0])))
    with pytest.raises(CellMMError, match="in training it was 0.5; .*factor=0.5") as error:
        seen.check_scale(sample, (24, 32))
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def config(tiny_config, tmp_path_factory):
    path = tiny_config(tmp_path_factory.mktemp("habits"))
    return path, load_config(path).to_dict()


def problems(plain: dict, options: dict) -> str:
    cfg = Config(copy.deepcopy(plain))
    cfg.merge_from_dict(options)
    try:
        check_config(Config(cfg.to_dict()))
    except CellMMError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


EPOCHS = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
SCHEDULE = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
RIGHT = {
    "epochs": {
        "train_cfg": EPOCHS,
        "param_scheduler": SCHEDULE,
        "default_hooks.checkpoint": dict(_delete_=True, type="CheckpointHook", by_epoch=True, interval=1),
        "log_processor": dict(_delete_=True, type="LogProcessor", window_size=50, by_epoch=True),
    },
    "val_cfg and test_cfg": {"val_cfg": dict(type="ValLoop"), "test_cfg": dict(type="TestLoop")},
    "ConcatDataset": {
        "train_pipeline": None,
        "train_dataloader.dataset": dict(_delete_=True, type="ConcatDataset", datasets=[COCO] * 2),
    },
    "RepeatDataset": {
        "train_pipeline": None,
        "train_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", times=3, dataset=COCO),
    },
    "ClassBalancedDataset": {
        "train_pipeline": None,
        "train_dataloader.dataset": dict(
            _delete_=True, type="ClassBalancedDataset", oversample_thr=1e-3, dataset=COCO
        ),
    },
    "default_hooks": {
        "default_hooks.timer": dict(type="IterTimerHook"),
        "default_hooks.logger": dict(type="LoggerHook", interval=50),
        "default_hooks.param_scheduler": dict(type="ParamSchedulerHook"),
        "default_hooks.sampler_seed": dict(type="DistSamplerSeedHook"),
    },
    "custom_hooks": {"custom_hooks": [dict(type="EMAHook", momentum=0.0002, update_buffers=True)]},
    "visualizer": {"visualizer.vis_backends": [dict(type="LocalVisBackend")]},
    "env_cfg": {"env_cfg": dict(cudnn_benchmark=False, dist_cfg=dict(backend="nccl"))},
    "optim_wrapper": {
        "optim_wrapper": dict(
            _delete_=True,
            type="OptimWrapper",
            optimizer=dict(type="SGD", lr=0.02, momentum=0.9),
            clip_grad=dict(max_norm=35, norm_type=2),
        )
    },
    "auto_scale_lr": {"auto_scale_lr": dict(enable=False, base_batch_size=16)},
    "load_from": {"load_from": "a.pth"},
}


@pytest.mark.parametrize("habit", RIGHT)
def test_a_key_is_right(config, habit):
    assert problems(config[1], RIGHT[habit]) == ""


def step(config: dict) -> dict:
    return {
        "train_dataloader.dataset.pipeline": [dict(type="LoadImage"), config, dict(type="PackCellInputs")]
    }


REFUSED = {
    "Mosaic": (step(dict(type="Mosaic", img_scale=(64, 64))), "img_scale"),
    "MixUp": (step(dict(type="MixUp", img_scale=(64, 64))), "img_scale"),
    "CachedMosaic": (step(dict(type="CachedMosaic", img_scale=(64, 64))), "use Mosaic"),
    "CopyPaste": (step(dict(type="CopyPaste", max_num_pasted=9)), "max_num_pasted"),
    "AutoAugment": (step(dict(type="AutoAugment", policies=[])), "use RandomWarp"),
    "RandomAffine": (step(dict(type="RandomAffine")), "use RandomWarp(rotate="),
    "Albu": (step(dict(type="Albu", transforms=[])), "use Albumentations"),
    "mmdet.Resize": (step(dict(type="mmdet.Resize", scale=3)), "use cellmm's Resize, by its plain name"),
    "mmcv.RandomFlip": (step(dict(type="mmcv.RandomFlip", prob=0.5)), "use cellmm's RandomFlip"),
    "an unknown argument": (
        step(dict(type="RandomFlip", flip_ratio=0.5)),
        "RandomFlip takes no such argument",
    ),
    "optimizer": ({"optimizer": dict(type="SGD", lr=0.5)}, "write optim_wrapper=dict("),
    "lr_config": ({"lr_config": dict(policy="step")}, "write param_scheduler"),
    "data": ({"data": dict(samples_per_gpu=2)}, "write train_dataloader"),
    "runner": (
        {"runner": dict(type="EpochBasedRunner", max_epochs=12)},
        "set train_cfg.max_iters, or max_epochs",
    ),
    "evaluation": ({"evaluation": dict(interval=1)}, "write val_evaluator and train_cfg.val_interval"),
    "fp16": ({"fp16": dict(loss_scale=512.0)}, "use --amp"),
    "resume_from": ({"resume_from": "a.pth"}, "use --resume"),
    "tta_model": ({"tta_model": dict(type="DetTTAModel")}, r'model.tta="flips" or give --tta'),
    "tta_pipeline": ({"tta_pipeline": [dict(type="LoadImage")]}, r'model.tta="flips" or give --tta'),
    "default_scope": ({"default_scope": "mmdet"}, "set 'cellmm'"),
    "DefaultSampler": (
        {"train_dataloader.sampler": dict(type="DefaultSampler", shuffle=True)},
        "use dict(type='DrawSampler', shuffle=True)",
    ),
    "CocoDataset": ({"train_dataloader.dataset.type": "CocoDataset"}, "did you mean CellCocoDataset?"),
    "data_prefix": (
        {"train_dataloader.dataset.data_prefix": dict(img="train2017/")},
        "takes no such argument; did you mean data_root?",
    ),
    "CocoMetric": ({"val_evaluator": dict(_delete_=True, type="CocoMetric")}, "did you mean CellCocoMetric?"),
    "DetLocalVisualizer": ({"visualizer.type": "DetLocalVisualizer"}, "there is no 'DetLocalVisualizer'; "),
    "by_epoch with iterations": ({"param_scheduler": [SCHEDULE[1]]}, "set by_epoch=False"),
    "epochs added to iterations": (
        {"train_cfg.max_epochs": 12},
        "IterBasedTrainLoop takes no such argument; ",
    ),
    "out_dir": ({"default_hooks.checkpoint.out_dir": "x"}, "use --work-dir"),
}


@pytest.mark.parametrize("habit", REFUSED)
def test_a_habit_is_refused_with_the_cure(config, habit):
    options, cure = REFUSED[habit]
    assert cure in problems(config[1], options)


@pytest.mark.parametrize(
    ("config", "cure"),
    [
        (dict(type="LoadAnnotations", with_bbox=True), "set with_mask=True"),
        (dict(type="LoadAnnotations", with_mask=True, with_seg=True), "add SemanticTargets"),
        (dict(type="LoadImageFromFile", backend_args=dict(backend="petrel")), "read from the disk"),
        (dict(type="Resize", scale=8, backend="pillow"), "leave it out"),
    ],
)
def test_an_argument_is_refused_by_its_key(config, cure):
    with pytest.raises(CellMMError, match=cure) as error:
        build("train_pipeline", lambda: TRANSFORMS.build(config), [config])
    assert str(error.value).startswith("train_pipeline.0: ") and "\n" not in str(error.value)


def prepared(path, *words: str) -> Config:
    return prepare_config(parse_args([str(path), *words]))


def test_options_of_the_command(config):
    path, plain = config
    cfg = prepared(path, "--work-dir", "here", "--amp", "--resume", "--cfg-options", "train_cfg.max_iters=8")
    assert (cfg.work_dir, cfg.resume, cfg.train_cfg.max_iters) == ("here", "auto", 8)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.dtype) == ("AmpOptimWrapper", "bfloat16")
    assert prepared(path, "--resume", "a.pth").resume == "a.pth"
    assert prepared(path).work_dir.startswith("work_dirs") and not prepared(path).get("auto_scale_lr")
    short = prepared(
        path, "--cfg-options", "train_cfg._delete_=True", "train_cfg.by_epoch=True", "train_cfg.max_epochs=2"
    )
    assert short.train_cfg == dict(type="EpochBasedTrainLoop", max_epochs=2)


def test_auto_scale_lr_of_the_command(config):
    path, _ = config
    with pytest.raises(CellMMError, match="base_batch_size is missing; set it to the batch size") as error:
        prepared(path, "--auto-scale-lr")
    assert "\n" not in str(error.value)
    options = ("--cfg-options", "auto_scale_lr.base_batch_size=16", "auto_scale_lr.enable=False")
    assert prepared(path, *options).auto_scale_lr == dict(enable=False, base_batch_size=16)
    assert prepared(path, "--auto-scale-lr", *options).auto_scale_lr == dict(enable=True, base_batch_size=16)


TRAINING = """
meta = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip")
train_pipeline = [
    dict(type="LoadImageFromFile", color_type="unchanged"),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="RandomFlip", prob=0.5, direction=["horizontal", "vertical"]),
    dict(type="RandomResize", scale=(64, 64), ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(48, 48)),
    dict(type="Pad", size_divisor=16),
    dict(type="PhotoMetricDistortion"),
    dict(type="Normalize", mean=[100.0, 100.0], std=[50.0, 50.0]),
    dict(type="PackDetInputs", meta_keys=meta),
]
test_pipeline = [
    dict(type="LoadImageFromFile", color_type="unchanged"),
    dict(type="Resize", scale=(64, 64), keep_ratio=True),
    dict(type="LoadAnnotations", with_mask=True),
    dict(type="Normalize", mean=[100.0, 100.0], std=[50.0, 50.0]),
    dict(type="PackDetInputs", meta_keys=meta),
]
train_dataloader["dataset"].update(pipeline=train_pipeline)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=1, val_interval=1)
default_hooks = dict(checkpoint=dict(_delete_=True, type="CheckpointHook", interval=1, save_best="AP"))
log_processor = dict(by_epoch=True)
auto_scale_lr = dict(enable=False, base_batch_size=4)
"""


def test_a_config_of_these_habits_trains_tests_and_predicts(tiny_config, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    path = tiny_config(tmp_path, TRAINING)
    runner = build_runner(prepared(path, "--work-dir", str(tmp_path / "work"), "--auto-scale-lr"))
    assert runner.optim_wrapper.get_lr()["lr"] == [5e-4]  # for batches of 2 where 4 had 1e-3
    runner.train()
    assert (tmp_path / "work" / "epoch_1.pth").exists() and (
        tmp_path / "work" / "best_AP_epoch_1.pth"
    ).exists()
    inferencer = CellInferencer(path, tmp_path / "work" / "epoch_1.pth", device="cpu")
    image = next(
        p for p in sorted(tiny_data.rglob("*.tif*")) if "label" not in str(p) and "cell" not in str(p)
    )
    assert inferencer.predict(image).shape == (64, 64)
