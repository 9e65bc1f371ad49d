"""Configs that answer: what is refused, in which words; and no config makes the check itself fail."""

import copy
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.hooks import Hook
from torch import nn

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.config.schema import TOP_LEVEL_KEYS
from cellmm.datasets import DrawSampler
from cellmm.errors import CellMMError
from cellmm.registry import HOOKS, MODELS

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("[!_]*/*.py"))
BRIGHTFIELD = ROOT / "configs/sparseseunet/brightfield.py"
PIPELINE = "train_dataloader.dataset.pipeline"
LOADERS = ("train", "val", "test")
DATASET = dict(type="LabelImageDataset", data_root="x", img_dir="images", pipeline=[])


class Windowed(Hook):
    """Arguments that mean something else elsewhere in a config."""

    def __init__(self, window_size, batch_size, lr):
        pass


@pytest.fixture(autouse=True, scope="module")
def windowed():
    HOOKS.register_module(module=Windowed)
    yield
    HOOKS.module_dict.pop("Windowed")


def problems(options: dict | None = None, path: Path = BRIGHTFIELD) -> str:
    """What check_config says, without the file to compare with; '' where it finds nothing."""
    cfg = load_config(path)
    cfg.merge_from_dict(options or {})
    try:
        check_config(Config(cfg.to_dict()))
    except CellMMError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_pass(path):
    check_config(load_config(path))


@pytest.mark.parametrize(
    "options",
    [
        {"work_dir": "x", "launcher": "none", "resume": True, "load_from": "a.pth"},
        {"train_dataloader.num_workers": 0, "train_dataloader.persistent_workers": False},
        {"optim_wrapper.optimizer.lr": 1},
        {"train_dataloader.sampler.type": DrawSampler},
        {"optim_wrapper.type": "AmpOptimWrapper", "optim_wrapper.dtype": "bfloat16"},
        {"val_evaluator": [dict(type="CellCocoMetric", prefix="a"), dict(type="CellCocoMetric", prefix="b")]},
        {"val_evaluator": dict(_delete_=True, metrics=[dict(type="CellCocoMetric")])},
        {"optim_wrapper.paramwise_cfg": dict(custom_keys=dict(encoder=dict(lr_mult=0.1)))},
        {"optim_wrapper.clip_grad": dict(type="value", clip_value=0.2)},
        {"param_scheduler": [dict(type="ReduceOnPlateauLR", monitor="AP", rule="greater")]},
        {"default_hooks.timer": None, "custom_hooks": [dict(type="EMAHook", momentum=0.1, priority=49)]},
        {"default_hooks.early": dict(type="EarlyStoppingHook", monitor="AP", rule="greater")},
        {"model.encoder.init_cfg": dict(type="Kaiming", layer="Conv2d")},
        {"model.heads.more": dict(type="IAMHead", criterion=dict(matcher=dict(type="HungarianMatcher")))},
        {"model.heads.instances.objectness": dict(type="MaskQuality")},
        {"model_wrapper_cfg": dict(type="CellDistributedDataParallel", find_unused_parameters=True)},
        {"compile": True, "sync_bn": "torch", "auto_scale_lr": dict(enable=False, base_batch_size=2)},
        {"compile": dict(mode="default"), "custom_imports": dict(imports=["math"])},
        {"train_dataloader.collate_fn": dict(type="default_collate"), "train_dataloader.pin_memory": True},
        {"mode": "train", "img_scale": (3, 4), "train_dataset": {}, "dataloader": dict(num_workers=1)},
        {"test_dataloader": None, "test_cfg": None, "test_evaluator": None, "test_pipeline": None},
        {
            "param_scheduler": dict(
                _delete_=True, type="StepLR", step_size=2, convert_to_iter_based=True, end=9
            )
        },
        {"default_hooks.checkpoint.save_begin": 4, "optim_wrapper.accumulative_counts": 2},
        {"default_hooks.checkpoint.save_best": "auto", "default_hooks.checkpoint.rule": None},
        {"custom_hooks": [dict(type="EMAHook", begin_iter=5)], "log_processor": None},
        {"model.encoder.init_cfg": [dict(type="Kaiming", layer="Conv2d")]},
        {"view_pipeline": [dict(type="LoadImage"), dict(type="PackCellInputs")]},
        {"train_dataloader.num_batch_per_epoch": 5, "train_dataloader.disable_subprocess_warning": True},
        {"default_hooks.timer": dict(type="Windowed", window_size=(7, 7), batch_size=None, lr="auto")},
        {
            "train_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", times=2, dataset=DATASET),
            "train_pipeline": None,
        },
        {"custom_hooks": [dict(type="EMAHook", ema_type="MomentumAnnealingEMA", gamma=10)]},
        {"model.encoder.init_cfg": dict(type="Kaiming", override=dict(type="Constant", name="stem", val=1))},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_is_right_passes(options):
    assert problems(options) == ""


P = "train_dataloader.dataset.pipeline.4"  # Albumentations
NO_SUCH = "takes no such argument; did you mean"
WHOLE = "a whole number of at least"
REFUSED = [  # option, its value, what is said of it
    ("train_dataloder", {}, "unknown; did you mean train_dataloader?"),
    ("optim_wraper", {}, "unknown; did you mean optim_wrapper?"),
    ("default_hook", {}, "unknown; did you mean default_hooks?"),
    ("train_dataloader.num_worker", 2, "did you mean num_workers?"),
    ("env_cfg.mp_cfg.mp_start", 2, "did you mean mp_start_method?"),
    ("randomness.sed", 2, "did you mean seed?"),
    ("optim_wrapper.clip_grad.max_nrm", 2, "did you mean max_norm?"),
    ("optim_wrapper.paramwise_cfg.norm_decay", 0.0, "did you mean norm_decay_mult?"),
    ("train_dataloader.dataset.simulation.sed", 2, "did you mean seed?"),
    ("model.encoder.type", "SEUnetEncoder", "there is no 'SEUnetEncoder'; did you mean SEUNetEncoder?"),
    ("model.encoder.type", 5, "the name of a component is needed, got 5"),
    ("val_evaluator.type", "CocoMetric", "there is no 'CocoMetric'; did you mean CellCocoMetric?"),
    (
        "visualizer.vis_backends.0.type",
        "LocalBackend",
        "there is no 'LocalBackend'; did you mean LocalVisBackend?",
    ),
    (
        "optim_wrapper.constructor",
        "X",
        "there is no 'X'; possible: PartsOptimWrapperConstructor, DefaultOptimWrapperConstructor",
    ),
    ("model.heads.instances.num_querys", 50, f"IAMHead {NO_SUCH} num_queries?"),
    ("model.heads.instances.criterion.matcher.mask_wight", 1, f"HungarianMatcher {NO_SUCH} mask_weight?"),
    ("default_hooks.checkpoint.intervall", 1, f"CheckpointHook {NO_SUCH} interval?"),
    ("optim_wrapper.optimizer.weight_decy", 1, f"AdamW {NO_SUCH} weight_decay?"),
    ("param_scheduler.0.milestone", [1], f"MultiStepLR {NO_SUCH} milestones?"),
    ("train_dataloader.dataset.spli", "val", f"SimulatedDataset {NO_SUCH} split?"),
    (
        "train_dataloader.dataset.ann_file",
        "a",
        "SimulatedDataset takes no such argument; possible: data_root",
    ),
    (f"{P}.min_aera", 3, f"Albumentations {NO_SUCH} min_area?"),
    (
        f"{P}.transforms.0.type",
        "HorizontlFlip",
        "there is no 'HorizontlFlip'; did you mean HorizontalFlip?",
    ),
    (f"{P}.transforms.0.type", "OneOf", "there is no 'OneOf'; possible: "),
    (f"{P}.transforms.2.sgma", 3, f"ElasticTransform {NO_SUCH} sigma?"),
    (f"{P}.transforms.0.p", 2, "p: Input should be less"),
    (f"{P}.transforms.2.border_mode", 2, "ElasticTransform: border_mode must be 0 (constant)"),
    (f"{P}.transforms", "HorizontalFlip", "Albumentations needs a list, got 'HorizontalFlip'"),
    ("model.heads.instances.type", "SEUNetDecoder", "SEUNetDecoder takes no such argument"),
    ("train_dataloader.sampler", None, "missing"),
    ("model.encoder", 5, "CellSegmentor needs a dict, got 5"),
    ("model", None, "missing"),
    ("val_cfg", None, "missing beside val_dataloader and val_evaluator"),
    ("train_cfg", None, "missing beside train_dataloader and optim_wrapper"),
    (
        "default_hooks.chekpoint",
        dict(type="CheckpointHook"),
        "a second CheckpointHook; did you mean checkpoi",
    ),
    ("default_hooks.chekpoint", {}, "has no type; did you mean checkpoint?"),
    ("model.heads.instances.num_queries", "40", "IAMHead needs a number, got '40'"),
    ("model.heads.instances.criterion", "x", "IAMHead needs None or a dict, got 'x'"),
    ("model.heads.instances.mask_branch.mask_din", 4, f"MaskBranch {NO_SUCH} mask_dim?"),
    ("model.heads.instances.test_cfg.score_th", 0.1, f"InstanceTestCfg {NO_SUCH} score_thr?"),
    ("train_dataloader.dataset.data_root", 5, "SimulatedDataset needs text, got 5"),
    ("train_dataloader.batch_size", 0, f"{WHOLE} 1, got 0"),
    ("train_dataloader.batch_size", 2.0, f"{WHOLE} 1, got 2.0"),
    ("val_dataloader.num_workers", -1, f"{WHOLE} 0, got -1"),
    ("train_cfg.max_iters", "10", f"{WHOLE} 1, got '10'"),
    ("train_cfg.val_interval", 0, f"{WHOLE} 1, got 0"),
    ("optim_wrapper.accumulative_counts", 0, f"{WHOLE} 1, got 0"),
    ("optim_wrapper.optimizer.lr", "1e-4", "a number above 0, got '1e-4'"),
    ("log_processor.window_size", 0, f"{WHOLE} 1, got 0"),
    ("default_hooks.checkpoint.save_begin", -1, "save_begin should not be less than 0"),
    ("model.encoder.priority", 3, "SEUNetEncoder takes no such argument"),
    ("model.encoder.reads", ["a"], "SEUNetEncoder takes no such argument"),
    ("model.encoder.name", "a", "SEUNetEncoder takes no such argument"),
    ("model.encoder.override", {}, "SEUNetEncoder takes no such argument"),
    ("train_dataloader.dataset.epoch_length", 3, "SimulatedDataset takes no such argument"),
    ("optim_wrapper.optimizer.priority", 3, "AdamW takes no such argument"),
    ("default_hooks.timer", [dict(type="IterTimerHook")], "a dict is needed, got [{"),
    ("default_hooks", [dict(type="IterTimerHook")], "a dict is needed, got [{"),
]


@pytest.mark.parametrize(("key", "value", "says"), REFUSED)
def test_what_is_wrong_is_named_with_its_cure(key, value, says):
    place = {"model.heads.instances.type": "model.heads.instances.num_queries"}.get(key, key)
    place = {"optim_wrapper.constructor": f"{key}.type"}.get(place, place)
    place = place.removesuffix(".p").removesuffix(".border_mode")
    text = problems({key: value})
    assert f"{place}: " in text and says in text


EPOCHS = "counts iterations, not epochs; set by_epoch=False"
LOOP = "set type='IterBasedTrainLoop' with max_iters"
TOGETHER = [  # options, key and cure of what is said of them
    ({"train_dataloader.num_workers": 0}, "train_dataloader.persistent_workers", "needs num_workers > 0"),
    (
        {"optim_wrapper": None, "train_cfg": None, "train_dataloader": None},
        "param_scheduler",
        "there is no optim_wrapper",
    ),
    (
        {"default_hooks.checkpoint.save_best": "cost", "default_hooks.checkpoint.rule": None},
        "default_hooks.checkpoint.rule",
        "rule must be specified",
    ),
    (
        {"default_hooks.checkpoint.save_begin": 3, "optim_wrapper.accumulative_counts": 2},
        "default_hooks.checkpoint.save_begin",
        "3 is not a multiple of optim_wrapper.accumulative_counts, 2; training could not be resumed exactly; "
        "set it to 4",
    ),
    (
        {"model.data_preprocessor": dict(_delete_=True, type="CellDataPreprocessor")},
        "model.data_preprocessor.in_channels",
        "missing; CellDataPreprocessor needs it",
    ),
    (
        {"train_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", times=2)},
        "train_dataloader.dataset.dataset",
        "missing; RepeatDataset needs it",
    ),
    ({"param_scheduler.0.by_epoch": True}, "param_scheduler.0.by_epoch", EPOCHS),
    (
        {"param_scheduler": dict(_delete_=True, type="MultiStepLR", milestones=[5])},
        "param_scheduler.by_epoch",
        EPOCHS,
    ),
    (
        {"param_scheduler": [dict(type="CosineAnnealingLR", T_max=5)]},
        "param_scheduler.0.by_epoch",
        EPOCHS,
    ),
    (  # without its end, mmengine would end it after one epoch
        {"param_scheduler": [dict(type="StepLR", step_size=2, convert_to_iter_based=True)]},
        "param_scheduler.0.by_epoch",
        EPOCHS,
    ),
    ({"default_hooks.checkpoint.by_epoch": True}, "default_hooks.checkpoint.by_epoch", EPOCHS),
    ({"log_processor.by_epoch": True}, "log_processor.by_epoch", EPOCHS),
    ({"log_processor": dict(_delete_=True, window_size=5)}, "log_processor.by_epoch", EPOCHS),
    (
        {"custom_hooks": [dict(type="EMAHook", begin_epoch=2)]},
        "custom_hooks.0.begin_epoch",
        "set begin_iter",
    ),
    ({"default_hooks.checkpoint.out_dir": "x"}, "default_hooks.checkpoint.out_dir", "use --work-dir"),
    (
        {"default_hooks.checkpoint.filename_tmpl": "x"},
        "default_hooks.checkpoint.filename_tmpl",
        "use --work-dir",
    ),
    (
        {"custom_hooks": [dict(type="EarlyStoppingHook", monitor="cost")]},
        "custom_hooks.0.rule",
        "rule must be specified",
    ),
    (
        {"custom_hooks": [dict(type="EMAHook", momentm=1)]},
        "custom_hooks.0.momentm",
        f"EMAHook {NO_SUCH} momentum?",
    ),
    (
        {"custom_hooks": [dict(type="EMAHook", ema_type="E")]},
        "custom_hooks.0.ema_type.type",
        "there is no 'E'; possible: ",
    ),
    ({"train_cfg.type": "mmengine.EpochBasedTrainLoop"}, "train_cfg", LOOP),
    (
        {"train_cfg.type": "EpochBasedTrainLoop"},
        "train_cfg.max_iters",
        f"EpochBasedTrainLoop {NO_SUCH} max_epochs?",
    ),
    ({"train_cfg": dict(_delete_=True, by_epoch=True, max_epochs=3)}, "train_cfg", LOOP),
    (
        {"train_dataloader.sampler.type": "DefaultSampler"},
        "train_dataloader.sampler.type",
        "use dict(type='DrawSampler', shuffle=True)",
    ),
    (
        {"model.heads.instances": dict(_delete_=True, type="SemanticHead")},
        "model.heads.instances.target",
        "missing; SemanticHead needs it",
    ),
    (
        {"train_dataloader.dataset": dict(_delete_=True, pipeline=[])},
        "train_dataloader.dataset",
        "has no type",
    ),
    (
        {"train_dataloader.dataset": dict(_delete_=True, type="RepeatDataset", dataset=dict(type="C"))},
        "train_dataloader.dataset.times",
        "missing; RepeatDataset needs it; train_dataloader.dataset.dataset.type: there is no 'C'",
    ),
    (
        {"val_dataloader": [dict(batch_size=1, dataset=dict(type="LabelImageDataset", dir="x"))]},
        "val_dataloader.0.dataset.dir",
        f"LabelImageDataset {NO_SUCH} img_dir?",
    ),
    (
        {"val_dataloader": [dict(batch_size=1, dataset=dict(type="LabelImageDataset"))]},
        "val_dataloader.0.sampler",
        "missing",
    ),
    (
        {"val_evaluator": dict(_delete_=True, metrics=[dict(type="CellCocoMetric", score=1)])},
        "val_evaluator.metrics.0.score",
        f"CellCocoMetric {NO_SUCH} score_thr?",
    ),
]


@pytest.mark.parametrize(("options", "key", "cure"), TOGETHER)
def test_what_does_not_go_together_is_named(options, key, cure):
    text = problems(options)
    assert f"{key}: " in text and cure in text


class Loose(nn.Module):
    """An activation of a plug-in; the head gives it what its constructor names."""

    def __init__(self, in_channels: int, num_queries: int, width: int) -> None:
        super().__init__()


def test_a_part_of_a_head_gets_what_the_head_gives():
    MODELS.register_module(module=Loose)
    try:
        key = "model.heads.instances.activation"
        assert problems({key: dict(_delete_=True, type="Loose", width=3)}) == ""
        text = problems({key: dict(_delete_=True, type="Loose")})
    finally:
        MODELS.module_dict.pop("Loose")
    assert text == f"{key}.width: missing; Loose needs it"


def test_all_problems_come_in_one_line():
    text = problems({"optim_wraper": {}, "train_dataloader.batch_size": 0, "model.encoder.widht": 3})
    assert text.count("\n") == 0 and text.count("; ") == 4
    assert [part in text for part in ("optim_wraper", "batch_size", "model.encoder.widht")] == [True] * 3


def child(folder: Path, text: str) -> Path:
    path = folder / "child.py"
    path.write_text(f"_base_ = [{str(BRIGHTFIELD)!r}]\n{text}")
    return path


def test_a_pipeline_that_no_dataloader_uses(tmp_path):
    steps = 'dict(type="LoadImage"), dict(type="LoadCells"), dict(type="PackCellInputs")'
    path = child(tmp_path, f"train_pipeline = [{steps}]")
    with pytest.raises(
        CellMMError, match=r"^train_pipeline: .* set train_dataloader\.dataset\.pipeline=train_pipeline "
    ):
        check_config(load_config(path))
    check_config(load_config(child(tmp_path, "train_pipeline = None")))
    text = f"start = [{steps[:22]}]\ntrain_pipeline = [*start, {steps[24:]}]\n"
    used = "train_dataloader = dict(dataset=dict(pipeline=train_pipeline))"
    check_config(load_config(child(tmp_path, text + used)))


def test_a_pipeline_of_another_name_that_an_option_has_changed(tmp_path):
    text = 'steps = [dict(type="LoadImage"), dict(type="PackCellInputs")]\n'
    path = child(
        tmp_path, text + "train_dataloader = dict(dataset=dict(pipeline=steps))\ntrain_pipeline = None"
    )
    check_config(load_config(path))
    with pytest.raises(CellMMError, match=r"^steps: .*; set train_dataloader\.dataset\.pipeline$"):
        check_config(load_config(path, {"steps.0.channels": [0]}))


def test_steps_have_the_key_by_which_an_option_can_set_them(tmp_path):
    text = 'train_pipeline = [dict(type="LoadImage", colour="rgb"), dict(type="PackCellInputs")]\n'
    path = child(tmp_path, text + "train_dataloader = dict(dataset=dict(pipeline=train_pipeline))")
    with pytest.raises(
        CellMMError, match=r"^train_dataloader\.dataset\.pipeline\.0\.colour: LoadImage takes no"
    ):
        check_config(load_config(path))


def test_a_leftover_delete_is_named(tmp_path):
    path = child(tmp_path, 'model = dict(heads=dict(new=dict(_delete_=True, type="IAMHead")))')
    with pytest.raises(CellMMError, match=r"model\.heads\.new\._delete_: the bases hold nothing"):
        check_config(load_config(path))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"data_root": "x"},
            "data_root: an option for it changes nothing any more; set train_d",
        ),
        ({"max_iters": 5}, "max_iters: an option for it changes nothing any more; set train_cfg.max_iters"),
        ({"train_pipeline.2.factor": 0.25}, "train_pipeline: .* set train_dataloader.dataset.pipeline"),
        ({f"{PIPELINE}.2.factor": 0.25}, ""),
        (
            {
                "data_root": "x",
                **{f"{k}_dataloader.dataset.data_root": "x" for k in ("train", "val", "test")},
            },
            "",
        ),
    ],
)
def test_options_for_variables_of_the_file(options, says):
    cfg = load_config(BRIGHTFIELD, options)
    if says:
        with pytest.raises(CellMMError, match=f"^{says}"):
            check_config(cfg)
    else:
        check_config(cfg)


def mutated(config: dict, path: tuple, change) -> dict:
    """``config`` with ``change(parent, key)`` applied at ``path``; only what is on the path is copied."""
    top = parent = copy.copy(config)
    for key in path[:-1]:
        parent[key] = copy.copy(parent[key])
        parent = parent[key]
    change(parent, path[-1])
    return top


def paths(tree, path=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


PLAIN = {f"{path.parent.name}-{path.stem}": load_config(path).to_dict() for path in CONFIGS}
PATHS = {name: list(paths(config)) for name, config in PLAIN.items()}
LISTS = {"custom_hooks", "pipeline", "transforms", "param_scheduler", "metrics", "vis_backends", "init_cfg"}
LISTS |= {f"{split}_{key}" for split in LOADERS for key in ("dataloader", "evaluator")}
# names below these are the user's
USERS_OWN = {"heads", "decoders", "splits", "default_hooks", "dist_cfg", "metainfo", "parts", "losses"}


@pytest.mark.parametrize("name", PLAIN)
def test_every_misspelt_key_is_found(name):
    """Each key of each component and table, one at a time."""
    tops = {path[0] for path in PATHS[name]} & set(TOP_LEVEL_KEYS)  # others are the user's variables
    checked = 0
    for path in PATHS[name]:
        own = len(path) < 2 or path[-2] in USERS_OWN or isinstance(path[-1], int)
        own |= path[-2:-1] == ("optim_wrapper",) and "constructor" in PLAIN[name]["optim_wrapper"]
        if own or path[0] not in tops:
            continue

        def misspell(parent, key):
            parent[f"{key}x"] = parent.pop(key)

        with pytest.raises(CellMMError) as error:
            check_config(Config(mutated(PLAIN[name], path, misspell)))
        place, text = ".".join(map(str, path[:-1])), str(error.value)
        assert f"{place}.{path[-1]}" in text or f"{place}: " in text, path
        checked += 1
    assert checked > (100 if "train_dataloader" in tops else 70)


def drop(parent, key, value):
    del parent[key]


def replace(parent, key, value):
    parent[key] = value


def wrap(parent, key, value):
    parent[key] = [parent[key]]


@pytest.mark.parametrize("name", PLAIN)
def test_where_a_dict_is_needed_nothing_else_passes(name):
    """Each component and table in a list, as a number and, where it must be given, left out."""
    checked = 0
    for path in PATHS[name]:
        if path[0] not in TOP_LEVEL_KEYS or not is_needed_dict(PLAIN[name], path):
            continue
        if path[-1] == "nms":  # only the head knows what its test_cfg holds
            continue
        edits = [replace] if path[-1] in LISTS else [replace, wrap]
        required = ("model", "encoder", "heads", "data_preprocessor", "dataset", "sampler", "optimizer")
        can_drop = path[-1] in required and "instances" not in path  # of a head's parts all have defaults
        for edit in [*edits, drop] if can_drop else edits:
            config = mutated(PLAIN[name], path, lambda parent, key, edit=edit: edit(parent, key, 5))
            place = ".".join(map(str, path))
            with pytest.raises(CellMMError) as error:
                check_config(Config(config))
            assert place in str(error.value), (place, edit)
            checked += 1
    assert checked > 50


def is_needed_dict(config: dict, path: tuple) -> bool:
    """Whether a component, or a table of the config, stands at ``path``; inside of a head only it knows."""
    value = config
    for key in path:
        value = value[key]
    is_table = path[-1] in ("train_dataloader", "env_cfg", "mp_cfg", "randomness", "heads", "default_hooks")
    is_inside = path[-1] == "init_cfg" or (path[:2] == ("model", "heads") and len(path) > 3)
    return isinstance(value, dict) and ("type" in value or is_table) and not is_inside


WORDS = ["IAMHead", "LoadImage", "AdamW", "x", "a.b", "torch.nn.Conv2d", "type", "_delete_", "a\nb", "", "."]
VALUES = st.one_of(
    st.sampled_from([None, True, False, 0, -1, 1, 2.5, float("nan"), float("inf"), 10**30, 1 + 2j, b"x"]),
    st.sampled_from([[], {}, (), [None], [[]], [{}], {"type": None}, {"type": []}, {"type": "IAMHead"}]),
    st.sampled_from([{"metrics": 3}, {"a": {"type": 3}}, {1: 2}, [1, "x"], {"type": dict}, {"type": len}]),
    st.sampled_from([dict, len, DrawSampler, Ellipsis, object(), {1, 2}, range(3)]),
    st.sampled_from(WORDS),
    st.text(max_size=6),
    st.integers(),
)


def rename(parent, key, value):
    if isinstance(parent, dict):
        parent[value if isinstance(value, (str, int)) and value != "" else f"{key}x"] = parent.pop(key)
    else:
        parent[key] = {"type": parent[key]}


def duplicate(parent, key, value):
    if isinstance(parent, dict):
        parent[f"{key}_"] = parent[key]
    else:
        parent.insert(key, parent[key])


def as_text(parent, key, value):
    parent[key] = str(parent[key])


def put_below(parent, key, value):
    if isinstance(parent[key], dict):
        parent[key] = {**parent[key], "type": value}


EDIT = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from([drop, rename, duplicate, replace, wrap, as_text, put_below]),
    VALUES,
)
RESERVED = {"filename", "text", "pretty_text", "env_variables"}  # mmengine refuses these itself


@settings(max_examples=2500, derandomize=True, deadline=None, database=None)
@given(st.sampled_from(sorted(PLAIN)), st.lists(EDIT, min_size=1, max_size=3))
def test_no_config_makes_the_check_fail(name, edits):
    config = PLAIN[name]
    for number, edit, value in edits:
        places = PATHS[name] if config is PLAIN[name] else list(paths(config))
        if places:
            place = places[number % len(places)]
            config = mutated(config, place, lambda parent, key, e=edit, v=value: e(parent, key, v))
    config = {key: value for key, value in config.items() if key not in RESERVED}
    try:
        check_config(Config(config))
    except CellMMError as error:
        assert len(str(error).splitlines()) == 1


def test_a_variable_that_a_child_uses_elsewhere_is_right(tmp_path):
    """Of the loaders that the base gave its variable the child changes one, on purpose."""
    base = tmp_path / "base.py"
    quick = ROOT / "configs/diskmask/brightfield_quickstart.py"
    loaders = "".join(f"{split}_dataloader = dict(num_workers=num_workers)\n" for split in ("train", "val"))
    base.write_text(f"_base_ = [{str(quick)!r}]\nnum_workers = 1\n{loaders}")
    child = "num_workers = 2\ntrain_dataloader = dict(num_workers=num_workers)\n"
    (tmp_path / "child.py").write_text(f"_base_ = ['base.py']\n{child}")
    check_config(load_config(tmp_path / "child.py"))


def test_a_variable_that_only_a_child_sets_is_told(tmp_path):
    """What the base has made of its variable keeps the base's value, unless the child sets that too."""
    base = ROOT / "configs/diskmask/brightfield_quickstart.py"
    for name, line in (("alone", ""), ("with", "train_cfg = dict(max_iters=max_iters)\n")):
        (tmp_path / f"{name}.py").write_text(f"_base_ = [{str(base)!r}]\nmax_iters = 300\n{line}")
    with pytest.raises(CellMMError, match="^max_iters: .*changes nothing .*; set train_cfg.max_iters too"):
        check_config(load_config(tmp_path / "alone.py"))
    check_config(load_config(tmp_path / "with.py"))
