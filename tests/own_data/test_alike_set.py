"""Sets of known parameters are measured, and what is simulated like them measures the same."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tifffile

from cellmm.datasets.folders import look_at
from cellmm.errors import CellMMError
from cellmm.own_data.alike_set import measure_set, simulate_alike
from cellmm.own_data.likeness_table import likeness_rows, likeness_table
from cellmm.simulation.alike import simulate_like
from cellmm.simulation.likeness import REACH, CellLook, ChannelLook, ImageLook, Likeness


def channel(level, profile, noise, **fields) -> ChannelLook:
    return ChannelLook(
        level=[[level, level], [level, level]],
        background=level,
        profile=[0.0] * (REACH - 1) + profile,
        gains=[0.9, 1.0, 1.1],
        noise=[noise, 0, 0, 0],
        texture=[noise, 0, 0, 0],
        **fields,
    )


def likeness(cell, look, *, diameter, cells, overlapping, dtype, bits) -> Likeness:
    image = ImageLook(
        name="known",
        shape=(200, 216),
        diameter=diameter,
        cells=cells,
        overlapping=overlapping,
        touching=0,
        covered=0.1,
        channels=[look],
        shapes=[cell, replace(cell, length=1.05 * cell.length)],
        levels=(0.0, 1e5),
    )
    return Likeness(dtype, bits, "channels", [image], [0.1, 0.2])


# long bent dark cells that overlap, on a bright background of 12 bit
WORMS = likeness(
    CellLook(length=3.6, width=0.36, area=1.09, turn=2.2, extent=0.85, roughness=0.03),
    channel(2000.0, [-0.1, -0.3, -0.5, -0.5, -0.5], 0.01, absorbs=True),
    diameter=22.0,
    cells=9,
    overlapping=4,
    dtype="uint16",
    bits=12,
)
# round bright cells side by side, on a dark background of 8 bit
NUCLEI = likeness(
    CellLook(length=1.06, width=0.93, area=0.785, turn=0.0, extent=1.02, roughness=0.03),
    channel(20.0, [20.0, 60.0, 100.0, 110.0], 2.0, absorbs=False),
    diameter=16.0,
    cells=24,
    overlapping=0,
    dtype="uint8",
    bits=8,
)
KNOWN = dict(worms=WORMS, nuclei=NUCLEI)
# what the table says: value and tolerance; a length is known to 8 %, a mean of few images is less sure
TRUE = dict(
    worms={
        "area, px": (528, 0.08),
        "length, px": (81, 0.08),
        "width, px": (7.9, 0.12),
        "length / width": (10.2, 0.15),
        "bend, rad from end to end": (2.2, 0.3),
        "cells per image": (9, 0.2),
        "background": (2000, 0.01),
        "contrast of cells": (-1000, 0.08),
        "noise": (20, 0.15),
    },
    nuclei={
        "area, px": (201, 0.08),
        "length, px": (17.4, 0.08),
        "width, px": (14.9, 0.08),
        "length / width": (1.17, 0.08),
        "cells per image": (24, 0.2),
        "background": (20, 0.05),
        "contrast of cells": (110, 0.08),
        "noise": (2, 0.15),
    },
)


def silent(line):
    pass


def middles(like: Likeness) -> dict[str, float]:
    return {what: float(np.median(values)) for what, values in likeness_rows(like)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """{name: (folder, a set simulated from known numbers; the numbers that were measured of it)}."""
    sets = {}
    for name, known in KNOWN.items():
        folder = tmp_path_factory.mktemp("sets")
        (folder / "known.json").write_text(json.dumps(asdict(known)))
        simulate_alike(folder / name, [folder / "known.json"], number=5, say=silent)
        sets[name] = folder / name, measure_set([folder / name]).likeness
    return sets


@pytest.mark.parametrize("name", KNOWN)
def test_known_parameters_come_back(name, made):
    found = middles(made[name][1])
    for what, (value, tolerance) in TRUE[name].items():
        assert found[what] == pytest.approx(value, rel=tolerance), what
    share = np.mean([image.overlapping / image.cells for image in made[name][1].images])
    assert share == (0 if name == "nuclei" else pytest.approx(4 / 9, abs=0.2))
    like = made[name][1]
    assert (like.dtype, like.bits) == (KNOWN[name].dtype, KNOWN[name].bits)
    assert {image.shape for image in like.images} == {(200, 216)}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_simulated_like_a_set_measures_the_same(name, made, tmp_path):
    folder, first = made[name]
    told = []
    simulate_alike(tmp_path / "again", [folder], number=5, seed=1, say=told.append)
    before, after = middles(first), middles(measure_set([tmp_path / "again"]).likeness)
    for what, (_, tolerance) in TRUE[name].items():
        assert after[what] == pytest.approx(before[what], rel=1.5 * tolerance), what
    assert set(likeness_table(first)) <= set(told)
    numbers = json.loads((tmp_path / "again.json").read_text())
    assert len(numbers["images"]) == 5 and (tmp_path / "again.png").is_file()


def test_worms_and_nuclei_are_told_apart(made):
    worms, nuclei = (middles(made[name][1]) for name in ("worms", "nuclei"))
    assert worms["roundness"] < 0.2 < 0.7 < nuclei["roundness"]
    assert worms["curvature, 1/px"] > 10 * nuclei["curvature, 1/px"]


def test_a_set_is_read_as_any_folder_and_as_a_json(made, tmp_path):
    folder, like = made["nuclei"]
    found = look_at(folder)
    assert len(found.images) == 5 and "COCO json" in found.describe() and not found.notes
    by_json = measure_set([folder / "annotations.json", folder / "images"]).likeness
    assert asdict(by_json)["images"][0]["shapes"] == asdict(like)["images"][0]["shapes"]
    assert tifffile.imread(folder / "images/0001.tif").dtype == np.uint8


def test_the_same_seed_gives_the_same_bytes(made, tmp_path):
    folder, _ = made["worms"]
    known = folder.parent / "known.json"
    for name, number, seed in (("same", 2, 0), ("other", 1, 5)):
        simulate_alike(tmp_path / name, [known], number=number, seed=seed, say=silent)
    images = [tmp_path / name / "images/0001.tif" for name in ("same", "other")]
    assert images[0].read_bytes() == (folder / "images/0001.tif").read_bytes() != images[1].read_bytes()
    assert not (tmp_path / "same.png").exists()  # no images to compare with


def labelled(folder, labels, image=None):
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    tifffile.imwrite(folder / "images/a.tif", labels * 3 if image is None else image)
    tifffile.imwrite(folder / "labels/a.tif", labels)
    return folder


def squares(side, number) -> np.ndarray:
    labels = np.zeros((96, 96), np.uint16)
    for i in range(number):
        y, x = 2 + 16 * (i // 6), 2 + 16 * (i % 6)
        labels[y : y + side, x : x + side] = i + 1
    return labels


def test_what_cannot_be_measured_is_one_line(tmp_path):
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images/a.tif", squares(8, 3))
    (tmp_path / "wrong.json").write_text('{"cells": 3}')
    few = labelled(tmp_path / "few", squares(8, 4))
    small = labelled(tmp_path / "small", squares(3, 20))
    coco = tmp_path / "coco.json"
    coco.write_text(
        '{"images": [{"id": 1, "file_name": "gone.tif", "height": 9, "width": 9}], "annotations": [], '
        '"categories": [{"id": 1, "name": "cell"}]}'
    )
    for like, says in (
        ([tmp_path / "images"], "1 images and no annotation"),
        ([few], "4 annotated cells in 1 images: 10 are needed"),
        ([small], "cells are 3.4 px across"),
        ([tmp_path / "gone"], "no such file or folder"),
        ([tmp_path / "gone.json", tmp_path], "no such COCO json"),
        ([coco, tmp_path / "gone"], "no such folder of images"),
        ([coco, tmp_path / "images"], "image files absent"),
        ([coco], "add the folder of its images"),
        ([tmp_path / "wrong.json"], "wrong.json: not what `cellmm simulate --like` wrote"),
    ):
        with pytest.raises(CellMMError, match=says) as error:
            simulate_alike(tmp_path / "out", like, say=silent)
        assert "\n" not in str(error.value)
    with pytest.raises(CellMMError, match="exists: name a new folder"):
        simulate_alike(tmp_path / "few", [few], say=silent)
    with pytest.raises(CellMMError, match="--images 0"):
        simulate_alike(tmp_path / "out", [few], number=0, say=silent)
    assert not (tmp_path / "out").exists()


def test_channels_and_empty_images(tmp_path):
    labels = squares(10, 20)
    image = np.stack([labels > 0, labels == 0]).astype(np.uint16) * 500 + 100
    labelled(tmp_path / "mine", labels, image)
    tifffile.imwrite(tmp_path / "mine/images/b.tif", image)
    tifffile.imwrite(tmp_path / "mine/labels/b.tif", 0 * labels)
    told = []
    like = simulate_alike(tmp_path / "out", [tmp_path / "mine"], number=2, say=told.append)
    assert "1 images without cells are not imitated" in told
    bright, dark = like.images[0].channels
    assert bright.contrast == pytest.approx(500, rel=0.1) and not bright.absorbs
    assert dark.contrast == pytest.approx(-500, rel=0.1) and dark.absorbs
    assert tifffile.imread(tmp_path / "out/images/0002.tif").shape == (2, 96, 96)


def test_images_of_fractions_measure_as_those_of_whole_numbers(made, tmp_path):
    """The same worms divided by 4096: contrast, noise and background are divided too."""
    folder, like = made["worms"]
    for path in folder.rglob("*.*"):
        copy = tmp_path / "fractions" / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".tif":
            tifffile.imwrite(copy, (tifffile.imread(path) / 4096).astype(np.float32))
        else:
            copy.write_bytes(path.read_bytes())
    found = middles(measure_set([tmp_path / "fractions"]).likeness)
    for what, value in middles(like).items():
        scale = 4096 if what in ("background", "contrast of cells", "noise", "texture of cells") else 1
        if "rim" not in what and "touch" not in what:
            assert scale * found[what] == pytest.approx(value, rel=0.02, abs=1e-3), what
    simulated = simulate_like(measure_set([tmp_path / "fractions"]).likeness, 0)
    assert simulated.image.dtype == np.float32 and 0.3 < np.median(simulated.image) < 0.6


def test_edited_numbers_that_cannot_be_used(made, tmp_path):
    _, like = made["worms"]
    for change in (dict(images=[]), dict(dtype="strange")):
        (tmp_path / "edited.json").write_text(json.dumps(asdict(like) | change))
        with pytest.raises(CellMMError, match=r"edited\.json: not what `cellmm simulate --like` wrote"):
            simulate_alike(tmp_path / "set", [tmp_path / "edited.json"], number=1, say=silent)
    with pytest.raises(CellMMError, match="--seed -1: give 0 or more"):
        simulate_alike(tmp_path / "set", [tmp_path / "edited.json"], number=1, seed=-1, say=silent)
