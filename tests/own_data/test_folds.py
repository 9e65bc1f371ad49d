"""Which images each fold holds out, its config, and the table of all folds."""

import json

import numpy as np
import pytest

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.own_data.folds import (
    assign_folds,
    fold_config,
    group_names,
    join_results,
    table_text,
    training_images,
    write_fold,
)


def test_groups_stay_together_and_folds_are_of_like_size():
    rng = np.random.default_rng(1)
    groups = [f"g{i}" for i in rng.integers(0, 23, 200)]
    folds = assign_folds(groups, 5, seed=3)
    assert np.array_equal(folds, assign_folds(groups, 5, seed=3))
    assert not np.array_equal(folds, assign_folds(groups, 5, seed=4))
    for name in set(groups):
        assert len({int(f) for f, g in zip(folds, groups, strict=True) if g == name}) == 1
    sizes = np.bincount(folds)
    assert len(sizes) == 5 and sizes.sum() == 200 and np.ptp(sizes) <= 8


def test_folds_that_cannot_be_made():
    with pytest.raises(CellMMError, match="2 or more"):
        assign_folds(["a", "b"], 1)
    with pytest.raises(CellMMError, match=r"the 4 images are 2 groups.*--group"):
        assign_folds(["a", "a", "b", "b"], 3)
    with pytest.raises(CellMMError, match="not a regular expression"):
        group_names(["a"], "(")
    with pytest.raises(CellMMError, match=r"does not match b\.tif"):
        group_names(["p1.tif", "b.tif"], r"p\d")


def test_groups_by_names_and_by_a_pattern():
    files = [f"data/images/{name}.tif" for name in ("B03_s1", "B03_s2", "C04_s1", "C04_s1")]
    assert group_names(files) == ["B03", "B03", "C04", "C04"]
    assert group_names(files, r"_s(\d)") == ["1", "2", "1", "1"]
    assert group_names(files, "B03|C04") == ["B03", "B03", "C04", "C04"]


def test_the_images_held_out_are_tested_and_nothing_else_changes(tiny_config, tmp_path):
    cfg = load_config(tiny_config(tmp_path))
    cfg.train_dataloader.dataset.indices = [3, 0, 0, 1]
    places, files = training_images(cfg)
    assert places.tolist() == [3, 0, 0, 1] and files[1] == files[2] != files[0]
    fold = fold_config(cfg, places, np.array([False, True, True, False]))
    assert fold.train_dataloader.dataset.indices == [3, 1]
    test = fold.test_dataloader.dataset
    assert test.indices == [0] and test.test_mode and test.pipeline == cfg.test_dataloader.dataset.pipeline
    assert test.type == cfg.train_dataloader.dataset.type
    assert fold.val_dataloader == cfg.val_dataloader
    path = tmp_path / "fold.py"
    write_fold(fold, path)
    write_fold(fold, path)  # going on
    again = load_config(path)
    assert (again.test_dataloader, again.model) == (fold.test_dataloader, fold.model)
    with pytest.raises(CellMMError, match=r"fold\.py: the folds there are of another config"):
        write_fold(fold_config(cfg, places, np.array([True, False, False, False])), path)


def test_several_datasets_and_none_are_refused(tiny_config, tmp_path):
    cfg = load_config(tiny_config(tmp_path))
    part = cfg.train_dataloader.dataset.to_dict()
    cfg.train_dataloader = dict(dataset=dict(type="ConcatDataset", datasets=[part, part]))
    with pytest.raises(CellMMError, match="ConcatDataset is not a single dataset"):
        training_images(cfg)
    cfg.train_dataloader = None
    with pytest.raises(CellMMError, match="no train_dataloader"):
        training_images(cfg)


def test_the_table_has_mean_and_spread_and_leaves_undefined_numbers_out():
    metrics = [{"AP": 0.5, "S": None, "config": "a.py"}, {"AP": 0.7, "S": 0.25}]
    text = table_text(metrics, [3, 4], title="x")
    assert "| images | 3 | 4 | 3.5 |  |" in text
    assert "| AP | 0.5000 | 0.7000 | 0.6000 | 0.1414 |" in text
    assert "| S | - | 0.2500 | 0.2500 | - |" in text
    assert "config" not in text


def test_results_of_all_folds_become_one_file(tmp_path):
    for i, ids in enumerate(([5, 2], [1])):
        (tmp_path / f"{i}.json").write_text(json.dumps([dict(image_id=n, score=0.5) for n in ids]))
    out = tmp_path / "all.json"
    assert join_results([tmp_path / "0.json", tmp_path / "1.json"], out) == 3
    assert [item["image_id"] for item in json.loads(out.read_text())] == [1, 2, 5]
