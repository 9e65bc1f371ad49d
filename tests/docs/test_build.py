"""The documentation builds without a warning."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_documentation_builds_without_a_warning(tmp_path):
    """As `make docs`, which also writes the pages: links, references and docstrings."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy"]
    done = subprocess.run(
        [*command, "-d", tmp_path / "doctrees", "docs", tmp_path / "out"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
