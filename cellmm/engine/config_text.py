"""A config's text, formatted once."""

import functools

import mmengine.config.config as mmengine_config
from yapf.yapflib.yapf_api import FormatCode


@functools.lru_cache(maxsize=8)
def _format(text: str, style: tuple) -> tuple[str, bool]:
    return FormatCode(text, style_config=dict(style))


def _format_code(text: str, style_config: dict) -> tuple[str, bool]:
    return _format(text, tuple(sorted(style_config.items())))


def use_remembered_texts() -> None:
    """Let mmengine format a config once: it takes a second, and mmengine does it for every checkpoint."""
    mmengine_config.FormatCode = _format_code
