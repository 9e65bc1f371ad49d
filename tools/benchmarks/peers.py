"""The untrained network of another method on one image: seconds and memory, as one line of JSON.

    FOLDER/stardist/bin/python tools/benchmarks/peers.py stardist image.npy 3

Runs in an environment of that method, without cellmm; predict.py calls it. Networks have the size that their
method makes by default, and see the image as its own prediction hands it to them: Cellpose in tiles of 224,
StarDist at the grid of its published models.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def cellpose3(image: np.ndarray) -> Callable[[], object]:
    """Cellpose 3, the network of ``cyto3``: two channels."""
    import torch
    from cellpose import core, models

    torch.set_num_threads(1)
    net = models.CellposeModel(gpu=False, pretrained_model=False).net
    pair = np.stack([image, np.zeros_like(image)], -1)[None]
    return lambda: core.run_net(net, pair, bsize=224, tile_overlap=0.1)


def stardist(image: np.ndarray) -> Callable[[], object]:
    """StarDist 2D with 32 rays and a grid of 2, as ``2D_versatile_fluo``."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from stardist.models import Config2D, StarDist2D

    model = StarDist2D(Config2D(n_rays=32, grid=(2, 2), n_channel_in=1), name=None, basedir=None)
    return lambda: model.predict(image[..., None], show_tile_progress=False)


def instanseg(image: np.ndarray) -> Callable[[], object]:
    """InstanSeg's U-Net as its training script makes it: three channels, coordinates, sigmas and a seed."""
    import torch
    from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet

    torch.set_num_threads(1)
    layers = np.array([32, 64, 128, 256])[::-1]
    net = InstanSeg_UNet(in_channels=3, layers=layers, out_channels=[[2, 2, 1]], norm="BATCH").eval()
    x = torch.from_numpy(np.repeat(image[None, None], 3, axis=1))

    def run() -> object:
        with torch.inference_mode():
            return net(x)

    return run


PEERS = dict(cellpose3=cellpose3, stardist=stardist, instanseg=instanseg)


def memory(key: str) -> int:
    """VmRSS (now) or VmHWM (the most so far) of this process, MiB."""
    return int(Path("/proc/self/status").read_text().partition(f"{key}:")[2].split()[0]) // 1024


def main(name: str, path: str, rounds: str) -> None:
    os.environ.update(dict.fromkeys(THREADS, "1"))
    image = np.load(path).astype(np.float32)
    run = PEERS[name](image)
    before, seconds = memory("VmRSS"), []
    for _ in range(int(rounds) + 1):  # the first one builds graphs
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    megapixels = image.size / 1e6
    row = dict(seconds=min(seconds[1:]) / megapixels, memory=(memory("VmHWM") - before) / megapixels)
    print(json.dumps(row))


if __name__ == "__main__":
    main(*sys.argv[1:])
