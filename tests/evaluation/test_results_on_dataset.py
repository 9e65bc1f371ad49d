"""Results of a file on the images of a config: scored by the config's own metric."""

import pytest

from cellmm.errors import CellMMError
from cellmm.evaluation import CellCocoMetric
from cellmm.evaluation.results_on_dataset import ImageFinder, coco_metric


def test_the_metric_is_the_configs():
    own = dict(
        type="CellCocoMetric",
        area_bounds=(324, 961),
        max_dets=100,
        score_thr=0.4,
        iou_thresholds=(0.5, 0.75),
        outfile_prefix="work/results",
        prefix="val",
    )
    semantic = dict(type="SemanticMetric", targets=["nuclei"])
    lazy, full = dict(own, type=CellCocoMetric), dict(own, type="cellmm.CellCocoMetric")
    nested = dict(type="Evaluator", metrics=[semantic, own])
    for evaluator in (own, [semantic, own], nested, lazy, full):
        metric = coco_metric(evaluator, classes=("cell",))
        assert metric.area_ranges[2] == (324, 961) and metric.max_dets == 100
        assert (metric.score_thr, metric.iou_thresholds) == (0.4, (0.5, 0.75))
        assert metric.outfile_prefix is None and "S75" in metric.metric_keys  # nothing written, plain keys
    assert coco_metric(own, classes=("cell",), score_thr=0).score_thr == 0
    assert own["outfile_prefix"] == "work/results"


@pytest.mark.parametrize("evaluator", [None, dict(type="SemanticMetric", targets=["nuclei"]), []])
def test_without_one_it_is_the_default(evaluator):
    metric = coco_metric(evaluator, classes=("cell", "dead"))
    assert metric.area_ranges[2] == (1024, 9216) and metric.score_thr == 0.3
    assert "S/dead" in metric.metric_keys


def test_wrong_options_name_the_metric():
    with pytest.raises(CellMMError, match="CellCocoMetric: .*max_dets is 0"):
        coco_metric(dict(type="CellCocoMetric", max_dets=0), classes=("cell",))


def test_the_image_of_a_result():
    samples = [dict(img_id=7, img_path="a/s_1.tif"), dict(img_id=1, img_path="a/s_2.tif")]
    samples += [dict(img_id=3, img_path="a/cell.tif"), dict(img_id=4, img_path="a/cell_9.tif")]
    find = ImageFinder(samples).find
    for stated, img_id in {1: 1, 7.0: 7, "s_1": 7, "b\\s_2.png": 1, "cell.tif": 3, "cell_9": 4}.items():
        assert find(dict(image_id=stated)) == img_id, stated
    for stated in (2, 1.5, "1", "2.png", "9", "tif", None):
        assert find(dict(image_id=stated)) is None, stated
    assert [find(dict(well=part)) for part in ("9", "1", "cell", "s")] == [4, 7, None, None]
