"""QueryHead in a CellSegmentor: tiles, views, channels, what it is fused to, and its graph."""

import numpy as np
import pytest
import torch

from cellmm.export.files import onnx_difference, onnx_file
from cellmm.export.graphs import graphs_of
from cellmm.models.heads.query.query_starts import best_peaks
from cellmm.registry import MODELS
from cellmm.structures import CellSample


def build(head=None, channels=1, **options):
    torch.manual_seed(0)
    config = dict(
        type="QueryHead",
        num_queries=9,
        dim=16,
        num_heads=2,
        feedforward=16,
        strides=(8, 4),
        layers_per_level=2,
        test_cfg=dict(score_thr=0.0, nms=dict(type="MaskNMS", iou_thr=0.7)),
    )
    model = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=channels),
        encoder=dict(type="SEUNetEncoder", widths=(4, 6, 8), depth=1, stem_stride=2),
        decoder=dict(type="SEUNetDecoder", widths=(6,), depth=1, num_skips=1),
        heads=dict(instances=config | (head or {})),
    )
    return MODELS.build(model | options).eval()


def batch(channels, *shapes):
    generator = torch.Generator().manual_seed(0)
    samples = [
        CellSample(metainfo=dict(img_id=i, img_path="a.tif", img_shape=s, ori_shape=s, to_original=np.eye(3)))
        for i, s in enumerate(shapes)
    ]
    inputs = [torch.rand(channels, *shape, generator=generator) for shape in shapes]
    return dict(inputs=inputs, data_samples=samples)


@pytest.mark.parametrize(
    ("channels", "options"),
    [
        (1, dict()),
        (3, dict(tile=32, tile_overlap=16)),
        (2, dict(tta="turns")),
        (1, dict(tta="flips", tile=32)),
    ],
)
def test_tiles_views_and_channels(channels, options):
    model = build(head=dict(init="peaks", num_classes=2), channels=channels, **options)
    first, second = model.test_step(batch(channels, (45, 64), (33, 20)))
    assert len(first.pred_instances) > 0
    assert {tuple(mask["size"]) for mask in first.pred_instances.masks} == {(45, 64)}
    assert {tuple(mask["size"]) for mask in second.pred_instances.masks} <= {(33, 20)}


def test_it_predicts_the_same_when_fused():
    images = torch.rand(1, 1, 32, 48)
    model = build()
    with torch.no_grad():
        expected = model(images)["instances"]["stages"][-1]
        found = model.fuse_for_inference()(images)["instances"]["stages"][-1]
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", [dict(), dict(init="peaks", overlap_parts=True)], ids=["learned", "peaks"])
def test_all_of_it_is_one_graph(head):
    (graph,) = graphs_of(build(head=head).to(memory_format=torch.contiguous_format))
    names = ("cls_logits", "kernels", "quality_logits")
    assert graph.outputs == (*(f"instances.out.stages.0.{name}" for name in names), "instances.out.basis")
    assert onnx_difference(graph, onnx_file(graph, {})) < 1e-4


def test_queries_begin_at_the_best_peaks():
    probs = torch.zeros(2, 1, 20, 30)
    for row, col, height in ((4, 5, 0.9), (15, 20, 0.6), (4, 25, 0.3)):
        probs[0, 0, row - 1 : row + 2, col - 1 : col + 2] = height / 2
        probs[0, 0, row, col] = height
    found = best_peaks(probs, 4, radius=3)
    assert found.shape == (2, 4)
    assert found[0].tolist()[:3] == [4 * 30 + 5, 15 * 30 + 20, 4 * 30 + 25]
    assert found[0, 3] in (4 * 30 + 4, 3 * 30 + 5, 5 * 30 + 5, 4 * 30 + 6)  # the most probable other pixel
    probs[0, 0, 2:9, 2:9] = 1.0  # the top of a sure disk is flat: one query
    assert best_peaks(probs, 3, radius=3)[0].tolist()[1:] == [15 * 30 + 20, 4 * 30 + 25]
    assert best_peaks(probs[:, :, :2, :2], 9, radius=3).shape == (2, 4)  # no more than there are pixels
