"""The contract of formats of results, tested: cellmm/results/writers/base.py."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cellmm.registry import WRITERS
from cellmm.results import Instances
from cellmm.results.writers import CollectingWriter, Writer
from cellmm.structures import MaskRuns
from cellmm.testing import generated
from cellmm.testing.rules import build, must_work, require

NAME = "plate 1 µm.tif"


@dataclass
class ArraySource:
    """An image in memory, (H, W, C), as an ``ImageSource``."""

    image: np.ndarray
    pixel_size: tuple[float, float] | None = None
    name: str = NAME
    path: Path | None = None
    channel_names: tuple[str, ...] = ()
    position: int | None = None
    time: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape[:2]

    @property
    def num_channels(self) -> int:
        return self.image.shape[2]

    @property
    def dtype(self) -> np.dtype:
        return self.image.dtype

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        return self.image[top:bottom, left:right]

    def read_all(self) -> np.ndarray:
        return self.image


def check_writer(config: dict) -> None:
    """Test that a format of results follows ``Writer``, also without cells and without the image.

    Raises:
        CellMMError: one line that names the writer and the rule.
    """
    name, writer = build(WRITERS, config)
    require(isinstance(writer, Writer), name, "it must have option, folder, suffix and write")
    require(writer.suffix.startswith("."), name, f"suffix {writer.suffix!r} must start with a dot")
    image = generated.results()["img"]
    source = ArraySource((image * 1000).astype(np.uint16))
    cells = _cells()
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for what, instances, given in (
            ("cells", cells, source),
            ("cells without their image", cells, None),
            ("no cells", cells.select([]), source),
        ):
            found = []
            for i in range(2):
                path = Path(folder) / f"{what} {i}" / f"image{writer.suffix}"
                with must_work(name, f"writing {what}"):
                    losses = writer.write(path, instances, given)
                require(isinstance(losses, Counter), name, "write must return a Counter of losses")
                require(all(number >= 0 for number in losses.values()), name, "losses must be 0 or more")
                left = sorted(file.name for file in path.parent.iterdir())
                require(left == [path.name], name, f"write must leave its file alone, not {left}")
                found.append(_content(path))
            require(found[0] == found[1], name, f"{what} must give the same bytes every time")
            parts.append(path)
        if isinstance(writer, CollectingWriter):
            found = []
            for i in range(2):
                path = Path(folder) / f"run {i}" / writer.collection
                with must_work(name, "collecting"):
                    writer.collect(path, iter(parts))
                found.append(_content(path))
            require(found[0] == found[1], name, "a run must give the same bytes every time")


def _cells() -> Instances:
    """Cells of two classes that overlap, one with a hole and parts, one of a pixel and one without."""
    layers = generated.results()["gt_layers"]
    shape = layers.shape
    odd = np.array([[1, 1, 1, 0, 1], [1, 0, 1, 0, 0], [1, 1, 1, 0, 1]], bool)
    crops = [np.ones((9, 9), bool), odd, np.ones((1, 1), bool), np.zeros((2, 2), bool)]
    more = MaskRuns.from_crops(crops, [(5, 5), (40, 9), (shape[0] - 1, shape[1] - 1), (0, 0)], shape)
    masks = MaskRuns.concatenate([MaskRuns.from_rles(layers.to_rles(), shape), more])
    return Instances(
        masks,
        scores=np.linspace(0.9, 0.4, len(masks), dtype=np.float32),
        labels=np.arange(len(masks), dtype=np.int64) % 2,
        classes=("cell", "other/größe"),
        category_ids=(7, 3),
        pixel_size=(0.5, 0.25),
        name=NAME,
    )


def _content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
