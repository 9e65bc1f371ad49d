"""SemanticTargets and what a sample carries of it."""

import numpy as np
import pytest
import torch

from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import SEMANTIC_NAMES, LabelLayers


def build(**config):
    return TRANSFORMS.build(dict(type="SemanticTargets", **config))


def row(crowd=()):
    """1 x 10 px: cells on 0 to 4 and 3 to 6, a third on 8 to 9; nuclei on 1 and 8."""
    masks = np.zeros((3, 1, 10), bool)
    masks[0, 0, :5], masks[1, 0, 3:7], masks[2, 0, 8:] = True, True, True
    nuclei = np.zeros((3, 1, 10), bool)
    nuclei[0, 0, 1] = nuclei[2, 0, 8] = True
    return dict(
        img=np.zeros((1, 10, 2), np.float32),
        gt_layers=LabelLayers.from_masks(masks),
        gt_nuclei=LabelLayers.from_masks(nuclei),
        gt_labels=np.zeros(3, np.int64),
        gt_ignore=np.isin(np.arange(3), crowd),
    )


def test_by_hand():
    done = build(targets=SEMANTIC_NAMES, border_width=1)(row())
    assert {name: target[0].tolist() for name, target in done["gt_semantic"].items()} == dict(
        cytoplasm=[1, 1, 1, 1, 1, 1, 1, 0, 1, 1],
        nuclei=[0, 1, 0, 0, 0, 0, 0, 0, 1, 0],
        border=[0, 0, 0, 1, 1, 0, 1, 0, 1, 0],
        background=[0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        overlap=[0, 0, 0, 1, 1, 0, 0, 0, 0, 0],
    )
    assert "ignore" not in done


def test_the_default_is_the_cytoplasm():
    assert list(build()(row())["gt_semantic"]) == ["cytoplasm"]


def test_maps_of_a_transform_of_ones_own_stay():
    own = np.ones((1, 10), np.uint8)
    before = dict(spindle=own)
    done = build()(dict(row(), gt_semantic=before))
    assert list(done["gt_semantic"]) == ["spindle", "cytoplasm"] and done["gt_semantic"]["spindle"] is own
    assert list(before) == ["spindle"]


def test_crowd_regions_are_ignored_and_count_as_no_cells():
    results = row(crowd=[1])
    done = build(targets=SEMANTIC_NAMES, border_width=1)(dict(results))
    assert done["ignore"][0].tolist() == [False] * 3 + [True] * 4 + [False] * 3
    assert not done["gt_semantic"]["overlap"].any()
    assert done["gt_semantic"]["cytoplasm"][0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 1, 1]
    assert np.flatnonzero(done["gt_semantic"]["nuclei"]).tolist() == [1, 8]
    before = np.zeros((1, 10), bool)
    before[0, 0] = True
    done = build()(dict(results, ignore=before))
    assert np.flatnonzero(done["ignore"]).tolist() == [0, 3, 4, 5, 6] and before.sum() == 1


def test_no_cells_at_all():
    done = build(targets=("cytoplasm", "border", "background"))(dict(gt_layers=LabelLayers.empty(3, 5)))
    assert [int(target.sum()) for target in done["gt_semantic"].values()] == [0, 0, 15]


def test_a_sample_carries_maps_and_nuclei():
    results = build(targets=("overlap", "cytoplasm"))(row(crowd=[1]))
    results = TRANSFORMS.build(dict(type="ProximityMap"))(results)
    results["eval_nuclei"] = results["gt_nuclei"].to_rles()
    sample = TRANSFORMS.build(dict(type="PackCellInputs"))(results)["data_samples"]
    assert sorted(sample.gt_semantic.keys()) == ["cytoplasm", "overlap"]
    assert sample.gt_semantic.cytoplasm.dtype == torch.uint8
    assert sample.gt_semantic.cytoplasm.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0, 1, 1]]
    assert sample.gt_proximity.dtype == torch.float32 and sample.gt_proximity.shape == (1, 10)
    assert sample.ignore.dtype == torch.bool and len(sample.eval_nuclei.masks) == 3
    assert len(sample.gt_instances) == 2


@pytest.mark.parametrize("writer", ["SemanticTargets", "ProximityMap"])
@pytest.mark.parametrize(
    "step",
    [
        dict(type="CropRegion", y0=0, x0=0, y1=1, x1=4),
        dict(type="PadTo", divisor=4),
        dict(type="Albumentations", transforms=[dict(type="HorizontalFlip")]),
        dict(type="RandomWarp"),
    ],
    ids=lambda step: step["type"],
)
def test_geometry_after_it_is_refused(writer, step):
    results = dict(TRANSFORMS.build(dict(type=writer))(row()), rng=np.random.default_rng(0))
    with pytest.raises(CellMMError, match=f"^{step['type']} .*{writer}"):
        TRANSFORMS.build(step)(results)


@pytest.mark.parametrize(
    "config, words",
    [
        (dict(targets=("cells",)), "'cells' is unknown"),
        (dict(targets=()), "targets is empty"),
        (dict(border_width=0), "border_width is 0"),
    ],
)
def test_a_wrong_argument_is_refused_when_it_is_built(config, words):
    with pytest.raises(CellMMError, match=words):
        build(**dict(dict(targets=("border",)), **config))


def test_nuclei_without_load_nuclei():
    results = row()
    del results["gt_nuclei"]
    with pytest.raises(CellMMError, match="put LoadNuclei after LoadCells"):
        build(targets=("nuclei",))(results)
