"""Find what would stop a validation or a test before it starts: images, metrics, and one prediction."""

import contextlib
import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.amp import autocast
from torch import nn

from cellmm.engine.class_order import leaves
from cellmm.engine.preflight.cell_counts import name_of
from cellmm.engine.preflight.watched import hook_path
from cellmm.errors import CellMMError
from cellmm.evaluation.trial_evaluator import trial_evaluator
from cellmm.io.files import check_writable
from cellmm.models.encoders.base import min_size
from cellmm.structures import CellSample

SIDE = 128  # pixels of the corner that is predicted: an untrained model may find a cell everywhere
PATIENCE = 10.0  # seconds between two lines about the images that are opened


def check_evaluation(runner: Runner, loop: BaseLoop, key: str) -> None:
    """``key``: ``'val'`` or ``'test'``. Results can be written, metrics collected, and images read.

    Raises:
        CellMMError: one line that names the key or the image.
    """
    _check_outputs(runner, loop, key)
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    if hasattr(dataset, "get_data_info"):
        _check_ids(dataset, f"{key}_dataloader.dataset")
        _open_images(dataset, f"{key}_dataloader")


def _check_outputs(runner: Runner, loop: BaseLoop, key: str) -> None:
    paths: list[tuple[str, Path]] = []
    metrics = getattr(getattr(loop, "evaluator", None), "metrics", ())
    for i, metric in enumerate(metrics):
        where = f"{key}_evaluator.{i}" if len(metrics) > 1 else f"{key}_evaluator"
        device = getattr(metric, "collect_device", "cpu")
        if device not in ("cpu", "gpu"):
            raise CellMMError(f"{where}.collect_device: {device!r} is not known; take 'cpu' or 'gpu'")
        if prefix := getattr(metric, "outfile_prefix", None):
            paths.append((f"{where}.outfile_prefix", Path(f"{prefix}.segm.json")))
        if file := getattr(metric, "out_file_path", None):  # of DumpResults
            paths.append((f"{where}.out_file_path", Path(file)))
    for hook in runner.hooks:
        if isinstance(folder := getattr(hook, "out_dir", None), Path):
            paths.append((f"{hook_path(runner, hook)}.out_dir", folder / "image.png"))
    for where, path in paths:
        try:
            check_writable(path)
        except CellMMError as error:
            raise CellMMError(f"{where}: {error}") from error


def _check_ids(dataset: Any, key: str) -> None:
    """Results are told apart by ``img_id``."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    names: dict[Any, list[str]] = {}
    for info in infos:
        names.setdefault(info.get("img_id"), []).append(name_of(info))
    counts = Counter({img_id: len(found) for img_id, found in names.items() if img_id is not None})
    for img_id, count in counts.most_common(1):
        if count > 1:
            raise CellMMError(
                f"{key}: img_id {img_id} came {count} times ({', '.join(names[img_id][:2])}); give each "
                "image its own"
            )


def _open_images(dataset: Any, key: str) -> None:
    """Read each image, and its cells where they are in files of their own: a damaged file is found now."""
    told = time.monotonic()
    files = [(leaf, i) for leaf in leaves(dataset) if hasattr(leaf, "pipeline") for i in range(len(leaf))]
    for number, (leaf, i) in enumerate(files):
        load(leaf, i, cells="instances" not in leaf.get_data_info(i))
        if time.monotonic() - told > PATIENCE and is_main_process():
            told = time.monotonic()
            print_log(
                f"{key}: {number + 1} of {len(files)} images opened, to see that all can be read",
                logger="current",
            )


def load(dataset: Any, index: int, cells: bool = True) -> dict:
    """Run the pipeline on an image until it is loaded and, with ``cells``, until its cells are loaded."""
    results = dataset.get_data_info(index)
    results["draw"], results["rng"] = index, np.random.default_rng(0)
    for step in dataset.pipeline.transforms:
        if results is None or ("img" in results and ("gt_layers" in results or not cells)):
            break
        results = step(results)
    return results


def check_prediction(runner: Runner, loop: BaseLoop, model: nn.Module, sample: dict) -> None:
    """Predict a corner of a validation sample and score it with a copy of the evaluator.

    Nothing is logged, and results are written to a folder that is removed; the model's mode is kept.
    """
    batch = loop.dataloader.collate_fn([_corner(sample, model)])
    modes = {module: module.training for module in model.modules()}
    with _silent(runner.logger), trial_evaluator(loop.evaluator) as evaluator:
        try:
            model.eval()
            with torch.no_grad(), autocast(enabled=getattr(loop, "fp16", False)):
                outputs = model.val_step(batch)
        finally:
            for module, mode in modes.items():
                module.training = mode
        evaluator.process(data_samples=outputs, data_batch=batch)
        for metric in evaluator.metrics:
            if isinstance(metric, BaseMetric):
                metric.compute_metrics(metric.results)


def _corner(sample: dict, model: nn.Module) -> dict:
    """A packed sample without what is more than ``SIDE`` pixels from its top or left border."""
    side = max(SIDE, *min_size(getattr(model, "encoder", None)))
    inputs, packed = sample["inputs"], sample["data_samples"]
    if max(inputs.shape[-2:]) <= side or not isinstance(packed, CellSample):
        return sample
    packed = packed.clone()
    packed.set_metainfo(dict(img_shape=tuple(min(n, side) for n in packed.img_shape)))
    for key in ("ignore", "gt_image"):
        if key in packed:
            setattr(packed, key, getattr(packed, key)[..., :side, :side])
    return dict(sample, inputs=inputs[..., :side, :side], data_samples=packed)


@contextlib.contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Without warnings: those about an untrained model are of no use."""

    def refuse(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(refuse)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.removeFilter(refuse)
