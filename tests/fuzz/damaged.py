"""Situations in which a file is damaged."""

import cv2
import numpy as np
import tifffile
import torch

from cellmm.engine.checkpoints import load_checkpoint, save_weights
from cellmm.io.image_file import read_pixels
from tests.fuzz.images import draw_cells, draw_image


def damaged_checkpoint(rng, folder, run, checkpoint):
    """A byte that is another one, zeros, or an end that is cut off: the same tensors, or refused."""
    path = folder / f"a{rng.choice(['.pth', '.safetensors'])}"
    weights = {"w": torch.randn(30, 7), "steps": torch.arange(9)}
    save_weights(path, weights, dict(classes=["cell"]))
    data = bytearray(path.read_bytes())
    kind, where = rng.integers(4), int(rng.integers(len(data)))
    if kind < 2:
        data[where] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        data[where : where + 16] = bytes(len(data[where : where + 16]))
    else:
        del data[where:]
    path.write_bytes(data)
    said = run(act=lambda: load_checkpoint(path))
    if not said.status:
        loaded = said.value["state_dict"]
        assert loaded.keys() == weights.keys(), f"byte {where} of {path.name}: {loaded.keys()}"
        assert all(torch.equal(loaded[key], value) for key, value in weights.items()), (
            f"byte {where} of {path.name}"
        )


def damaged_image(rng, folder, run, checkpoint):
    """PNG and Deflate hold checksums: the same pixels, or refused, or a line that doubts them."""
    image = draw_image(rng, draw_cells(rng, (40, 60), 9), (40, 60))
    path = folder / f"a.{rng.choice(['png', 'tif'])}"
    if path.suffix == ".png":
        image = image.astype(np.uint16) if image.dtype == np.float32 else image
        cv2.imwrite(str(path), image)
        first, end = 0, path.stat().st_size
    else:
        tifffile.imwrite(path, image, compression="zlib", photometric="minisblack", rowsperstrip=8)
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages[0]
            first, end = page.dataoffsets[0], page.dataoffsets[-1] + page.databytecounts[-1]
    data = bytearray(path.read_bytes())
    if rng.random() < 0.3:
        del data[int(rng.integers(len(data))) :]
    else:
        data[int(rng.integers(first, end))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    said = run(act=lambda: read_pixels(path))
    if not said.status:
        assert np.array_equal(said.value[0], image) or said, "other pixels, without a word"
