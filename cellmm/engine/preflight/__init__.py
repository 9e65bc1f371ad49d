"""What can be known of a training or test before its first step."""

import logging
from collections.abc import Iterable

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from cellmm import randomness
from cellmm.datasets.transforms import LoadImage
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.engine.class_order import follow_classes, leaves
from cellmm.engine.preflight.alignment import check_alignment
from cellmm.engine.preflight.building import build, build_from_config, build_optimizer, check_schedules
from cellmm.engine.preflight.cell_counts import (
    check_classes,
    check_findable,
    check_learnable,
    check_queries,
    count_cells,
    warn_of_many_cells,
)
from cellmm.engine.preflight.evaluation import check_evaluation, check_prediction
from cellmm.engine.preflight.samples import check_first_sample, first_sample
from cellmm.engine.preflight.watched import ask_hook, check_watched

__all__ = ["ask_hook", "build", "build_from_config", "check_runner", "tell_channels"]


def check_runner(runner: Runner) -> None:
    """Look for what would go wrong later, before any training: call it after ``Runner.from_cfg``.

    Builds the loops with their datasets, the optimizer and its schedules, which training then uses, reads one
    sample of training, opens every image of validation, and predicts one. Random number generators are left
    as they were.

    - What a checkpoint hook, early stopping or a schedule watches is a number that the metrics give, where
      all metrics state their ``metric_keys``.
    - Schedules have a state that a checkpoint can hold, and reach the end of training.
    - There are cells to learn from: not only crowd regions and empty masks. Much of these, many images
      without a cell, and labels that do not lie on what their images show, are counted in a warning.
    - No training image has more cells than the model has queries, nor a class that the model does not have;
      images of the validation and test sets with more cells are counted in a warning. Where a step says that
      it ``removes_cells``, the cells that come out of the pipeline are counted, of the images with the most
      cells. Sets of label images are not counted.
    - The first sample goes through the pipeline, has what the heads learn and the model's channels, and is
      large enough: a model may state ``encoder.min_size``, pixels or (h, w), for padded images.
    - LoadImage, also of validation and test, knows how many channels the model takes.
    - Images of validation and test can be read, each has an ``img_id`` of its own, results can be written.
    - A corner of the first validation sample is predicted and scored. A test reads its first sample.

    Raises:
        CellMMError: one line that names the config's key.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    with randomness.preserve_rng():
        if runner._train_loop is None:
            if runner._test_loop is not None:
                _check_test(runner, model)
            return
        train = build("train_dataloader", lambda: runner.train_loop, runner.cfg.get("train_dataloader"))
        val = build("val_dataloader", lambda: runner.val_loop, runner.cfg.get("val_dataloader"))
        _tell_channels(train, model)
        _tell_channels(val, model)
        _follow_classes(runner, train, val)
        check_watched(runner, val)
        build_optimizer(runner)
        check_schedules(runner)
        dataset = train.dataloader.dataset
        check_first_sample(train.dataloader, model)
        images = count_cells(dataset)
        check_learnable(images)
        check_classes(images, model)
        check_queries(images, model)
        check_alignment(dataset)
        if val is not None:
            sample = first_sample(val.dataloader.dataset, model, "val_dataloader.dataset", index=0)
            check_prediction(runner, val, model, sample)
            _check_cells_to_find(val.dataloader.dataset, model, "val_dataloader")
            check_evaluation(runner, val, "val")


def tell_channels(steps: Iterable, model: nn.Module) -> None:
    """Let LoadImage among the ``steps`` of a pipeline know how many channels ``model`` takes.

    Then grey images that are stored as RGB are read as a model of one channel takes them.
    """
    channels = getattr(getattr(model, "data_preprocessor", None), "in_channels", None)
    for step in steps:
        if isinstance(step, LoadImage) and step.num_channels is None:
            step.model_channels = channels


def _tell_channels(loop: BaseLoop | None, model: nn.Module) -> None:
    """Do so in all datasets of a loop, before its workers start."""
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    for leaf in () if dataset is None else leaves(dataset):
        tell_channels(getattr(getattr(leaf, "pipeline", None), "transforms", ()), model)


def _follow_classes(runner: Runner, train: BaseLoop, val: BaseLoop | None) -> None:
    """Label k is the same class in the checkpoint that training starts from or goes on from, in training and
    validation. Weights to start from may be of other classes, which is a warning.
    """
    meta, source = getattr(train.dataloader.dataset, "metainfo", None) or {}, "train_dataloader"
    if runner._load_from:
        first = load_checkpoint(runner._load_from)["meta"].get("dataset_meta") or {}
        old, own = list(first.get("classes", ())), list(meta.get("classes", ()))
        if old and (runner._resume or sorted(map(str, old)) == sorted(own)):
            meta, source = first, str(runner._load_from)
        elif old and own and not len(old) == len(own) == 1:
            print_log(
                f"{runner._load_from}: its classes are {old}, those of train_dataloader {own}: what it knows "
                "of a class goes to another one; rename the classes if they are the same",
                logger="current",
                level=logging.WARNING,
            )
    follow_classes(train, meta, source)
    follow_classes(val, meta, source)


def _check_test(runner: Runner, model) -> None:
    loop = build("test_dataloader", lambda: runner.test_loop, runner.cfg.get("test_dataloader"))
    _tell_channels(loop, model)
    if (loader := getattr(loop, "dataloader", None)) is not None:
        first_sample(loader.dataset, model, "test_dataloader.dataset", index=0)
        _check_cells_to_find(loader.dataset, model, "test_dataloader")
    check_evaluation(runner, loop, "test")


def _check_cells_to_find(dataset, model, key: str) -> None:
    images = count_cells(dataset)
    check_findable(images, key)
    warn_of_many_cells(images, model, key)
