"""Sphinx settings: `make docs`, after `pip install -e ".[docs]"`; a warning is an error."""

import re
import shutil
from pathlib import Path

import cellmm

project = "cellmm"
version = release = cellmm.__version__
extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# Markdown pages; links to files outside of docs/ are right in the repository and are left alone here.
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]

# The reference: a page for every module, written anew into docs/api at each build.
shutil.rmtree(Path(__file__).parent / "api", ignore_errors=True)  # pages of modules that are gone
apidoc_modules = [
    dict(path="../cellmm", destination="api", separate_modules=True, module_first=True, include_private=False)
]
autodoc_mock_imports = ["napari", "qtpy"]  # cellmm.napari.widget needs a display
autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}
napoleon_use_ivar = True  # attributes are described once
autodoc_typehints = "signature"
autodoc_member_order = "bysource"

html_theme = "pydata_sphinx_theme"
html_title = "cellmm"
html_theme_options = dict(show_toc_level=2, navigation_with_keys=False, header_links_before_dropdown=6)
html_show_sourcelink = False


MARKUP = re.compile(r"(?<!\\)(?:\||(?<!^)\*|(?<=\w)_(?!\w))")


def escape_mathematics(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings are plain text: |x|, 2 * x and name_ mean what they say, outside of ``literals``."""
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
        lines[i] = "".join(parts)


def link_to_reference(app, docname: str, source: list[str]) -> None:
    """In the pages, links to modules and packages of cellmm lead to their page of the reference."""

    def page(link: re.Match) -> str:
        return f"](/api/{link[1].removesuffix('.py').replace('/', '.')}.rst)"

    source[0] = re.sub(r"\]\((?:\.\./)+(cellmm(?:/\w+)+(?:\.py)?)\)", page, source[0])


def setup(app) -> None:
    app.connect("source-read", link_to_reference)
    app.connect("autodoc-process-docstring", escape_mathematics, priority=400)  # before napoleon
