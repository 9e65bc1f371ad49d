"""The report of a training, from a work dir alone."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from cellmm.commands.train import main
from cellmm.engine.training_report import write_training_report
from cellmm.errors import CellMMError

CONFIG = """
model = dict(type="CellSegmentor", encoder=dict(type="SEUNetEncoder"), heads=dict(cells=dict(type="IAMHead")))
data = dict(type="SimulatedDataset", data_root="my images", pipeline=[dict(type="LoadImage")])
train_dataloader = dict(batch_size=2, dataset=dict(type="RepeatDataset", times=2, dataset=data))
test_dataloader = dict(batch_size=1)
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=1e-3), accumulative_counts=4)
train_cfg = dict(max_iters=40)
randomness = dict(seed=7)
"""
LOG = """2026/01/02 00:00:00 - mmengine - INFO - all is well
2026/01/02 00:00:01 - mmengine - WARNING - no cell in 50 batches
2026/01/02 00:00:03 - mmengine - WARNING - two
lines <b>
2026/01/02 00:00:04 - mmengine - INFO - not a warning
with a second line
2026/01/02 00:00:05 - mmengine - WARNING - no cell in 50 batches
"""


class Page(HTMLParser):
    """The text of each section by its id, and the addresses of pictures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.section, self.text, self.pictures, self.addresses = "head", {}, {}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "section":
            self.section = attrs["id"]
        if tag == "img":
            self.pictures.setdefault(self.section, []).append(attrs["src"])
        self.addresses += [value for key, value in attrs.items() if key in ("src", "href")]

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data


@pytest.fixture
def work(tmp_path):
    """A training of 40 iterations that was stopped after 20."""
    folder = tmp_path / "my work"
    logs = folder / "20260102_000000"
    (logs / "vis_data").mkdir(parents=True)
    rows = [dict(loss=4.0 - i / 10, lr=1e-3, time=0.25, step=i, iter=i) for i in range(1, 21)]
    rows[10:10] = [dict(AP=0.3, S=0.25, F1=float("nan"), step=10)]
    rows += [dict(AP=0.2, S=0.5, F1=float("nan"), step=20)]
    (logs / "vis_data/scalars.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (logs / "20260102_000000.log").write_text(LOG)
    (folder / "worms.py").write_text(CONFIG)
    for name in (
        "contact_sheet.png",
        "validation_pictures/iter_9/a_1.png",
        "validation_pictures/iter_20/b_1.png",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.zeros((30, 60, 3), np.uint8))
    (folder / "best_and_worst").mkdir()
    cv2.imwrite(str(folder / "best_and_worst/best_1.png"), np.zeros((2200, 30, 3), np.uint8))
    scores = dict(iter=20, images=7, worst=[], best=[dict(image="<fine>.tif", S=0.91, picture="best_1.png")])
    (folder / "best_and_worst/scores.json").write_text(json.dumps(scores))
    return folder


def test_all_of_a_training(work, capsys):
    main(["--report", str(work)])
    assert capsys.readouterr().out == f"{work / 'report.html'}\n"
    page = Page(work / "report.html")
    assert all(address.startswith(("data:", "#")) for address in page.addresses)  # it needs nothing else
    assert "worms: 20 of 40 iterations" in page.text["head"] and "2 warnings" in " ".join(
        page.text["head"].split()
    )
    for value in ("SEUNetEncoder", "cells: IAMHead", "SimulatedDataset my images", "2, 4 batches to a step"):
        assert value in page.text["head"], value
    assert "AdamW, lr 0.001" in page.text["head"] and "0.25 s" in page.text["head"]
    assert (
        "no cell in 50 batches (2 times)" in page.text["warnings"]
        and "two\nlines <b>" in page.text["warnings"]
    )
    assert "HardDisk" not in page.text["warnings"] and "second line" not in page.text["warnings"]
    assert [address[:18] for address in page.pictures["curves"]] == ["data:image/svg+xml"] * 3
    scores = "".join(page.text["scores"].split())
    assert "afteriteration20." in scores and "AP0.2000.30010" in scores and "S0.5000.50020" in scores
    assert "F1notdefinednotdefined" in scores
    assert "of 7 images" in page.text["ranked"] and "S 0.910: <fine>.tif" in page.text["ranked"]
    assert page.pictures["ranked"][0].startswith("data:image/jpeg")  # a large one is shrunk
    assert "iter_20" in page.text["validated"] and "b_1" in page.text["validated"]
    assert len(page.pictures["validated"]) == len(page.pictures["sheet"]) == 1
    commands = page.text["commands"]
    train = f"cellmm train '{work}/worms.py' --work-dir '{work}' --resume"
    assert train in commands and f"{train} --cfg-options train_cfg.max_iters=80" in commands
    assert f"cellmm test '{work}/worms.py' '{work}'" in commands
    assert f"cellmm predict IMAGES --model '{work}' --out RESULTS" in commands
    assert "missing" not in page.text
    first = (work / "report.html").read_bytes()
    write_training_report(work)
    assert (work / "report.html").read_bytes() == first


def test_a_training_with_a_time_budget(work):
    more = "default_hooks = dict(param_scheduler=dict(type='TimeBudgetHook', minutes=30.0))\n"
    (work / "worms.py").write_text(CONFIG + more)
    page = Page(write_training_report(work))
    assert "worms: 20 iterations" in page.text["head"] and "30 minutes" in page.text["head"]
    assert (
        "--resume --minutes 30\n" in page.text["commands"]
        and "--resume --minutes 60\n" in page.text["commands"]
    )


def test_what_is_missing_is_said(work):
    for path in ("contact_sheet.png", "worms.py", "20260102_000000/vis_data/scalars.json"):
        (work / path).unlink()
    (work / "validation_pictures/iter_20/b_1.png").write_bytes(b"no picture")
    (work / "best_and_worst/best_1.png").unlink()
    page = Page(write_training_report(work))
    assert "my work: 0 iterations" in page.text["head"] and "3 missing" in " ".join(page.text["head"].split())
    assert "the settings: " in page.text["missing"] and "holds no config" in page.text["missing"]
    assert "b_1.png is damaged" in page.text["missing"] and "best_1.png is absent" in page.text["missing"]
    assert "Losses: nothing was logged" in page.text["curves"] and "no validation yet" in page.text["scores"]
    assert "no contact sheet" in page.text["sheet"] and "cellmm train" not in page.text["commands"]
    (work / "best_and_worst/scores.json").write_text("{")
    (work / "worms.py").write_text("model = (")
    page = Page(write_training_report(work))
    assert "scores.json is damaged" in page.text["missing"] and "No image was ranked" in page.text["ranked"]
    assert re.search(r"the settings: .*worms\.py", page.text["missing"])


def test_nothing_of_an_earlier_training_or_of_a_test_is_shown(work):
    """The work dir is used again, and the new training was stopped before its first validation."""
    logs = work / "20990102_000000"
    (logs / "vis_data").mkdir(parents=True)
    (logs / "vis_data/scalars.json").write_text(json.dumps(dict(loss=1.0, lr=1.0, step=1, iter=1)) + "\n")
    (logs / "new.log").write_text(LOG.replace("50 batches", "3 batches"))
    tested = work / "20990103_000000"
    tested.mkdir()
    (tested / "worms.py").write_text("")
    (tested / "test.log").write_text(LOG.replace("50 batches", "a test"))
    page = Page(write_training_report(work))
    assert "3 batches" in page.text["warnings"] and "1 of 40" in page.text["head"]
    assert "50 batches" not in page.text["warnings"] and "a test" not in page.text["warnings"]
    assert set(page.pictures) == {"curves"} and "No image was ranked" in page.text["ranked"]


def test_what_is_refused(tmp_path, capsys):
    with pytest.raises(CellMMError, match="no log of a training in it"):
        write_training_report(tmp_path)
    for argv in ([], ["config.py", "--report", "work"]):
        with pytest.raises(SystemExit):
            main(argv)
        assert "or --report WORK_DIR instead" in capsys.readouterr().err
