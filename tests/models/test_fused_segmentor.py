"""fuse_for_inference and inference_dtype of the model: the same cells, sooner."""

import numpy as np
import pytest
import torch
from torch import nn

from cellmm.errors import CellMMError
from cellmm.models.layers.fused_deco_net import FusedDecoNet
from cellmm.registry import MODELS
from cellmm.structures import CellSample


def build(**options):
    torch.manual_seed(0)
    head = dict(
        type="GatewayHead",
        feature_channels=4,
        mask_decoder=dict(
            type="DecoNet", widths=(4, 6), norm="BN", padding="same", upsample="nearest", fine_skip=True
        ),
        finder=dict(type="PeakFinder", score_thr=0.0, max_gates=4),
        windows=dict(type="GrowingWindows", size=16, patience=None),
        test_cfg=dict(score_thr=0.0),
    )
    model = MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
            encoder=dict(type="SEUNetEncoder", widths=(4, 6, 8), stem_stride=2),
            decoder=dict(type="SEUNetDecoder", widths=(5, 6)),
            heads=dict(instances=head),
            **options,
        )
    ).eval()
    for layer in model.modules():  # so that what comes out differs from place to place
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 0.02, 0.1)
            nn.init.normal_(layer.running_mean, std=0.1)
    return model


def predict(model, side=128):
    torch.manual_seed(1)
    image = torch.rand(1, side, side)
    sample = CellSample(
        metainfo=dict(img_path="x.tif", img_shape=(side, side), ori_shape=(side, side), to_original=np.eye(3))
    )
    with torch.inference_mode():
        return model.test_step(dict(inputs=[image], data_samples=[sample]))[0].pred_instances


def test_no_norm_is_left_and_the_cells_stay():
    model = build()
    found = predict(model)
    assert len(found) > 3
    assert model.fuse_for_inference() is model
    assert isinstance(model.heads["instances"].fused, FusedDecoNet)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    fused = predict(model)
    torch.testing.assert_close(fused.scores, found.scores, atol=2e-3, rtol=0)
    assert torch.equal(predict(model).scores, fused.scores)


def test_a_fused_model_cannot_be_trained():
    model = build().fuse_for_inference()
    assert not any(weight.requires_grad for weight in model.parameters())
    model.eval()
    with pytest.raises(CellMMError, match="build it anew"):
        model.train()


@pytest.mark.parametrize("fused", [False, True])
def test_half_precision_gives_about_the_same_scores(fused):
    seen = []
    for dtype in (None, "bfloat16"):
        model = build(inference_dtype=dtype)
        if fused:
            model.fuse_for_inference()
        types = []
        model.encoder.register_forward_hook(lambda module, args, out, types=types: types.append(out[0].dtype))
        seen.append(predict(model).scores)
        assert types == [torch.float32 if dtype is None else torch.bfloat16]
        assert seen[-1].dtype == torch.float32
    assert abs(float(seen[0][0]) - float(seen[1][0])) < 0.03


def test_other_precisions_are_refused():
    with pytest.raises(CellMMError, match="model.inference_dtype: 'int8' .* 'bfloat16'"):
        build(inference_dtype="int8")
