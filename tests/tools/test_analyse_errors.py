"""tools/analysis/analyse_errors.py: tables, files and one-line errors."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from cellmm.config.load import load_config
from cellmm.evaluation.results_on_dataset import load_truth


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/analyse_errors")


@pytest.fixture(scope="module")
def config(tiny_config, tmp_path_factory):
    return tiny_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def truth(config):
    """The annotation of the three test images as results."""
    samples, meta = load_truth(load_config(config))
    assert len(samples) == 3 and meta["classes"] == ("cell",)
    return [
        dict(image_id=sample["img_id"], category_id=1, segmentation=mask, score=1 - 0.01 * i)
        for sample in samples
        for i, mask in enumerate(sample["eval_instances"]["masks"])
    ]


def run(tool, config, results, folder, *options):
    """The exit code and, if it is 0, errors.json and the rows of images.csv."""
    file = folder / "results.segm.json"
    file.write_text(results if isinstance(results, str) else json.dumps(results))
    code = tool.main([str(config), str(file), "--out", str(folder / "out"), *options])
    if code:
        return code, None, None
    with open(folder / "out" / "images.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    return code, json.loads((folder / "out" / "errors.json").read_text()), rows


def test_perfect_results(tool, config, truth, tmp_path, capsys):
    code, report, rows = run(tool, config, truth, tmp_path, "--worst", "2")
    assert code == 0 and report["cells"] == report["predictions"] == len(truth) and report["S"] == 1
    for row in ("baseline", "true masks", "best matches"):
        assert [report["oracles"][row][key] for key in ("AP", "AP50", "AP75")] == [1, 1, 1]
    assert all(error["AP"] == error["AP50"] == error["count"] == 0 for error in report["errors"].values())
    for row in ("baseline", "ranking", "background", "grown", "between"):
        assert report["outlines"][row] == dict(AP=1, AP50=1, AP75=1, AP90=1), row
    assert max(report["outlines"][row]["AP"] for row in ("dilated", "eroded")) < 1
    assert report["foreground"]["IoU"] == report["foreground"]["area_ratio"] == 1
    assert [row["S"] for row in rows] == ["1.000000"] * 3 and {row["errors"] for row in rows} == {"0"}
    text = capsys.readouterr().out
    assert "| baseline | 100.0 | 100.0 | 100.0 |" in text and "| missed | 0.0 | 0.0 | 0 | 0 |" in text
    assert "| outline against background | 100.0 | 100.0 | 100.0 | 100.0 |" in text
    assert "within 3 px of a cell: IoU 100.0, predicted / true area 100.0" in text
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "errors.json",
        "images",
        "images.csv",
        "index.html",
    ]
    pictures = sorted((out / "images").iterdir())
    assert [path.name[:4] for path in pictures] == ["001_", "002_"]
    picture = cv2.imread(str(pictures[0]))
    assert picture.shape[1] > 2 * 64 and picture.std() > 0
    page = (out / "index.html").read_text()
    assert all(f'src="images/{path.name}"' in page for path in pictures) and "100.0" in page


def test_a_missed_and_an_invented_cell(tool, config, truth, tmp_path, capsys):
    first = truth[0]["image_id"]
    double = dict(truth[0], score=0.2, image_id=truth[-1]["image_id"])  # of another image: lies elsewhere
    code, report, rows = run(tool, config, [*truth[1:], double], tmp_path, "--by", "errors", "--worst", "1")
    assert code == 0 and report["oracles"]["baseline"]["AP"] < 1
    missed = report["errors"]["missed"]
    assert (missed["count"], missed["shown"]) == (1, 1)
    # All else is right and ranks before the wrong one: with the missed cell AP is 1.
    gain = 1 - report["oracles"]["baseline"]["AP"]
    assert (missed["AP"], missed["AP50"]) == pytest.approx((gain, gain))
    wrong = ("merged", "split", "duplicate", "boundary", "false alarm")
    assert sum(report["errors"][kind]["count"] for kind in wrong) == 1
    assert sum(report["errors"][kind]["shown"] for kind in wrong) == 0  # its score is under 0.3
    [bad] = [row for row in rows if row["errors"] != "0"]
    assert (int(bad["img_id"]), bad["missed"]) == (first, "1") and float(bad["S"]) < 1
    [picture] = (tmp_path / "out" / "images").iterdir()
    assert Path(bad["image"]).stem in picture.name
    assert "the 1 worst images by errors" in capsys.readouterr().out


def test_no_results(tool, config, truth, tmp_path):
    code, report, rows = run(tool, config, [], tmp_path, "--worst", "0", "--iou", "0.75", "--split", "test")
    assert code == 0 and report["predictions"] == 0
    assert {row["AP"] for row in report["oracles"].values()} == {0}
    assert report["errors"]["missed"] == dict(AP=1, AP75=1, count=len(truth), shown=len(truth))
    assert report["errors"]["ranking"] == dict(AP=0, AP75=0, count=0)
    assert {row["S"] for row in rows} == {"0.000000"}


def test_another_split(tool, config, truth, tmp_path, capsys):
    code, report, rows = run(tool, config, [], tmp_path, "--split", "val", "--worst", "0")
    assert code == 0 and len(rows) == report["images"] == 2
    assert "2 images" in capsys.readouterr().out


def test_images_named_by_another_key(tool, config, truth, tmp_path):
    samples, _ = load_truth(load_config(config))
    stem = {sample["img_id"]: Path(np.atleast_1d(sample["img_path"])[0]).stem for sample in samples}
    peer = [
        {k: v for k, v in cell.items() if k != "image_id"} | dict(name=stem[cell["image_id"]])
        for cell in truth
    ]
    code, report, _ = run(tool, config, dict(results=peer), tmp_path, "--image-key", "name", "--worst", "0")
    assert code == 0 and report["oracles"]["baseline"]["AP"] == 1


def changed(truth, **changes):
    return json.dumps([truth[0] | changes])


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (lambda t: "[", "results.segm.json: no json that can be read"),
        (lambda t: '{"images": [], "annotations": []}', "results.segm.json: not a list of COCO results"),
        (lambda t: changed(t, image_id=99), "results.segm.json: a result of image 99, none of the 3 images"),
        (lambda t: changed(t, image_id=[1]), "a result of image [1], none of the 3 images"),
        (lambda t: changed(t, category_id=2), "has category_id 2: the ids of the classes are {1:"),
        (lambda t: changed(t, score=None), "has the score None, no number"),
        (lambda t: changed(t, score=float("nan")), "a score is nan or infinite"),
        (
            lambda t: changed(t, segmentation=dict(size=[9, 9], counts="Q2")),
            "is for an image of [9, 9] pixels",
        ),
        (lambda t: changed(t, segmentation=dict(size=[64, 64], counts=[9])), "compress it"),
    ],
)
def test_bad_results_are_one_line(tool, config, truth, tmp_path, capsys, results, message):
    assert run(tool, config, results(truth), tmp_path)[0] == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("analyse_errors: ") and message in error
    assert not (tmp_path / "out").exists()


def test_missing_images_and_results_are_one_line(tool, tiny_config, tiny_data, tmp_path, capsys):
    missing = tmp_path / "nowhere.json"
    config = tiny_config(tmp_path)
    assert tool.main([str(config), str(missing)]) == 1
    assert f"analyse_errors: {missing}: no json" in capsys.readouterr().err.splitlines()[-1]
    shutil.copytree(tiny_data, tmp_path / "data")
    samples, _ = load_truth(load_config(config))
    image = Path(np.atleast_1d(samples[1]["img_path"])[0]).relative_to(tiny_data)
    (tmp_path / "data" / image).unlink()
    loader = f"test_dataloader = dict(dataset=dict(data_root='{tmp_path / 'data'}'))\n"
    assert run(tool, tiny_config(tmp_path, loader), [], tmp_path)[0] == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("analyse_errors: ") and image.name in error


@pytest.mark.parametrize("options", [["--iou", "0.52"], ["--worst", "-1"]])
def test_wrong_options(tool, capsys, options):
    with pytest.raises(SystemExit):
        tool.parse_args(["config.py", "results.json", *options])
    assert options[0] in capsys.readouterr().err.splitlines()[-1]


def test_the_numbers_are_those_of_the_configs_metric(tool, tiny_config, config, truth, tmp_path):
    changed = 'dict(type="CellCocoMetric", area_bounds=(30, 90), max_dets=1, score_thr=0.99, prefix="x", '
    changed += f"iou_thresholds=(0.75,), outfile_prefix={str(tmp_path / 'written')!r})"
    lines = f'test_evaluator = [dict(type="SemanticMetric", targets=["cytoplasm"]), {changed}]\n'
    own = tiny_config(tmp_path, lines)
    code, report, rows = run(tool, own, truth, tmp_path, "--worst", "0")
    assert code == 0 and report["area_bounds"] == [30, 90] and report["score_thr"] == 0.99
    # One prediction an image counts, and it is right; all scores but the best two of an image are below .99.
    S = [1 / int(row["cells"]) for row in rows]
    assert [float(row["S"]) for row in rows] == pytest.approx(S, abs=1e-6)
    assert report["S"] == pytest.approx(np.mean(S)) and np.mean(S) < 1
    assert not list(tmp_path.glob("written*"))
    _, report, rows = run(tool, own, truth, tmp_path, "--worst", "0", "--score-thr", "0.5")
    assert report["score_thr"] == 0.5
    assert run(tool, config, truth, tmp_path, "--worst", "0")[1]["score_thr"] == 0.3
