"""PatchPerPix's published predictions on the BBBC010 test wells, against the numbers known for them."""

import json
import re

import cv2
import numpy as np
import pytest

from cellmm.evaluation import CellCocoMetric
from cellmm.structures import rle


@pytest.fixture(scope="module")
def numbers(real_data):
    root = real_data("bbbc010")
    wells = json.loads((root / "split.json").read_text())["test"]
    results = json.loads((root / "peer_patchperpix_test.json").read_text())["results"]
    metric = CellCocoMetric(score_thr=0.0)  # its scores are areas / 1e5: all of its predictions are meant
    for img_id, well in enumerate(wells):
        files = sorted(
            path for path in (root / "masks").glob(f"{well}_*.png") if re.match(rf"{well}_\d+_", path.name)
        )
        masks = rle.encode(np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0 for path in files]))
        of_well = [result for result in results if result["well"] == well]
        sample = dict(
            img_id=img_id,
            ori_shape=(520, 696),
            eval_instances=dict(
                masks=masks,
                labels=np.zeros(len(masks), np.int64),
                ignore=np.zeros(len(masks), bool),
                areas=np.full(len(masks), np.nan),
            ),
            pred_instances=dict(
                masks=[result["segmentation"] for result in of_well],
                scores=np.array([result["score"] for result in of_well]),
                labels=np.zeros(len(of_well), np.int64),
            ),
        )
        metric.process(None, [sample])
    return metric.evaluate(47)


def test_average_precision(numbers):
    known = dict(AP=0.763, AP50=0.977, AP75=0.910, AP90=0.370)
    assert {key: round(numbers[key], 3) for key in known} == known


def test_s_is_averaged_over_the_images(numbers):
    known = dict(S50=0.972, S60=0.956, S70=0.938, S80=0.839, S90=0.413)
    assert {key: round(numbers[key], 3) for key in known} == known
    assert numbers["S"] == pytest.approx(0.8235, abs=5e-5)
    # Pooled over the images the same predictions score lower.
    assert numbers["S_pooled"] == pytest.approx(0.8149, abs=5e-5)
    assert numbers["S50_pooled"] == pytest.approx(645 / (645 + 6 + 13))
