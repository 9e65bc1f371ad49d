"""Arrays as sources."""

import dask.array as da
import numpy as np
import pytest
import zarr

from cellmm.errors import CellMMError
from cellmm.io.sources import ReadOptions, open_images

GRADIENT = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30)


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int32", "float32", "float64"])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr"])
def test_arrays(opened, dtype, count, kind):
    image = (GRADIENT[..., None] // 10 + np.arange(max(count, 1))).astype(dtype)
    array = image if count else image[..., 0]
    if kind == "dask":
        array = da.from_array(array, chunks=16)
    if kind == "zarr":
        array = zarr.create_array(store={}, data=array, chunks=(16,) * array.ndim)
    (source,) = opened(array)
    np.testing.assert_array_equal(source.read_all(), image)
    assert (source.name, source.path, source.pixel_size) == ("array", None, None)
    assert open_images(array, name="mine")[0].name == "mine"


def test_planes_before_rows_where_the_size_says_so(opened):
    stack = np.stack([GRADIENT, GRADIENT + 1])
    (source,) = opened(stack)
    np.testing.assert_array_equal(source.read_all(), stack.transpose(1, 2, 0))
    (source,) = opened(np.zeros((4, 5, 6)), channel_axis=0)
    assert source.shape == (5, 6) and source.num_channels == 4


def test_axes_that_a_zarr_array_names(opened):
    values = np.stack([GRADIENT, GRADIENT + 1, GRADIENT + 2])
    array = zarr.create_array(store={}, data=values, chunks=(1, 16, 16), dimension_names=("t", "y", "x"))
    assert [source.name for source in opened(array)] == ["array_t0000", "array_t0001", "array_t0002"]


def test_color_of_an_array(opened):
    rgb = np.repeat((GRADIENT % 255).astype(np.uint8)[..., None], 3, axis=2)
    (source,) = opened(rgb, color="grayscale")
    np.testing.assert_array_equal(source.read_all()[..., 0], rgb[..., 0])


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_a_part_computes_its_chunks_alone(kind):
    seen = []
    image = np.stack([GRADIENT] * 4)

    def block(values, block_info=None):
        seen.append(block_info[0]["chunk-location"])
        return values

    if kind == "dask":
        array = da.from_array(image, chunks=(1, 10, 10)).map_blocks(block, dtype=image.dtype, meta=image[:0])
    else:

        class Store(zarr.storage.MemoryStore):
            async def get(self, key, *args, **kwargs):
                seen.append(key)
                return await super().get(key, *args, **kwargs)

        array = zarr.create_array(store=Store(), data=image, chunks=(1, 10, 10))
        array = zarr.open_array(array.store, mode="r")
    seen.clear()
    (source,) = open_images(array, ReadOptions(channels=[2], channel_axis=0))
    part = source.read(12, 3, 18, 9)
    np.testing.assert_array_equal(part[..., 0], GRADIENT[12:18, 3:9])
    assert len(seen) == 1, seen


def test_channels_in_one_chunk_are_read_at_once(opened):
    seen = []

    class Store(zarr.storage.MemoryStore):
        async def get(self, key, *args, **kwargs):
            seen.append(key)
            return await super().get(key, *args, **kwargs)

    image = np.stack([GRADIENT + i for i in range(4)])
    array = zarr.create_array(store=Store(), data=image, chunks=(4, 10, 10))
    (source,) = open_images(zarr.open_array(array.store, mode="r"), ReadOptions(channels=[3, 0]))
    seen.clear()
    part = source.read(12, 3, 18, 9)
    np.testing.assert_array_equal(part, image[[3, 0], 12:18, 3:9].transpose(1, 2, 0))
    assert len(seen) == 1, seen
    opened(da.from_array(image, chunks=(2, 10, 10)), channels=[3, 0])


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((2, 3, 4, 5)), {}, r"array is an array of shape \(2, 3, 4, 5\): give \(H, W\)"),
        (np.zeros(5), {}, r"array of shape \(5,\)"),
        (np.zeros((4, 5)), dict(level=1), "an array has no levels"),
        (np.zeros((90, 50, 60)), {}, "say with channel_axis"),
        (
            np.zeros((4, 5)),
            dict(channels=["DAPI"]),
            "it does not state names for its . channels, give numbers",
        ),
        (7, {}, "an image is a int: give a path"),
        ([], {}, "an image is a list"),
    ],
)
def test_what_is_not_an_image_is_one_line(image, options, message):
    with pytest.raises(CellMMError, match=message):
        open_images(image, ReadOptions(**options))
