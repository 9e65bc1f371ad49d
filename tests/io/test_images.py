import cv2
import numpy as np
import pytest
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.images import read_image, read_mask
from cellmm.io.layered_tiff import read_label_layers
from cellmm.registry import TRANSFORMS

H, W = 20, 30
GRADIENT = np.arange(H * W, dtype=np.uint16).reshape(H, W)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
)
def test_tiff_types_keep_their_values(tmp_path, dtype):
    image = (GRADIENT % 100).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", image)
    got = read_image(tmp_path / "a.tif")
    assert got.dtype == np.float32 and got.shape == (H, W, 1)
    np.testing.assert_array_equal(got[..., 0], image.astype(np.float32))


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.jpg"])
def test_8_bit_files_are_rgb(tmp_path, name):
    image = np.full((H, W, 3), (200, 100, 50), np.uint8)
    cv2.imwrite(str(tmp_path / name), image[..., ::-1])
    assert np.abs(read_image(tmp_path / name) - image).max() <= 2


def test_16_bit_png(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), GRADIENT * 100)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[..., 0], GRADIENT * 100)


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize(
    "options", [{}, {"metadata": {"axes": "CYX"}}, {"imagej": True, "metadata": {"axes": "CYX"}}]
)
def test_channels_first_of_1_to_8(tmp_path, count, options):
    image = np.stack([GRADIENT + 1000 * i for i in range(count)])
    options = options | {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(image, 0, -1))


def test_rgb_planes_one_after_the_other(tmp_path):
    image = np.stack([GRADIENT, GRADIENT + 1, GRADIENT + 2])
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.moveaxis(image, 0, -1))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])
def test_channels_last(tmp_path, count):
    image = np.stack([GRADIENT + 1000 * i for i in range(count)], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)


def test_pages_written_one_after_the_other(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(GRADIENT)
        writer.write(GRADIENT + 7)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.stack([GRADIENT, GRADIENT + 7], axis=-1))


def test_lzw_of_one_and_of_two_pages(tmp_path):
    pages = [GRADIENT, GRADIENT + 7]
    for count in (1, 2):
        cv2.imwritemulti(str(tmp_path / "a.tif"), pages[:count])  # OpenCV writes LZW
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.stack(pages[:count], axis=-1))
    rgb = np.full((H, W, 3), (200, 100, 50), np.uint8)
    cv2.imwrite(str(tmp_path / "rgb.tif"), rgb[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.tif"), rgb)


def test_channel_axis_where_the_shape_is_not_clear(tmp_path):
    image = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", metadata=None)
    with pytest.raises(CellMMError, match=r"a\.tif has shape \(4, 5, 6\).*channel_axis"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", channel_axis=1), np.moveaxis(image, 1, -1))
    with pytest.raises(CellMMError, match="channel_axis is 3"):
        read_image(tmp_path / "a.tif", channel_axis=3)


def test_choice_of_channels_and_too_many(tmp_path):
    image = np.stack([GRADIENT + i for i in range(9)])
    tifffile.imwrite(tmp_path / "a.tif", image, metadata={"axes": "CYX"})
    with pytest.raises(CellMMError, match=r"a\.tif has 9 channels.*channels="):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif", channels=[8, 0]), np.moveaxis(image[[8, 0]], 0, -1)
    )
    with pytest.raises(CellMMError, match=r"asked for \[9\]"):
        read_image(tmp_path / "a.tif", channels=[9])


def test_color(tmp_path):
    rgba = np.full((H, W, 4), (200, 100, 50, 255), np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), rgba[..., [2, 1, 0, 3]])
    assert read_image(path).shape == (H, W, 3)
    gray = read_image(path, color="grayscale")
    assert gray.shape == (H, W, 1)
    np.testing.assert_allclose(gray, 0.299 * 200 + 0.587 * 100 + 0.114 * 50, rtol=1e-6)
    cv2.imwrite(str(path), GRADIENT)
    np.testing.assert_array_equal(read_image(path, color="rgb"), np.repeat(GRADIENT[..., None], 3, axis=2))
    with pytest.raises(CellMMError, match="'gray'"):
        read_image(path, color="gray")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_grey_stored_as_rgb_is_one_channel_where_one_is_wanted(tmp_path, name):
    path = tmp_path / name
    grey = (GRADIENT % 251).astype(np.uint8)
    cv2.imwrite(str(path), np.repeat(grey[..., None], 3, axis=2))
    for options in (dict(grey=True), dict(color="grayscale")):
        np.testing.assert_array_equal(read_image(path, **options), grey[..., None])
    load = TRANSFORMS.build(dict(type="LoadImage", num_channels=1))
    np.testing.assert_array_equal(load(dict(img_path=str(path)))["img"], grey[..., None])
    assert read_image(path).shape == (H, W, 3), "a model of three channels gets three"
    two = TRANSFORMS.build(dict(type="LoadImage", num_channels=2))
    assert two(dict(img_path=[str(path)] * 2))["img"].shape == (H, W, 2)
    cv2.imwrite(str(path), np.dstack([grey, grey, grey + 1]))
    with pytest.raises(CellMMError, match=rf"{name} has 3 channels, num_channels is 1: choose with"):
        load(dict(img_path=str(path)))


@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize("axes", ["ZYX", "CYX", None])
def test_planes_are_never_mixed_as_a_colour(tmp_path, count, axes):
    """A z-stack of 3 planes is not red, green and blue; nor is the fourth of four an alpha channel."""
    image = np.stack([GRADIENT + 1000 * i for i in range(count)])
    metadata = {} if axes is None else dict(metadata=dict(axes=axes))
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", **metadata)
    for color in ("grayscale", "rgb"):
        for how in (dict(z="channels"), dict(channel_axis=0)):
            with pytest.raises(CellMMError, match=rf"a\.tif has {count} planes or channels, .*channels="):
                read_image(tmp_path / "a.tif", color=color, **how)
    np.testing.assert_array_equal(
        read_image(tmp_path / "a.tif", z="channels", channels=[1])[..., 0], image[1]
    )


def test_alpha_that_says_something_is_kept(tmp_path):
    rgba = np.full((H, W, 4), 255, np.uint8)
    rgba[0, 0, 3] = 0
    cv2.imwrite(str(tmp_path / "a.png"), rgba)
    assert read_image(tmp_path / "a.png").shape == (H, W, 4)


def test_several_files_are_channels(tmp_path):
    paths = [str(tmp_path / f"a_{plane}.tif") for plane in ("low", "high")]
    for i, path in enumerate(paths):
        tifffile.imwrite(path, GRADIENT + i)
    np.testing.assert_array_equal(read_image(paths), np.stack([GRADIENT, GRADIENT + 1], axis=-1))
    np.testing.assert_array_equal(read_image(paths[1]), GRADIENT[..., None] + 1)
    tifffile.imwrite(paths[1], GRADIENT[1:])
    with pytest.raises(CellMMError, match=r"a_high\.tif is \(19, 30\).*a_low\.tif.*\(20, 30\)"):
        read_image(paths)
    with pytest.raises(CellMMError, match="9 channels"):
        read_image(paths[:1] * 9)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("keep", [0, 10, 0.5, -5])
def test_cut_off_file_is_named(tmp_path, suffix, keep):
    path = tmp_path / f"cut{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (100, 100), np.uint8)
    cv2.imwrite(str(path), noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else keep])
    with pytest.raises(CellMMError, match=rf"cut\{suffix}.*again"):
        read_image(path)


def test_tiff_that_lost_its_last_page_is_named(tmp_path):
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, np.stack([GRADIENT] * 3), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[2].offset
    path.write_bytes(path.read_bytes()[:start])
    with pytest.raises(CellMMError, match=r"cut\.tif is damaged"):
        read_image(path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((H, W), np.nan, np.float32), "600 of 600 values are NaN"),
        (np.where(GRADIENT == 3, np.inf, 1.0), "1 of 600 values are NaN or infinite"),
        (np.full((H, W), 2**25, np.uint32), "2\\^24"),
        (np.full((H, W), 1e300), "do not fit float32"),
        (np.ones((H, W), np.complex64), "type complex64"),
        (np.ones((2, 5, H, W), np.uint8), "4 axes"),
    ],
)
def test_unusable_values_are_named(tmp_path, image, message):
    tifffile.imwrite(tmp_path / "bad.tif", image)
    with pytest.raises(CellMMError, match=rf"bad\.tif.*{message}"):
        read_image(tmp_path / "bad.tif")


def test_absent_and_not_an_image(tmp_path):
    with pytest.raises(CellMMError, match=r"no\.tif is absent"):
        read_image(tmp_path / "no.tif")
    for name in ("text.png", "text.tif"):
        (tmp_path / name).write_text("no image at all")
        with pytest.raises(CellMMError, match=f"{name}.*cannot be read"):
            read_image(tmp_path / name)


def test_label_image_is_renumbered_in_order(tmp_path):
    label = np.zeros((H, W), np.uint16)
    label[:2], label[5:9], label[10:11] = 40000, 7, 500
    for name in ("a.png", "a.tif"):
        tifffile.imwrite(tmp_path / name, label) if name == "a.tif" else cv2.imwrite(
            str(tmp_path / name), label
        )
        layers = read_label_layers(tmp_path / name)
        assert layers.layers.shape == (1, H, W) and layers.layers.dtype == np.int32
        assert list(layers.areas()) == [4 * W, W, 2 * W]  # ids 7, 500, 40000


def test_label_layers_keep_overlap(tmp_path):
    pages = np.zeros((2, H, W), np.int32)
    pages[0, :10], pages[1, 5:15], pages[1, 18:] = 1, 2, 9
    tifffile.imwrite(tmp_path / "a.tif", pages)
    layers = read_label_layers(tmp_path / "a.tif")
    assert len(layers) == 3
    assert list(layers.areas()) == [10 * W, 10 * W, 2 * W]
    pages[1, 0, 0] = 1
    pages[0, 0, 0] = 0
    tifffile.imwrite(tmp_path / "a.tif", pages)
    with pytest.raises(CellMMError, match=r"a\.tif: label 1 .*is on 2 layers"):
        read_label_layers(tmp_path / "a.tif")


def test_label_image_saved_as_float(tmp_path):
    label = np.zeros((H, W), np.float32)
    label[4:6] = 3.0
    tifffile.imwrite(tmp_path / "a.tif", label)
    assert read_label_layers(tmp_path / "a.tif").areas().tolist() == [2 * W]


def test_label_image_without_cells(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((H, W), np.uint8))
    layers = read_label_layers(tmp_path / "a.tif")
    assert len(layers) == 0 and layers.shape == (H, W)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.full((H, W), 0.5, np.float32), "fractions"),
        (np.full((H, W), -1, np.int16), "label -1 is negative"),
        (np.zeros((H, W, 3), np.uint8), "colour image"),
        (np.zeros((H, W), np.complex64), "not complex64"),
    ],
)
def test_what_is_no_label_image_is_named(tmp_path, label, message):
    tifffile.imwrite(tmp_path / "bad.tif", label)
    with pytest.raises(CellMMError, match=rf"bad\.tif.*{message}"):
        read_label_layers(tmp_path / "bad.tif")


def test_mask_of_one_cell(tmp_path):
    mask = np.zeros((H, W), np.uint8)
    mask[3:5] = 255
    cv2.imwrite(str(tmp_path / "a.png"), mask)
    assert read_mask(tmp_path / "a.png").sum() == 2 * W
    cv2.imwrite(str(tmp_path / "a.png"), np.repeat(mask[..., None], 3, axis=2))
    assert read_mask(tmp_path / "a.png").sum() == 2 * W
    mask[0, 0] = 7
    cv2.imwrite(str(tmp_path / "a.png"), mask)
    with pytest.raises(CellMMError, match=r"a\.png holds 3 values"):
        read_mask(tmp_path / "a.png")
