"""TIFF, PNG, JPEG and BMP as sources: parts are as the whole, and cost no more than they need."""

import pickle

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.sources import ReadOptions, open_image, open_images

LAYOUTS = dict(
    one_piece=dict(),
    strips=dict(rowsperstrip=16),
    packed_strips=dict(rowsperstrip=16, compression="zlib"),
    one_packed_strip=dict(rowsperstrip=1000, compression="zlib"),
    tiles=dict(tile=(32, 32)),
    packed_tiles=dict(tile=(32, 32), compression="lzw"),
    big_endian=dict(byteorder=">"),
    big_tiff=dict(bigtiff=True, tile=(32, 32)),
    predictor=dict(compression="zlib", predictor=True, tile=(16, 48)),
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axes", ["YX", "CYX", "YXS", "CYX_planes"])
def test_parts_are_as_the_whole_in_every_layout(tmp_path, opened, layout, axes):
    channels = 1 if axes == "YX" else 3
    image = np.random.default_rng(0).integers(0, 60_000, (130, 101, channels), dtype=np.uint16)
    stored = image[..., 0] if axes == "YX" else image if axes == "YXS" else image.transpose(2, 0, 1)
    options = dict(photometric="rgb" if axes in ("YXS", "CYX_planes") else "minisblack")
    if axes == "CYX_planes":
        options["planarconfig"] = "separate"
    tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(stored), **options, **LAYOUTS[layout])
    (source,) = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(source.read_all(), image)


@pytest.mark.parametrize("layout", ["tiles", "packed_tiles", "packed_strips"])
def test_a_part_decodes_its_tiles_or_strips_alone(tmp_path, monkeypatch, layout):
    image = np.random.default_rng(0).integers(0, 60_000, (4, 256, 256), dtype=np.uint16)
    options = LAYOUTS[layout]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", metadata={"axes": "CYX"}, **options)
    source = open_image(tmp_path / "a.tif", ReadOptions(channels=[2]))
    read, read_segments = [], tifffile.FileHandle.read_segments

    def counted(self, offsets, *args, **kwargs):
        read.extend(np.atleast_1d(offsets).tolist())
        return read_segments(self, offsets, *args, **kwargs)

    monkeypatch.setattr(tifffile.FileHandle, "read_segments", counted)
    part = source.read(40, 70, 60, 90)
    np.testing.assert_array_equal(part[..., 0], image[2, 40:60, 70:90])
    assert len(read) == (1 if layout != "packed_strips" else 2), "of 64 tiles or 16 strips of each channel"


@pytest.mark.parametrize("layout", ["packed_tiles", "packed_strips", "one_packed_strip"])
def test_parts_beside_each_other_decode_each_tile_or_strip_once(tmp_path, monkeypatch, layout):
    image = np.random.default_rng(0).integers(0, 60_000, (96, 96), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image, **LAYOUTS[layout])
    source, decoded = open_image(tmp_path / "a.tif"), []
    decode = tifffile.TiffPage.decode

    def counted(page):
        def function(data, index, **options):
            decoded.append(index)
            return decode.func(page)(data, index, **options)

        return function

    monkeypatch.setattr(tifffile.TiffPage, "decode", property(counted))
    for top in range(0, 90, 10):
        for left in range(0, 90, 10):
            part = source.read(top, left, min(top + 20, 96), min(left + 20, 96))
            np.testing.assert_array_equal(part[..., 0], image[top : top + 20, left : left + 20])
    assert sorted(decoded) == list(range(dict(packed_tiles=9, packed_strips=6, one_packed_strip=1)[layout]))
    monkeypatch.setattr("cellmm.io.tiff_pages.CACHED", 100)
    few = open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(few.read(0, 0, 90, 90), few.read_all()[:90, :90])


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_parts_of_an_image_that_is_turned(tmp_path, opened, orientation):
    image = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30)
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=[tag], compression="zlib", rowsperstrip=8)
    (source,) = opened(tmp_path / "a.tif")
    turned = {2: image[:, ::-1], 3: image[::-1, ::-1], 6: np.rot90(image, -1), 8: np.rot90(image)}
    np.testing.assert_array_equal(source.read_all()[..., 0], turned[orientation])


def test_empty_tiles_are_told_once(tmp_path, said):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        tiles = iter([b"\1" * 256, b"", b"\1" * 256, b"\1" * 256])
        file.write(tiles, shape=(32, 32), dtype=np.uint8, tile=(16, 16), compression=1)
    source = open_image(tmp_path / "a.tif")
    for top in (0, 8, 16):
        source.read(top, 0, top + 8, 32)
    assert len(said) == 1 and "1 of 4 strips or tiles are empty" in said[0]


def test_a_part_of_an_uncompressed_file_is_mapped(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 60_000, (64, 48), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image)
    source = open_image(tmp_path / "a.tif")
    monkeypatch.setattr(tifffile.TiffPage, "asarray", None)
    np.testing.assert_array_equal(source.read(3, 5, 9, 20)[..., 0], image[3:9, 5:20])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_pictures_are_decoded_once(tmp_path, opened, monkeypatch, suffix):
    image = np.full((40, 56, 3), (200, 100, 50), np.uint8)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), image[..., ::-1])
    decode, calls = cv2.imdecode, []
    monkeypatch.setattr(cv2, "imdecode", lambda *args: calls.append(1) or decode(*args))
    (source,) = opened(tmp_path / f"a{suffix}")
    assert len(calls) == 1 and source.num_channels == 3 and source.name == "a"
    assert np.abs(source.read_all().astype(int) - image).max() <= 2


def test_film_with_channels_and_planes(ome_tiff, tczyx, opened):
    images = opened(ome_tiff, z="max")
    assert [source.name for source in images] == ["a_t0000", "a_t0001", "a_t0002"]
    assert [source.time for source in images] == [0, 1, 2] and images[0].position is None
    for source, frame in zip(images, tczyx, strict=True):
        np.testing.assert_array_equal(source.read_all(), frame.max(axis=1).transpose(1, 2, 0))
        assert source.channel_names == ("DAPI", "GFP") and source.path == ome_tiff
        assert source.pixel_size == (0.5, 0.25)
    (source,) = opened(ome_tiff, z=3, time=2, channels=["GFP"])
    assert source.name == "a_t0002" and source.channel_names == ("GFP",)
    np.testing.assert_array_equal(source.read_all()[..., 0], tczyx[2, 1, 3])
    (source,) = opened(ome_tiff, z=0, time=0, channels=["GFP", 0], pixel_size=0.3)
    np.testing.assert_array_equal(source.read_all(), tczyx[0, ::-1, 0].transpose(1, 2, 0))
    assert source.pixel_size == (0.3, 0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(), "has 4 focal planes: choose --z max or --z 0 to 3; .*z='channels'"),
        (dict(z=4), "has 4 focal planes: z is 4, but it has to be 0 to 3"),
        (dict(z="mean"), "z is 'mean': a number from 0, 'max' or 'channels'"),
        (dict(z="channels"), "has 4 focal planes and several channels"),
        (dict(z=0, time=-1), "has 3 time points: time is -1, but it has to be 0 to 2"),
        (dict(z=0, position=1), "position is 1, but .* has 1"),
        (dict(z=0, level=1), "level is 1"),
        (dict(z=0, channels=["RFP"]), "has no channel 'RFP': its channels are DAPI, GFP"),
        (dict(z=0, channels=[2]), r"has 2 channels, 0 to 1; asked for \[2\]"),
        (dict(z=0, channels=[]), "channels is empty"),
        (dict(z=0, channel_axis=0), "channel_axis is 0, but .* its channels in another"),
        (dict(z=0, color="rgb"), "has 2 channels: color='rgb' takes"),
    ],
)
def test_choices_that_do_not_fit_are_one_line(ome_tiff, options, message):
    with pytest.raises(CellMMError, match=message) as caught:
        open_images(ome_tiff, ReadOptions(**options))
    assert "a.ome.tif" in str(caught.value) or "z is" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_only_image_is_asked_for(ome_tiff):
    with pytest.raises(
        CellMMError, match=r"3 images, 1 positions and 3 time points: choose with --time N \("
    ):
        open_image(ome_tiff, ReadOptions(z=0))
    assert open_image(ome_tiff, ReadOptions(z=0, time=1)).name == "a_t0001"


def test_positions(tmp_path, opened):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for value, side in ((1, 40), (2, 50)):
            image = np.full((3, side, 30), value, np.uint16)
            file.write(image, photometric="minisblack", metadata={"axes": "TYX"})
    images = opened(tmp_path / "a.ome.tif")
    assert [source.name for source in images] == [f"a_p00{p}_t000{t}" for p in range(2) for t in range(3)]
    assert [source.position for source in images] == [0, 0, 0, 1, 1, 1]
    assert [source.shape[0] for source in images] == [40] * 3 + [50] * 3
    (source,) = opened(tmp_path / "a.ome.tif", position=1, time=2)
    assert source.name == "a_p001_t0002" and source.read_all().mean() == 2


def test_a_file_of_many_positions_is_opened_once(tmp_path, opened, monkeypatch):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for value in range(5):
            file.write(np.full((40, 30), value, np.uint16), photometric="minisblack", metadata={"axes": "YX"})
    calls, init = [], tifffile.TiffFile.__init__
    monkeypatch.setattr(
        tifffile.TiffFile, "__init__", lambda *args, **kw: calls.append(1) or init(*args, **kw)
    )
    images = opened(tmp_path / "a.ome.tif")
    assert [int(source.read_all().max()) for source in images] == list(range(5)) and len(calls) == 1
    copies = pickle.loads(pickle.dumps(images))
    assert [int(source.read_all().max()) for source in copies] == list(range(5)) and len(calls) == 2
    (last,) = images[4:]
    del images
    assert last.read_all().max() == 4


def test_levels_of_a_pyramid(tmp_path, opened):
    image = np.random.default_rng(0).integers(0, 255, (256, 192), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        options = dict(tile=(64, 64), photometric="minisblack")
        sizes = dict(PhysicalSizeX=0.5, PhysicalSizeY=0.5, PhysicalSizeXUnit="µm", PhysicalSizeYUnit="µm")
        file.write(image, subifds=1, metadata=dict(axes="YX", **sizes), **options)
        file.write(image[::2, ::2], subfiletype=1, **options)
    (fine,), (coarse,) = opened(tmp_path / "a.ome.tif"), opened(tmp_path / "a.ome.tif", level=1)
    assert fine.shape == (256, 192) and fine.pixel_size == (0.5, 0.5)
    np.testing.assert_array_equal(coarse.read_all()[..., 0], image[::2, ::2])
    assert coarse.pixel_size == (1, 1)


def test_planes_of_one_channel_become_channels(tmp_path, opened):
    image = np.arange(2 * 40 * 30, dtype=np.uint16).reshape(2, 40, 30)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack", metadata={"axes": "ZYX"})
    tifffile.imwrite(tmp_path / "b.tif", image, photometric="minisblack", metadata=None)
    for name, options in (("a.tif", dict(z="channels")), ("b.tif", {}), ("b.tif", dict(z="channels"))):
        (source,) = opened(tmp_path / name, **options)
        np.testing.assert_array_equal(source.read_all(), image.transpose(1, 2, 0))
    (source,) = opened(tmp_path / "b.tif", z=1)
    np.testing.assert_array_equal(source.read_all()[..., 0], image[1])
    assert [source.time for source in opened(tmp_path / "b.tif", time=1)] == [1]
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((20, 40, 30), np.uint8), metadata=None)
    with pytest.raises(CellMMError, match=r"c\.tif has shape \(20, 40, 30\): say with channel_axis"):
        open_images(tmp_path / "c.tif")


def test_planes_that_are_stored_as_a_colour_with_alpha_are_planes(tmp_path, opened):
    """tifffile writes four planes like that where it is not told the photometric interpretation."""
    image = np.arange(4 * 40 * 30, dtype=np.uint16).reshape(4, 40, 30)
    options = dict(photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"])
    tifffile.imwrite(tmp_path / "a.tif", image, metadata={"axes": "ZYX"}, **options)
    (source,) = opened(tmp_path / "a.tif", z="max")
    np.testing.assert_array_equal(source.read_all()[..., 0], image.max(axis=0))


def test_a_name_for_all_samples_of_a_colour_is_not_a_channel(tmp_path, opened):
    """OME has one Channel of three samples."""
    image = np.random.default_rng(0).integers(0, 255, (2, 40, 30, 3), dtype=np.uint8)
    metadata = {"axes": "ZYXS", "Channel": {"Name": "TL Brightfield"}}
    tifffile.imwrite(tmp_path / "a.ome.tif", image, photometric="rgb", metadata=metadata)
    (source,) = opened(tmp_path / "a.ome.tif", z=1)
    np.testing.assert_array_equal(source.read_all(), image[1])
    assert source.channel_names == ()
    with pytest.raises(CellMMError, match="has no channel 'GFP': it does not state names for its 3 channels"):
        open_images(tmp_path / "a.ome.tif", ReadOptions(z=1, channels=["GFP"]))


def test_labels_of_pages_that_are_channels(tmp_path, opened):
    stack = np.arange(3 * 40 * 30, dtype=np.uint16).reshape(3, 40, 30)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX", "Labels": list("abc")})
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data.replace(b"hyperstack=true", b"comment=nothing"))
    (source,) = opened(tmp_path / "a.tif")
    np.testing.assert_array_equal(source.read_all(), stack.transpose(1, 2, 0))


def test_color(tmp_path, opened):
    """Luma is the same in a part as in the whole, and exact where the samples are equal."""
    image = np.random.default_rng(0).integers(0, 60_000, (40, 31, 3), dtype=np.uint16)
    image[10:30, 5:20] = image[10:30, 5:20, :1]
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    (source,) = opened(tmp_path / "a.tif", color="grayscale")
    got = source.read_all()[..., 0]
    np.testing.assert_allclose(got, image @ [0.299, 0.587, 0.114], rtol=1e-6)
    np.testing.assert_array_equal(got[10:30, 5:20], image[10:30, 5:20, 0])
    tifffile.imwrite(tmp_path / "b.tif", image[..., 0])
    (source,) = opened(tmp_path / "b.tif", color="rgb")
    np.testing.assert_array_equal(source.read_all(), np.repeat(image[..., :1], 3, axis=2))


def test_a_copy_in_another_process_opens_the_file_anew(ome_tiff, tczyx):
    source = open_image(ome_tiff, ReadOptions(z=1, time=2))
    source.read_all()
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy.read(2, 3, 5, 7), tczyx[2, :, 1, 2:5, 3:7].transpose(1, 2, 0))


def test_several_files_are_channels(tmp_path, ome_tiff, tczyx, opened):
    paths = [tmp_path / f"{name}.tif" for name in "xy"]
    for number, path in enumerate(paths):
        tifffile.imwrite(path, tczyx[number, 0, 0])
    (source,) = opened(paths)
    np.testing.assert_array_equal(source.read_all(), tczyx[:2, 0, 0].transpose(1, 2, 0))
    assert source.name == "x" and source.num_channels == 2 and source.pixel_size is None
    films = opened([ome_tiff, ome_tiff], z=0)
    assert [film.num_channels for film in films] == [4] * 3 and films[1].name == "a_t0001"
    assert films[0].pixel_size == (0.5, 0.25) and films[0].channel_names == ("DAPI", "GFP") * 2
    with pytest.raises(CellMMError, match=r"x\.tif holds 1 images, but .*a\.ome\.tif of the same image 3"):
        open_images([ome_tiff, paths[0]], ReadOptions(z=0))
    tifffile.imwrite(paths[1], tczyx[0, 0, 0, 1:])
    with pytest.raises(CellMMError, match=r"y\.tif is \(39, 56\) pixels, but .*x\.tif"):
        open_images(paths)
    with pytest.raises(CellMMError, match="make 9 channels, more than 8"):
        open_images(paths[:1] * 9)


def test_pixel_sizes_are_above_0():
    for size in (0, -1.0, (1, float("nan")), (1, 2, 3)):
        with pytest.raises(CellMMError, match="^pixel_size is .*: give micrometres above 0"):
            ReadOptions(pixel_size=size)
