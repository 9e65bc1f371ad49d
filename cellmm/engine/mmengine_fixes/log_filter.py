"""A log without what a user can do nothing about."""

import logging

NOISE = (
    "paramwise_options",  # a line for each option of each parameter, hundreds
    '"FileClient" will be deprecated',  # mmengine warns of calls of its own
    '"HardDiskBackend" is the alias',
)


def drop_noise(logger: logging.Logger) -> None:
    """Leave out lines that begin as those of ``NOISE``."""
    logger.addFilter(_is_about_something_else)


def _is_about_something_else(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(NOISE)
