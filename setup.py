"""Packaging of cellmm; the dependencies are those of requirements/*.txt.

The configs are installed as data of the package, so that an installation without a clone knows them by name.
tools/ is used from a clone.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def read_requirements(name: str) -> list[str]:
    """The requirement lines of requirements/<name>.txt, without comments and empty lines."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def read_version() -> str:
    """``__version__`` of the package, read without importing it."""
    text = (ROOT / "cellmm" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE).group(1)


class BuildWithConfigs(build_py):
    """Copies configs/ into the package; an editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_tree("configs", str(Path(self.build_lib, "cellmm", "configs")))


names = sorted(path.stem for path in (ROOT / "requirements").glob("*.txt"))
extras = {name: read_requirements(name) for name in names if name != "runtime"}
# The tests build the documentation and use every extra but napari, a Qt of 300 MB that needs a display:
# integrations/napari/check_plugin.py drives the widget, the tests check what lies below it.
for name in sorted(extras.keys() - {"tests", "optional", "napari"}):
    extras["tests"] += extras[name]
extras["all"] = [line for lines in extras.values() for line in lines]

setup(
    name="cellmm",
    version=read_version(),
    description="Instance segmentation of cells that overlap, cross and stretch",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["cellmm", "cellmm.*"]),
    package_data={
        "cellmm.comparison": ["page.html"],
        "cellmm.engine.training_report": ["page.html"],
        "cellmm.results.report": ["page.html", "page.css", "page.js"],
        "cellmm.zoo": ["models/*.yml", "models/*.safetensors"],
        "cellmm.napari": ["napari.yaml"],
    },
    cmdclass={"build_py": BuildWithConfigs},
    python_requires=">=3.11",
    install_requires=read_requirements("runtime"),
    extras_require=extras,
    entry_points={
        "console_scripts": ["cellmm = cellmm.commands.cli:main"],
        "napari.manifest": ["cellmm = cellmm.napari:napari.yaml"],
    },
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Scientific/Engineering :: Bio-Informatics",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
)
