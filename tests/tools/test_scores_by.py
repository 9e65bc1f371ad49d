"""tools/analysis/scores_by.py: S for each kind of image apart."""

import json
from pathlib import Path

import pytest

from cellmm.config.load import load_config
from cellmm.registry import DATASETS
from cellmm.simulation import SceneConfig, make_dataset

CONFIG = """
_base_ = ["{root}/configs/_base_/default_runtime.py"]
test_dataloader = dict(
    batch_size=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CellCocoDataset",
        data_root="{data}",
        img_dir="test/images",
        ann_file="{ann_file}",
        test_mode=True,
        pipeline=[
            dict(type="LoadImage"),
            dict(type="LoadCells", keep_original=True),
            dict(type="PackCellInputs"),
        ],
    ),
)
"""
SCENE = SceneConfig(size=(64, 64), pixel=0.5, cells=(3, 4), min_visible=20)


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/scores_by")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three images, two of them bright: (config, config without kinds, perfect results)."""
    root = tmp_path_factory.mktemp("scores")
    make_dataset(root / "data", splits=dict(test=3), scene=SCENE)
    plain = root / "data/test/annotations.json"
    content = json.loads(plain.read_text())
    for record, kind in zip(content["images"], ("bright", "dark", "bright"), strict=True):
        record["light"] = kind
    (root / "data/test/kinds.json").write_text(json.dumps(content))
    configs = []
    for name in ("kinds", "annotations"):
        configs.append(root / f"{name}.py")
        configs[-1].write_text(
            CONFIG.format(root=Path(__file__).parents[2], data=root / "data", ann_file=f"test/{name}.json")
        )
    dataset = DATASETS.build(load_config(configs[0]).test_dataloader.dataset)
    samples = [dataset[i]["data_samples"] for i in range(3)]
    results = [
        dict(image_id=sample.img_id, category_id=1, segmentation=mask, score=0.9)
        for sample in samples
        for mask in sample.eval_instances.masks
    ]
    return *configs, results, [len(sample.eval_instances.masks) for sample in samples]


def test_kinds_apart_and_together(tool, made, tmp_path, capsys):
    """All cells of the dark image are missed, and a cell of the first bright one."""
    config, _, results, cells = made
    dark = next(result["image_id"] for result in results[cells[0] :])
    found = [result for result in results[1:] if result["image_id"] != dark]
    path = tmp_path / "found.json"
    path.write_text(json.dumps(found))
    assert tool.main([str(config), str(path), "--key", "light"]) == 0
    head, everything, *kinds = (line.split() for line in capsys.readouterr().out.splitlines())
    assert head == ["results", "light", "images", "cells", "S50", "S50", "pooled"]
    first = (cells[0] - 1) / cells[0]
    expected = dict(
        all=(3, sum(cells), (first + 0 + 1) / 3, len(found) / sum(cells)),
        bright=(2, cells[0] + cells[2], (first + 1) / 2, len(found) / (cells[0] + cells[2])),
        dark=(1, cells[1], 0, 0),
    )
    assert [row[1] for row in (everything, *kinds)] == ["all", "bright", "dark"]
    for row in (everything, *kinds):
        number, count, mean, pooled = expected[row[1]]
        assert row[2:] == [str(number), str(count), f"{mean:.3f}", f"{pooled:.3f}"]


def test_scores_and_thresholds_are_options(tool, made, tmp_path, capsys):
    config, _, results, _ = made
    path = tmp_path / "found.json"
    path.write_text(json.dumps(results))
    options = ["--key", "light", "--iou", "0.75", "0.9", "--score-thr", "0.95"]
    assert tool.main([str(config), str(path), *options]) == 0
    head, row, *_ = capsys.readouterr().out.splitlines()
    assert "S75" in head and "S90" in head and row.split()[4:] == ["0.000"] * 4


def test_a_key_that_images_do_not_have(tool, made, tmp_path, capsys):
    _, plain, results, _ = made
    path = tmp_path / "found.json"
    path.write_text(json.dumps(results))
    assert tool.main([str(plain), str(path), "--key", "light"]) == 1
    error = capsys.readouterr().err
    assert "3 of 3 images have no 'light'" in error and "--key among" in error
