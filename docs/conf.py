"""Sphinx settings: `sphinx-build docs docs/_build` after `pip install -e ".[docs]"`."""

project = "cellmm"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]  # links to files outside docs, right in the repository
