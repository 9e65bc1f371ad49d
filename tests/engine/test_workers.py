"""Workers that load data never outlive the training that they load for."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellmm.engine import workers
from cellmm.engine.runner import CellRunner

# The child starts as a worker does, once its parent is gone or before that. It does not import cellmm, which
# would take seconds.
CHILD = """
import multiprocessing, os, runpy, sys, time
end_with_parent = runpy.run_path(sys.argv[3])["end_with_parent"]

def work(parent, folder, orphaned):
    while orphaned and os.getppid() == parent:
        time.sleep(0.01)
    end_with_parent(parent, lambda worker: open(folder + "/started", "w").close(), 0)
    time.sleep(60)

process = multiprocessing.get_context("fork").Process(
    target=work, args=(os.getpid(), sys.argv[1], sys.argv[2] == "orphaned")
)
process.start()
print(process.pid, flush=True)
time.sleep(60)
"""


def ends(pid: int, seconds: float = 30.0) -> bool:
    """Whether the process is gone, or a zombie that nobody waits for, within that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
@pytest.mark.parametrize("when", ["orphaned", "started"])
def test_a_worker_ends_with_its_training_at_any_moment(tmp_path, when):
    """Killed before the worker's first line, PyTorch's watchdog takes init for its parent and never ends."""
    arguments = [sys.executable, "-c", CHILD, str(tmp_path), when, workers.__file__]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as training:
        pid = int(training.stdout.readline())
        try:
            while when == "started" and not (tmp_path / "started").exists():
                time.sleep(0.01)
            training.kill()
            training.wait()
            assert ends(pid)
        finally:
            if not ends(pid, 0.1):
                os.kill(pid, signal.SIGKILL)
    assert (tmp_path / "started").exists() == (when == "started")


class DeathSignal:
    """A data set of one number: the signal that this process gets when its parent ends."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        signal_number = ctypes.c_int()
        ctypes.CDLL(None).prctl(2, ctypes.byref(signal_number))  # PR_GET_PDEATHSIG
        return signal_number.value


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
@pytest.mark.parametrize(("context", "expected"), [(None, signal.SIGKILL), ("spawn", 0)])
def test_the_loaders_of_a_runner_have_such_workers(context, expected):
    loader = CellRunner.build_dataloader(
        dict(
            batch_size=1,
            num_workers=1,
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset=DeathSignal(),
            collate_fn=dict(type="default_collate"),
            multiprocessing_context=context,
        ),
        seed=0,
    )
    assert [int(number) for number in loader] == [expected]
