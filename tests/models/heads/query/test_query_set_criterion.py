"""What queries learn: values by hand, the parts of cells, points where cells overlap."""

import math

import pytest
import torch
from mmengine.structures import InstanceData

from cellmm.models.heads.query.overlap_parts import masks_with_parts_at
from cellmm.models.losses.point_sampling import candidate_pixels, overlap_pixels
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample
from tests.models.heads.query.query_data import sample

FAR = 30.0


def perfect(cells, num_queries: int, **kernels: int) -> dict:
    """Outputs whose queries are the cells: the basis has a channel for each mask."""
    masks = cells.gt_masks()
    parts = dict(kernels=0) | kernels
    every = masks_with_parts_at(cells, torch.arange(masks[0].numel()), 1, masks.shape[1:])
    every = every.view(3, *masks.shape)
    basis = every.flatten(0, 1)[None]
    stage = dict(cls_logits=torch.tensor([-FAR, FAR]).repeat(1, num_queries, 1))
    for name, part in parts.items():
        kernel = torch.zeros(1, num_queries, basis.shape[1] + 1)
        kernel[..., -1] = -FAR
        for i in range(len(masks)):
            kernel[0, num_queries - 1 - i, part * len(masks) + i] = 2 * FAR
        stage[name] = kernel
    stage["cls_logits"][0, num_queries - len(masks) :] *= -1
    stage["quality_logits"] = torch.full((1, num_queries), -FAR)
    stage["quality_logits"][0, num_queries - len(masks) :] = FAR
    coarse = torch.nn.functional.avg_pool2d(basis, 2)
    return dict(stages=[stage], basis=basis, coarse_basis=coarse)


def test_queries_that_are_right_have_no_loss():
    cells = sample(3)
    criterion = MODELS.build(dict(type="QuerySetCriterion", overlap_parts=True))
    outputs = perfect(cells, 5, exclusive_kernels=1, shared_kernels=2)
    found = criterion(outputs, [cells], stride=1)
    assert found.num_pairs == 3 and dict(zip(*(x.tolist() for x in found.pairs[0]), strict=True)) == {
        4: 0,
        3: 1,
        2: 2,
    }
    for name, value in found.losses.items():
        assert value == pytest.approx(0, abs=1e-4), name
    # parts that do not make up the whole
    outputs["stages"][0]["shared_kernels"][..., :] = outputs["stages"][0]["exclusive_kernels"]
    wrong = criterion(outputs, [cells], stride=1).losses
    assert wrong["loss_consistency"] > 0.01 and wrong["loss_shared"] > 0.1 and wrong["loss_bce"] < 1e-4


def test_classes_by_hand():
    """Two queries with a cell and two without, all undecided: (2 log 2 + 2 x .1 log 2) x 2 / 2 cells."""
    criterion = MODELS.build(dict(type="QuerySetCriterion"))
    pairs = [(torch.tensor([1, 3]), torch.tensor([0, 1]))]
    value = criterion.class_loss(torch.zeros(1, 4, 2), pairs, [torch.tensor([0, 0])], torch.tensor(2.0))
    assert value == pytest.approx(2.2 * math.log(2))


def test_quality_by_hand():
    """Two masks of IoU 1/2 and 1, and a tenth of ten others, which is one: logits of 0 give log 2 each."""
    criterion = MODELS.build(dict(type="QuerySetCriterion"))
    basis = torch.zeros(1, 2, 1, 4)
    basis[0, 0, 0, :2] = basis[0, 1, 0, 2:] = 1
    kernels = torch.zeros(1, 12, 3)
    kernels[..., -1] = -1
    kernels[0, 0, 0] = kernels[0, 1, 1] = 2
    stage = dict(kernels=kernels, quality_logits=torch.zeros(1, 12, requires_grad=True))
    cells = torch.tensor([[[True, False, False, False]], [[False, False, True, True]]])
    pairs = [(torch.tensor([0, 1]), torch.tensor([0, 1]))]
    value = criterion.quality_loss(stage, pairs, basis, [cells], torch.tensor(2.0))
    assert value.item() == pytest.approx(3 * math.log(2) / 2)
    value.backward()
    gradient = stage["quality_logits"].grad[0]
    assert gradient[:2].tolist() == pytest.approx([0, -0.25])
    assert (gradient[2:] != 0).sum() == 1 and gradient.sum() == pytest.approx(0)


@pytest.mark.parametrize("stride", [1, 2])
def test_parts_are_exact(stride):
    """Each pixel of a block counts for itself: two cells that share a block need not overlap in it."""
    cells = sample(7)
    shape = 32 // stride, 48 // stride
    pixels = torch.arange(shape[0] * shape[1])
    whole, alone, shared = masks_with_parts_at(cells, pixels, stride, shape).chunk(3)
    torch.testing.assert_close(whole, alone + shared)
    masks = cells.gt_masks()
    several = (masks.sum(0) > 1).float()
    expected = torch.nn.functional.avg_pool2d((masks * several)[:, None], stride).flatten(1)
    torch.testing.assert_close(shared, expected)
    assert shared.any() and alone.any()


def test_cells_side_by_side_in_a_block_share_nothing():
    layers = torch.zeros(1, 2, 2, dtype=torch.int32)
    layers[0, :, 0], layers[0, :, 1] = 1, 2
    cells = CellSample()
    cells.gt_layers, cells.gt_instances = layers, InstanceData(labels=torch.zeros(2, dtype=torch.long))
    assert masks_with_parts_at(cells, torch.tensor([0]), 2, (1, 1)).flatten().tolist() == [0.5] * 4 + [0, 0]


def test_a_share_of_the_points_lies_in_overlap():
    layers = torch.zeros(2, 400, 600, dtype=torch.int32)
    layers[0, :100, :100], layers[1, :100, 50:150] = 1, 2
    inside = overlap_pixels(layers, 2, (200, 300))
    assert len(inside) == 50 * 25
    torch.manual_seed(0)
    shares = []
    for share in (0.25, 0.0):
        pixels = candidate_pixels(400, layers, 2, (200, 300), oversample=1, overlap_share=share)
        assert len(pixels) >= 400 and len(pixels.unique()) == len(pixels)
        shares.append(int(torch.isin(pixels, inside).sum()))
    assert shares[0] >= 100 > 60 > shares[1]


def test_fewer_points_are_for_matching_and_all_masks_share_them():
    part = TASK_UTILS.build(dict(type="OverlapPoints", num_points=100, num_matched=50))
    cells, basis = sample(3, size=(64, 64)), torch.rand(1, 3, 64, 64)
    learned, matched = part(basis, basis, [cells], 1)
    (candidates, masks), (points, at_points) = learned[0], matched[0]
    assert 300 <= masks.shape[1] <= 300 + 3 * 16 and masks.shape[1] == candidates.shape[2]
    assert 50 <= at_points.shape[1] <= 50 + 3 * 16 and at_points.shape[1] == points.shape[2]
    assert part.pick(torch.randn(3, 300), masks[:, :300])[0].shape == (3, 100)
