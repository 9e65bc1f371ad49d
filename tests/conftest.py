"""Fixtures that all tests share."""

import contextlib
import importlib.util
import logging
import multiprocessing
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import base_dataset
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from cellmm.simulation import make_dataset

torch.set_num_threads(1)
base_dataset.gc = SimpleNamespace(collect=int)  # it collects garbage for every dataset: 0.3 s each
init_default_scope("cellmm")  # as every config does

_ROOT = Path(os.environ.get("CELLMM_DATA") or Path(__file__).parents[2] / "shared" / "data")
CONFIG = """
_base_ = ["{root}/tests/configs/tiny.py"]
data_root = "{data}"
train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = test_dataloader = dict(dataset=dict(data_root=data_root))
default_hooks = dict()
optim_wrapper = dict(_delete_=True, type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3))
param_scheduler = []
custom_hooks = []
"""

PROCESS = """
import gc, os, sys, torch
gc.freeze()
os.environ.update({environment})
os.chdir({folder!r})
torch.set_num_threads(1)
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1)
os.dup2(log, 2)
sys.path[:0] = {path}
from cellmm.commands.cli import main
status = main({argv})
if status == 0 and torch.distributed.is_initialized():
    sys.exit("the process group was not left")
sys.exit(status)
"""


def find_browser() -> str | None:
    """The program of a browser that shows the report of results in its tests."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def _leaves_out_browser() -> bool:
    return find_browser() is None and os.environ.get("CI") != "true"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say, also with -q, that the tests in a browser are left out; where CI is true they fail instead."""
    if _leaves_out_browser():
        terminalreporter.write_line(
            "no browser: tests/**/*_in_browser.py were left out; install chromium", yellow=True
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests in a browser where there is none."""
    if _leaves_out_browser():
        left = [item for item in items if item.path.stem.endswith("_in_browser")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(scope="session")
def browser_program() -> str:
    """The program of the browser; an error where CI is true and there is none."""
    program = find_browser()
    if program is None:
        pytest.fail("CI is true and no browser was found: apt-get install chromium")
    return program


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes ``-n auto`` means: none for a few files, which would wait longer for the imports."""
    few = len(config.args) <= 3 and all(".py" in argument for argument in config.args)
    return 0 if few else min(os.cpu_count() or 1, 8)


@pytest.fixture(scope="session")
def load_tool() -> Callable[[str], ModuleType]:
    """``load_tool("analysis/ablate")`` is the module ``tools/analysis/ablate.py``."""

    def load(name: str) -> ModuleType:
        path = Path(__file__).parents[1] / "tools" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """``real_data('bbbc010')`` is that folder of real images; the test is skipped where it is absent."""

    def folder(name: str) -> Path:
        if not (_ROOT / name).is_dir():
            pytest.skip(f"no real data at {_ROOT / name}: set CELLMM_DATA to the folder that holds it")
        return _ROOT / name

    return folder


@pytest.fixture(scope="session")
def raster() -> Callable[..., np.ndarray]:
    """``raster(rings, shape)``: the pixels, bool (H, W), whose centres an odd number of outlines encloses.

    The outlines, (K, 2) of x and y, run along the edges of pixels.
    """

    def fill(rings: Sequence[np.ndarray], shape: Sequence[int]) -> np.ndarray:
        crossings = np.zeros((shape[0], shape[1] + 1), int)
        for ring in rings:
            corners = np.asarray(ring)
            assert (corners == np.rint(corners)).all()
            corners = corners.astype(int)
            for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
                assert x0 == x1 or y0 == y1
                crossings[min(y0, y1) : max(y0, y1), x0] += x0 == x1
        return (np.cumsum(crossings, axis=1) % 2 == 1)[:, :-1]

    return fill


@pytest.fixture(autouse=True)
def open_stdout() -> None:
    """Loggers of earlier tests write to the present stdout: theirs may be closed."""
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.stream = sys.stdout


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The warnings that are logged during the test, in order."""
    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    MMLogger.get_current_instance().addHandler(handler)
    yield lines
    MMLogger.get_current_instance().removeHandler(handler)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """A set of 64x64 pixels: 5 images to train, 2 to validate, 3 to test."""
    root = tmp_path_factory.mktemp("tiny") / "data"
    scene = dict(size=(64, 64), pixel=0.5, cells=(2, 4), min_visible=20)
    make_dataset(root, splits=dict(train=5, val=2, test=3), scene=scene, seed=0)
    return root


@pytest.fixture(scope="session")
def tiny_config(tiny_data) -> Callable[..., Path]:
    """``tiny_config(folder, more)`` writes ``folder/tiny.py``, with the lines ``more`` at its end."""

    def write(folder: Path, more: str = "") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "tiny.py"
        path.write_text(CONFIG.format(root=Path(__file__).parents[1], data=tiny_data) + more)
        return path

    return write


@pytest.fixture(scope="session")
def forked() -> multiprocessing.context.ForkServerContext:
    """Its processes are forked from one that has imported the libraries, which saves five seconds each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torchvision", "torch._dynamo", "cellmm.commands.train", "cellmm.commands.test", "cellmm.models"]
        + ["cellmm.datasets.transforms", "cellmm.evaluation", "cellmm.visualization", "cellmm.engine"]
    )
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return context


@pytest.fixture(scope="session")
def launch(forked) -> Callable[..., str]:
    """``launch(argv, folder, ranks)`` runs ``cellmm ARGV`` in new processes, one per rank, and returns their
    output.

    All must end with ``status``. ``folders`` gives each rank a current folder of its own, as if it had its
    own disk. ``path`` is put before ``sys.path``.
    """

    def run(
        argv: list[str],
        folder: Path,
        ranks: int = 1,
        status: int = 0,
        folders: Sequence[Path] | None = None,
        path: Sequence[str] = (),
    ) -> str:
        with contextlib.closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        log = str(folder / f"{argv[0]}_{ranks}_{port}.txt")
        processes = []
        for rank in range(ranks):
            environment = dict(OMP_NUM_THREADS="1")
            if ranks > 1:
                environment |= dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks))
                environment |= dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
            words = argv + (["--launcher", "pytorch"] if ranks > 1 else [])
            place = str(folders[rank] if folders else Path.cwd())
            code = PROCESS.format(
                environment=environment, folder=place, log=log, argv=words, path=[str(part) for part in path]
            )
            processes.append(forked.Process(target=exec, args=(code, {})))
            processes[-1].start()
        for process in processes:
            process.join(300)
        text = Path(log).read_text()
        assert [process.exitcode for process in processes] == [status] * ranks, text[-3000:]
        return text

    return run


@pytest.fixture
def tiles_of_training(monkeypatch):
    """Tiles have the size of the training images, also where a network could take larger ones."""
    monkeypatch.setattr("cellmm.engine.trained_on.TILE_BYTES", 0)
