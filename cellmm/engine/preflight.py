"""What can be known of a training before its first step: one sample, numbers of cells, names of metrics."""

import difflib
import functools
import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mmengine.hooks
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from cellmm import randomness
from cellmm.datasets.transforms.albumentations import A
from cellmm.engine.config_schema import find_component
from cellmm.errors import CellMMError

WRAPPERS = (ConcatDataset, RepeatDataset, ClassBalancedDataset)


def check_runner(runner: Runner) -> None:
    """Look for what would go wrong later, before any training: call it after ``Runner.from_cfg``.

    Builds the loops with their datasets, the optimizer and its schedules, which training then uses, and reads
    one sample of training and one of validation. Random number generators are left as they were.

    - What a checkpoint hook, early stopping or a schedule watches is a number that the metrics give: those
      metrics count that have ``metric_keys``, a list or a method that returns one.
    - No training image has more cells than the model has queries, nor a class that the model does not have;
      images of the validation and test sets with more cells are counted in a warning. Sets of label images,
      and pipelines with a step called ``*Crop*``, are not counted.
    - The first sample goes through the pipeline, has what the heads learn and the model's channels, and is
      large enough: a model may state ``encoder.min_size``, pixels or (h, w), for padded images.

    Raises:
        CellMMError: one line that names the config's key.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    with randomness.kept():
        if runner._train_loop is None:
            if runner._test_loop is not None:
                loop = _build("test_dataloader", lambda: runner.test_loop)
                _warn_of_many_cells(loop, model, "test_dataloader")
            return
        train = _build("train_dataloader", lambda: runner.train_loop)
        val = _build("val_dataloader", lambda: runner.val_loop)
        _check_watched(runner, val)
        _build_optimizer(runner)
        _check_first_sample(train.dataloader, model)
        _check_cells(train, model)
        if val is not None:
            _first_sample(val.dataloader.dataset, model, "val_dataloader.dataset", index=0)
            _warn_of_many_cells(val, model, "val_dataloader")


def _build(key: str, build: Callable[[], Any], *more: type[Exception]) -> Any:
    """``build()``; what a constructor says of a wrong value, by ``more`` errors too, becomes one line."""
    try:
        return build()
    except CellMMError:
        raise
    except (ValueError, AssertionError, *more) as error:
        raise CellMMError(f"{key}: {' '.join(str(error).split())}") from error


def _build_optimizer(runner: Runner) -> None:
    """What ``Runner.train`` does first; it leaves alone what is built."""
    more = (TypeError, KeyError, ArithmeticError)
    wrapper = _build("optim_wrapper", lambda: runner.build_optim_wrapper(runner.optim_wrapper), *more)
    runner.optim_wrapper = wrapper
    _build("auto_scale_lr", lambda: runner.scale_lr(wrapper, runner.auto_scale_lr), *more)
    runner.auto_scale_lr = None  # done; train would scale a second time
    if (schedules := runner.param_schedulers) is not None:
        build = functools.partial(runner.build_param_scheduler, schedules)
        runner.param_schedulers = _build("param_scheduler", build, *more)


# what is watched


def _check_watched(runner: Runner, val: BaseLoop | None) -> None:
    given = _given_keys(val)
    for path, key in _watched(runner):
        if val is None:
            raise CellMMError(f"{path}: {key!r} comes from validation; add val_dataloader, or leave it out")
        if given is not None and key not in given:
            near = difflib.get_close_matches(key, given, 1, 0.0)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise CellMMError(f"{path}: the metrics of val_evaluator give no {key!r}{hint}")


def _given_keys(val: BaseLoop | None) -> list[str] | None:
    """The names of all numbers of validation; None where a metric does not state its."""
    keys: list[str] = []
    for metric in getattr(getattr(val, "evaluator", None), "metrics", ()):
        stated = getattr(metric, "metric_keys", None)
        if stated is None:
            return None
        keys += stated() if callable(stated) else stated
    return keys


def _watched(runner: Runner) -> Iterator[tuple[str, str]]:
    """(key of the config, name of a number) for all that waits for a number of validation."""
    for hook in runner.hooks:
        if isinstance(hook, mmengine.hooks.CheckpointHook):
            for key in hook.save_best or ():
                if key != "auto":
                    yield f"{_hook_path(runner, hook)}.save_best", key
        elif isinstance(hook, mmengine.hooks.EarlyStoppingHook):
            yield f"{_hook_path(runner, hook)}.monitor", hook.monitor
    for path, schedule in _schedules(runner.param_schedulers, "param_scheduler"):
        if isinstance(schedule, ReduceOnPlateauParamScheduler):
            yield f"{path}.monitor", schedule.monitor
        elif isinstance(schedule, dict):
            cls = schedule.get("type")
            cls = find_component(cls, ("PARAM_SCHEDULERS",)) if isinstance(cls, str) else cls
            if inspect.isclass(cls) and issubclass(cls, ReduceOnPlateauParamScheduler):
                default = inspect.signature(ReduceOnPlateauParamScheduler).parameters["monitor"].default
                yield f"{path}.monitor", schedule.get("monitor", default)


def _hook_path(runner: Runner, hook: mmengine.hooks.Hook) -> str:
    """The key of the config that a hook was built from."""
    places = {f"default_hooks.{key}": one for key, one in (runner.cfg.get("default_hooks") or {}).items()}
    places |= {f"custom_hooks.{i}": one for i, one in enumerate(runner.cfg.get("custom_hooks") or ())}
    for path, one in places.items():
        kind = one.get("type") if isinstance(one, dict) else one
        cls = find_component(kind, ("HOOKS",)) if isinstance(kind, str) else kind
        if one is hook or cls is type(hook):
            return path
    return type(hook).__name__


def _schedules(schedules: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(schedules, (list, tuple)):
        for i, one in enumerate(schedules):
            yield from _schedules(one, f"{path}.{i}")
    elif isinstance(schedules, dict) and "type" not in schedules:
        for key, one in schedules.items():
            yield from _schedules(one, f"{path}.{key}")
    elif schedules is not None:
        yield path, schedules


# cells and queries


def _heads(model: nn.Module, attribute: str) -> dict[str, int]:
    """{key of the config: number} for the heads that have this number."""
    heads = dict(getattr(model, "heads", {}).items())
    return {
        f"model.heads.{name}.{attribute}": getattr(head, attribute)
        for name, head in heads.items()
        if isinstance(getattr(head, attribute, None), int)
    }


def _check_cells(loop: BaseLoop, model: nn.Module) -> None:
    queries, classes = _heads(model, "num_queries"), _heads(model, "num_classes")
    dataset = loop.dataloader.dataset
    counted = {}
    for name, labels in _cells(dataset):
        for path, number in classes.items():
            if labels and max(labels) >= number:
                raise CellMMError(
                    f"{path}: {number}, but {name} has a cell of class {max(labels)} (from 0); set it to "
                    f"{max(labels) + 1} or more, or class_agnostic=True in the dataset"
                )
        counted[name] = len(labels)
    if not counted or _crops(dataset):
        return
    name = max(counted, key=counted.get)
    for path, number in queries.items():
        more = sum(count > number for count in counted.values())
        if more:
            raise CellMMError(
                f"{path}: {number}, but {more} of {len(counted)} training images have more cells, {name} "
                f"{counted[name]}; set it to {counted[name]} or more, or crop the images"
            )


def _warn_of_many_cells(loop: BaseLoop, model: nn.Module, key: str) -> None:
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    queries = _heads(model, "num_queries")
    if dataset is None or not queries or _crops(dataset) or not is_main_process():
        return
    counted = {name: len(labels) for name, labels in _cells(dataset)}
    for path, number in queries.items():
        more = {name: count for name, count in counted.items() if count > number}
        if more:
            name = max(more, key=more.get)
            print_log(
                f"{key}: {len(more)} of {len(counted)} images have more cells than {path} ({number}), "
                f"{name} {more[name]}; the others cannot be found",
                logger="current",
                level=logging.WARNING,
            )


def _leaves(dataset: Any) -> Iterator[Any]:
    """The datasets inside of wrappers."""
    wrapped = vars(dataset)  # of num_batch_per_epoch, ConcatDataset and those that repeat
    inside = wrapped.get("datasets") or [wrapped.get("_dataset") or wrapped.get("dataset")]
    if inside == [None]:
        yield dataset
    else:
        for one in inside:
            yield from _leaves(one)


def _cells(dataset: Any) -> Iterator[tuple[str, list[int]]]:
    """(image, label of each cell) as annotated, crowd regions left out; label images are not read."""
    for leaf in _leaves(dataset):
        if not hasattr(leaf, "get_data_info"):
            continue
        for i in range(len(leaf)):
            info = leaf.get_data_info(i)
            if "instances" in info:
                cells = [one for one in info["instances"] if not one.get("iscrowd")]
                yield _name(info), [one.get("label", 0) for one in cells]
            elif "mask_paths" in info:
                yield _name(info), [0] * len(info["mask_paths"])


def _name(info: dict) -> str:
    path = info.get("img_path", "?")
    return path if isinstance(path, str) else path[0]


def _crops(dataset: Any) -> bool:
    """Whether a step of a pipeline can leave cells out."""
    for leaf in _leaves(dataset):
        steps = getattr(getattr(leaf, "pipeline", None), "transforms", ())
        for step in steps:
            inside = getattr(getattr(step, "compose", None), "transforms", ())
            if any("Crop" in type(one).__name__ for one in (step, *inside)):
                return True
    return False


# the first sample


def _check_first_sample(loader: DataLoader, model: nn.Module) -> None:
    dataset, where = loader.dataset, "train_dataloader.dataset"
    if isinstance(dataset, WRAPPERS):
        raise CellMMError(
            f"{where}.type: {type(dataset).__name__} of mmengine does not know numbered draws; use "
            "ConcatDataset and RepeatDataset of cellmm"
        )
    sample = _first_sample(dataset, model, where, index=(0, 0))
    if "gt_layers" not in sample["data_samples"]:
        raise CellMMError(f"{where}.pipeline: no step loads the cells; add dict(type='LoadCells')")
    for name, head in getattr(model, "heads", {}).items():
        for key, steps in getattr(head, "needs", {}).items():
            if key not in sample["data_samples"]:
                raise CellMMError(
                    f"{where}.pipeline: no step writes {key}, which model.heads.{name} learns; add {steps}"
                )
        maps, target = sample["data_samples"].get("gt_semantic", {}).keys(), getattr(head, "target", None)
        if maps and target is not None and target not in maps:
            raise CellMMError(
                f"{where}.pipeline: SemanticTargets writes {', '.join(sorted(maps))} and not {target!r}, "
                f"which model.heads.{name} learns; add it to its targets, or change model.heads.{name}.target"
            )
    height, width = sample["inputs"].shape[-2:]
    what = f"{_name(dataset.get_data_info(0))} comes out of the pipeline with {height}x{width} px"
    _check_size((height, width), loader, model, what)


def _first_sample(dataset: Any, model: nn.Module, where: str, index: Any) -> dict:
    """What the pipeline makes of the first image: packed, with the channels that the model takes."""
    try:
        sample = dataset[index]
    except CellMMError:
        raise
    except (ValueError, A.augmentations.crops.transforms.CropSizeError) as error:
        raise CellMMError(f"{where}.pipeline: {_name(dataset.get_data_info(0))}: {error}") from error
    if not isinstance(sample, dict) or "inputs" not in sample or "data_samples" not in sample:
        raise CellMMError(f"{where}.pipeline: it has to end with dict(type='PackCellInputs')")
    channels = len(sample["inputs"])
    takes = getattr(getattr(model, "data_preprocessor", None), "in_channels", channels)
    if channels != takes:
        raise CellMMError(
            f"model.data_preprocessor.in_channels: {takes}, but {_name(dataset.get_data_info(0))} has "
            f"{channels} channels; set this and model.encoder.in_channels, or choose channels in LoadImage"
        )
    return sample


def _check_size(size: Sequence[int], loader: DataLoader, model: nn.Module, what: str) -> None:
    divisor = getattr(getattr(model, "data_preprocessor", None), "divisor", 1)
    encoder = getattr(model, "encoder", None)
    stride = getattr(encoder, "stride", None)
    padded = [n + -n % divisor for n in size]
    least = getattr(encoder, "min_size", 1)
    least = (least, least) if isinstance(least, int) else tuple(least)
    if any(n < m for n, m in zip(padded, least, strict=True)):
        raise CellMMError(
            f"train_dataloader.dataset.pipeline: {what}; the model needs {least[0]}x{least[1]} px or more"
        )
    if not isinstance(stride, int):
        return
    if any(n % stride for n in padded):
        raise CellMMError(
            f"model.data_preprocessor.divisor: {divisor} is no multiple of the encoder's coarsest stride; "
            f"set it to {stride}"
        )
    batch = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None)
    has_batch_norm = any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, nn.SyncBatchNorm)
        for module in model.modules()
    )
    if batch == 1 and has_batch_norm and all(n == stride for n in padded):
        raise CellMMError(
            f"train_dataloader.batch_size: 1, and {what}: one pixel at the coarsest stride, {stride}, on "
            f"which batch normalisation cannot work; take more than {stride} px, or batch_size=2"
        )
