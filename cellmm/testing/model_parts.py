"""Whole models, and the parts of heads that are built from TASK_UTILS, tested."""

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from cellmm.registry import MODELS, TASK_UTILS
from cellmm.testing import generated
from cellmm.testing.heads import BATCHES, SHAPES
from cellmm.testing.rules import build, must_work, require

NUM_MASKS, NUM_CELLS = 6, 4


def check_model(config: dict) -> None:
    """Test a model of two image channels: it learns from, and predicts, batches of two images.

    One with ``has_weights = False`` only predicts, and has no parameters.

    Raises:
        CellMMError: one line that names the model, or its part, and the rule.
    """
    name, model = build(MODELS, config)
    require(isinstance(model, BaseModel), name, "it must be a BaseModel of mmengine")
    if not getattr(model, "has_weights", True):
        require(not list(model.parameters()), name, "has_weights is False, but it has parameters")
    for what, cells in BATCHES.items():
        samples = [
            generated.sample(shape=shape, cells=has_cells)
            for shape, has_cells in zip(SHAPES, cells, strict=True)
        ]
        batch = {key: [sample[key] for sample in samples] for key in ("inputs", "data_samples")}
        if getattr(model, "has_weights", True):
            with must_work(name, f"the loss of {what}"):
                losses = model.train()(**model.data_preprocessor(batch, True), mode="loss")
            finite = all(bool(torch.isfinite(value).all()) for value in losses.values())
            require(finite, name, f"the losses of {what} must be finite")
        with must_work(name, f"predicting {what}"), torch.no_grad():
            found = model.eval()(**model.data_preprocessor(batch), mode="predict")
        for sample in found:
            given = "pred_instances" in sample or "pred_semantic" in sample
            require(given, name, "predict must give pred_instances, pred_semantic or both")


def check_nms(config: dict) -> None:
    """Test a suppression of masks: ``nms(masks, scores, labels, origins=None) -> (keep, scores)``.

    Raises:
        CellMMError: one line that names it and the rule.
    """
    name, nms = build(TASK_UTILS, config)
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(rng.random((NUM_MASKS, 12, 12)) > 0.5)
    masks[1] = masks[0]  # a repeated mask
    scores = torch.linspace(0.3, 0.8, NUM_MASKS)
    labels = torch.zeros(NUM_MASKS, dtype=torch.long)
    for num in (NUM_MASKS, 0):
        whole, part = masks[:num], (scores[:num], labels[:num])
        with must_work(name, f"{num} masks"):
            keep, left = nms(whole, *part)
        _check_indices(name, "keep", keep, num)
        fewer = bool((left <= scores[keep]).all() and (left.diff() <= 0).all())
        require(fewer, name, "it must return scores that are not raised, best first")
        with must_work(name, f"{num} windows"):
            windows, _ = nms(list(whole), *part, origins=torch.zeros(num, 2, dtype=torch.long))
        require(torch.equal(windows, keep), name, "windows must give the same as whole maps")
    with must_work(name, "masks of different classes"):
        keep, left = nms(masks, scores, torch.arange(NUM_MASKS))
    kept = len(keep) == NUM_MASKS and torch.equal(left, scores[keep])
    require(kept, name, "masks of different classes must not suppress each other")


def check_matcher(config: dict) -> None:
    """Test a matcher: ``matcher(cls_logits, mask_logits, labels, masks) -> (query, cell)``.

    Raises:
        CellMMError: one line that names it and the rule.
    """
    name, matcher = build(TASK_UTILS, config)
    generator = torch.Generator().manual_seed(0)
    masks = (torch.rand(NUM_CELLS, 30, generator=generator) > 0.5).float()
    labels = torch.zeros(NUM_CELLS, dtype=torch.long)
    for num_queries, num_cells in ((NUM_MASKS, NUM_CELLS), (2, NUM_CELLS), (NUM_MASKS, 0)):
        logits = torch.randn(num_queries, 30, generator=generator)
        with must_work(name, f"{num_queries} queries and {num_cells} cells"):
            query, cell = matcher(logits[:, :1], logits, labels[:num_cells], masks[:num_cells])
        _check_indices(name, "query", query, num_queries)
        _check_indices(name, "cell", cell, num_cells)
        paired = len(query) == len(cell)
        require(paired, name, "it must return pairs: two tensors of equal length")
    with must_work(name, "queries that fit"):
        query, cell = matcher(torch.zeros(NUM_CELLS, 1), 20 * masks.flip(0) - 10, labels, masks)
    found = dict(zip(cell.tolist(), query.tolist(), strict=True))
    fits = all(found.get(i, NUM_CELLS - 1 - i) == NUM_CELLS - 1 - i for i in range(NUM_CELLS))
    require(fits, name, "it must pair each cell with the query whose mask is the cell's")


def _check_indices(name: str, what: str, indices: Tensor, number: int) -> None:
    right = isinstance(indices, Tensor) and indices.dtype == torch.int64
    right = (
        right and len(indices.unique()) == len(indices) and bool(((0 <= indices) & (indices < number)).all())
    )
    require(right, name, f"{what} must be int64 indices below {number}, each at most once")
