"""The commands on a page of the documentation, and how a test runs them in a minute."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from cellmm.commands.cli import main as cellmm
from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.own_data import Place

ROOT = Path(__file__).parents[2]
MINUTES = 0.1  # of a training, in place of those of the page
SHORT = [
    "--cfg-options",
    "train_dataloader.batch_size=1",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "default_hooks.checkpoint.interval=1",
]


def blocks(page: Path, *kinds: str) -> list[str]:
    """The texts of the fenced blocks of these kinds: ``blocks(page, "sh", "bash")``."""
    fence = re.compile(rf"^```(?:{'|'.join(kinds)})\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return fence.findall(page.read_text(encoding="utf-8"))


def commands(page: Path) -> list[list[str]]:
    """The words of every cellmm command in the shell blocks of a page, after the word cellmm."""
    lines = "\n".join(blocks(page, "sh", "bash", "console")).replace("\\\n", " ").splitlines()
    found = (shlex.split(line.rstrip("&| "), comments=True) for line in lines)
    return [words[1:] for words in found if words[:1] == ["cellmm"]]


def run_commands(page: Path, folder: Path) -> dict[str, int]:
    """Run the commands of a page in their order, in ``folder``; return the status of each.

    Every word is that of the page, but trainings take MINUTES and batches of one image.
    """
    status = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in commands(page):
            status[shlex.join(words)] = cellmm(shortened(words) if words[0] == "train" else words)
    return status


def shortened(words: list[str]) -> list[str]:
    """A training of a page, for a test; one that is resumed takes MINUTES more than it took before."""
    words = words.copy()
    if "--minutes" not in words:
        raise ValueError(f"cellmm {shlex.join(words)}: say --minutes, for the test to shorten it")
    minutes = MINUTES
    if "--resume" in words:
        work_dir = (
            words[words.index("--work-dir") + 1] if "--work-dir" in words else Place.of(words[1]).training
        )
        checkpoint = torch.load(best_checkpoint(work_dir), weights_only=True)
        minutes += checkpoint["time_budget"]["used"] / 60
    words[words.index("--minutes") + 1] = str(minutes)
    return [*words, *SHORT]
