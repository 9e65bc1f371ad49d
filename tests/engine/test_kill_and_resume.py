"""Training that is killed with SIGKILL and resumed ends with the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "benchmarks" / "kill_and_resume.py"


def run(*options):
    done = subprocess.run(
        [sys.executable, str(TOOL), *options],
        capture_output=True,
        text=True,
        timeout=900,
        cwd=TOOL.parents[2],
        env={**os.environ, "PYTHONPATH": str(TOOL.parents[2]), "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_ten_kills_without_and_with_workers():
    """For 0 and for 2 workers ten, two of them while a checkpoint is written, one leaves it cut off."""
    summary = run("--kills", "10", "--writing", "2", "--cut", "1", "--workers", "0", "2")
    assert summary == dict(killed=20, same=20, digests=1)


@pytest.mark.slow
def test_by_epoch():
    summary = run("--kills", "4", "--writing", "1", "--cut", "1", "--workers", "0", "--by-epoch")
    assert summary == dict(killed=4, same=4, digests=1)


@pytest.mark.slow
def test_two_ranks():
    assert run("--kills", "2", "--writing", "1", "--cut", "0", "--workers", "0", "--ranks", "2") == dict(
        killed=2, same=2, digests=1
    )
