"""Files that bioio reads, with a module in its place that has what is used of its BioImage."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import dask.array as da
import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.io.sources import ReadOptions, open_images
from cellmm.io.sources.microscope_files import READERS

VALUES = np.arange(2 * 2 * 3 * 1 * 40 * 56, dtype=np.uint16).reshape(2, 2, 3, 1, 40, 56)  # scenes first


class Unsupported(Exception):
    """bioio_base.exceptions.UnsupportedFileFormatError"""


class BioImage:
    """A file of two scenes, three time points, two channels and two levels."""

    scenes = ("Image:0", "Image:1")
    resolution_levels = (0, 1)
    dims = SimpleNamespace(order="TCZYX")
    channel_names = ["DAPI", "GFP"]
    sizes = (0.5, 0.25)
    error: Exception | None = None

    def __init__(self, path):
        if self.error is not None:
            raise self.error
        self.scene = self.level = 0

    def set_scene(self, number):
        self.scene = number

    def set_resolution_level(self, level):
        self.level = level

    @property
    def dask_data(self):
        step = 1 + self.level
        return da.from_array(VALUES[self.scene].swapaxes(0, 1)[..., ::step, ::step], chunks=(1, 1, 1, 20, 20))

    @property
    def physical_pixel_sizes(self):
        y, x = self.sizes
        return SimpleNamespace(Z=None, Y=y and y * (1 + self.level), X=x and x * (1 + self.level))


@pytest.fixture
def bioio(monkeypatch, tmp_path):
    """The class that bioio offers, and a file."""
    cls = type("BioImage", (BioImage,), {})
    modules = {name: ModuleType(name) for name in ("bioio", "bioio_base", "bioio_base.exceptions")}
    modules["bioio"].BioImage = cls
    modules["bioio_base.exceptions"].UnsupportedFileFormatError = Unsupported
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    path = tmp_path / "a.nd2"
    path.touch()
    return cls, path


def test_scenes_time_points_and_channels(bioio, opened):
    _, path = bioio
    images = opened(path)
    assert [source.name for source in images] == [f"a_p00{p}_t000{t}" for p in range(2) for t in range(3)]
    for source in images:
        expected = VALUES[source.position, :, source.time, 0].transpose(1, 2, 0)
        np.testing.assert_array_equal(source.read_all(), expected)
        assert source.channel_names == ("DAPI", "GFP") and source.pixel_size == (0.5, 0.25)
    (source,) = opened(path, position=1, time=2, channels=["GFP"], level=1)
    np.testing.assert_array_equal(source.read_all()[..., 0], VALUES[1, 1, 2, 0, ::2, ::2])
    assert source.pixel_size == (1, 0.5)
    with pytest.raises(CellMMError, match=r"a\.nd2 has 2 levels: level is 2, but it has to be 0 to 1"):
        open_images(path, ReadOptions(level=2))


def test_pixels_of_no_known_size(bioio):
    cls, path = bioio
    cls.sizes = (None, 0.25)
    assert open_images(path)[0].pixel_size is None


@pytest.mark.parametrize("suffix", READERS)
def test_the_command_that_installs_the_reader_is_in_the_message(bioio, monkeypatch, tmp_path, suffix):
    cls, _ = bioio
    path = tmp_path / f"a{suffix.upper()}"
    path.touch()
    install = rf'in the folder of cellmm, pip install -e "\.\[bioio\]" {READERS[suffix]}$'
    command = rf"a\{suffix.upper()}: .* files need a reader: {install}"
    cls.error = Unsupported("no reader")
    with pytest.raises(CellMMError, match=command):
        open_images(path)
    monkeypatch.setitem(sys.modules, "bioio", None)
    with pytest.raises(CellMMError, match=command):
        open_images(path)


def test_damaged_files(bioio, monkeypatch):
    cls, path = bioio
    cls.error = RuntimeError("bad\nheader")
    with pytest.raises(CellMMError, match=r"a\.nd2 cannot be read by bioio \(RuntimeError: bad header\)"):
        open_images(path)
    cls.error = Unsupported("not an nd2")
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "cellmm.io.sources.microscope_files.find_spec",
        lambda name: object() if name == "bioio_nd2" else found(name),
    )
    with pytest.raises(CellMMError, match=r"a\.nd2 cannot be read by bioio-nd2: copy it again"):
        open_images(path)
