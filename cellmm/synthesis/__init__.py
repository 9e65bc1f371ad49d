"""Annotated images made from a few: cells pasted together in phase contrast, which a generator translates.

Source: sparseseunet 4.4.
"""

from cellmm.synthesis.fields import Field, FieldOptions, paste_field
from cellmm.synthesis.generator import Generator, load_generator
from cellmm.synthesis.set_folder import Counts, SetFolder
from cellmm.synthesis.sources import Sources, open_sources

__all__ = [
    "Counts",
    "Field",
    "FieldOptions",
    "Generator",
    "SetFolder",
    "Sources",
    "load_generator",
    "open_sources",
    "paste_field",
]
