"""Images that cannot be used, and odd ones that can, through a data set and through prediction."""

import errno
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms import LoadCells, LoadImage, PackCellInputs
from cellmm.structures import rle

H, W = 20, 30
GREY = (np.arange(H * W).reshape(H, W) % 200).astype(np.uint8)
NOISE = np.random.default_rng(0).integers(0, 255, (H, W), np.uint8)
AGAIN = "copy or export it again"


def tif(image: np.ndarray, **options) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, image, **options)


def coded(image: np.ndarray, kind: str = "", keep: float = 1.0) -> Callable[[Path], None]:
    """What OpenCV writes (LZW in a TIFF), by default as the suffix says; only a share of the bytes."""

    def write(path: Path) -> None:
        data = cv2.imencode(kind or path.suffix, image)[1].tobytes()
        path.write_bytes(data[: int(keep * len(data))])

    return write


def cut_tif(keep: float, **options) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tifffile.imwrite(path, NOISE, **options)
        data = path.read_bytes()
        path.write_bytes(data[: int(keep * len(data))])

    return write


def spoilt(write: Callable[[Path], None], start: int) -> Callable[[Path], None]:
    """Hundred bytes in the middle are wrong."""

    def act(path: Path) -> None:
        write(path)
        data = bytearray(path.read_bytes())
        data[start : start + 100] = b"\xff" * 100
        path.write_bytes(data)

    return act


def raw(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data)


def huge_tif(side: int) -> Callable[[Path], None]:
    """A file of 600 pixels whose header says side x side."""

    def write(path: Path) -> None:
        tifffile.imwrite(path, GREY, compression="zlib", metadata=None)
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            with tifffile.TiffFile(path, mode="r+") as tiff:
                tiff.pages[0].tags[tag].overwrite(side)

    return write


def png(width: int, height: int, bits: int, color: int, pixels: bytes, *more: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    parts = b"".join(chunk(*part) for part in (*more, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")))
    return b"\x89PNG\r\n\x1a\n" + header + parts


def rows_of(image: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in image)


def huge_jpg(path: Path) -> None:
    data = bytearray(cv2.imencode(".jpg", GREY)[1].tobytes())
    start = data.find(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", 60000, 60000)
    path.write_bytes(data)


def several(*pages: np.ndarray, **options) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tifffile.TiffWriter(path) as writer:
            for number, page in enumerate(pages):
                writer.write(page, **(options if number else {}))

    return write


def channels(count: int) -> np.ndarray:
    return np.stack([GREY + i for i in range(count)])


PALETTE = bytes(value for i in range(256) for value in (i, 255 - i, 7))
PALETTE_RGB = np.stack([GREY, 255 - GREY, np.full_like(GREY, 7)], axis=-1)
RGBA = np.dstack([PALETTE_RGB, GREY])
OPAQUE = np.dstack([PALETTE_RGB, np.full_like(GREY, 255)])
PLANES = channels(2).astype(np.uint16)

# name of the file, what writes it, the one line that it gives
BAD = {
    "absent": ("a.tif", lambda path: None, "absent.*check"),
    "link to nothing": ("a.tif", lambda path: path.symlink_to("gone.tif"), "absent"),
    "folder with the name of an image": ("a.tif", Path.mkdir, "absent|is a folder"),
    "empty PNG": ("a.png", raw(b""), f"0 bytes.*{AGAIN}|copy or export them again"),
    "empty TIFF": ("a.tif", raw(b""), f"0 bytes.*{AGAIN}|copy or export them again"),
    "empty JPEG": ("a.jpg", raw(b""), f"0 bytes.*{AGAIN}|copy or export them again"),
    "empty BMP": ("a.bmp", raw(b""), f"0 bytes.*{AGAIN}|copy or export them again"),
    **{
        f"{suffix[1:].upper()} cut at {keep:.0%}": (f"a{suffix}", coded(NOISE, keep=keep), AGAIN)
        for suffix in (".png", ".jpg", ".bmp", ".tif")
        for keep in (0.02, 0.3, 0.99)
    },
    **{f"plain TIFF cut at {keep:.0%}": ("a.tif", cut_tif(keep), AGAIN) for keep in (0.002, 0.1, 0.5, 0.99)},
    **{
        f"deflated TIFF cut at {keep:.0%}": ("a.tif", cut_tif(keep, compression="zlib"), AGAIN)
        for keep in (0.002, 0.1, 0.5, 0.99)
    },
    "tiled BigTIFF cut in half": ("a.tif", cut_tif(0.5, bigtiff=True, tile=(16, 16)), AGAIN),
    "PNG with wrong bytes": ("a.png", spoilt(coded(NOISE), 300), AGAIN),
    "deflated TIFF with wrong bytes": ("a.tif", spoilt(tif(NOISE, compression="zlib"), 400), AGAIN),
    "LZW TIFF with wrong bytes": ("a.tif", spoilt(coded(NOISE), 300), AGAIN),
    "TIFF without a page": ("a.tif", raw(b"II*\0nonsense"), f"damaged.*{AGAIN}"),
    "PNG without its pixels": ("a.png", raw(png(H, W, 8, 0, b"\0" * 9)), AGAIN),
    "text called TIFF": ("a.tif", raw(b"no image at all"), AGAIN),
    "text called PNG": ("a.png", raw(b"no image at all"), AGAIN),
    "NumPy file called TIFF": ("a.tif", lambda path: np.save(path.open("wb"), GREY), AGAIN),
    "NaN": ("a.tif", tif(np.where(GREY == 3, np.nan, 1).astype(np.float32)), "3 of 600.*NaN.*leave out"),
    "infinite": ("a.tif", tif(np.where(GREY == 3, -np.inf, 1)), "3 of 600.*infinite.*leave out"),
    "complex": ("a.tif", tif(GREY.astype(np.complex64)), "complex64: save it as 8 or 16 bit"),
    "uint32 above 2^24": ("a.tif", tif(np.full((H, W), 2**25, np.uint32)), "2\\^24.*save as 16 bit"),
    "int64 below -2^24": ("a.tif", tif(np.full((H, W), -(2**40))), "2\\^24.*save as 16 bit"),
    "float64 of 1e300": ("a.tif", tif(np.full((H, W), 1e300)), "do not fit float32; rescale"),
    "9 channels": ("a.tif", tif(channels(9), metadata={"axes": "CYX"}), "9 channels.*choose with channels"),
    "which axis?": ("a.tif", tif(np.zeros((4, 5, 6), np.uint8), photometric="minisblack"), "channel_axis"),
    "OME of 5 axes": (
        "a.ome.tif",
        tif(np.zeros((3, 4, 2, H, W), np.uint8), ome=True, metadata={"axes": "TZCYX"}),
        "4 focal planes: choose --z max",
    ),
    "OME time series": (
        "a.ome.tif",
        tif(channels(3), ome=True, metadata={"axes": "TYX"}, photometric="minisblack"),
        "3 time points.*choose with --time",
    ),
    "OME of two focal planes": (
        "a.ome.tif",
        tif(channels(2), ome=True, metadata={"axes": "ZYX"}),
        "2 focal planes: choose --z max or --z 0 to 1; to take them as channels",
    ),
    "ImageJ time series": (
        "a.tif",
        tif(np.zeros((20, H, W), np.uint8), imagej=True, metadata={"axes": "TYX"}),
        "20 time points.*choose with --time",
    ),
    "pages of two sizes": ("a.tif", several(GREY, GREY[:5]), "2 positions.*choose with --position"),
    "TIFF of a million squared": ("a.tif", huge_tif(10**6), "more than 2\\^30.*crop or tile"),
    "PNG of a million squared": (
        "a.png",
        raw(png(10**6, 10**6, 8, 0, b"")),
        "more than 2\\^30.*crop or tile",
    ),
    "JPEG of 60,000 squared": ("a.jpg", huge_jpg, "more than 2\\^30.*crop or tile"),
    "20,000 squared, only in the header": ("a.tif", huge_tif(20_000), AGAIN),
}

# name of the file, what writes it, the image that is read
GOOD = {
    **{
        name: ("a.tif", tif(GREY.astype(name)), GREY[..., None])
        for name in ("uint16", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64")
    },
    "int8": ("a.tif", tif(GREY.astype(np.int8)), GREY.astype(np.int8)[..., None]),
    "16 bit PNG": ("a.png", coded(GREY.astype(np.uint16) * 256), 256.0 * GREY[..., None]),
    "1 bit PNG": (
        "a.png",
        raw(png(W, H, 1, 0, rows_of(np.packbits(GREY > 9, axis=1)))),
        255.0 * (GREY > 9)[..., None],
    ),
    "palette PNG": ("a.png", raw(png(W, H, 8, 3, rows_of(GREY), (b"PLTE", PALETTE))), PALETTE_RGB),
    "palette TIFF is grey with a look-up table": (
        "a.tif",
        tif(GREY, photometric="palette", colormap=np.arange(768, dtype=np.uint16).reshape(3, 256)),
        GREY[..., None],
    ),
    "RGBA TIFF": ("a.tif", tif(RGBA, photometric="rgb", extrasamples=["unassalpha"]), RGBA),
    "RGBA PNG": ("a.png", coded(RGBA[..., [2, 1, 0, 3]]), RGBA),
    "opaque RGBA PNG": ("a.png", coded(OPAQUE[..., [2, 1, 0, 3]]), PALETTE_RGB),
    "BMP": ("a.bmp", coded(PALETTE_RGB[..., ::-1]), PALETTE_RGB),
    **{
        f"{count} channels": (
            "a.tif",
            tif(channels(count), photometric="minisblack"),
            channels(count).transpose(1, 2, 0),
        )
        for count in range(1, 9)
    },
    "constant": ("a.tif", tif(np.full((H, W), 7, np.uint8)), np.full((H, W, 1), 7)),
    "1x1": ("a.tif", tif(GREY[:1, 5:6]), GREY[:1, 5:6, None]),
    "1x30": ("a.tif", tif(GREY[:1]), GREY[:1, :, None]),
    "20x1": ("a.png", coded(GREY[:, :1]), GREY[:, :1, None]),
    "big-endian": ("a.tif", tif(GREY.astype(">u2"), byteorder=">"), GREY[..., None]),
    "big-endian BigTIFF": (
        "a.tif",
        tif(GREY.astype(">f4"), byteorder=">", bigtiff=True),
        GREY[..., None],
    ),
    "LZW": ("a.tif", coded(GREY), GREY[..., None]),
    "OME of two channels": (
        "a.ome.tif",
        tif(PLANES, ome=True, metadata={"axes": "CYX"}),
        PLANES.transpose(1, 2, 0),
    ),
    "PNG called TIFF": ("a.tif", coded(GREY, ".png"), GREY[..., None]),
    "1 bit TIFF": ("a.tif", tif(GREY > 9), (GREY > 9)[..., None]),
    "a thumbnail beside the image": (
        "a.tif",
        several(GREY, GREY[:5, :5], subfiletype=1),
        GREY[..., None],
    ),
    "spaces and letters of other languages": ("Zellen für Ö 細胞.tif", coded(GREY), GREY[..., None]),
    "Greek PNG": ("κύτταρα.png", coded(GREY), GREY[..., None]),
}


def write_coco(folder: Path, names: list[str], shape: tuple[int, int] = (H, W)) -> None:
    """One image of these files, with one cell that covers it."""
    key = {"file_name": names[0]} if len(names) == 1 else {"file_names": names}
    cell = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": rle.encode_one(np.ones(shape, bool))}
    content = {
        "images": [{"id": 1, "height": shape[0], "width": shape[1], **key}],
        "annotations": [cell],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (folder / "cells.json").write_text(json.dumps(content))


def dataset(folder: Path, **options) -> CellCocoDataset:
    pipeline = [LoadImage(**options), LoadCells(keep_original=True), PackCellInputs()]
    return CellCocoDataset(data_root=folder, ann_file="cells.json", pipeline=pipeline)


@pytest.mark.parametrize("row", BAD)
def test_a_data_set_refuses(row, tmp_path, refused):
    name, write, message = BAD[row]
    write(tmp_path / name)
    write_coco(tmp_path, [name])
    refused(lambda: dataset(tmp_path)[0], rf"{name}\b", message)


# how many images they hold, each of which can be predicted
SEVERAL = {"OME time series": 3, "ImageJ time series": 20, "pages of two sizes": 2}


@pytest.mark.parametrize("row", [row for row in BAD if row not in SEVERAL])
def test_prediction_refuses(row, tmp_path, inferencer, check_line, capfd):
    name, write, message = BAD[row]
    write(tmp_path / name)
    ((source, error),) = inferencer([tmp_path / name])
    assert getattr(source, "path", source) == tmp_path / name
    check_line(str(error), rf"{name}\b", message)
    assert capfd.readouterr().err == ""  # nor do the decoders write anything themselves


@pytest.mark.parametrize(("row", "number"), SEVERAL.items())
def test_each_image_of_a_file_is_predicted(row, number, tmp_path, inferencer):
    name, write, _ = BAD[row]
    write(tmp_path / name)
    assert [len(found) for _, found in inferencer([tmp_path / name])] == [9] * number


@pytest.mark.parametrize("row", GOOD)
def test_a_data_set_reads(row, tmp_path, inferencer):
    name, write, expected = GOOD[row]
    write(tmp_path / name)
    write_coco(tmp_path, [name], expected.shape[:2])
    sample = dataset(tmp_path)[0]
    np.testing.assert_array_equal(sample["inputs"].numpy().transpose(1, 2, 0), expected.astype(np.float32))
    ((_, result),) = inferencer([tmp_path / name])
    if expected.shape[2] == 1:
        assert len(result) == 9 and result.shape == expected.shape[:2]
    else:
        assert f"{name}: {expected.shape[2]} channels, but the model takes 1" in str(result)


def test_channels_in_files_of_two_sizes(tmp_path, refused):
    tifffile.imwrite(tmp_path / "low.tif", GREY)
    tifffile.imwrite(tmp_path / "high.tif", GREY[1:])
    write_coco(tmp_path, ["low.tif", "high.tif"])
    refused(lambda: dataset(tmp_path)[0], r"high\.tif is \(19, 30\).*low\.tif.*\(20, 30\).*export")


def test_more_channels_than_the_model_takes(tmp_path, refused):
    tifffile.imwrite(tmp_path / "a.tif", PLANES)
    write_coco(tmp_path, ["a.tif"])
    refused(lambda: dataset(tmp_path, num_channels=1)[0], r"a\.tif has 2 channels.*choose with channels")
    assert dataset(tmp_path, num_channels=1, channels=[1])[0]["inputs"].shape == (1, H, W)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, r"Permission denied\): get the right to use it"),
        (errno.EMFILE, r"Too many open files\): raise the limit with `ulimit -n"),
        (errno.EIO, r"Input/output error\): check the disk"),
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_file_that_the_system_does_not_give(
    name, number, message, tmp_path, inferencer, monkeypatch, check_line
):
    """The tests may run as root, who may read everything."""

    def refuse(path, *args):
        raise OSError(number, os.strerror(number), str(path))

    coded(GREY)(tmp_path / name)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        patch.setattr(tifffile, "TiffFile", refuse)
        ((_, error),) = inferencer([tmp_path / name])
    check_line(str(error), rf"{name} cannot be read \({message}")


def test_a_program_without_stderr_reads_images(tmp_path, inferencer, monkeypatch):
    def refuse(number):
        raise OSError(errno.EBADF, "Bad file descriptor")

    coded(GREY)(tmp_path / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", refuse)
        assert inferencer.open(tmp_path / "a.png")[0].read_all().shape == (H, W, 1)


def test_an_image_for_which_memory_is_too_small(tmp_path, inferencer, check_line, monkeypatch):
    huge_tif(20_000)(tmp_path / "a.tif")
    monkeypatch.setattr("cellmm.io.memory.free_memory", lambda: 2**31)
    ((_, error),) = inferencer([tmp_path / "a.tif"])
    check_line(
        str(error), r"a\.tif of shape \(20000, 20000\) takes about 8\.9 GiB", r"2\.0 GiB are free: crop"
    )


def test_corrupt_jpeg_data_is_told(tmp_path, monkeypatch, capfd):
    said = []
    monkeypatch.setattr("cellmm.io.complaints.print_log", lambda text, **_: said.append(text))
    coded(NOISE)(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    data[700:900] = bytes(200)  # a decoder cannot tell that, but often that something is left over
    (tmp_path / "a.jpg").write_bytes(data)
    write_coco(tmp_path, ["a.jpg"])
    assert dataset(tmp_path)[0]["inputs"].shape == (1, H, W)
    assert len(said) == 1 and "a.jpg: Corrupt JPEG data" in said[0]
    assert capfd.readouterr().err == ""
