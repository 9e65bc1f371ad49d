"""tools/benchmarks/weak_models.py: what it counts."""

from pathlib import Path

import numpy as np
import torch

from cellmm.models.heads.gateways import Gateways
from cellmm.registry import MODELS
from cellmm.structures import CellSample

ROOT = Path(__file__).parents[2]


def test_pixels_and_calls_of_deconet(load_tool):
    tool = load_tool("benchmarks/weak_models")
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=(4, 4, 4), se=False),
            decoder=dict(type="SEUNetDecoder", widths=(4, 4), se=False),
            heads=dict(
                instances=dict(
                    type="GatewayHead",
                    feature_channels=4,
                    mask_decoder=dict(type="DecoNet", widths=(4, 4), norm="BN", padding="same"),
                    windows=dict(type="GrowingWindows", size=16),
                    test_cfg=dict(mask_thr=0.99),
                )
            ),
        )
    ).eval()
    points = torch.cartesian_prod(torch.arange(8, 64, 12), torch.arange(8, 56, 12)).float()
    gateways = Gateways(points, torch.full((20,), 2.0), torch.full((20,), 0.9))
    model.heads["instances"].finder.find = lambda disk_probs: gateways
    meta = dict(img_id=0, img_path="a.tif", img_shape=(64, 64), ori_shape=(64, 64), to_original=np.eye(3))
    images = [dict(inputs=torch.rand(1, 64, 64), data_samples=CellSample(metainfo=meta)) for _ in range(2)]
    row = tool.predict(model, images)  # no mask at all: 20 gateways in batches of 16 and 4
    assert row["calls"] == 4 and row["pixels"] == 2 * 20 * 16 * 16
    assert row["cells"] == 0 and row["seconds"] > 0
