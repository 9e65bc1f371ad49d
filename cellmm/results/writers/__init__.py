"""The formats of results: registered classes that write the cells of an image."""

from cellmm.results.writers.base import CollectingWriter, Writer, build_writers, options, tell_losses

__all__ = ["CollectingWriter", "Writer", "build_writers", "options", "tell_losses"]
