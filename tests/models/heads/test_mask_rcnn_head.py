"""Mask R-CNN: the same as torchvision's where it can be, and what torchvision lacks."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import project_masks_on_boxes
from torchvision.models.resnet import resnet18

from cellmm.engine.checkpoints import fit_start_weights
from cellmm.errors import CellMMError
from cellmm.models import FeatureSpec, feature_pyramid
from cellmm.models.heads.region_proposals import mostly_in
from cellmm.models.heads.roi_masks import masks_on_grids, paste_masks
from cellmm.registry import MODELS
from cellmm.structures import CellSample, LabelLayers

CHANNELS = 8
SPECS = feature_pyramid((CHANNELS,) * 4, stride=4)
SMALL = dict(
    type="MaskRCNNHead",
    num_classes=2,
    box_hidden=16,
    mask_hidden=8,
    roi_samples=32,
    max_proposals=20,
    test_cfg=dict(score_thr=0.0),
)


def model(in_channels: int = 3, **head) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type="CellSegmentor",
            data_preprocessor=dict(type="CellDataPreprocessor", in_channels=in_channels),
            encoder=dict(type="ResNetEncoder", depth="resnet18"),
            decoder=dict(type="FPNDecoder", channels=CHANNELS),
            heads=dict(instances=dict(SMALL, **head)),
        )
    )


def head_of(**options) -> torch.nn.Module:
    torch.manual_seed(0)
    return MODELS.build(dict(SMALL, in_specs=SPECS, **options))


def maps(batch: int = 1) -> list[torch.Tensor]:
    """As of images of 64 x 64 pixels."""
    torch.manual_seed(2)
    return [torch.rand(batch, CHANNELS, 16 // 2**i, 16 // 2**i) for i in range(4)]


def sample(layers: np.ndarray, **more) -> CellSample:
    cells = LabelLayers(layers)
    shape = cells.shape
    item = CellSample(
        metainfo=dict(img_path="a.tif", img_shape=shape, ori_shape=shape, to_original=np.eye(3))
    )
    item.gt_layers = torch.from_numpy(cells.layers)
    item.gt_instances = InstanceData(labels=torch.zeros(len(cells), dtype=torch.int64))
    for key, value in more.items():
        setattr(item, key, value)
    return item


def two_cells(side: int = 64) -> np.ndarray:
    layers = np.zeros((2, side, side), np.int32)
    layers[0, 8:30, 8:40] = 1
    layers[1, 20:50, 30:60] = 2
    return layers


def torchvisions() -> MaskRCNN:
    """Its Mask R-CNN at the size of ``model``, without its own resizing and normalisation."""
    layers = {f"layer{i + 1}": str(i) for i in range(4)}
    backbone = BackboneWithFPN(resnet18(), layers, [64, 128, 256, 512], CHANNELS)
    return MaskRCNN(
        backbone,
        min_size=64,
        max_size=64,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        rpn_anchor_generator=AnchorGenerator(tuple((8 * 2**i,) for i in range(2, 7)), ((0.5, 1.0, 2.0),) * 5),
        rpn_pre_nms_top_n_test=20,
        rpn_post_nms_top_n_test=20,
        box_head=TwoMLPHead(CHANNELS * 49, 16),
        box_predictor=FastRCNNPredictor(16, 3),
        box_score_thresh=0.0,
        mask_head=MaskRCNNHeads(CHANNELS, [CHANNELS] * 4, 1),
        mask_predictor=MaskRCNNPredictor(CHANNELS, 8, 3),
    )


def test_it_finds_what_torchvision_finds_with_its_weights():
    torch.manual_seed(1)
    theirs, ours = torchvisions().eval(), model().eval()
    start = fit_start_weights(ours, theirs.state_dict(), "theirs.pth")
    assert start.is_whole
    ours.load_state_dict(start.weights)
    image = torch.rand(3, 64, 64)
    with torch.no_grad():
        expected = theirs([image])[0]
        found = ours.heads["instances"].predict(ours.extract(image[None]), [sample(two_cells())])[0]
    assert len(expected["scores"]) >= 10
    # the best of theirs, in whose masks a pixel is above the threshold
    kept = (expected["masks"] > 0.5).flatten(1).any(1)
    scores, order = expected["scores"][kept].sort(descending=True, stable=True)
    assert torch.allclose(found.scores, scores, atol=1e-6)
    assert torch.equal(found.labels, expected["labels"][kept][order] - 1)
    whole = np.zeros((len(found), 64, 64), np.float32)
    for mask, window, (row, col) in zip(whole, found.probs, found.origins, strict=True):
        mask[row : row + window.shape[0], col : col + window.shape[1]] = window
    theirs = expected["masks"][kept][order][:, 0].numpy()
    assert np.corrcoef(whole.ravel(), theirs.ravel())[0, 1] > 0.9  # they round boxes to whole pixels


def test_names_of_old_files_of_torchvision():
    ours = model()
    own = ours.state_dict()
    old = {
        "backbone.body.conv1.weight": "encoder.conv1.weight",
        "backbone.fpn.inner_blocks.0.weight": "decoder.fpn.inner_blocks.0.0.weight",
        "rpn.head.conv.bias": "heads.instances.rpn.head.conv.0.0.bias",
        "roi_heads.mask_head.mask_fcn4.weight": "heads.instances.roi_heads.mask_head.3.0.weight",
        "layer4.1.bn2.running_mean": "encoder.layer4.1.bn2.running_mean",
    }
    start = fit_start_weights(ours, {name: own[new] for name, new in old.items()}, "old.pth")
    assert set(start.weights) == set(old.values()) and not start.left_out


def test_other_numbers_of_channels_and_classes_are_said():
    start = fit_start_weights(model(in_channels=2), torchvisions().state_dict(), "theirs.pth")
    assert start.channels == (3, 2)
    assert "repeats" not in next(line for line in start.lines() if "channels" in line)
    start = fit_start_weights(model(num_classes=4), torchvisions().state_dict(), "theirs.pth")
    (names,) = start.new.values()
    assert all("predictor" in name for name in names)


def test_masks_on_grids_are_those_of_torchvision():
    layers = torch.from_numpy(two_cells())
    boxes = torch.tensor([[8.0, 8, 40, 30], [25.3, 15.2, 70.0, 55.9]])
    ours = masks_on_grids(layers, torch.tensor([1, 2]), boxes, 28)
    whole = torch.stack([(layers == i).any(0).float() for i in (1, 2)])
    theirs = project_masks_on_boxes(whole, boxes - 0.5, torch.arange(2), 28)
    assert bool((ours[0] == 1).all())
    assert (ours - theirs).abs().mean() < 0.02


def test_pasted_masks_fill_their_boxes():
    probs = np.zeros((2, 2, 2), np.float32)
    probs[0, :, 1] = probs[1] = 1
    boxes = np.array([[2.0, 1, 6, 3], [3.6, 0, 4.4, 4]])  # the second holds no centre of a pixel
    windows, first = paste_masks(probs, boxes, (4, 8))
    assert first.tolist() == [[1, 2], [0, 4]]
    assert windows[0].tolist() == [[0, 0.25, 0.75, 1]] * 2
    assert windows[1].size == 0


def test_a_mask_comes_back_to_the_pixels_it_was_learned_on():
    disk = (np.hypot(*(np.mgrid[:64, :64] - 30.2)) < 17).astype(np.int32)[None]
    boxes = LabelLayers(disk).bboxes()
    grid = masks_on_grids(torch.from_numpy(disk), torch.tensor([1]), torch.from_numpy(boxes), 28)
    windows, first = paste_masks(grid.numpy(), boxes, (64, 64))
    (row, col), (height, width) = first[0], windows[0].shape
    again = np.zeros((64, 64), bool)
    again[row : row + height, col : col + width] = windows[0] > 0.5
    assert (again & (disk[0] > 0)).sum() / (again | (disk[0] > 0)).sum() > 0.97


def test_what_lies_in_ignored_pixels_is_not_background():
    head = head_of()
    whole = torch.ones(64, 64, dtype=torch.bool)
    empty = sample(np.zeros((1, 64, 64), np.int32), ignore=whole)
    losses = head.loss(maps(), [empty])
    assert sum(losses.values()).item() == 0
    sum(losses.values()).backward()
    region = torch.zeros(64, 64, dtype=torch.bool)
    region[:, :32] = True
    boxes = torch.tensor([[0.0, 0, 20, 20], [28, 0, 60, 20], [-40, -40, -2, -2], [70, 70, 90, 90]])
    assert mostly_in(region, boxes).tolist() == [True, False, True, False]


def test_images_without_cells_and_one_with():
    head = head_of()
    samples = [sample(np.zeros((1, 64, 64), np.int32)), sample(two_cells())]
    losses = head.loss(maps(2), samples)
    assert set(losses) == {
        "loss_objectness",
        "loss_rpn_box_reg",
        "loss_classifier",
        "loss_box_reg",
        "loss_mask",
    }
    sum(losses.values()).backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in head.parameters())


def test_limits_are_said_with_their_numbers():
    head = head_of(max_detections=2, max_proposals=3).eval()
    torch.nn.init.constant_(head.rpn.head.cls_logits.bias, 3.0)
    (found,) = head.predict(maps(), [sample(two_cells())])
    assert len(found) <= 2
    numbers = {text.split("raise ")[1].split()[0]: number for text, number in found.limits.items()}
    assert numbers["max_proposals"] > 700 and numbers["max_detections"] >= 1
    unlimited = head_of(max_proposals=None, test_cfg=dict(score_thr=0.34)).eval()
    (found,) = unlimited.predict(maps(), [sample(two_cells())])
    assert not found.limits


def test_masks_of_crossing_boxes_stay_where_boxes_are_not_suppressed():
    """Two bars that cross in one box: by box IoU the second is a repetition, by its mask it is not."""
    head = head_of(box_nms=None, test_cfg=dict(nms=dict(type="MaskNMS", iou_thr=0.5)))
    bars = torch.full((2, head.mask_size, head.mask_size), -9.0)
    bars[0, 10:18], bars[1, :, 10:18] = 9.0, 9.0
    head._masks = lambda features, boxes, labels: bars[: len(labels)]
    boxes = torch.tensor([[4.0, 4, 60, 60], [4, 4, 60, 60]])
    found = head._instances([], boxes, torch.tensor([0.9, 0.8]), torch.tensor([1, 1]), (64, 64), 0)
    assert len(found) == 2
    bars[1] = bars[0]
    found = head._instances([], boxes, torch.tensor([0.9, 0.8]), torch.tensor([1, 1]), (64, 64), 0)
    assert found.scores.tolist() == pytest.approx([0.9])


def test_a_thousand_cells_are_held_as_windows():
    head = head_of()
    head._masks = lambda features, boxes, labels: torch.ones(len(labels), head.mask_size, head.mask_size)
    corners = torch.stack(torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij"), -1).reshape(
        -1, 2
    )
    boxes = torch.cat([corners * 31.0, corners * 31.0 + 25], 1)
    scores, labels = torch.linspace(0.9, 0.1, len(boxes)), torch.ones(len(boxes), dtype=torch.long)
    found = head._instances([], boxes, scores, labels, (1000, 1000), 0)
    assert len(found) == 1024
    assert sum(window.size for window in found.probs) < 1_000_000  # one image, and not a thousand


def test_larger_masks_by_either_option():
    assert head_of(mask_roi_size=28).mask_size == 56
    head = head_of(mask_deconvs=2)
    assert head.mask_size == 56
    logits = head._masks(maps(), [torch.tensor([[3.0, 3, 30, 30]])], torch.tensor([1]))
    assert logits.shape == (1, 56, 56)


def test_maps_that_do_not_fit_are_refused():
    for specs in (feature_pyramid((4, 8), stride=4), (FeatureSpec(4, 4), FeatureSpec(4, 16))):
        with pytest.raises(CellMMError, match="FPNDecoder"):
            MODELS.build(dict(SMALL, in_specs=specs))
