"""Files that cannot be read right, or not without a choice: one line that says why, and the cure."""

import re

import imagecodecs
import numpy as np
import pytest
import tifffile

from cellmm.errors import CellMMError
from cellmm.io.images import read_image, read_mask
from cellmm.io.layered_tiff import read_label_layers
from tests.io.written_files import IMAGEJ, Write, hand, jpeg, pages, png, positions, tif

H, W = 40, 56
GREY = np.arange(H * W, dtype=np.uint16).reshape(H, W)
BYTE = (GREY % 251).astype(np.uint8)
RGB = np.dstack([BYTE, 255 - BYTE, BYTE // 2])
RGBA = np.dstack([RGB, BYTE])
STACK = np.stack([GREY + i for i in range(4)])
FILM = np.stack([STACK, STACK + 100])
OME = {"ome": True, "photometric": "minisblack"}
OME_XML = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{body}</OME>'.format
)
AGAIN = "copy or export it again"


def cut(write: Write, lost: int) -> Write:
    """Without its last bytes."""

    def act(path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[:-lost])

    return act


TWO_CHANNELS = OME_XML(
    body='<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
    f'SizeX="{W}" SizeY="{H}" SizeC="2" SizeZ="1" SizeT="1"><TiffData/></Pixels></Image>'
)


def unlike(options: dict, more: dict) -> Write:
    """Two channels in pages that are not stored alike."""

    def write(path) -> None:
        with tifffile.TiffWriter(path) as file:
            for image, own in ((GREY, {"description": TWO_CHANNELS, **options}), (GREY, more)):
                file.write(image, metadata=None, contiguous=False, **own)

    return write


def hole(path) -> None:
    """The second page has its strips apart, the first in one piece."""
    hand(GREY, GREY, rows=20, description=TWO_CHANNELS.encode())(path)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        starts = tiff.pages[1].aspage().tags["StripOffsets"]
        starts.overwrite([starts.value[0], tiff.pages[0].dataoffsets[0]])


def zeroed_tile(path) -> None:
    """The second half of a tile is zeros, as in a file that was copied in part."""
    tifffile.imwrite(path, BYTE, compression="jpeg", tile=(16, 16))
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages[0].dataoffsets[3], tiff.pages[0].databytecounts[3]
    data = path.read_bytes()
    path.write_bytes(data[: start + count // 2] + bytes(count - count // 2) + data[start + count :])


def lost_strip(path) -> None:
    """A file whose directory lists fewer strips than the image has."""
    tifffile.imwrite(path, GREY, compression="zlib", rowsperstrip=10, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("StripOffsets", "StripByteCounts"):
            tiff.pages[0].tags[name].overwrite(tiff.pages[0].tags[name].value[:2])


# name of the file, what writes it, the line
BAD = {
    # a choice is missing
    "OME film": ("a.ome.tif", tif(STACK, metadata={"axes": "TYX"}, **OME), "4 time points.*--time"),
    "OME planes": ("a.ome.tif", tif(STACK, metadata={"axes": "ZYX"}, **OME), "4 focal planes.*--z max"),
    "OME film of planes": ("a.ome.tif", tif(FILM, metadata={"axes": "TZYX"}, **OME), "--z max"),
    "OME positions": ("a.ome.tif", positions(GREY, GREY + 1, GREY + 2), "3 positions.*--position"),
    "ImageJ film": ("a.tif", tif(STACK, imagej=True, metadata={"axes": "TYX"}), "4 time points.*--time"),
    "ImageJ planes": ("a.tif", tif(STACK, imagej=True, metadata={"axes": "ZYX"}), "4 focal planes.*--z max"),
    "ImageJ film, LZW": (
        "a.tif",
        hand(*STACK, compression=5, description=IMAGEJ % (4, b"frames=4\nhyperstack=true\n")),
        "4 time points.*--time",
    ),
    "20 pages": ("a.tif", pages(*[GREY] * 20), "channel_axis"),
    "pages of two sizes": ("a.tif", pages(GREY, GREY[:20]), "2 positions.*--position"),
    "pages of half the size that are no level": ("a.tif", pages(GREY, GREY[::2, ::2]), "2 positions"),
    "pages of two types": ("a.tif", pages(GREY, BYTE), "2 positions"),
    # pages of one image that differ in more than their pixels
    "another predictor": (
        "a.tif",
        unlike({"compression": "lzw"}, {"compression": "lzw", "predictor": 2}),
        "page 1 differs from the first.*in the same way",
    ),
    "another compression": (
        "a.tif",
        unlike({}, {"compression": "zlib", "rowsperstrip": H}),
        "page 1 differs",
    ),
    "white is zero in one page": ("a.tif", unlike({}, {"photometric": "miniswhite"}), "page 1 differs"),
    "one page turned": ("a.tif", unlike({}, {"extratags": [(274, "H", 1, 3, True)]}), "page 1 differs"),
    "one plain page turned": (
        "a.tif",
        lambda path: (
            tifffile.imwrite(path, GREY, metadata=None)
            or tifffile.imwrite(path, GREY, metadata=None, append=True, extratags=[(274, "H", 1, 3, True)])
        ),
        "page 1 differs",
    ),
    "strips of one page apart": ("a.tif", hole, "page 1 differs"),
    # meanings that are not read
    "CMYK": ("a.tif", tif(RGBA, photometric="separated"), "SEPARATED.*save it as grey or RGB"),
    "CIE L*a*b*": ("a.tif", tif(RGB, photometric="cielab"), "CIELAB.*save it as grey or RGB"),
    "YCbCr without JPEG": (
        "a.tif",
        hand(RGB, photometric=6, compression=5, extra={530: ("H", [1, 1])}),
        "YCBCR.*save it as grey or RGB",
    ),
    "mosaic of a camera": ("a.tif", hand(BYTE, photometric=32803), "CFA.*save it as grey or RGB"),
    "colours multiplied by their opacity": (
        "a.tif",
        tif(RGBA, photometric="rgb", extrasamples=["assocalpha"]),
        "associated alpha.*without transparency",
    ),
    "white is zero, signed": ("a.tif", hand(GREY.astype(np.int16), photometric=0), "int16.*photometric 1"),
    "white is zero, float": (
        "a.tif",
        tif(GREY.astype(np.float32), photometric="miniswhite"),
        "float32.*photometric 1",
    ),
    "complex": ("a.tif", tif(GREY.astype(np.complex64)), "complex64: save it as"),
    "unknown compression": ("a.tif", hand(BYTE, extra={259: ("H", [99])}), "JPEG_99.*Deflate or LZW"),
    "a decoder that imagecodecs lacks": (
        "a.tif",
        hand(BYTE, extra={259: ("H", [48124])}),
        "jetraw_decode.*save it with Deflate or LZW",
    ),
    "channels of colours": (
        "a.ome.tif",
        tif(np.stack([RGB, RGB]), ome=True, photometric="rgb", metadata={"axes": "CYXS"}),
        "2 channels of 3 colours",
    ),
    "CMYK JPEG": (
        "a.jpg",
        jpeg(RGBA, colorspace="CMYK", outcolorspace="CMYK"),
        "JPEG of CMYK: save it as 8 bit",
    ),
    "12 bit JPEG": (
        "a.jpg",
        lambda path: path.write_bytes(imagecodecs.jpeg8_encode(GREY % 4096, bitspersample=12)),
        "JPEG of 12 bit: save it as 8 bit",
    ),
    "PNG animation": ("a.png", png(BYTE, 0, (b"acTL", bytes(8))), "animation: save one image per file"),
    "other formats": ("a.png", lambda path: path.write_bytes(b"GIF89a" + bytes(99)), "no TIFF, PNG, JPEG"),
    # parts that are missing
    "pixels that are cut off": ("a.tif", cut(hand(GREY, rows=5), 700), AGAIN),
    "an ImageJ film in one piece, cut": (
        "a.tif",
        cut(tif(STACK, imagej=True, metadata={"axes": "TYX"}), 2000),
        f"ImageJ description does not fit.*{AGAIN}",
    ),
    "a contiguous stack, cut": ("a.tif", cut(tif(STACK, photometric="minisblack"), 2000), AGAIN),
    "a JPEG tile of zeros": ("a.tif", zeroed_tile, f"tile 3 is a JPEG without an end: {AGAIN}"),
    "strips that are missing": ("a.tif", lost_strip, f"2 of 4 strips or tiles: {AGAIN}"),
    "strips without a byte": (
        "a.tif",
        hand(BYTE, compression=5, extra={279: ("I", [0])}),
        f"are empty: {AGAIN}",
    ),
    "pages fewer than OME states": (
        "a.tif",
        hand(
            GREY,
            description=OME_XML(
                body='<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
                f'SizeX="{W}" SizeY="{H}" SizeC="2" SizeZ="1" SizeT="1"><Channel ID="Channel:0:0"/>'
                '<Channel ID="Channel:0:1"/><TiffData IFD="0" PlaneCount="2"/></Pixels></Image>'
            ).encode(),
        ),
        f"lacks 1 of . planes.*{AGAIN}",
    ),
    "pages more than ImageJ states": (
        "a.tif",
        hand(GREY, GREY, GREY, description=IMAGEJ % (2, b"channels=2\nhyperstack=true\n")),
        f"states 2 planes, but it has 3 pages: {AGAIN}",
    ),
    "one of a set without its description": (
        "a.ome.tif",
        hand(
            GREY,
            description=OME_XML(body='<BinaryOnly MetadataFile="set.companion.ome" UUID="urn:1"/>').encode(),
        ),
        r"described in set\.companion\.ome: read that file",
    ),
}


@pytest.mark.parametrize("row", BAD)
def test_a_file_is_refused(row, tmp_path):
    name, write, message = BAD[row]
    write(tmp_path / name)
    with pytest.raises(CellMMError) as caught:
        read_image(tmp_path / name)
    text = str(caught.value)
    assert "\n" not in text and name in text and re.search(message, text), text


LABELS = {
    "a film": ("a.tif", tif(STACK, imagej=True, metadata={"axes": "TYX"}), "4 time points: save one label"),
    "positions": ("a.ome.tif", positions(GREY, GREY), "2 positions"),
    "1 bit, white is zero": ("a.tif", hand(BYTE > 9, photometric=0, bits=1), "white is zero.*16 bit"),
    "JPEG, whatever its name": ("a.png", jpeg(BYTE), "JPEG changes the numbers"),
}


@pytest.mark.parametrize("row", LABELS)
def test_a_label_image_is_refused(row, tmp_path):
    name, write, message = LABELS[row]
    write(tmp_path / name)
    with pytest.raises(CellMMError, match=message):
        read_label_layers(tmp_path / name)


def test_a_mask_in_which_white_is_zero_is_refused_unless_of_imagej(tmp_path):
    mask = np.zeros((H, W), np.uint8)
    mask[5:9, 5:20] = 255
    path = tmp_path / "a.tif"
    hand(mask, photometric=0)(path)
    with pytest.raises(CellMMError, match=r"a\.tif.*white is zero.*PNG"):
        read_mask(path)
    hand(mask, photometric=0, description=IMAGEJ % (1, b""))(path)
    np.testing.assert_array_equal(read_mask(path), mask > 0)
    tifffile.imwrite(path, mask > 0)
    np.testing.assert_array_equal(read_mask(path), mask > 0)
