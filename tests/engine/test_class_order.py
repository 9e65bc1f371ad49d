"""Classes go by their names: in validation, in a resumed training, in test and predict."""

import json
import shutil

import cv2
import numpy as np
import pytest

from cellmm.commands import predict, test, train
from cellmm.config.load import load_config
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.engine.runner import build_runner
from cellmm.engine.work_dir import unlock_work_dir
from cellmm.errors import CellMMError

CONFIG = """
_base_ = ["{root}/tests/configs/tiny.py"]
dataset = dict(_delete_=True, type="CellCocoDataset", data_root="{data}", img_dir="", pipeline=[
    dict(type="LoadImage"), dict(type="LoadCells", keep_original=True),
    dict(type="Normalize", mode="mean_std"), dict(type="PackCellInputs")])
train_dataloader = dict(dataset=dict(dataset, ann_file="train.json"))
val_dataloader = dict(dataset=dict(dataset, ann_file="val.json"))
test_dataloader = dict(dataset=dict(dataset, ann_file="test.json"))
model = dict(
    data_preprocessor=dict(in_channels=1),
    heads=dict(instances=dict(num_classes=2)),
)
train_cfg = dict(max_iters=1, val_interval=1)
custom_hooks = []
train_pipeline = test_pipeline = None
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
param_scheduler = []
"""
LIVE, DEAD = [2, 2, 10, 2, 10, 10, 2, 10], [20, 20, 28, 20, 28, 28, 20, 28]


def write(folder, name, **ids):
    """One image with a live and a dead cell, whose categories have these ids."""
    cv2.imwrite(str(folder / f"{name}.png"), np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    cells = [("live", LIVE), ("dead", DEAD)]
    content = dict(
        images=[dict(id=1, file_name=f"{name}.png", height=64, width=64)],
        annotations=[
            dict(id=i, image_id=1, category_id=ids.get(kind, 99), segmentation=[polygon])
            for i, (kind, polygon) in enumerate(cells, start=1)
            if kind in ids
        ],
        categories=[dict(id=number, name=kind) for kind, number in ids.items()],
    )
    (folder / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("classes")
    write(folder, "train", live=4, dead=9)
    write(folder, "val", dead=1, live=2)
    write(folder, "test", dead=0, live=7)
    (folder / "c.py").write_text(CONFIG.format(root=request.config.rootpath, data=folder))
    train.main([str(folder / "c.py"), "--work-dir", str(folder / "w")])
    return folder


def test_validation_and_test_follow_the_training(trained, monkeypatch):
    assert load_checkpoint(trained / "w/iter_1.pth")["meta"]["dataset_meta"]["category_ids"] == (4, 9)
    seen = []

    def score(sample, **options):
        seen.append(sample["eval_instances"]["labels"].tolist())
        return original(sample, **options)

    from cellmm.evaluation.metrics import cell_coco_metric

    original = cell_coco_metric.score_image
    monkeypatch.setattr(cell_coco_metric, "score_image", score)
    for split in ("val", "test"):  # live is label 0, as in training, though dead comes first in these files
        test.main(
            [str(trained / "c.py"), str(trained / "w/iter_1.pth"), "--work-dir", str(trained / split)]
            + ["--split", split]
        )
    assert seen == [[0, 1], [0, 1]]
    written = json.loads((trained / "test/results.segm.json").read_text())
    assert {cell["category_id"] for cell in written} <= {0, 7} and written


def test_cells_have_the_categories_of_the_training(trained):
    argv = [str(trained / "test.png"), "--config", str(trained / "c.py"), "--out", str(trained / "out")]
    predict.main([*argv, "--checkpoint", str(trained / "w/iter_1.pth"), "--score-thr", "0", "--no-overlays"])
    content = json.loads((trained / "out/cells.json").read_text())
    assert content["categories"] == [dict(id=4, name="live"), dict(id=9, name="dead")]
    assert {cell["category_id"] for cell in content["annotations"]} <= {4, 9} and content["annotations"]


def test_a_test_set_without_cells_is_scored_by_its_false_alarms(trained):
    write(trained, "none")
    options = ["test_dataloader.dataset.ann_file=none.json", "test_dataloader.dataset.allow_empty=True"]
    test.main(
        [str(trained / "c.py"), str(trained / "w/iter_1.pth"), "--work-dir", str(trained / "none")]
        + ["--cfg-options", *options, "test_evaluator.score_thr=0"]
    )
    numbers = json.loads((trained / "none/metrics.json").read_text())
    found = len(json.loads((trained / "none/results.segm.json").read_text()))
    assert numbers["AP"] is None and numbers["S"] == 0 and numbers["FP_per_image"] == found > 0


def test_other_names_are_an_error(trained, tmp_path):
    write(trained, "other", dead=1, live=2, egg=3)
    option = "{}_dataloader.dataset.ann_file=other.json"
    with pytest.raises(
        CellMMError, match=r"other.json: its classes are .*'egg'.*those of train_dataloader .*use"
    ):
        train.main(
            [str(trained / "c.py"), "--work-dir", str(tmp_path), "--cfg-options", option.format("val")]
        )
    with pytest.raises(
        CellMMError, match=r"other.json: its classes are .*'egg'.*those of .*iter_1.pth .*use"
    ):
        test.main(
            [str(trained / "c.py"), str(trained / "w/iter_1.pth"), "--work-dir", str(tmp_path)]
            + ["--cfg-options", option.format("test")]
        )


def test_a_resumed_training_keeps_its_order(trained, tmp_path):
    write(trained, "turned", dead=1, live=2)
    options = ["train_dataloader.dataset.ann_file=turned.json", "train_cfg.max_iters=2"]
    train.main(
        [str(trained / "c.py"), "--work-dir", str(tmp_path), "--resume", str(trained / "w/iter_1.pth")]
        + ["--cfg-options", *options]
    )
    meta = load_checkpoint(tmp_path / "iter_2.pth")["meta"]["dataset_meta"]
    assert tuple(meta["classes"]) == ("live", "dead") and tuple(meta["category_ids"]) == (2, 1)


def start_from(trained, tmp_path, capfd, ann_file):
    """The classes of a training that starts with the weights of ``trained``, and what it said."""
    cfg = load_config(trained / "c.py", {"train_dataloader.dataset.ann_file": ann_file})
    cfg.merge_from_dict(dict(load_from=str(trained / "w/iter_1.pth"), work_dir=str(tmp_path)))
    cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    runner = build_runner(cfg)
    unlock_work_dir(tmp_path)
    out = capfd.readouterr()
    return runner.train_loop.dataloader.dataset, out.out + out.err


def test_a_training_from_weights_follows_their_order(trained, tmp_path, capfd):
    write(trained, "turned", dead=1, live=2)
    dataset, out = start_from(trained, tmp_path, capfd, "turned.json")
    assert tuple(dataset.metainfo["classes"]) == ("live", "dead")
    assert [cell["label"] for cell in dataset.get_data_info(0)["instances"]] == [0, 1]
    assert "its classes are" not in out


def test_weights_of_other_classes_are_told(trained, tmp_path, capfd):
    content = (trained / "train.json").read_text()
    (trained / "renamed.json").write_text(content.replace('"live"', '"alive"'))
    dataset, out = start_from(trained, tmp_path, capfd, "renamed.json")
    assert tuple(dataset.metainfo["classes"]) == ("alive", "dead")
    assert "iter_1.pth: its classes are ['live', 'dead'], those of train_dataloader ['alive', 'dead']" in out


def test_grey_stored_as_rgb_is_trained_on_and_tested_by_a_model_of_one_channel(trained, tmp_path):
    for name in ("train", "val", "test"):
        shutil.copy(trained / f"{name}.json", tmp_path)
        image = cv2.imread(str(trained / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.dstack([image] * 3))
    path = tmp_path / "c.py"
    path.write_text((trained / "c.py").read_text().replace(f'"{trained}"', f'"{tmp_path}"'))
    train.main([str(path), "--work-dir", str(tmp_path / "w")])
    test.main([str(path), str(tmp_path / "w/iter_1.pth"), "--work-dir", str(tmp_path / "t")])
    image[0, 0] += 1
    cv2.imwrite(str(tmp_path / "test.png"), np.dstack([image, image, image // 2]))
    with pytest.raises(CellMMError, match="data_preprocessor.in_channels: 1, but .*test.png has 3 channels"):
        test.main([str(path), str(tmp_path / "w/iter_1.pth"), "--work-dir", str(tmp_path / "t")])
