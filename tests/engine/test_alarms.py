"""Six ways of learning nothing, each told within 60 steps, and six healthy trainings told nothing."""

import json
import shutil

import numpy as np
import pytest
import tifffile
from mmengine.config import Config

from cellmm.engine import ranks
from cellmm.engine.hooks import learning_alarm_hook
from cellmm.engine.runner import build_runner
from cellmm.errors import CellMMError
from cellmm.simulation import SceneConfig, make_dataset

SCENE = SceneConfig(size=(96, 96), pixel=0.5, cells=(4, 7), min_visible=20)
WIDE = SceneConfig(size=(224, 224), pixel=0.5, cells=(6, 8), min_visible=20)
ONE = SceneConfig(size=(96, 96), pixel=0.5, cells=(1, 1), min_visible=20)
IAM = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=2),
    encoder=dict(type="SEUNetEncoder", widths=(8, 12, 16)),
    decoder=dict(type="SEUNetDecoder", widths=(8, 12)),
    heads=dict(
        instances=dict(
            type="IAMHead",
            num_queries=16,
            feature_dim=8,
            instance_branch=dict(type="TopDownBranch", channels=8, depth=1),
            mask_branch=dict(type="MaskBranch", channels=8, depth=1, mask_dim=4),
            test_cfg=dict(score_thr=0.0),
        )
    ),
)
DISKMASK = dict(
    IAM,
    heads=dict(
        instances=dict(
            type="GatewayHead",
            feature_channels=8,
            mask_decoder=dict(widths=(8, 8), norm="BN", padding="same", fine_skip=True),
            finder=dict(type="PeakFinder", score_thr=0.05),
            sampler=dict(type="SingleGatewaySampler", num_gates=4),
            windows=dict(size=32),
        )
    ),
)
MAPS_ONLY = dict(
    IAM,
    heads=dict(cells=dict(type="SemanticHead", target="cytoplasm")),
    instance_head=None,
)
DISKS = [
    dict(type="ReferencePoints", stride=1, border=0),
    dict(type="DiskTargets", radius=3, disk_weight=8.0),
]
MAPS = [dict(type="SemanticTargets", targets=("cytoplasm",))]
LOAD = [dict(type="LoadImage", z="channels"), dict(type="LoadCells"), dict(type="Normalize")]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Folders of eight images: ``many`` cells in each, and ``single`` ones."""
    root = tmp_path_factory.mktemp("scenes")
    make_dataset(root / "many", splits=dict(train=8), scene=SCENE)
    make_dataset(root / "single", splits=dict(train=8), scene=ONE)
    make_dataset(root / "wide", splits=dict(train=8), scene=WIDE)
    return root


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Take 60 steps on a folder; returns what was warned of, or the refusal."""
    said: list[str] = []
    for module in (learning_alarm_hook, ranks):
        monkeypatch.setattr(module, "print_log", lambda text, **_: said.append(text))

    def run(root, model=IAM, targets=(), lr=2e-3, coco=False, **more):
        where = dict(type="LabelImageDataset", img_dir="images", label_dir="layers")
        if coco:
            where = dict(type="CellCocoDataset", img_dir="images", ann_file="annotations.json")
        dataset = dict(where, data_root=str(root / "train"), indices=more.pop("indices", None))
        pipeline = [*LOAD, *targets, dict(type="PackCellInputs")]
        cfg = dict(
            model=model,
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type="DrawSampler", shuffle=True),
                dataset=dict(dataset, pipeline=pipeline),
            ),
            train_cfg=dict(type="IterBasedTrainLoop", max_iters=60),
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=lr)),
            default_hooks=dict(logger=dict(type="LoggerHook", interval=60), progress=None),
            work_dir=str(tmp_path / "work"),
            log_level="ERROR",
        )
        try:
            build_runner(Config(cfg | more)).train()
        except CellMMError as error:
            return [str(error)]
        return said

    return run


@pytest.fixture
def changed(scenes, tmp_path):
    """A copy of a folder, whose label images ``change`` makes."""

    def copy(change, folder="many"):
        shutil.copytree(scenes / folder, tmp_path / "changed")
        paths = sorted((tmp_path / "changed/train/layers").iterdir())
        for path, labels in zip(paths, change([tifffile.imread(path) for path in paths]), strict=True):
            tifffile.imwrite(path, labels, photometric="minisblack")
        return tmp_path / "changed"

    return copy


class TestNothingIsLearned:
    def test_labels_of_other_images(self, train, changed):
        (said,) = train(changed(lambda labels: labels[3:] + labels[:3]))
        assert "no more often than by chance: labels may be of other images" in said

    def test_shifted_labels(self, train, changed):
        (said,) = train(changed(lambda labels: [np.roll(image, (11, -9), (-2, -1)) for image in labels]))
        assert "they seem shifted against their images" in said
        assert "by -11 pixels down and 9 to the right" in said

    def test_empty_masks(self, train, changed):
        said = train(changed(lambda labels: [np.zeros_like(image) for image in labels]))
        assert any("none of 8 training images that were looked at has a cell" in line for line in said)
        assert any("no cell in 50 batches one after another" in line for line in said)

    def test_every_cell_is_crowd(self, train, scenes, tmp_path):
        shutil.copytree(scenes / "many", tmp_path / "crowd")
        path = tmp_path / "crowd/train/annotations.json"
        content = json.loads(path.read_text())
        for annotation in content["annotations"]:
            annotation["iscrowd"] = 1
        path.write_text(json.dumps(content))
        (said,) = train(tmp_path / "crowd", coco=True)
        assert "crowd regions (iscrowd=1) and nothing else, so training would learn nothing" in said

    def test_a_threshold_on_images_of_the_other_contrast(self, train, changed):
        def background(labels):
            return [(image.reshape(-1, *image.shape[-2:]).max(0) == 0).astype(np.uint16) for image in labels]

        (said,) = train(changed(background, "wide"))
        assert "the background seems to be labelled, and the cells to be the holes" in said

    def test_a_learning_rate_of_0(self, train, scenes):
        (said,) = train(scenes / "many", lr=0.0)
        assert "the weights are as they were 50 steps ago: nothing is learned; the learning rate is 0" in said


class TestHealthy:
    def test_a_training_of_each_kind_of_model(self, train, scenes):
        assert train(scenes / "many") == []
        assert train(scenes / "many", DISKMASK, DISKS) == []
        assert train(scenes / "many", MAPS_ONLY, MAPS) == []

    def test_five_images(self, train, scenes):
        assert train(scenes / "many", indices=5) == []

    def test_single_cells(self, train, scenes):
        assert train(scenes / "single") == []

    def test_weights_that_are_good_already(self, train, scenes, tmp_path):
        assert train(scenes / "many") == []
        (tmp_path / "work/iter_60.pth").rename(tmp_path / "good.pth")
        assert train(scenes / "many", load_from=str(tmp_path / "good.pth"), lr=1e-4) == []
