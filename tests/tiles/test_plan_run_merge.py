"""`cellmm tiles plan | run | merge` writes the bytes of `cellmm predict`, whatever is killed in between."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from cellmm.apis.inferencer import CellInferencer
from cellmm.commands import cli
from cellmm.commands.tiles import piece_numbers
from cellmm.errors import CellMMError
from cellmm.registry import MODELS
from cellmm.tiles.pieces import is_finished
from cellmm.tiles.plan import PiecePlan, piece_path, plan_hash, share
from cellmm.tiles.run import run_piece
from tests.fuzz.exact_model import write_exact_model

NORMALIZE = "dict(type='Normalize', mode='percentile', percentiles=(1, 99))"


def scene(shape, seed):
    """Noise, squares of 5 and 7 px, and bars that are longer than a tile shares or is."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 50, shape).astype(np.uint16)
    for y in range(3, shape[0] - 9, 12):
        for x in range(3, shape[1] - 9, 12):
            side = rng.choice([0, 5, 7])
            image[y : y + side, x : x + side] = 900
    image[20:23, 5 : shape[1] - 5] = 900
    image[5 : shape[0] - 5, 40:43] = 900
    return image


@pytest.fixture
def work(tmp_path):
    """Files to predict, and options; one file is damaged, one is small, one is a film."""
    images = tmp_path / "images"
    images.mkdir()
    tifffile.imwrite(images / "large.tif", scene((150, 230), 0), tile=(32, 32))
    tifffile.imwrite(images / "small.tif", scene((40, 50), 1))
    tifffile.imwrite(
        images / "film.tif", np.stack([scene((70, 90), i) for i in (2, 3)]), metadata={"axes": "TYX"}
    )
    (images / "bad.tif").write_bytes(b"II*\0 not an image")
    config, weights = write_exact_model(tmp_path, NORMALIZE)
    options = ["--config", config, "--checkpoint", weights, "--device", "cpu"]
    return [str(word) for word in (images, *options, "--tile", 48, "--tile-overlap", 12)]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def tiles(*words) -> int:
    return cli.main(["tiles", *map(str, words)])


def killed(function, *arguments) -> None:
    """Run in a copy of this process, which must end by SIGKILL."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def killed_while_predicting(folder, piece):
    def last(self, *arguments, **more):
        os.kill(os.getpid(), signal.SIGKILL)

    CellInferencer.predict_prepared = last
    tiles("run", folder, "--piece", piece, "--device", "cpu")


def killed_while_writing(folder, piece):
    def half(path, **arrays):
        Path(path).write_bytes(b"PK half a file")
        os.kill(os.getpid(), signal.SIGKILL)

    np.savez = half
    tiles("run", folder, "--piece", piece, "--device", "cpu")


def test_64_pieces_in_any_order_some_killed_give_the_bytes_of_predict(work, tmp_path, capsys):
    assert cli.main(["predict", *work, "--save", "coco,layers", "--out", str(tmp_path / "one")]) == 1
    folder = tmp_path / "pieces"
    assert tiles("plan", *work, "--pieces", 64, "--out", folder) == 0
    plan = PiecePlan.read(folder)
    order = np.random.default_rng(0).permutation(64).tolist()
    busy = [number for number in order if sum(w.end - w.first for w in plan.pieces[number]) > 0]
    killed(killed_while_predicting, folder, busy[0])
    killed(killed_while_writing, folder, busy[1])
    assert not any(piece_path(folder, number).exists() for number in busy[:2])
    assert tiles("merge", folder, "--out", tmp_path / "early") == 1
    assert "pieces are not finished, 64: 0, 1" in capsys.readouterr().err
    for number in order:
        assert tiles("run", folder, "--piece", number, "--device", "cpu") == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "pieces").glob("[0-9]*.npz")}
    assert len(before) == 64 and tiles("run", folder) == 0
    assert "64 of 64 pieces are finished already" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert tiles("merge", folder, "--out", tmp_path / "two", "--save", "coco,layers", "--device", "cpu") == 1
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert list(one) == list(two) and one == two
    assert {"cells.json", "layers/film_t0001.ome.tif", "layers/large.ome.tif"} <= set(one)
    errors = [line for line in capsys.readouterr().err.splitlines() if "bad.tif" in line]
    assert len(errors) >= 1


def test_the_same_pieces_have_the_same_bytes_and_another_plan_makes_them_anew(work, tmp_path):
    folder = tmp_path / "pieces"
    assert tiles("plan", *work, "--pieces", 3, "--out", folder) == 0
    assert tiles("run", folder, "--device", "cpu") == 0
    first = files_of(folder)
    for path in (folder / "pieces").iterdir():
        path.unlink()
    assert tiles("plan", *work, "--pieces", 3, "--out", folder) == 0
    assert tiles("run", folder, "--piece", "1-2", 0, "--device", "cpu") == 0
    assert files_of(folder) == first
    assert tiles("plan", *work, "--pieces", 3, "--out", folder, "--score-thr", 0.5) == 0
    assert tiles("merge", folder, "--out", tmp_path / "out") == 1


def test_what_does_not_fit_the_plan_is_refused(work, tmp_path, capsys):
    folder = tmp_path / "pieces"

    def line(*words):
        capsys.readouterr()
        assert tiles(*words) == 1
        return capsys.readouterr().err.splitlines()[-1]

    assert "run `cellmm tiles plan` first" in line("run", folder)
    assert "takes no --batch-size" in line("plan", *work, "--out", folder, "--batch-size", 2)
    assert "--pieces 0: 1 or more" in line("plan", *work, "--out", folder, "--pieces", 0)
    assert tiles("plan", *work, "--pieces", 4, "--out", folder) == 0
    assert "--piece 4: the plan has pieces 0 to 3" in line("run", folder, "--piece", 4)
    assert "--piece x: give numbers" in line("run", folder, "--piece", "x")
    assert "--piece 3-1: give numbers" in line("run", folder, "--piece", "3-1")
    assert tiles("run", folder, "--piece", 0, "--device", "cpu") == 0
    weights = (tmp_path / "w.pth").read_bytes()
    torch.save(dict(state_dict={"heads.instances.threshold": torch.tensor(0.4)}), tmp_path / "w.pth")
    assert "--checkpoint changed since `cellmm tiles plan`" in line("run", folder, "--device", "cpu")
    (tmp_path / "w.pth").write_bytes(weights)
    assert tiles("run", folder, "--device", "cpu") == 0
    torch.save(dict(state_dict={"heads.instances.threshold": torch.tensor(0.4)}), tmp_path / "w.pth")
    assert "--checkpoint changed since" in line("merge", folder, "--out", tmp_path / "out")
    (tmp_path / "w.pth").write_bytes(weights)
    tifffile.imwrite(tmp_path / "images/small.tif", scene((40, 50), 9))
    assert "small.tif changed since `cellmm tiles plan`" in line("merge", folder, "--out", tmp_path / "out")
    piece_path(folder, 0).unlink()
    piece_path(folder, 3).unlink()
    tifffile.imwrite(tmp_path / "images/small.tif", scene((41, 50), 1))
    assert "small.tif changed since `cellmm tiles plan`" in line("run", folder, "--device", "cpu")
    (folder / "plan.json").write_text("{}")
    assert "plan.json is damaged" in line("run", folder)


def test_options_of_merge_that_differ_from_the_plan(work, tmp_path, capsys):
    folder = tmp_path / "pieces"
    assert tiles("plan", *work, "--pieces", 1, "--out", folder) == 0
    assert "1 of 4 files cannot be predicted; merge says why" in capsys.readouterr().err
    assert tiles("run", folder, "--device", "cpu") == 0
    for what, *option in [
        ("score_thr", "--score-thr", "0.9"),
        ("cfg_options", "--tile", "64"),
        ("maps", "--maps"),
    ]:
        assert tiles("merge", folder, "--out", tmp_path / "out", *option) == 1
        assert f"{what} differ from the plan" in capsys.readouterr().err


def test_work_is_shared_evenly_and_in_order():
    areas = [[10] * 37, [400], [], [5] * 11]
    for number in (1, 2, 7, 64):
        pieces = share(areas, number)
        units = [(w.image, unit) for piece in pieces for w in piece for unit in range(w.first, w.end)]
        assert len(pieces) == number
        assert units == [(image, unit) for image, own in enumerate(areas) for unit in range(len(own))]
    sizes = [sum(10 * (w.end - w.first) for w in piece) for piece in share([[10] * 64], 8)]
    assert sizes == [80] * 8


def test_numbers_of_pieces():
    assert piece_numbers(None, 3) == [0, 1, 2] and piece_numbers(["2", "0-1", "1"], 3) == [0, 1, 2]
    with pytest.raises(CellMMError, match="--piece 1-x: give numbers"):
        piece_numbers(["1-x"], 3)


class BrightMap(nn.Module):
    """A map of probabilities: the image itself."""

    target = "cytoplasm"

    def __init__(self):
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(0.5))

    def forward(self, features):
        return features[0]

    def loss(self, features, samples):
        return dict(loss_threshold=self.threshold)

    def predict_maps(self, features):
        return features[0][:, 0].clamp(0, 1)


def test_maps_of_pieces_are_those_of_the_whole_image(work, tmp_path):
    """A model without cells: its maps are averaged over the tiles, in predict and in merge alike."""
    config = tmp_path / "config.py"
    text = config.read_text().replace(NORMALIZE, "dict(type='Normalize', mode='divide', divisor=1000)")
    text = text.replace("type='BrightSpots'", "type='BrightMap'")
    config.write_text(text.replace("model = dict(", "model = dict(\n    instance_head=None,"))
    folder = tmp_path / "pieces"
    MODELS.register_module(module=BrightMap, force=True)
    try:
        whole = work[: work.index("--tile")]
        cli.main(["predict", *whole, "--tile", "0", "--out", str(tmp_path / "whole")])
        cli.main(["predict", *work, "--out", str(tmp_path / "one")])
        assert tiles("plan", *work, "--pieces", 5, "--out", folder) == 0
        assert tiles("run", folder, "--piece", "3-4", "0-2", "--device", "cpu") == 0
        tiles("merge", folder, "--out", tmp_path / "two", "--device", "cpu")
    finally:
        MODELS.module_dict.pop("BrightMap")
    one, two = files_of(tmp_path / "one"), files_of(tmp_path / "two")
    assert one == two and "maps/large_cytoplasm.tif" in one
    for name in (name for name in one if name.startswith("maps/") and name.endswith(".tif")):
        found, expected = (tifffile.imread(tmp_path / run / name) for run in ("one", "whole"))
        assert found.shape == expected.shape and np.abs(found.astype(int) - expected).max() <= 1


def test_a_plan_that_is_replaced_while_a_piece_is_predicted(work, tmp_path, monkeypatch):
    folder = tmp_path / "pieces"
    assert tiles("plan", *work, "--pieces", 1, "--out", folder) == 0
    plan = PiecePlan.read(folder)
    assert plan.mark == plan_hash(folder)
    inferencer = CellInferencer(**plan.inferencer, device="cpu")
    assert tiles("plan", *work, "--pieces", 1, "--out", folder, "--score-thr", 0.5) == 0
    run_piece(folder, plan, inferencer, 0)
    assert not is_finished(folder, 0, plan_hash(folder))


def test_pieces_of_several_kinds_of_devices_are_said(work, tmp_path, said):
    folder = tmp_path / "pieces"
    assert tiles("plan", *work, "--pieces", 3, "--out", folder) == 0
    assert tiles("run", folder, "--device", "cpu") == 0
    with np.load(piece_path(folder, 1)) as content:
        arrays = dict(content)
    np.savez(piece_path(folder, 1), **arrays | {"device": np.array("cuda")})
    assert tiles("merge", folder, "--out", tmp_path / "out") == 1  # bad.tif
    assert sum("several kinds of devices (2 on cpu, 1 on cuda)" in line for line in said) == 1
