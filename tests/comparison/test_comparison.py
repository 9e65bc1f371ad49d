"""Scores and intervals of several results on the same images, by hand."""

import json
import math

import numpy as np
import pytest

from cellmm.comparison import ResultSet, Truth, compare, read_result_set, read_truth, write_comparison
from cellmm.comparison.numbers import markdown
from cellmm.errors import CellMMError
from cellmm.structures import rle

SHAPE = (20, 30)


def square(top: int, left: int, side: int = 8) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[top : top + side, left : left + side] = True
    return mask


CELLS = [[square(1, 1), square(1, 15)], [square(10, 2)], []]  # of three images


def make_truth(cells=CELLS) -> Truth:
    samples = []
    for number, masks in enumerate(cells, start=1):
        samples.append(
            dict(
                img_id=number,
                img_path=f"absent/image {number}.png",
                ori_shape=SHAPE,
                eval_instances=dict(
                    masks=rle.encode(np.array(masks)) if masks else [],
                    labels=np.zeros(len(masks), np.int64),
                    ignore=np.zeros(len(masks), bool),
                    areas=np.full(len(masks), np.nan),
                ),
            )
        )
    return Truth("truth.json", samples, {"classes": ("cell",)})


def results(name: str, cells, score: float = 0.9) -> ResultSet:
    found = [
        dict(image_id=number, category_id=1, segmentation=rle.encode_one(mask), score=score)
        for number, masks in enumerate(cells, start=1)
        for mask in masks
    ]
    return ResultSet(name, f"{name}.json", found)


def values(comparison, place: int = 0) -> dict[str, float]:
    return {column: score.value for column, score in comparison.entries[place].scores.items()}


def test_shifted_masks_by_hand():
    # a shift by 1 of 8 columns: IoU 7 x 8 / 9 x 8 = .778; one cell of the first image is missed
    found = compare(make_truth(), [results("shifted", [[square(1, 2)], [square(10, 3)], []])])
    numbers = values(found)
    # IoU thresholds .5 to .75, 6 of 10: precision 1 up to a recall of 2 / 3, 67 of 101 recall points
    assert numbers["AP"] == pytest.approx(0.6 * 67 / 101)
    assert numbers["AP50"] == numbers["AP75"] == pytest.approx(67 / 101) and numbers["AP90"] == 0
    # .5, .6 and .7 of the five thresholds; image 1 has 1 of 2, image 2 1 of 1, image 3 counts for nothing
    assert numbers["S"] == pytest.approx(0.6 * (1 / 2 + 1) / 2)
    assert numbers["S50"] == pytest.approx((1 / 2 + 1) / 2)
    assert numbers["F1"] == pytest.approx(0.6 * (2 / 3 + 1) / 2)
    assert numbers["PQ"] == pytest.approx(7 / 9 * 0.6 * (2 / 3 + 1) / 2)
    assert numbers["count error"] == pytest.approx(1 / 3)
    assert (numbers["missed"], numbers["merged"], numbers["false alarm"]) == (1, 0, 0)
    assert (numbers["precision50"], numbers["recall50"]) == (1, pytest.approx(2 / 3))
    # image 1: 56 shared pixels of 72 and the 64 of the missed cell; image 2: 56 of 72
    assert numbers["AJI"] == pytest.approx((56 / (72 + 64) + 56 / 72) / 2)
    # bands of 2 px have 8 x 8 - 4 x 4 = 48 pixels; moved by 1 they share 2 x (7 x 2) + 2 x (4 x 1) = 36
    assert numbers["boundary_IoU"] == pytest.approx(36 / (48 + 48 - 36))


def test_merged_and_false_alarm():
    both = square(1, 1) | square(1, 15) | square(1, 9, side=1)  # IoU 64 / 129 with each, 128 / 129 with both
    found = compare(make_truth(), [results("x", [[both], [square(10, 2)], [square(0, 0)]])])
    numbers = values(found)
    assert (numbers["merged"], numbers["false alarm"], numbers["missed"]) == (1, 1, 0)
    assert numbers["count error"] == pytest.approx((1 + 0 + 1) / 3)
    assert [row["S50"] for row in found.entries[0].images] == [0, 1, 0]


def test_differences_are_paired():
    perfect, worse = results("a", CELLS), results("b", [CELLS[0][:1], CELLS[1], []])
    found = compare(make_truth(), [perfect, worse, results("c", CELLS)], resamples=500)
    score = found.entries[1].scores["S"]
    assert score.difference == pytest.approx(-0.25)  # 1/2 in one of the two images with cells
    assert score.difference_low <= -0.25 <= score.difference_high <= 0 < score.p <= 1
    same = found.entries[2].scores["AP"]
    assert (same.difference, same.difference_low, same.difference_high, same.p) == (0, 0, 0, 1)
    assert math.isnan(found.entries[0].scores["S"].difference)
    again = compare(make_truth(), [perfect, worse, results("c", CELLS)], resamples=500)
    assert repr(again.entries[1].scores) == repr(found.entries[1].scores)
    other = compare(make_truth(), [perfect, worse], resamples=500, seed=1)
    assert other.entries[1].scores["S"].value == score.value


def test_worst_images():
    a = results("a", [CELLS[0][:1], CELLS[1], []])
    b = results("b", [CELLS[0], [], []])
    found = compare(make_truth(), [a, b], resamples=0)
    assert found.worst(3) == [1, 0, 2] and found.worst(1, "first") == [0] and found.worst(1, "gap") == [0]
    assert compare(make_truth(), [a], resamples=0).worst(9, "gap") == [0, 1, 2]


def test_no_cells_and_no_predictions(tmp_path):
    found = compare(make_truth([[], []]), [results("none", [[], []]), results("one", [[square(0, 0)], []])])
    assert math.isnan(values(found)["AP"]) and math.isnan(values(found)["S"])
    assert values(found, 1)["S"] == 0 and values(found, 1)["false alarm"] == 1
    write_comparison(found, tmp_path)
    assert (
        json.loads((tmp_path / "comparison.json").read_text())["results"][0]["scores"]["AP"]["value"] is None
    )


def test_scores_below_the_threshold_are_counted():
    found = compare(make_truth(), [results("low", CELLS, score=0.2)])
    assert values(found)["AP"] == 1 and values(found)["S"] == 0
    (note,) = found.entries[0].notes
    assert note.startswith("3 of 3 predictions score less than 0.3") and "--score-thr" in note
    assert values(compare(make_truth(), [results("low", CELLS, score=0.2)], score_thr={"low": 0.2}))["S"] == 1


@pytest.mark.parametrize(
    ("sets", "options", "message"),
    [
        ([], {}, "nothing to compare"),
        (["a", "a"], {}, "two results have the name 'a'"),
        (["a"], dict(score_thr={"b": 0.5}), "--score-thr b: no such results"),
    ],
)
def test_what_cannot_be_compared(sets, options, message):
    with pytest.raises(CellMMError, match=message):
        compare(make_truth(), [results(name, CELLS) for name in sets], **options)


def test_the_files(tmp_path):
    names = "Cellpose 3 <b>", "other | one"
    found = compare(make_truth(), [results(names[0], CELLS), results(names[1], [[], [], []])], resamples=50)
    for out in (tmp_path / "a", tmp_path / "b"):
        write_comparison(found, out, worst=2)
    files = ["comparison.json", "images.csv", "index.html", "table.csv"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    page = (tmp_path / "a/index.html").read_text()
    assert "Cellpose 3 &lt;b&gt;" in page and "<b>" + names[0] not in page
    assert page.count("data:image/jpeg;base64,") == 2 and "http" not in page.replace("http-equiv", "")
    assert "The image is not shown: " in page  # the images of this truth are absent
    rows = (tmp_path / "a/images.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 3 and rows[3].startswith("Cellpose 3 <b>,3,image 3.png,0,0,,")
    text = markdown(found)
    assert "| other \\| one | 0.000 (0.000 to 0.000)" in text and "Difference to Cellpose 3 <b>" in text


def test_patchperpix_on_the_worms(real_data, monkeypatch):
    root = real_data("bbbc010")
    monkeypatch.setenv("CELLMM_DATA", str(root.parent))
    truth = read_truth("diskmask/bbbc010_cpu:test")
    peer = read_result_set("PatchPerPix", str(root / "peer_patchperpix_test.json"), truth)
    assert len(truth.samples) == 47 and peer.has_scores and not peer.notes
    numbers = values(compare(truth, [peer], score_thr={"PatchPerPix": 0}, resamples=0))
    assert round(numbers["AP"], 3) == 0.763 and numbers["S"] == pytest.approx(0.8235, abs=5e-5)
