"""Train InstanSeg from scratch and predict. run.py runs it in an environment of its own.

Network, losses, crops, augmentation and rate are the defaults of its own training program: batches of 3 crops
of 256, Adam at 1e-3, an easy pair of losses first and then its own. Other than there, the easy pair takes a
quarter of the minutes, at most its 10 epochs; the window around a seed is at least as large as the largest
training cell; no image is held out, so that the last weights predict, not the best. Images keep their size.
InstanSeg gives no scores: that of a cell is the highest value of its seed map, as a sigmoid. An image with
more than 2000 seeds gets no cells, as its postprocessing decides.
"""

import ast
import itertools
import random
from collections.abc import Iterator

import numpy as np
import peer_io
import torch
from instanseg.scripts.train import parser
from instanseg.utils.AI_utils import Segmentation_Dataset, collate_fn, train_epoch
from instanseg.utils.augmentation_config import get_augmentation_dict
from instanseg.utils.augmentations import Augmentations
from instanseg.utils.loss.instanseg_loss import InstanSeg
from instanseg.utils.model_loader import build_model_from_dict
from instanseg.utils.tiling import _instanseg_padding, _recover_padding
from skimage.measure import regionprops
from torch.utils.data import DataLoader, RandomSampler

REQUIREMENTS = [
    "instanseg-torch==0.1.2",
    "torch",
    "torchvision",
    "monai",
    "edt",
    "pandas",
    "seaborn",
    "pycocotools",
    "tifffile",
]
EASY = 0.25  # of the minutes


def loader(images: list[np.ndarray], labels: list[np.ndarray], options) -> DataLoader:
    """Batches without end."""
    steps = get_augmentation_dict(options.dim_in, None, options.transform_intensity, None)["train"]
    meta = [{"pixel_size": 1.0}] * len(images)  # the same for all: nothing is rescaled
    size = (options.tile_size, options.tile_size)
    crops = Segmentation_Dataset(images, labels, metadata=meta, size=size, augmentation_dict=steps)
    sampler = RandomSampler(crops, num_samples=10**9)
    return DataLoader(crops, batch_size=options.batch_size, sampler=sampler, collate_fn=collate_fn)


def main() -> None:
    args = peer_io.parse_args(__doc__)
    peer_io.say_versions("instanseg-torch", "torch", "monai", "numpy")
    torch.set_num_threads(peer_io.threads())
    for seed in (random.seed, np.random.seed, torch.manual_seed):
        seed(args.seed)
    _, images, labels = peer_io.read_split(args.data, "train")
    boxes = [np.reshape(cell.bbox, (2, 2)) for label in labels for cell in regionprops(label)]
    largest = max((int(np.ptp(box, axis=0).max()) for box in boxes), default=0)
    options = parser.parse_args([])  # its defaults
    options.on_cluster = True  # no progress bars
    options.cells_and_nuclei = False
    options.layers = ast.literal_eval(options.layers)
    options.window_size = max(options.window_size, 2 * (largest // 2 + 1))
    print(f"largest training cell {largest} pixels, window {options.window_size}", flush=True)
    method = InstanSeg(n_sigma=options.n_sigma, device="cpu", window_size=options.window_size)
    options.dim_out = method.dim_out
    model = method.initialize_pixel_classifier(build_model_from_dict(vars(options)), options.mlp_width)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    stream = iter(loader(images, labels, options))
    steps, deadline = 0, peer_io.Deadline(args.minutes)

    def batches(left: float) -> Iterator:
        nonlocal steps
        while deadline.left > left:
            steps += 1
            yield next(stream)

    def fit(seed_loss: str, mask_loss: str, some: Iterator) -> None:
        method.update_seed_loss(seed_loss)
        method.update_binary_loss(mask_loss)
        loss, _ = train_epoch(model, "cpu", some, method, optimizer, options)
        print(f"{seed_loss} and {mask_loss} until step {steps}: {loss:.3f} on average", flush=True)

    most = options.hotstart_training * -(-options.length_of_epoch // options.batch_size)
    fit("binary_xloss", "dice_loss", itertools.islice(batches((1 - EASY) * args.minutes), most))
    fit(options.seed_loss_fn, options.binary_loss_fn, batches(0))
    peer_io.say_steps(steps, f"{options.batch_size} crops", deadline)
    model.eval()
    prepare = Augmentations(dim_in=options.dim_in)
    results = []
    for name, image, _ in zip(*peer_io.read_split(args.data, "test"), strict=True):
        planes, _ = prepare.normalize(prepare.to_tensor(image)[0])
        planes, _ = prepare.duplicate_grayscale_channels(planes, None)
        with torch.no_grad():
            padded, pad = _instanseg_padding(planes, min_dim=32)
            maps = _recover_padding(model(padded[None])[0], pad)
            found = method.postprocessing(maps, window_size=options.window_size)[0].numpy()
        label = np.unique(np.append(0, found), return_inverse=True)[1][1:].reshape(found.shape)
        scores = np.zeros(label.max() + 1)
        np.maximum.at(scores, label, torch.sigmoid(maps[-1]).numpy())
        results += peer_io.label_results(name, label, scores[1:])
    peer_io.write_results(args.out, results)


if __name__ == "__main__":
    main()
