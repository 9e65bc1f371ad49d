import json

import cv2
import pytest


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("analysis/plot_curves")


def train(step, loss):
    return dict(loss=loss, loss_dice=loss / 2, loss_dice_0=loss / 4, lr=1e-3, step=step, iter=step)


def log(work_dir, start, rows):
    path = work_dir / start / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("runs", [1, 2])
def test_picture(tool, tmp_path, capsys, runs):
    for i in range(runs):
        # NaN is what mmengine writes for a metric that is not defined.
        rows = [train(10, 4.0), dict(AP=float("nan"), S=0.3, step=10), train(20, 2.0 + i)]
        log(tmp_path / f"run{i}", "20260101_000000", rows)
    out = tmp_path / "made" / "curves.png"
    assert tool.main([*(str(tmp_path / f"run{i}") for i in range(runs)), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert cv2.imread(str(out)).shape == (960, 960, 3)
    assert [path.name for path in out.parent.iterdir()] == ["curves.png"]


def test_what_is_no_training(tool, tmp_path, capsys):
    assert tool.main([str(tmp_path / "absent"), "--out", str(tmp_path / "curves.png")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and "absent: no */vis_data/scalars.json" in err
    assert not (tmp_path / "curves.png").exists()
