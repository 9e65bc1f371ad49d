"""tools/analysis/check_ranking.py on a ranking and errors that are known."""

import json

import numpy as np
import tifffile

from cellmm.commands.propose import PREDICTIONS, RANKING
from cellmm.labelling import rank_images, write_ranking
from cellmm.results import Instances
from cellmm.results.run_folder import InputFile, Record, RunFolder
from cellmm.structures import MaskRuns

SHAPE = (30, 40)
CORNERS = [(0, 0), (0, 20), (15, 0), (15, 20)]


def test_errors_of_the_first_images(load_tool, tmp_path, capsys):
    """Image k of 4 has k wrong cells, whose scores are near the threshold."""
    tool = load_tool("analysis/check_ranking")
    run, images, annotations, records = RunFolder(tmp_path / "out" / PREDICTIONS), [], [], []
    run.begin({}, [InputFile(tmp_path, f"{k}.tif", str(k)) for k in range(4)], [])
    (tmp_path / "truth").mkdir()
    for k in range(4):
        masks = MaskRuns.from_crops([np.ones((8, 8), bool)] * 4, CORNERS, SHAPE)
        scores = np.array([0.95] * (4 - k) + [0.35] * k, np.float32)
        found = Instances(masks, scores, np.zeros(4, np.int64), name=f"{k}.tif")
        records.append(Record(f"{k}.tif", str(k), f"{k}.tif", cells=4))
        run.write_instances(str(k), found)
        run.write_record(records[-1])
        tifffile.imwrite(tmp_path / f"truth/{k}.tif", np.zeros(SHAPE, np.uint16))
        images.append(dict(id=k, file_name=f"{k}.tif", height=30, width=40))
        for i, rle in enumerate(masks.to_rles()[: 4 - k]):
            cell = dict(id=10 * k + i + 1, image_id=k, category_id=1, segmentation=rle, iscrowd=0)
            annotations.append({**cell, "bbox": [0, 0, 8, 8], "area": 64})
    content = dict(images=images, annotations=annotations, categories=[dict(id=1, name="cell")])
    (tmp_path / "truth/cells.json").write_text(json.dumps(content))
    write_ranking(tmp_path / "out" / RANKING, rank_images(run, records, 0.3), ())
    folders = [str(tmp_path / "out"), str(tmp_path / "truth")]
    assert tool.main([*folders, "--first", "1"]) == 0
    first, whole, correlation = capsys.readouterr().out.splitlines()
    assert (
        first
        == "first 1 images: 3 wrong and 0 missed cells, S 0.250 (mean of images), 1 cells in the annotation"
    )
    assert whole.startswith("all 4 images: 6 wrong and 0 missed cells, S 0.625") and "10 cells" in whole
    assert correlation.endswith(": 1.00")


def test_too_few_images_are_refused(load_tool, tmp_path, capsys):
    tool = load_tool("analysis/check_ranking")
    (tmp_path / "empty").mkdir()
    assert tool.main([str(tmp_path), str(tmp_path / "empty")]) == 1
    assert "no image" in capsys.readouterr().err
