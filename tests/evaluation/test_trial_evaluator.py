"""A trial leaves the evaluator and the files as they were."""

import numpy as np
from mmengine.evaluator import Evaluator

from cellmm.evaluation import CellCocoMetric
from cellmm.evaluation.trial_evaluator import trial_evaluator


def test_nothing_of_a_trial_stays(tmp_path):
    evaluator = Evaluator(CellCocoMetric(outfile_prefix=str(tmp_path / "results")))
    cells = dict(masks=[], labels=np.zeros(0, np.int64), scores=np.zeros(0))
    truth = dict(cells, ignore=np.zeros(0, bool), areas=np.zeros(0))
    sample = dict(img_id=1, ori_shape=(4, 4), eval_instances=truth, pred_instances=cells)
    with trial_evaluator(evaluator) as trial:
        trial.process([sample], None)
        assert "AP" in trial.evaluate(1)
    assert not list(tmp_path.iterdir()) and not evaluator.metrics[0].results
    assert evaluator.metrics[0].outfile_prefix == str(tmp_path / "results")
