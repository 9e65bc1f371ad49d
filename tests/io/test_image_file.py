"""Levels, positions, sets of files and names; ids of label images as stored."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.image_file import ImageFile, describe, read_pixels
from cellmm.io.images import read_image, read_mask
from cellmm.io.layered_tiff import read_label_layers
from tests.io.written_files import hand, pages, png, positions, pyramid, tif

H, W = 40, 56
GREY = np.arange(H * W, dtype=np.uint16).reshape(H, W)
XML = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
    'UUID="urn:uuid:{me}">{images}</OME>'
)
IMAGE = (
    '<Image ID="Image:{i}" Name="field {i}"><Pixels ID="Pixels:{i}" DimensionOrder="XYCZT" Type="uint16" '
    'SizeX="{w}" SizeY="{h}" SizeC="{c}" SizeZ="1" SizeT="1">{planes}</Pixels></Image>'
)
PLANE = (
    '<TiffData FirstC="{c}" FirstT="0" FirstZ="0" IFD="0" PlaneCount="1">'
    '<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
)


def write_set(folder, images: list[list[str]]) -> None:
    """Files of one plane each, image i with a channel in each of its files."""
    names = [name for image in images for name in image]
    text = "".join(
        IMAGE.format(
            i=i,
            w=W,
            h=H,
            c=len(image),
            planes="".join(f'<Channel ID="Channel:{i}:{c}" Name="{name}"/>' for c, name in enumerate(image))
            + "".join(PLANE.format(c=c, name=name) for c, name in enumerate(image)),
        )
        for i, image in enumerate(images)
    )
    for value, name in enumerate(names):
        description = XML.format(me=name, images=text)
        tifffile.imwrite(folder / name, GREY + value, description=description, metadata=None)


@pytest.mark.parametrize("ome", [True, False])
@pytest.mark.parametrize("options", [{"tile": (16, 16), "compression": "zlib"}, {}])
def test_levels_of_a_pyramid(tmp_path, ome, options):
    path = tmp_path / "a.tif"
    pyramid(GREY, ome=ome, **options)(path)
    for level, step in enumerate((1, 2, 4)):
        layout = describe(path, level=level)
        assert layout.levels == ((40, 56), (20, 28), (10, 14))
        assert layout.pixel_size == ((0.25 * step, 0.5 * step) if ome else None)
        pixels, axes = read_pixels(path, level=level)
        np.testing.assert_array_equal(pixels, GREY[::step, ::step])
        with ImageFile(path, level=level) as file:
            np.testing.assert_array_equal(file.read((1, 2, 9, 10)), pixels[1:9, 2:10])
    with pytest.raises(CellMMError, match=r"level is 3, but .*a\.tif has 3"):
        read_pixels(path, level=3)


def test_a_png_has_one_level_and_position(tmp_path):
    path = tmp_path / "a.png"
    png(GREY, 0)(path)
    for options in ({"level": 1}, {"position": 1}):
        with pytest.raises(CellMMError, match=r"a\.png is a PNG, which has one level and one position"):
            read_pixels(path, **options)


def test_positions(tmp_path):
    path = tmp_path / "a.ome.tif"
    positions(GREY, GREY + 1, GREY + 2)(path)
    assert describe(path).positions == ("field 0", "field 1", "field 2")
    for number in range(3):
        pixels, axes = read_pixels(path, position=number)
        assert axes == "YX" and pixels[0, 0] == number
        assert describe(path, position=number).pixel_size == (1, number + 1)
        np.testing.assert_array_equal(read_image(path, position=number)[..., 0], GREY + number)
    with pytest.raises(CellMMError, match=r"has 3 positions: choose one with --position N"):
        read_pixels(path)
    with pytest.raises(CellMMError, match=r"position is 3, but .* has 3"):
        read_pixels(path, position=3)


def test_images_of_other_sizes_are_positions(tmp_path):
    pages(GREY, GREY[:20])(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", position=1)[0], GREY[:20])


@pytest.mark.parametrize("first", [0, 1])
def test_a_set_of_files_is_one_image_of_all_channels(tmp_path, first):
    names = ["s_C0.ome.tif", "s_C1.ome.tif"]
    write_set(tmp_path, [names])
    layout = describe(tmp_path / names[first])
    assert layout.axes == "CYX" and layout.channel_names == tuple(names)
    assert [path.name for path in layout.files] == [names[1 - first]]
    pixels, _ = read_pixels(tmp_path / names[first])
    np.testing.assert_array_equal(pixels, np.stack([GREY, GREY + 1]))
    with ImageFile(tmp_path / names[first]) as file:
        np.testing.assert_array_equal(file.read((2, 3, 9, 20), C=1), GREY[2:9, 3:20] + 1)
    (tmp_path / names[1 - first]).unlink()
    with pytest.raises(CellMMError, match=rf"{names[first]} lacks 1 of 2 planes.*: {names[1 - first]} is"):
        read_pixels(tmp_path / names[first])


def test_each_file_of_a_set_of_positions_is_its_own(tmp_path):
    names = [f"s_Pos{i}.ome.tif" for i in range(3)]
    write_set(tmp_path, [[name] for name in names])
    for gone in (False, True):
        for value, name in enumerate(names[1:], start=1):
            assert describe(tmp_path / name).positions == (f"field {value}",)
            np.testing.assert_array_equal(read_pixels(tmp_path / name)[0], GREY + value)
        if not gone:
            (tmp_path / names[0]).unlink()


def test_a_renamed_file_of_a_set_is_named(tmp_path):
    write_set(tmp_path, [["s_C0.ome.tif", "s_C1.ome.tif"]])
    (tmp_path / "s_C1.ome.tif").rename(tmp_path / "b.ome.tif")
    with pytest.raises(CellMMError, match=r"s_C1\.ome\.tif is absent; copy all files of the set"):
        read_pixels(tmp_path / "s_C0.ome.tif")
    np.testing.assert_array_equal(read_pixels(tmp_path / "b.ome.tif")[0], np.stack([GREY, GREY + 1]))


def test_planes_of_a_film(tmp_path):
    film = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4, 1, 1) + GREY
    path = tmp_path / "a.tif"
    for options in ({}, {"compression": "lzw"}):
        tifffile.imwrite(path, film, imagej=True, metadata={"axes": "TZCYX"}, **options)
        with ImageFile(path) as file:
            np.testing.assert_array_equal(file.read(T=1, Z=2), film[1, 2])
            np.testing.assert_array_equal(file.read((4, 5, 20, 30), C=3), film[:, :, 3, 4:20, 5:30])
            np.testing.assert_array_equal(file.read(T=0, Z=1, C=2), film[0, 1, 2])
            with pytest.raises(CellMMError, match="has 2 entries on axis T, counted from 0; asked for 2"):
                file.read(T=2)
        np.testing.assert_array_equal(read_image(path, time=1, z=0), np.moveaxis(film[1, 0], 0, -1))
        np.testing.assert_array_equal(read_image(path, time=0, z="max"), np.moveaxis(film[0].max(0), 0, -1))


def test_positions_on_an_axis_of_the_file(tmp_path):
    """As Micro-Manager states them."""
    stack = np.stack([GREY, GREY + 1, GREY + 2])
    path = tmp_path / "a.tif"
    tif(stack, photometric="minisblack", metadata={"axes": "RYX"})(path)
    assert len(describe(path).positions) == 3 and describe(path).axes == "YX"
    np.testing.assert_array_equal(read_pixels(path, position=2)[0], GREY + 2)
    with pytest.raises(CellMMError, match=r"has 3 positions: choose one with --position N"):
        read_pixels(path)


def test_a_file_is_read_from_several_threads(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, tile=(16, 16), compression="zlib")
    tops = [top for top in range(0, 32) for _ in range(4)]
    with ImageFile(path) as file, ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda top: file.read((top, 3, top + 8, 50)), tops))
    for top, part in zip(tops, parts, strict=True):
        np.testing.assert_array_equal(part, GREY[top : top + 8, 3:50])


def test_strips_that_share_their_bytes(tmp_path):
    """Some writers store equal tiles once."""
    image = np.repeat(np.arange(W, dtype=np.uint8)[None], H, axis=0)
    path = tmp_path / "a.tif"
    hand(image, compression=5, rows=8)(path)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        starts = tiff.pages[0].tags["StripOffsets"]
        starts.overwrite([starts.value[0]] * len(starts.value))
    with ImageFile(path) as file:
        for top in (0, 16, 3, 27):
            np.testing.assert_array_equal(file.read((top, 1, top + 12, 9)), image[top : top + 12, 1:9])


def test_a_set_is_read_from_several_threads(tmp_path):
    names = [f"s_C{i}.ome.tif" for i in range(3)]
    write_set(tmp_path, [names])
    with ImageFile(tmp_path / names[0]) as file, ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: file.read((2, 3, 30, 40), C=i % 3), range(60)))
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(part, GREY[2:30, 3:40] + i % 3)


def test_opaque_alpha_is_dropped_where_the_file_states_alpha(tmp_path):
    rgb = np.dstack([GREY % 250, GREY % 7, GREY % 31]).astype(np.uint8)
    rgba = np.dstack([rgb, np.full((H, W), 255, np.uint8)])
    path = tmp_path / "a.tif"
    tif(rgba, photometric="rgb", extrasamples=["unassalpha"])(path)
    np.testing.assert_array_equal(read_image(path), rgb)
    tif(rgba, photometric="rgb", extrasamples=["unspecified"])(path)
    np.testing.assert_array_equal(read_image(path), rgba)
    path = tmp_path / "a.png"
    png(np.dstack([rgb[..., 0], rgba[..., 3]]), 4)(path)
    np.testing.assert_array_equal(read_image(path), rgb[..., :1])


@pytest.mark.parametrize("how", ["white is zero", "palette"])
def test_ids_are_the_numbers_as_stored(tmp_path, how):
    label = np.zeros((H, W), np.uint8)
    label[2:5, 2:5], label[7:10, 8:14] = 1, 2
    path = tmp_path / "a.tif"
    if how == "palette":
        colors = np.random.default_rng(0).integers(0, 65_535, (3, 256), np.uint16)
        tif(label, photometric="palette", colormap=colors)(path)
    else:
        hand(label, photometric=0, compression=5)(path)
    assert read_label_layers(path).areas().tolist() == [9, 18]
    assert read_pixels(path, stored=True)[0].max() == 2
    assert read_pixels(path)[0].max() > 2


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_ids_are_the_numbers_of_a_palette_in_a_png(tmp_path, bits):
    label = (np.arange(8 * 16).reshape(8, 16) // 5 % 2**bits).astype(np.uint8)
    places = np.unpackbits(label[..., None], axis=2)[..., -bits:].reshape(8, -1)
    colors = np.random.default_rng(0).integers(0, 255, (2**bits, 3), np.uint8).tobytes()
    path = tmp_path / "a.png"
    png(np.packbits(places, axis=1), 3, (b"PLTE", colors), (b"tRNS", b"\0"), bits=bits)(path)
    pixels, axes = read_pixels(path, stored=True)
    assert axes == "YX"
    np.testing.assert_array_equal(pixels, label)
    assert read_pixels(path)[0].shape == (8, 16, 4)
    np.testing.assert_array_equal(read_label_layers(path).areas(), np.bincount(label.ravel())[1:])


def test_a_mask_of_a_palette_is_what_its_colours_show(tmp_path):
    mask = np.zeros((H, W), np.uint8)
    mask[5:9, 5:20] = 1
    for colors, expected in ((b"\0\0\0\xff\xff\xff", mask > 0), (b"\xff\xff\xff\0\0\0", mask == 0)):
        png(mask, 3, (b"PLTE", colors))(tmp_path / "a.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), expected)


def test_describe_reads_no_pixels(tmp_path, monkeypatch):
    for name, write in {"a.tif": tif(GREY, compression="zlib"), "a.png": png(GREY, 0)}.items():
        write(tmp_path / name)
    for what in ("tifffile.TiffPage.asarray", "tifffile.FileHandle.read_segments", "cv2.imdecode"):
        monkeypatch.setattr(what, None)
    for name in ("a.tif", "a.png"):
        assert describe(tmp_path / name).shape == (H, W)
