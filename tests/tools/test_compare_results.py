"""tools/analysis/compare_results.py: several results on the same images, also a peer's."""

import json
from pathlib import Path

import pytest

from cellmm.config.load import load_config
from cellmm.registry import DATASETS


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/compare_results")


@pytest.fixture
def truth(tiny_config, tmp_path):
    """(config, the annotation of its three test images as results)."""
    config = tiny_config(tmp_path)
    dataset = DATASETS.build(load_config(config).test_dataloader.dataset)
    results = []
    for i in range(len(dataset)):
        sample = dataset[i]["data_samples"]
        for mask in sample.eval_instances.masks:
            result = dict(image_id=sample.img_id, category_id=1, segmentation=mask, score=1.0)
            results.append(dict(result, well=Path(sample.img_path).stem))
    return config, results


def test_perfect_results_against_some_of_them(tool, truth, tmp_path, capsys):
    config, results = truth
    (tmp_path / "ours.json").write_text(json.dumps(results))
    first = results[0]["image_id"]
    peer = [
        {k: v for k, v in result.items() if k != "image_id"}
        for result in results
        if result["image_id"] != first
    ]
    (tmp_path / "peer.json").write_text(json.dumps(dict(results=peer)))
    files = [str(tmp_path / "ours.json"), str(tmp_path / "peer.json")]
    assert tool.main([str(config), *files, "--score-thr", "0.5", "0"]) == 0
    header, ours, theirs, paired = capsys.readouterr().out.splitlines()[-4:]
    assert header.split()[:3] == ["3", "images", "AP"] and ours.split()[1:] == ["1.0000"] * 7
    assert float(theirs.split()[1]) < 1 and theirs.split()[5] == "0.6667"
    assert "+0.3333 (standard error 0.3333), better on 1, worse on 0 of 3" in paired


def test_the_options_are_those_of_the_configs_metric(tool, truth, tiny_config, tmp_path, capsys):
    _, results = truth
    for result in results:
        result["score"] = 0.5
    (tmp_path / "ours.json").write_text(json.dumps(results))
    metric = 'dict(type="CellCocoMetric", score_thr=0.6, iou_thresholds=(0.75, 0.9), outfile_prefix="no")'
    config = tiny_config(tmp_path / "own", f"test_evaluator = {metric}\n")
    file = str(tmp_path / "ours.json")
    for options, S in (([], "0.0000"), (["--score-thr", "0.4"], "1.0000")):
        assert tool.main([str(config), file, *options]) == 0
        header, ours = capsys.readouterr().out.splitlines()[-2:]
        assert header.split()[2:] == ["AP", "AP50", "AP75", "AP90", "S", "S90"]
        assert ours.split()[1:] == ["1.0000"] * 4 + [S] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "no json that can be read"),
        ('{"a": 1}', "not a list of COCO results"),
        ('[{"image_id": 1}]', "not a list of COCO results"),
        ('[{"image_id": 99, "category_id": 1, "segmentation": {}, "score": 1}]', "image 99, none of the"),
        ('[{"well": "Z9", "category_id": 1, "segmentation": {}, "score": 1}]', "image 'Z9', none of the"),
    ],
)
def test_bad_results_are_one_line(tool, truth, tmp_path, capsys, content, message):
    (tmp_path / "bad.json").write_text(content)
    assert tool.main([str(truth[0]), str(tmp_path / "bad.json")]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("compare_results: ") and message in error
