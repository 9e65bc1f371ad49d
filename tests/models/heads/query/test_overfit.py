"""QuerySEUNet learns two small images by heart, cells that overlap and all."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from skimage.draw import ellipse

from cellmm.registry import METRICS, MODELS
from cellmm.structures import CellSample, LabelLayers

SIZE = 48
# centre, radii and angle of the cells of two images
CELLS = (
    ((16, 16, 13, 7, 0.6), (22, 20, 14, 7, -0.9), (36, 36, 8, 8, 0.0)),
    ((14, 24, 7, 15, 0.3), (28, 26, 15, 6, 0.2), (36, 10, 8, 6, 0.0)),
)


def data() -> dict:
    """Transparent cells: where two overlap, it is as dark as both together."""
    inputs, samples = [], []
    for number, cells in enumerate(CELLS):
        masks = np.zeros((len(cells), SIZE, SIZE), bool)
        for mask, (row, col, r, c, angle) in zip(masks, cells, strict=True):
            mask[ellipse(row, col, r, c, mask.shape, angle)] = True
        assert (masks.sum(0) > 1).any()
        layers = LabelLayers.from_masks(masks)
        noise = np.random.default_rng(number).normal(0, 0.1, (SIZE, SIZE))
        inputs.append(torch.from_numpy(1 - masks.sum(0) + noise).float()[None])
        sample = CellSample(
            metainfo=dict(
                img_id=number,
                img_path=f"{number}.tif",
                img_shape=(SIZE, SIZE),
                ori_shape=(SIZE, SIZE),
                to_original=np.eye(3),
            )
        )
        sample.gt_layers = torch.from_numpy(layers.layers)
        labels = torch.zeros(len(cells), dtype=torch.long)
        sample.gt_instances = InstanceData(labels=labels)
        sample.eval_instances = InstanceData(
            masks=layers.to_rles(),
            labels=labels.numpy(),
            ignore=np.zeros(len(cells), bool),
            areas=layers.areas().astype(float),
        )
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def average_precision(model, batch: dict) -> float:
    model.eval()
    with torch.no_grad():
        found = model.test_step(batch)
    metric = METRICS.build(dict(type="CellCocoMetric"))
    metric.dataset_meta = dict(classes=("cell",))
    metric.process(None, [sample.to_dict() for sample in found])
    model.train()
    return metric.evaluate(len(found))["AP"]


def overfit(steps: int, **options) -> tuple:
    """A small model after so many steps on both images, and the batch."""
    torch.manual_seed(0)
    head = dict(
        type="QueryHead",
        dim=32,
        num_heads=4,
        feedforward=64,
        num_queries=8,
        strides=(4, 2),
        mask_stride=1,
        layers_per_level=2,
        test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.7)),
    )
    model = MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=(12, 24, 32), norm="GN", se=False),
            decoder=dict(type="SEUNetDecoder", widths=(24,), num_skips=1, norm="GN", se=False),
            heads=dict(instances=head | options),
        )
    )
    batch = data()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        losses = model(**model.data_preprocessor(batch, True), mode="loss")
        optimizer.zero_grad()
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model, batch


ALL = dict(denoising=dict(type="DenoisingQueries", max_queries=12, kind="masks"), overlap_parts=True)


@pytest.mark.parametrize("options", [dict(), ALL], ids=["plain", "all"])
def test_two_images_are_learned_by_heart(options):
    assert average_precision(*overfit(120, **options)) > 0.95
