"""What the engine logs."""

from collections.abc import Iterator

import pytest
from mmengine.logging import MMLogger

from cellmm.engine import ranks


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
    monkeypatch.setattr(ranks, "print_log", lambda text, **kwargs: lines.append(text))
    return lines
