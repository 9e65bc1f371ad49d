"""Sets of predictions and cells: each image is matched for itself, and its pairs are learned."""

import torch
from mmengine.structures import InstanceData

from cellmm.models.heads.set_criterion import class_targets
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample


def sample(num_cells: int) -> CellSample:
    layers = torch.zeros(1, 4, 16, dtype=torch.int32)
    for i in range(num_cells):
        layers[0, :, 3 * i : 3 * i + 3] = i + 1
    result = CellSample()
    result.gt_layers = layers
    result.gt_instances = InstanceData(labels=torch.zeros(num_cells, dtype=torch.long))
    return result


def outputs(num_queries: int, stages: int = 1) -> dict:
    torch.manual_seed(0)
    basis = torch.rand(2, 3, 4, 16)
    stage = lambda: dict(  # noqa: E731
        cls_logits=torch.randn(2, num_queries, 1), kernels=torch.randn(2, num_queries, 4)
    )
    return dict(stages=[stage() for _ in range(stages)], basis=basis, coarse_basis=basis[..., ::2, ::2])


def test_more_cells_than_queries_keeps_each_image_to_itself():
    """3 queries, images of 5 and 2 cells: a flat index over the batch would give image 2 cells of image 1."""
    criterion, seen = MODELS.build(dict(type="SetCriterion", points=dict(type="AllPixels"))), []
    matcher = criterion.matcher
    criterion.matcher = lambda *args: seen.append((args[3].shape, matcher(*args))) or seen[-1][1]
    found = criterion(outputs(3), [sample(5), sample(2)], stride=1)
    assert [(shape, len(query)) for shape, (query, _) in seen] == [((5, 16), 3), ((2, 16), 2)]
    assert [len(query) for query, _ in found.pairs] == [3, 2] and found.num_pairs == 5
    assert max(found.pairs[1][1].tolist()) <= 1


def test_losses_of_each_stage():
    criterion = MODELS.build(dict(type="SetCriterion", loss_cls=dict(type="SigmoidFocalLoss", loss_weight=0)))
    losses = criterion(outputs(4, stages=2), [sample(2), sample(0)], stride=1).losses
    assert list(losses) == ["loss_dice_0", "loss_bce_0", "loss_cls_0", "loss_dice", "loss_bce", "loss_cls"]
    assert losses["loss_cls"] == 0 and losses["loss_dice"] > 0


def test_classes_of_matched_queries():
    labels = [torch.tensor([2, 0]), torch.tensor([], dtype=torch.long)]
    nothing = torch.tensor([], dtype=torch.long)
    pairs = [(torch.tensor([1, 3]), torch.tensor([1, 0])), (nothing, nothing)]
    targets = class_targets(torch.randn(2, 4, 3), labels, pairs)
    assert targets.nonzero().tolist() == [[0, 1, 0], [0, 3, 2]]


def test_points_are_the_same_pixels_of_logits_and_masks():
    """A basis that holds the pixel's number, and masks that are looked up by it."""
    cells = [sample(2), sample(1)]
    basis = torch.arange(64.0).view(1, 1, 4, 16).expand(2, -1, -1, -1)
    part = TASK_UTILS.build(dict(type="UncertainPoints", num_points=5))
    learned, matched = part(basis, basis, cells, 1)
    assert learned is matched
    for (numbers, masks), image in zip(learned, cells, strict=True):
        pixels = numbers.flatten().long()
        assert len(pixels) < 64 and torch.equal(masks, image.gt_masks().flatten(1)[:, pixels])
    logits = torch.tensor([[9.0, 0.0, 8.0, 0.1, 7.0, 0.2, 6.0, 0.3]])
    picked, targets = part.pick(logits, logits * 2)
    assert {0.0, 0.1, 0.2, 0.3} <= {round(value, 1) for value in picked[0].tolist()}
    assert picked.shape == (1, 5) and torch.equal(targets, picked * 2)
