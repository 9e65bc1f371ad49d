"""Noisy queries: how many groups there are, what each sees, and that no region is lost."""

import pytest
import torch

from cellmm.models.heads.query.denoising_queries import dilated, eroded, places
from cellmm.registry import MODELS
from tests.models.heads.query.query_data import sample


def make(cells, dim=16, stride=2, **options):
    torch.manual_seed(0)
    part = MODELS.build(dict(type="DenoisingQueries", dim=dim, num_classes=2, **options))
    samples = [sample(number, num_classes=2) for number in cells]
    return part(samples, torch.randn(len(cells), dim, 32 // stride, 48 // stride), stride), samples


@pytest.mark.parametrize(
    ("most", "groups", "slots"), [(3, 3, 3), (5, 2, 5), (6, 1, 6), (10, 1, 10), (20, 1, 10), (1, 10, 1)]
)
def test_there_is_always_a_group(most, groups, slots):
    """At most 10 queries; with 20 cells, 10 of them are drawn."""
    noisy, _ = make([most, 1], max_queries=10)
    assert noisy.groups.tolist() == [group for group in range(groups) for _ in range(slots)]
    query, cell = noisy.pairs[0]
    assert query.tolist() == list(range(groups * slots))
    assert cell.view(groups, slots).sort(1).values.unique(dim=0).shape == (1, slots)
    assert len(cell.unique()) == slots and cell.max() < most
    assert noisy.pairs[1][1].tolist() == [0] * groups
    assert noisy.given.sum(1).tolist() == [groups * slots, groups]


def test_groups_see_themselves_alone():
    noisy, _ = make([2, 1], max_queries=5)
    together = noisy.together(3 + 4)
    own, first, second = slice(0, 3), slice(3, 5), slice(5, 7)
    for b in range(2):
        for one in (own, first, second):
            for other in (own, first, second):
                assert together[b][one, other].any() == (one == other)
    assert together[0][first, first].all() and together[0][own, own].all()
    # the second image has one cell: nobody looks at the empty place of a group but the place itself
    assert together[1][first, first].tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_regions_lie_on_their_cells(kind):
    noisy, samples = make([5, 3], max_queries=200, kind=kind, mask_noise=3)
    changed, total = 0, sum(len(query) for query, _ in noisy.pairs)
    for b, (query, cell) in enumerate(noisy.pairs):
        masks = samples[b].gt_masks(2, noisy.regions.shape[-2:]) > 0
        regions = noisy.regions[b, query]
        assert (regions & masks[cell]).any((1, 2)).all()
        changed += (regions != masks[cell]).any((1, 2)).sum()
    assert changed > total / 2
    assert noisy.regions[1, ~noisy.given[1]].all()  # those without a cell see all


def test_without_cells_one_query_of_each_image_has_nothing_to_learn():
    noisy, _ = make([0, 0])
    assert noisy.content.shape[1] == 1 and not noisy.given.any()
    assert all(len(query) == 0 for query, _ in noisy.pairs)


def test_no_noise_gives_the_boxes():
    noisy, samples = make([2], max_queries=2, box_noise=0.0, label_noise=0.0, stride=1)
    query, cell = noisy.pairs[0]
    assert torch.equal(noisy.regions[0, query], samples[0].gt_masks()[cell] > 0)  # the cells are boxes
    x, y, w, h = places(noisy.regions)[0, cell.argsort()].unbind(1)
    assert w.tolist() == pytest.approx([10 / 48] * 2) and h.tolist() == pytest.approx([8 / 48] * 2)
    assert x.tolist() == pytest.approx([(4.5 - 23.5) / 23.5, (12.5 - 23.5) / 23.5])
    assert y.tolist() == pytest.approx([(3.5 - 15.5) / 23.5] * 2)


def test_masks_grow_and_shrink():
    mask = torch.zeros(1, 7, 7, dtype=torch.bool)
    mask[0, 2:5, 2:5] = True
    assert dilated(mask, 1).sum() == 25 and eroded(mask, 1).sum() == 1 and not eroded(mask, 2).any()
