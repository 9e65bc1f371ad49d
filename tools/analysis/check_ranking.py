"""Does `cellmm propose` put the images first that need most correction? On annotated images, which say so.

    cellmm propose data/images --model nuclei --for cvat --out proposals
    python tools/analysis/check_ranking.py proposals data --first 10

Says for the first images of the ranking, and for all: how many of the proposed cells are wrong and how many
are missed at an IoU of 0.5, S, and how many cells they have. Also the rank
correlation of the score with 1 - S.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from cellmm.commands.propose import PREDICTIONS, RANKING
from cellmm.datasets.folders import look_at
from cellmm.errors import CellMMError
from cellmm.evaluation.functional import count_matches, overlapping_pairs, segmentation_scores
from cellmm.results.run_folder import RunFolder


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("proposals", type=Path, help="the folder that `cellmm propose` wrote")
    parser.add_argument("truth", type=Path, help="a folder of annotated images, with the same names")
    parser.add_argument("--first", type=int, default=10, metavar="N", help="default: %(default)s")
    parser.add_argument("--score-thr", type=float, default=0.3, help="from which cells count; default: 0.3")
    return parser.parse_args(argv)


def errors(proposals: Path, truth: Path, score_thr: float) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the ranking, (N,), and (found, wrong, missed, sum of IoU) of each image, (N, 4).

    Images without an annotation, or with a label image in its place, are left out.
    """
    cells = {Path(image.name).name: image.instances for image in look_at(truth).images}
    run = RunFolder(proposals / PREDICTIONS)
    stems = {record.name: record.stem for record in run.records()}
    scores, counts = [], []
    with open(proposals / RANKING, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            known = cells.get(Path(stems[row["image"]]).name)
            if known is None:
                continue
            found = run.instances(stems[row["image"]])
            masks = found.masks.select(found.scores >= np.float32(score_thr)).to_rles()
            pairs = overlapping_pairs(masks, [cell["segmentation"] for cell in known])
            scores.append(float(row["score"]))
            counts.append(count_matches(pairs, thresholds=(0.5,))[0])
    if len(scores) < 3:
        raise CellMMError(
            f"{truth}: {len(scores)} annotations of images in {proposals}, 3 or more are needed"
        )
    return np.array(scores), np.array(counts)


def describe(counts: np.ndarray, name: str) -> str:
    found, wrong, missed, _ = counts.sum(0).astype(int)
    mean = np.nanmean(segmentation_scores(counts)["S"])
    return (
        f"{name}: {wrong} wrong and {missed} missed cells, S {mean:.3f} (mean of images), "
        f"{found + missed} cells in the annotation"
    )


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        scores, counts = errors(args.proposals, args.truth, args.score_thr)
    except CellMMError as error:
        print(f"check_ranking: {error}", file=sys.stderr)
        return 1
    print(describe(counts[: args.first], f"first {min(args.first, len(counts))} images"))
    print(describe(counts, f"all {len(counts)} images"))
    worse = 1 - np.nan_to_num(segmentation_scores(counts)["S"], nan=1.0)
    print(f"rank correlation of the score with 1 - S: {spearmanr(scores, worse).statistic:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
