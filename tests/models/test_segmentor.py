"""The composed model: modes, predictions in the original frame, the preprocessor's checks."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.structures import CellSample

HEAD = dict(
    type="IAMHead",
    num_queries=4,
    feature_dim=8,
    instance_branch=dict(channels=8, depth=1),
    mask_branch=dict(channels=8, depth=1, mask_dim=4),
)


def build_config(**options):
    return dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
        encoder=dict(type="SEUNetEncoder", widths=(4, 8, 8)),
        decoder=dict(type="SEUNetDecoder", widths=(6, 8)),
        **{"heads": dict(instances=HEAD), **options},
    )


def build(**head):
    torch.manual_seed(0)
    return MODELS.build(build_config(heads=dict(instances=dict(HEAD, **head))))


def data(*sizes, cells=2):
    samples = []
    for i, (h, w) in enumerate(sizes):
        layers = torch.zeros(1, h, w, dtype=torch.int32)
        for c in range(min(cells, h)):
            layers[0, c, : c + 1] = c + 1
        sample = CellSample(
            metainfo=dict(
                img_id=i, img_path=f"{i}.tif", img_shape=(h, w), ori_shape=(h, w), to_original=np.eye(3)
            )
        )
        sample.gt_layers = layers
        sample.gt_instances = InstanceData(labels=torch.zeros(min(cells, h), dtype=torch.long))
        samples.append(sample)
    return dict(inputs=[torch.rand(2, h, w) for h, w in sizes], data_samples=samples)


@pytest.mark.parametrize("sizes", [[(9, 14), (12, 5)], [(1, 1), (2, 2)]])
def test_train_step_and_test_step_with_mixed_and_small_sizes(sizes):
    model = build(test_cfg=dict(score_thr=0.0))
    batch = model.data_preprocessor(data(*sizes), True)
    losses = model(**batch, mode="loss")
    assert set(losses) == {"loss_dice", "loss_bce", "loss_cls"}
    sum(losses.values()).backward()
    model.eval()
    for sample, (h, w) in zip(model.test_step(data(*sizes)), sizes, strict=True):
        instances = sample.pred_instances
        assert len(instances.masks) == len(instances.scores) == len(instances.labels)
        assert all(mask["size"] == [h, w] for mask in instances.masks)
        assert (instances.scores.diff() <= 0).all()


def test_prediction_is_the_same_alone_and_in_a_batch_of_equal_sizes():
    model = build(test_cfg=dict(score_thr=0.0)).eval()
    both = data((12, 12), (12, 12))
    together = model.test_step(both)
    alone = model.test_step(dict(inputs=both["inputs"][1:], data_samples=data((12, 12))["data_samples"]))
    assert together[1].pred_instances.masks == alone[0].pred_instances.masks


def test_nothing_found_is_an_empty_prediction():
    model = build(test_cfg=dict(score_thr=1.0)).eval()
    instances = model.test_step(data((8, 8)))[0].to_dict()["pred_instances"]
    assert instances["masks"] == [] and len(instances["scores"]) == 0


def test_gt_masks_are_shares_of_blocks_and_keep_overlap():
    sample = CellSample()
    sample.gt_layers = torch.tensor([[[1, 1, 0], [0, 0, 0]], [[2, 0, 0], [2, 0, 0]]], dtype=torch.int32)
    sample.gt_instances = InstanceData(labels=torch.zeros(2, dtype=torch.long))
    assert sample.gt_masks().sum((1, 2)).tolist() == [2, 2]
    assert sample.gt_masks(stride=2, shape=(2, 3)).tolist() == [
        [[0.5, 0, 0], [0, 0, 0]],
        [[0.5, 0, 0], [0, 0, 0]],
    ]


def test_wrong_channels_name_the_file_and_wrong_arguments_the_choice():
    model = build()
    batch = data((8, 8))
    batch["inputs"] = [torch.rand(3, 8, 8)]
    with pytest.raises(CellMMError, match="0.tif: 3 channels, but the model takes 2"):
        model.test_step(batch)
    with pytest.raises(ValueError, match="mode must be"):
        model(torch.rand(1, 2, 8, 8), mode="fit")
    with pytest.raises(ValueError, match="instance_head 'cells'"):
        MODELS.build(
            dict(
                type="CellSegmentor",
                data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
                encoder=dict(type="SEUNetEncoder"),
                decoder=dict(type="SEUNetDecoder", widths=(4,)),
                heads={},
                instance_head="cells",
            )
        )


def test_a_stack_of_another_name_is_hinted_at():
    config = build_config(activation_checkpointing=["encoder.levels.7"])
    with pytest.raises(CellMMError, match="no stack .* 'encoder.levels.7'; did you mean encoder"):
        MODELS.build(config)


def test_raw_output_of_each_head():
    assert set(build()(torch.rand(1, 2, 8, 8))) == {"instances"}
