"""`cellmm simulate`: a folder to try `cellmm init` on."""

import pytest

from cellmm.commands.cli import main
from cellmm.datasets.folders import look_at
from cellmm.own_data.stand_ins import KINDS

SMALL = ["--images", "2", "--size", "96"]
LAYOUT = dict(
    fiji="Fiji ROIs",
    qupath="QuPath",
    aperio="Aperio",
    worms="a mask per cell",
    film="label image",
    classes="label image",
)


def content(folder) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_as_what_it_is(kind, tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "a"), "--kind", kind, *SMALL]) == 0
    unit = "frames" if kind == "film" else "images"
    assert capsys.readouterr().out == f"{tmp_path / 'a'}: 2 simulated {unit} of 96x96 px\n"
    found = look_at(tmp_path / "a")
    assert len(found.images) == 2 and LAYOUT[kind] in found.describe()


def test_the_same_seed_gives_the_same_files(tmp_path):
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert main(["simulate", str(tmp_path / name), "--seed", seed, *SMALL]) == 0
    first, same, other = (content(tmp_path / name) for name in "abc")
    assert first == same != other


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--images", "0"], "--images 0: give 1 or more"),
        (["--size", "4"], "--size 4: give"),
        (["--images", "-1", "--kind", "film"], "--images -1"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_no_folder(options, says, tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "a"), *options]) == 1
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_stays(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["simulate", str(tmp_path)]) == 1
    assert "exists: name a new folder" in capsys.readouterr().err
    assert content(tmp_path) == {"mine.txt": b"mine"}


def test_like_a_folder(tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "mine"), "--images", "5", "--size", "192"]) == 0
    capsys.readouterr()
    like = ["simulate", str(tmp_path / "like"), "--like", str(tmp_path / "mine"), "--images", "1"]
    assert main(like) == 0
    out = capsys.readouterr().out
    assert "length, px" in out and "like: 1 simulated images with" in out
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "like", "like.json", "like.png"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--like", "a", "b", "c"], "--like takes a folder, or a json and a folder, got 3 names"),
        (["--like", "a", "--size", "64"], "--like measures what --kind and --size say; leave them out"),
        (["--layout", "COCO json"], "--layout is of --like"),
    ],
)
def test_options_that_do_not_go_together(options, says, tmp_path, capsys):
    assert main(["simulate", str(tmp_path / "a"), *options]) == 1
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
