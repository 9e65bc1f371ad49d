"""A training small enough for a test, in this process or on several ranks."""

import contextlib
import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from cellmm.engine.preflight import alignment
from cellmm.engine.preflight import cell_counts as cells

PROCESS = """
import os, sys, torch
os.environ.update({environment})
os.chdir({folder!r})
torch.set_num_threads(1)
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(log, 1)
os.dup2(log, 2)
from cellmm.commands.cli import main
status = main({argv})
if status == 0 and torch.distributed.is_initialized():
    sys.exit("the process group was not left")
sys.exit(status)
"""


@pytest.fixture(scope="session")
def launch() -> Callable[..., str]:
    """``launch(argv, folder, ranks)`` runs ``cellmm ARGV`` in new processes, one per rank; their output.

    All have to end with ``status``. The current folder of a rank is that of ``folders``, where given: as if
    each had a disk of its own.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["torchvision", "torch._dynamo", "cellmm.commands.train", "cellmm.commands.test", "cellmm.models"]
        + ["cellmm.datasets.transforms", "cellmm.evaluation", "cellmm.visualization", "cellmm.engine"]
    )

    def run(
        argv: list[str],
        folder: Path,
        ranks: int = 1,
        status: int = 0,
        folders: Sequence[Path] | None = None,
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
            code = PROCESS.format(environment=environment, folder=place, log=log, argv=words)
            processes.append(context.Process(target=exec, args=(code, {})))
            processes[-1].start()
        for process in processes:
            process.join(300)
        text = Path(log).read_text()
        assert [process.exitcode for process in processes] == [status] * ranks, text[-3000:]
        return text

    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    return run


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is printed by ``print_log(..., logger="current")`` outside of a training: ``log.text``."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    """The lines that the checks of cells and labels log."""
    lines: list[str] = []
    for module in (cells, alignment):
        monkeypatch.setattr(module, "print_log", lambda text, **kwargs: lines.append(text))
    return lines
