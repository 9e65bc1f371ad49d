"""Files of every layout: each is read to the right pixels, axes and pixel size, or refused in one line."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from cellmm.io.file_layout import upright
from cellmm.io.image_file import ImageFile, describe, read_pixels
from tests.io.written_files import (
    IMAGEJ,
    Write,
    exif,
    hand,
    jpeg,
    lsm,
    pages,
    per_metre,
    png,
    pyramid,
    tif,
)

H, W = 40, 56
RNG = np.random.default_rng(0)
GREY = np.sort(RNG.integers(0, 60_000, H * W, dtype=np.uint16)).reshape(H, W)
BYTE = (GREY // 240).astype(np.uint8)
RGB = np.dstack([BYTE, 255 - BYTE, BYTE // 2])
BITS = BYTE % 3 == 0
STEPS = np.arange(2 * 3 * 4, dtype=np.uint16)
FILM = STEPS.reshape(2, 3, 4, 1, 1) * 100 + GREY % 97  # five axes, such as TZCYX
STACK = FILM[0, 0]
LAST = np.moveaxis(STACK, 0, -1)
OPAQUE = np.dstack([RGB, np.full_like(BYTE, 255)])
RGBA = np.dstack([RGB, BYTE])
MICRON = 0.325
REGION = 3, 5, 29, 50


@dataclass(frozen=True)
class File:
    """What writes a file, and what is in it."""

    name: str
    write: Write
    pixels: np.ndarray
    axes: str
    pixel_size: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    atol: float = 0


def plain(image: np.ndarray, **options) -> File:
    """A TIFF of one grey page."""
    return File("a.tif", tif(image, **options), image, "YX")


def ome(image: np.ndarray, axes: str, read: np.ndarray, read_axes: str, **metadata) -> File:
    write = tif(image, ome=True, photometric="minisblack", metadata={"axes": axes, **metadata})
    names = tuple(metadata.get("Channel", {}).get("Name", ()))
    size = metadata.pop("um", None)
    return File("a.ome.tif", write, read, read_axes, size, names)


def imagej(image: np.ndarray, axes: str, **options) -> File:
    options = {"photometric": "minisblack", "metadata": {"axes": axes}, **options}
    return File("a.tif", tif(image, imagej=True, **options), image, axes)


def turned(orientation: int) -> list[tuple]:
    return [(274, "H", 1, orientation, True)]


PALETTE = np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 7)]).astype(np.uint8)
COLORS = PALETTE.T[BYTE]
TABLE = PALETTE.astype(np.uint16) * 257
RAMP = np.arange(768, dtype=np.uint16).reshape(3, 256) * 80
INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")

GOOD = {
    **{name: plain((GREY % 101).astype(name)) for name in (*INTEGERS, "float16", "float32", "float64")},
    **{
        f"big-endian {name}": File(
            "a.tif", tif((GREY % 101).astype(f">{name}"), byteorder=">"), GREY % 101, "YX"
        )
        for name in ("u2", "i4", "f4", "f8")
    },
    "BigTIFF": plain(GREY, bigtiff=True),
    "big-endian BigTIFF, tiles, LZW": File(
        "a.btf",
        tif(GREY.astype(">u2"), byteorder=">", bigtiff=True, tile=(16, 16), compression="lzw"),
        GREY,
        "YX",
    ),
    **{
        f"{name}, {layout}": plain(GREY, compression=name, **options)
        for name in ("lzw", "zlib", "zstd", "packbits", "lzma", "jpeg2000")
        for layout, options in (("strips", {"rowsperstrip": 7}), ("tiles", {"tile": (16, 32)}))
    },
    "LZW with a predictor": plain(GREY, compression="lzw", predictor=2),
    "Deflate with a float predictor": plain((GREY / 7).astype(np.float32), compression="zlib", predictor=3),
    "JPEG, grey": File("a.tif", tif(BYTE, compression="jpeg", tile=(16, 16)), BYTE, "YX", atol=12),
    "JPEG, RGB as YCbCr": File(
        "a.tif", tif(RGB, compression="jpeg", photometric="rgb", tile=(32, 32)), RGB, "YXS", atol=90
    ),
    "JPEG 2000, RGB": File("a.tif", tif(RGB, compression="jpeg2000", photometric="rgb"), RGB, "YXS"),
    "WebP": File(
        "a.tif",
        tif(RGB, compression="webp", compressionargs={"lossless": True}, photometric="rgb"),
        RGB,
        "YXS",
    ),
    "tiles without compression": plain(GREY, tile=(16, 16)),
    "strips that are not in one piece": File("a.tif", pages(GREY, rowsperstrip=9), GREY, "YX"),
    "RGB": File("a.tif", tif(RGB, photometric="rgb"), RGB, "YXS"),
    **{
        f"separate planes of {what}": File(
            "a.tif",
            tif(image, photometric=photometric, planarconfig="separate", metadata=None, **options),
            image,
            axes,
        )
        for what, image, photometric, axes, options in (
            ("RGB", RGB.transpose(2, 0, 1), "rgb", "SYX", {}),
            ("16 bit RGB, LZW", STACK[:3], "rgb", "SYX", {"compression": "lzw"}),
            ("2 channels, LZW", STACK[:2], "minisblack", "CYX", {"compression": "lzw"}),
            ("4 channels, tiles", STACK, "minisblack", "CYX", {"compression": "zlib", "tile": (16, 16)}),
        )
    },
    **{
        f"{count} samples of a pixel that are no colour": File(
            "a.tif",
            hand(LAST[..., :count], compression=5, rows=6),
            LAST[..., :count],
            "YXC",
        )
        for count in (2, 3, 4)
    },
    "RGBA": File("a.tif", tif(RGBA, photometric="rgb", extrasamples=["unassalpha"]), RGBA, "YXS"),
    "opaque associated alpha": File(
        "a.tif", tif(OPAQUE, photometric="rgb", extrasamples=["assocalpha"]), OPAQUE, "YXS"
    ),
    "white is zero, 8 bit": File("a.tif", hand(BYTE, photometric=0), 255 - BYTE, "YX"),
    "white is zero, 16 bit LZW": File(
        "a.tif", hand(GREY, photometric=0, compression=5, rows=5), 65535 - GREY, "YX"
    ),
    "white is zero, 1 bit": File("a.tif", hand(BITS, photometric=0, bits=1), ~BITS, "YX"),
    "black is zero, 1 bit, PackBits": File("a.tif", hand(BITS, bits=1, compression=32773), BITS, "YX"),
    "bool of tifffile": plain(BITS),
    "bool of tifffile, without a description": File("a.tif", tif(BITS, metadata=None), BITS, "YX"),
    "OME bool": File("a.ome.tif", tif(BITS, ome=True), BITS, "YX"),
    "4 bit": File("a.tif", hand(BYTE % 16, bits=4, rows=3), BYTE % 16, "YX"),
    "no photometric tag": File("a.tif", hand(BYTE, photometric=None), BYTE, "YX"),
    "palette of colours": File("a.tif", tif(BYTE, photometric="palette", colormap=TABLE), COLORS, "YXS"),
    "palette for the screen": File("a.tif", tif(BYTE, photometric="palette", colormap=RAMP), BYTE, "YX"),
    "palette of ImageJ": File(
        "a.tif", tif(BYTE, photometric="palette", colormap=TABLE, description=IMAGEJ % (1, b"")), BYTE, "YX"
    ),
    **{
        f"TIFF with orientation {number}": File(
            "a.tif", tif(GREY, extratags=turned(number)), upright(GREY, "YX", number), "YX"
        )
        for number in range(1, 9)
    },
    "orientation of tiles": File(
        "a.tif", tif(GREY, extratags=turned(6), tile=(16, 16), compression="zlib"), np.rot90(GREY, -1), "YX"
    ),
    "pages without a statement": File("a.tif", pages(*STACK), STACK, "IYX"),
    "pages of LZW": File("a.tif", pages(*STACK, compression="lzw"), STACK, "IYX"),
    "axes of tifffile": File(
        "a.tif", tif(FILM, metadata={"axes": "TZCYX"}, photometric="minisblack"), FILM, "TZCYX"
    ),
    "reduced images beside": File(
        "a.tif",
        pyramid(GREY, ome=False),
        GREY,
        "YX",
    ),
    # ImageJ
    "ImageJ hyperstack": imagej(FILM, "TZCYX"),
    "ImageJ hyperstack, big-endian, one directory": imagej(FILM, "TZCYX", byteorder=">"),
    "ImageJ hyperstack, Deflate": imagej(FILM, "TZCYX", compression="zlib"),
    "ImageJ channels": imagej(STACK, "CYX"),
    "ImageJ RGB film": imagej(np.stack([RGB] * 3), "TYXS", photometric="rgb"),
    "ImageJ plain stack": File("a.tif", hand(*STACK, description=IMAGEJ % (4, b"slices=4\n")), STACK, "IYX"),
    **{
        f"ImageJ, {count} channels, each before its directory": File(
            "a.tif",
            hand(*STACK[:count], description=IMAGEJ % (count, b"channels=%d\nhyperstack=true\n" % count)),
            STACK[:count],
            "CYX",
        )
        for count in (2, 3)
    },
    "ImageJ frames without a hyperstack": File(
        "a.tif", hand(*STACK, description=IMAGEJ % (4, b"frames=4\n")), STACK, "TYX"
    ),
    "ImageJ with micrometres": File(
        "a.tif",
        tif(GREY, imagej=True, resolution=(1 / MICRON, 2 / MICRON), metadata={"unit": "um"}),
        GREY,
        "YX",
        (MICRON / 2, MICRON),
    ),
    "ImageJ with escaped micro sign": File(
        "a.tif",
        tif(GREY, imagej=True, resolution=(2.0, 2.0), metadata={"unit": "\\u00B5m"}),
        GREY,
        "YX",
        (0.5, 0.5),
    ),
    "ImageJ with nanometres": File(
        "a.tif",
        tif(GREY, imagej=True, resolution=(0.01, 0.01), metadata={"unit": "nm"}),
        GREY,
        "YX",
        (0.1, 0.1),
    ),
    "ImageJ with pixels": File(
        "a.tif", tif(GREY, imagej=True, resolution=(2.0, 2.0), metadata={"unit": "pixel"}), GREY, "YX"
    ),
    "ImageJ with labels": File(
        "a.tif",
        tif(STACK[:2], imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI", "GFP"]}),
        STACK[:2],
        "CYX",
        None,
        ("DAPI", "GFP"),
    ),
    # resolution tags
    "pixels per centimetre": File(
        "a.tif", tif(GREY, resolution=(20_000, 40_000), resolutionunit="CENTIMETER"), GREY, "YX", (0.25, 0.5)
    ),
    "72 dots per inch": plain(GREY, resolution=(72, 72), resolutionunit="INCH"),
    "118 dots per centimetre": plain(GREY, resolution=(118, 118), resolutionunit="CENTIMETER"),
    # OME
    **{
        f"OME {axes}": ome(FILM.transpose(["TZCYX".index(axis) for axis in axes]), axes, None, axes)
        for axes in ("TZCYX", "TCZYX", "ZTCYX", "ZCTYX", "CTZYX", "CZTYX")
    },
    "OME names, pixel size": ome(
        STACK[:2],
        "CYX",
        STACK[:2],
        "CYX",
        um=(0.2, 0.1),
        PhysicalSizeX=0.1,
        PhysicalSizeY=0.2,
        Channel={"Name": ["DAPI", "GFP"]},
    ),
    "OME nanometres": ome(
        GREY,
        "YX",
        GREY,
        "YX",
        um=(0.2, 0.1),
        PhysicalSizeX=100.0,
        PhysicalSizeXUnit="nm",
        PhysicalSizeY=200.0,
        PhysicalSizeYUnit="nm",
    ),
    "OME pixels as a unit": ome(
        GREY,
        "YX",
        GREY,
        "YX",
        PhysicalSizeX=1.0,
        PhysicalSizeXUnit="pixel",
        PhysicalSizeY=1.0,
        PhysicalSizeYUnit="pixel",
    ),
    "OME pyramid, finest level": File(
        "a.ome.tif", pyramid(GREY, ome=True, tile=(16, 16)), GREY, "YX", (0.25, 0.5)
    ),
    "OME RGB": File("a.ome.tif", tif(RGB, ome=True, photometric="rgb", metadata={"axes": "YXS"}), RGB, "YXS"),
    "LSM": File("a.lsm", lsm(RGB, (0.2, 0.1)), RGB.transpose(2, 0, 1), "CYX", (0.2, 0.1)),
    "Aperio": File(
        "a.svs",
        tif(
            RGB,
            photometric="rgb",
            tile=(16, 16),
            metadata=None,
            description="Aperio Image Library v12\r\n56x40 (16x16)|AppMag = 20|MPP = 0.4990|Left = 3",
        ),
        RGB,
        "YXS",
        (0.499, 0.499),
    ),
    # PNG
    "PNG, 8 bit": File("a.png", png(BYTE, 0), BYTE, "YX"),
    "PNG, 16 bit": File("a.png", png(GREY, 0), GREY, "YX"),
    "PNG, RGB": File("a.png", png(RGB, 2), RGB, "YXS"),
    "PNG, 16 bit RGB": File("a.png", png(LAST[..., :3], 2), LAST[..., :3], "YXS"),
    "PNG, grey and alpha": File("a.png", png(RGB[..., :2], 4), RGB[..., :2], "YXS"),
    "PNG, 16 bit grey and alpha": File("a.png", png(LAST[..., :2], 4), LAST[..., :2], "YXS"),
    "PNG, RGBA": File("a.png", png(RGBA, 6), RGBA, "YXS"),
    "PNG, palette": File("a.png", png(BYTE, 3, (b"PLTE", PALETTE.T.tobytes())), COLORS, "YXS"),
    "PNG, palette with opacity": File(
        "a.png",
        png(BYTE, 3, (b"PLTE", PALETTE.T.tobytes()), (b"tRNS", bytes(range(256)))),
        np.dstack([COLORS, BYTE]),
        "YXS",
    ),
    "PNG, RGB with a transparent colour": File("a.png", png(RGB, 2, (b"tRNS", bytes(6))), None, "YXS"),
    "PNG, grey with a transparent value": File("a.png", png(BYTE, 0, (b"tRNS", bytes(2))), BYTE, "YX"),
    "PNG, 1 bit": File("a.png", png(np.packbits(BITS, axis=1), 0, bits=1), BITS * np.uint8(255), "YX"),
    "PNG, pixels per metre": File(
        "a.png",
        png(BYTE, 0, per_metre(2_000_000, 4_000_000)),
        BYTE,
        "YX",
        (0.25, 0.5),
    ),
    "PNG, 300 dots per inch": File("a.png", png(BYTE, 0, per_metre(11811, 11811)), BYTE, "YX"),
    **{
        f"PNG with orientation {number}": File(
            "a.png", png(BYTE, 0, (b"eXIf", exif(number, ">"))), upright(BYTE, "YX", number), "YX"
        )
        for number in (1, 3, 6)
    },
    "PNG named TIFF": File("a.tif", png(BYTE, 0), BYTE, "YX"),
    "TIFF named PNG": File("a.png", tif(STACK, metadata=None, photometric="minisblack"), STACK, "IYX"),
    # JPEG and BMP
    "JPEG file, grey": File("a.jpg", jpeg(BYTE), BYTE, "YX", atol=12),
    "JPEG file, RGB": File("a.jpg", jpeg(RGB), RGB, "YXS", atol=90),
    **{
        f"JPEG with orientation {number}": File(
            "a.jpg",
            jpeg(BYTE, (0xE1, b"Exif\0\0" + exif(number))),
            upright(BYTE, "YX", number),
            "YX",
            atol=12,
        )
        for number in range(1, 9)
    },
    "BMP, grey": File("a.bmp", lambda path: cv2.imwrite(str(path), BYTE), BYTE, "YX"),
    "BMP, RGB": File("a.bmp", lambda path: cv2.imwrite(str(path), RGB[..., ::-1]), RGB, "YXS"),
}


@pytest.mark.parametrize("row", GOOD)
def test_a_file_is_read_as_it_means(row, tmp_path):
    file = GOOD[row]
    path = tmp_path / file.name
    file.write(path)
    pixels, axes = read_pixels(path)
    layout = describe(path)
    assert axes == layout.axes == file.axes
    assert pixels.shape == layout.shape and pixels.dtype == layout.dtype and pixels.dtype.isnative
    assert layout.channel_names == file.channel_names and layout.positions == (layout.positions[0],)
    assert layout.pixel_size == (file.pixel_size and pytest.approx(file.pixel_size))
    expected = pixels if file.pixels is None else file.pixels
    if file.atol:
        assert pixels.shape == expected.shape
        assert np.abs(pixels.astype(float) - expected).mean() < file.atol / 6
        assert np.abs(pixels.astype(float) - expected).max() <= file.atol
    else:
        np.testing.assert_array_equal(pixels, expected)
    top, left, bottom, right = REGION
    part = tuple({"Y": slice(top, bottom), "X": slice(left, right)}.get(axis, slice(None)) for axis in axes)
    with ImageFile(path) as opened:
        np.testing.assert_array_equal(opened.read((top, left, bottom, right)), pixels[part])
        for axis in set(axes) - set("YX"):
            plane = opened.read((top, left, bottom, right), **{axis: 1})
            np.testing.assert_array_equal(plane, np.take(pixels[part], 1, axis=axes.index(axis)))
