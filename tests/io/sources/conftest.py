import numpy as np
import pytest
import tifffile

from cellmm.io.sources import ReadOptions, open_images


@pytest.fixture
def tczyx():
    """uint16 (T, C, Z, Y, X), each pixel another."""
    shape = (3, 2, 4, 40, 56)
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


@pytest.fixture
def ome_tiff(tmp_path, tczyx):
    """That as an OME-TIFF with names of channels and a pixel size of 0.5 x 0.25 micrometres."""
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        tczyx,
        photometric="minisblack",
        metadata=dict(
            axes="TCZYX",
            Channel=dict(Name=["DAPI", "GFP"]),
            PhysicalSizeY=0.5,
            PhysicalSizeX=0.25,
            PhysicalSizeYUnit="µm",
            PhysicalSizeXUnit="µm",
        ),
    )
    return tmp_path / "a.ome.tif"


@pytest.fixture
def opened():
    """``opened(image, **fields of ReadOptions)``: its images, each read in parts as it is as a whole."""

    def opened(image, **options):
        images = open_images(image, ReadOptions(**options))
        for source in images:
            whole, (height, width) = source.read_all(), source.shape
            assert whole.shape == (height, width, source.num_channels) and whole.dtype == source.dtype
            assert source.dtype.isnative
            parts = [[0, 0, height, width], [height // 3, width // 2, height, width - 1], [0, 1, 1, 2]]
            for top, left, bottom, right in parts:
                part = source.read(top, left, bottom, right)
                np.testing.assert_array_equal(part, whole[top:bottom, left:right])
                assert part.dtype == source.dtype
            with pytest.raises(ValueError, match="rows 0 to"):
                source.read(0, 0, height + 1, width)
        return images

    return opened
