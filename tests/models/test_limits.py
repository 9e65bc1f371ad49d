"""Limits that were reached are said: the first images by name, many as a number, tiles of one image once."""

import numpy as np
import pytest
import torch

from cellmm.models.limits import NAMED, LimitLog
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances


@pytest.fixture
def lines(monkeypatch):
    said = []
    monkeypatch.setattr("cellmm.models.limits.print_log", lambda text, **_: said.append(text))
    return said


def test_the_first_images_are_named_and_many_are_counted(lines):
    log = LimitLog()
    for i in range(120):
        log.say(f"a/{i}.tif", {"{} cells are left out; raise num": i + 1})
        log.say(None, {})
    assert lines[0] == "a/0.tif: 1 cells are left out; raise num"
    assert lines[:NAMED] == [f"a/{i}.tif: {i + 1} cells are left out; raise num" for i in range(NAMED)]
    assert [line.split(" ")[0] for line in lines[NAMED:]] == ["20", "50", "100"]
    assert lines[-1] == "100 images so far, the last one a/99.tif: 100 cells are left out; raise num"
    log.reset()
    log.say(["b1.tif", "b2.tif"], {"{} cells": 3})
    assert lines[-1] == "b1.tif: 3 cells"


def model(**options):
    torch.manual_seed(0)
    head = dict(
        type="IAMHead",
        num_queries=3,
        feature_dim=8,
        instance_branch=dict(channels=8, depth=1),
        mask_branch=dict(channels=8, depth=1, mask_dim=4),
    )
    return MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8)),
            decoder=dict(type="SEUNetDecoder", widths=(6, 8)),
            heads=dict(instances=head),
            **options,
        )
    ).eval()


def batch(*sizes):
    samples = [
        CellSample(
            metainfo=dict(
                img_id=i, img_path=f"{i}.tif", img_shape=size, ori_shape=size, to_original=np.eye(3)
            )
        )
        for i, size in enumerate(sizes)
    ]
    return dict(inputs=[torch.rand(1, *size) for size in sizes], data_samples=samples)


@pytest.mark.parametrize("tile", [None, 8])
def test_an_image_is_named_once_whole_or_tiled(lines, tile):
    net = model(tile=tile)

    def predict(features, samples):
        nothing = dict(probs=torch.zeros(0, 8, 8), scores=torch.zeros(0), labels=torch.zeros(0))
        reached = [{"{} cells; cure": 2} if sample.img_path != "1.tif" else {} for sample in samples]
        return [PredictedInstances(**nothing, limits=limits) for limits in reached]

    net.heads["instances"].predict = predict
    net.test_step(batch((16, 16), (16, 16), (16, 16)))
    number = 2 if tile is None else 8  # of four tiles
    assert lines == [f"0.tif: {number} cells; cure", f"2.tif: {number} cells; cure"]
    net.train()
    net.eval()
    net.test_step(batch((16, 16)))
    assert len(lines) == 3


@pytest.mark.parametrize("bias, expected", [(9.0, 1), (-9.0, 0)])
def test_queries_that_are_all_in_use_are_said(lines, bias, expected):
    """Bias 9: each of the three queries gives a cell; -9: none does."""
    net = model()
    head = net.heads["instances"]
    head.classifier[0].bias.data.fill_(bias)
    head.kernel[0].bias.data[-1] = 9.0
    net.test_step(batch((8, 8)))
    assert len(lines) == expected
    assert all("0.tif: all queries gave a cell, 3, " in line and "num_queries" in line for line in lines)


def test_queries_with_repeats_dropped_are_in_use_too(lines):
    net = model()
    head = net.heads["instances"]
    head.test_cfg.nms = TASK_UTILS.build(dict(type="MaskNMS", iou_thr=0.5))
    head.classifier[0].bias.data.fill_(9.0)
    head.kernel[0].bias.data[-1] = 9.0
    sample = net.test_step(batch((8, 8)))[0]
    assert len(sample.pred_instances.masks) == 1 and len(lines) == 1
