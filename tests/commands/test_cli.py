"""The command ``cellmm``: what it calls, what it returns, what a user sees of an error."""

import gc
import subprocess
import sys
import types

import numpy as np
import pytest

from cellmm import __version__
from cellmm.commands import cli
from cellmm.errors import CellMMError
from cellmm.visualization import save_picture


@pytest.fixture
def fake_command(monkeypatch):
    """``fake_command(name, main)`` puts ``main`` in the place of the module of a command."""

    def put(name, main):
        module = types.ModuleType(cli.COMMANDS[name][0])
        module.main = main
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return put


@pytest.mark.parametrize("name", ["train", "test", "predict", "track", "doctor"])
def test_every_command_gets_its_arguments(fake_command, name):
    seen = []
    fake_command(name, seen.append)
    assert cli.main([name, "config.py", "--work-dir", "x", "--help"]) == 0
    assert seen == [["config.py", "--work-dir", "x", "--help"]]


@pytest.mark.parametrize(("returned", "status"), [(None, 0), (0, 0), (3, 3), ({"AP": 0.5}, 0)])
def test_status_is_the_integer_that_a_command_returns(fake_command, returned, status):
    fake_command("test", lambda argv: returned)
    assert cli.main(["test"]) == status


def test_user_error_is_one_line_and_status_1(fake_command, capsys):
    def main(argv):
        raise CellMMError("a.json: no image\nput some there")

    fake_command("train", main)
    assert cli.main(["train", "config.py"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "cellmm train: a.json: no image put some there\n"


def test_other_errors_keep_their_traceback(fake_command):
    def main(argv):
        raise ValueError("a bug")

    fake_command("train", main)
    with pytest.raises(ValueError, match="a bug"):
        cli.main(["train"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "a.json"), "a.json: No space left on device: free some disk"),
        (PermissionError(13, "Permission denied", "a"), "a: Permission denied: get the right to use it"),
        (OSError(30, "Read-only file system", "a"), "a: Read-only file system: the disk is read-only"),
        (NotADirectoryError(20, "Not a directory", "a/b"), "a/b: Not a directory: a file is in the place of"),
        (MemoryError("Unable to\nallocate 9 GiB"), "not enough memory (Unable to allocate 9 GiB): crop"),
        (RuntimeError("CUDA out of memory.\nTried"), "not enough memory (CUDA out of memory. Tried): crop"),
    ],
)
def test_full_disk_and_memory_are_one_line(fake_command, capsys, error, line):
    def main(argv):
        raise error

    fake_command("train", main)
    assert cli.main(["train"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(f"cellmm train: {line}") and err.count("\n") == 1


def test_ctrl_c_is_status_130(fake_command, capsys):
    def main(argv):
        raise KeyboardInterrupt

    fake_command("train", main)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "cellmm train: stopped\n"


@pytest.mark.parametrize("error", [SyntaxError, CellMMError, OSError, RuntimeError])
def test_ctrl_c_that_code_in_between_has_caught_is_status_130(fake_command, capsys, error):
    """mmengine catches everything where it writes a config, and makes 377 lines of it."""

    def main(argv):
        try:
            try:
                raise KeyboardInterrupt
            except:  # noqa: E722
                raise SyntaxError("a config\nof many lines")  # noqa: B904
        except SyntaxError as first:
            raise error("another") from first

    fake_command("train", main)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "cellmm train: stopped\n"


@pytest.mark.parametrize("where", ["import", "config"])
def test_ctrl_c_while_libraries_or_a_config_are_read(where, tmp_path, monkeypatch, capsys):
    (tmp_path / "cellmm_test_stopped.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    if where == "import":
        assert cli.run("cellmm_test_stopped", [], prog="cellmm train") == 130
    else:
        assert cli.main(["train", str(tmp_path / "cellmm_test_stopped.py")]) == 130
    assert capsys.readouterr().err == "cellmm train: stopped\n"


def test_library_that_cannot_be_imported_points_to_the_doctor(monkeypatch, tmp_path, capsys):
    (tmp_path / "cellmm_test_broken.py").write_text("raise ImportError('libGL.so.1: absent')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert cli.run("cellmm_test_broken", [], prog="cellmm train") == 1
    err = capsys.readouterr().err
    assert err.startswith("cellmm train: ImportError: libGL.so.1: absent; `cellmm doctor`")
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_help_lists_the_commands(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"cellmm {__version__}\n"


def test_unknown_command_names_the_known_ones(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["tain"])
    assert stop.value.code == 2
    assert "predict" in capsys.readouterr().err


def test_help_is_there_before_any_heavy_library():
    """--help answers at once: nothing heavy is imported for it."""
    heavy = {"torch", "cv2", "mmengine", "numpy"}
    code = f"import sys, cellmm.commands.cli; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_list_of_models_is_there_before_torch():
    code = "import sys, cellmm.commands.models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PREDICTS_WITHOUT = (
    "albumentations cellmm.ablation cellmm.testing cellmm.tiles cellmm.tracking dask "
    "laptrack matplotlib numcodecs pandas pyarrow scipy.interpolate scipy.optimize sklearn torchvision zarr"
)


def test_predict_imports_nothing_that_it_does_not_need(tmp_path):
    """It starts in a few seconds because of that; each of these is imported by some other part of cellmm."""
    save_picture(tmp_path / "image.png", np.zeros((64, 64), np.uint8))
    command = ["predict", str(tmp_path / "image.png"), "--model", "nuclei", "--out", str(tmp_path / "out")]
    code = (
        f"import sys; from cellmm.commands import cli; assert cli.main({command}) == 0; "
        f"sys.stdout.write('imported: ' + ' '.join(set({PREDICTS_WITHOUT.split()}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rpartition("imported: ")[2] == ""


@pytest.mark.parametrize("works", [True, False])
def test_libraries_are_imported_without_garbage_collection_and_commands_run_with_it(
    tmp_path, monkeypatch, works
):
    text = "import gc\nseen = [gc.isenabled()]\n" + (
        "def main(argv):\n    seen.append(gc.isenabled())\n" if works else "raise ValueError"
    )
    (tmp_path / "my_command.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(cli.COMMANDS, "train", ("my_command", ""))
    monkeypatch.delitem(sys.modules, "my_command", raising=False)
    try:
        if works:
            assert cli.main(["train"]) == 0
            assert sys.modules["my_command"].seen == [False, True]
        else:
            with pytest.raises(ValueError):
                cli.main(["train"])
        assert gc.isenabled()
    finally:
        sys.modules.pop("my_command", None)


def test_an_error_from_a_data_loader_worker_is_one_line_too(fake_command, capsys):
    def main(argv):
        raise CellMMError(
            "Caught CellMMError in DataLoader worker process 0.\nOriginal Traceback (most recent):\n"
            '  File "x.py", line 1\ncellmm.errors.CellMMError: a.tif: cut off; copy it again\n'
        )

    fake_command("train", main)
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == "cellmm train: a.tif: cut off; copy it again\n"
