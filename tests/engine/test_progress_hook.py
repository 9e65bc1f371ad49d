"""How far a validation or a test is, on a terminal and in a log."""

import io
import logging
import re
import sys
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.hooks import LoggerHook

from cellmm.commands.cli import main as cellmm
from cellmm.config.load import load_config
from cellmm.engine.runner import NEEDED_HOOKS, PROGRESS, _add_hooks, build_runner
from cellmm.registry import HOOKS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def runner():
    class Loader(list):
        batch_size = 1

    logger = logging.Logger("progress")
    lines: list[str] = []
    logger.addFilter(lambda record: lines.append(record.getMessage()) or True)
    loop = SimpleNamespace(dataloader=Loader(range(3)))
    return SimpleNamespace(val_loop=loop, test_loop=loop, logger=logger, hooks=[], lines=lines)


def go(hook, runner, kind: str) -> None:
    getattr(hook, f"before_{kind}_epoch")(runner)
    for i in range(3):
        getattr(hook, f"after_{kind}_iter")(runner, i)
        if i == 1:
            runner.logger.info("a line")
    getattr(hook, f"after_{kind}_epoch")(runner)


@pytest.mark.parametrize(("kind", "name"), [("val", "validation"), ("test", "test")])
def test_lines_in_a_log(kind, name, runner):
    go(HOOKS.build(dict(type="ProgressHook", interval=0)), runner, kind)
    first, second, _ = runner.lines
    assert re.fullmatch(rf"{name}: 1 of 3 images, time left: \d:\d\d:\d\d", first)
    assert second.startswith(f"{name}: 2 of 3 images")


def test_no_lines_where_it_is_quick_or_the_logger_hook_writes(runner):
    go(HOOKS.build(dict(type="ProgressHook")), runner, "val")
    runner.hooks = [LoggerHook(interval=1)]
    go(HOOKS.build(dict(type="ProgressHook", interval=0)), runner, "val")
    assert runner.lines == ["a line", "a line"]


def test_a_bar_on_a_terminal(runner, monkeypatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    go(HOOKS.build(dict(type="ProgressHook", interval=0)), runner, "val")
    text = terminal.getvalue()
    assert "validation:" in text and "0/3" in text
    assert text.rpartition("\r")[2] == "" and runner.lines == ["a line"]  # nothing is left of it
    assert len(runner.logger.filters) == 1


def test_training_and_test_have_it(tiny_config, tmp_path, capfd):
    more = "default_hooks = dict(progress=dict(type='ProgressHook', interval=0), logger=dict(interval=50))\n"
    path = tiny_config(tmp_path, more)
    work = tmp_path / "work"
    assert cellmm(["train", str(path), "--work-dir", str(work)]) == 0
    assert "validation: 1 of 2 images, time left: " in capfd.readouterr().out
    assert cellmm(["test", str(path), str(work / "iter_4.pth"), "--work-dir", str(work)]) == 0
    assert "test: 2 of 3 images, time left: " in capfd.readouterr().out


def test_none_switches_off_what_no_training_needs(log):
    cfg = Config(dict(default_hooks=dict(progress=None, learning_alarm=None, resume=None)))
    _add_hooks(cfg, dict(progress=PROGRESS))
    _add_hooks(cfg, NEEDED_HOOKS)
    assert cfg.default_hooks.progress is None and cfg.default_hooks.learning_alarm is None
    assert cfg.default_hooks.resume == dict(type="ResumeHook")
    assert log.text.count("default_hooks.resume: None, but every training needs it; it stays on") == 1


def test_a_training_without_progress_and_alarm(tiny_config, tmp_path):
    options = {"default_hooks.progress": None, "default_hooks.learning_alarm": None}
    cfg = load_config(tiny_config(tmp_path), options)
    cfg.work_dir = str(tmp_path / "work")
    hooks = {type(hook).__name__ for hook in build_runner(cfg).hooks}
    assert "ResumeHook" in hooks and not hooks & {"ProgressHook", "LearningAlarmHook"}
