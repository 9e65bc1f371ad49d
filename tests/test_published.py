"""The configs that are called published hold what was published."""

import json
from pathlib import Path

import numpy as np
import pytest

from cellmm.config.load import load_config
from cellmm.datasets.transforms.disk_targets import DiskTargets
from cellmm.registry import DATASETS, TRANSFORMS
from cellmm.structures import LabelLayers

ROOT = Path(__file__).parents[1]
SPARSESEUNET = sorted((ROOT / "configs/sparseseunet").glob("*.py"))
THESIS = (
    "brightfield",
    "brightfield_iou_mse",
    "brightfield_multi_level",
    "brightfield_overlap",
    "brightfield_overlap_v4",
    "livecell_paper",
)


@pytest.fixture(scope="module")
def diskmask():
    return load_config(ROOT / "configs/diskmask/bbbc010_paper.py")


def step_of(pipeline, name):
    (step,) = [part for part in pipeline if part.type == name]
    return step


def test_diskmask_disks_weigh_1_4_and_5(diskmask):
    """Figure 5b: 1 far apart, and of shrunk disks of radius 5 the radii 2 and 1 weigh 4 and 5."""
    config = step_of(diskmask.train_pipeline, "DiskTargets")
    assert config.radius == 5
    targets = TRANSFORMS.build(config)
    assert isinstance(targets, DiskTargets)
    for apart, weight in ((40, 1), (7, 4), (5, 5)):
        points = np.array([[30.0, 20.0], [30.0, 20.0 + apart]], np.float32)
        layers = np.zeros((1, 64, 80), np.int32)
        layers[0, 30, 20], layers[0, 30, 20 + apart] = 1, 2
        results = targets(dict(gt_points=points, gt_layers=LabelLayers(layers)))
        assert set(results["gt_disk_weight"][results["gt_disks"] > 0].tolist()) == {weight}


def test_diskmask_trains_as_published(diskmask):
    head = diskmask.model.heads.instances
    radius = step_of(diskmask.train_pipeline, "DiskTargets").radius
    assert head.sampler == dict(type="UnionGatewaySampler", keep_prob=0.5, thinning=radius - 2)
    assert head.finder == dict(type="ComponentFinder", median=3) and head.windows.patience is None
    assert head.scoring == dict(type="GatewayScoring") and head.test_cfg.nms is None
    assert {loss.loss_weight for key, loss in head.criterion.items() if key != "type"} == {1.0}
    assert "loss_dice" not in head.criterion
    assert tuple(head.mask_decoder.widths) == tuple(diskmask.model.encoder.widths) == (64, 128, 256, 512)
    assert not TRANSFORMS.build(step_of(diskmask.train_pipeline, "RandomWarp")).elastic_magnitude
    assert TRANSFORMS.build(step_of(diskmask.test_pipeline, "MirrorPad")).how["mode"] == "constant"
    assert not diskmask.get("custom_hooks")


def test_diskmask_chooses_nothing_on_the_test_wells(diskmask, tmp_path):
    """50 wells to train; of the 47 others 24 to validate and 23 to test, none of them twice."""
    wells = [f"{row}{column:02d}" for row in "ABCDE" for column in range(1, 25)]
    lists = dict(train=wells[:50], test=wells[50:97])
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "split.json").write_text(json.dumps(lists))
    for well in wells[:97]:
        (tmp_path / f"images/x_{well}_w2_y.tif").write_bytes(b"x")
        (tmp_path / f"masks/{well}_01_ground_truth.png").write_bytes(b"x")
    found = {}
    for split in ("train", "val", "test"):
        config = dict(diskmask[f"{split}_dataloader"].dataset, data_root=str(tmp_path), pipeline=[])
        dataset = DATASETS.build(config)
        found[split] = {dataset.get_data_info(i)["img_path"] for i in range(len(dataset))}
    assert [len(names) for names in found.values()] == [50, 24, 23]
    assert len(set.union(*found.values())) == 97


def test_seunet_saves_the_weights_that_it_trained():
    cfg = load_config(ROOT / "configs/seunet/four_heads_paper.py")
    assert list(cfg.custom_hooks) == []
    album = [step for step in cfg.train_pipeline if step.type == "Albumentations"]
    names = [part.type for step in album for part in step.transforms]
    assert names == ["RandomCrop", "HorizontalFlip", "VerticalFlip", "ElasticTransform", "CoarseDropout"]


@pytest.mark.parametrize("path", SPARSESEUNET, ids=lambda path: path.stem)
def test_positions_are_said_where_they_are(path):
    """The thesis has none; every config but its own says how it gives them."""
    head = load_config(path).model.heads.instances
    assert ("coord_order" in head) == (path.stem not in THESIS)


def test_livecell_is_learned_in_crops_of_at_most_90_cells():
    cfg = load_config(ROOT / "configs/sparseseunet/livecell_paper.py")
    crop = step_of(cfg.train_pipeline, "LimitedCrop")
    assert cfg.train_pipeline.index(step_of(cfg.train_pipeline, "Normalize")) < cfg.train_pipeline.index(crop)
    assert crop.max_cells == 90 < cfg.model.heads.instances.num_queries == 100
    assert cfg.train_dataloader.dataset.ann_file == "0_train2percent.json"
    batch = cfg.train_dataloader.batch_size
    assert cfg.train_cfg.max_iters * batch / 400 == 65  # images, 2 % of 3,253
