"""A log without one line for each option of each parameter."""

import logging


def drop_parameter_options(logger: logging.Logger) -> None:
    """Leave out mmengine's hundreds of ``paramwise_options`` lines."""
    logger.addFilter(_is_about_something_else)


def _is_about_something_else(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("paramwise_options")
