"""Train Cellpose 3 from scratch and predict. run.py runs it in an environment of its own.

The network of cyto3 without its weights, trained as its own training function does (SGD is off, rate 5e-3,
batches of 8 crops of 224), for as many epochs of one batch as fit into the minutes. The diameter is the mean
of the training cells. Cellpose gives no scores: that of a cell is the mean probability of its pixels.
"""

import signal

import numpy as np
import peer_io
import torch
from cellpose import models, train

REQUIREMENTS = ["torch", "torchvision", "cellpose==3.1.1.2", "pycocotools", "tifffile"]
BATCH, RATE, TRIAL = 8, 0.005, 6
USED = 0.97  # of the minutes; the rest is for steps that take longer than those of the trial


class TimeIsUp(Exception):
    pass


def network() -> models.CellposeModel:
    return models.CellposeModel(gpu=False, pretrained_model=False)  # without weights: nothing is downloaded


def main() -> None:
    args = peer_io.parse_args(__doc__)
    peer_io.say_versions("cellpose", "torch", "numpy")
    torch.set_num_threads(peer_io.threads())
    names, images, labels = peer_io.read_split(args.data, "train")
    begun: list[float] = []  # minutes left at the start of each step

    def fit(model: models.CellposeModel, epochs: int) -> None:
        batches = train._get_batch

        def counted(*some, **more):
            begun.append(deadline.left)
            return batches(*some, **more)

        train._get_batch = counted
        try:
            train.train_seg(
                model.net,
                train_data=images,
                train_labels=labels,
                channels=[0, 0],
                batch_size=BATCH,
                learning_rate=RATE,
                n_epochs=epochs,
                nimg_per_epoch=BATCH,
                min_train_masks=1,
                save_path=args.out,
                model_name="cellpose3",
            )
        finally:
            train._get_batch = batches

    def time_is_up(*_: object) -> None:
        raise TimeIsUp

    deadline = peer_io.Deadline(args.minutes)
    signal.signal(signal.SIGALRM, time_is_up)
    signal.setitimer(signal.ITIMER_REAL, 60 * args.minutes)
    model = network()
    trial = True
    try:
        torch.manual_seed(args.seed)
        fit(network(), TRIAL)  # flows are computed here and again: part of the time, as with any training
        step = max((begun[1] - begun[-1]) / (TRIAL - 2), 1e-6)  # the first one is slow
        flows = args.minutes - begun[0]
        epochs = max(20, int((USED * deadline.left - flows) / step))
        trial = False
        begun.clear()
        torch.manual_seed(args.seed)
        model = network()
        fit(model, epochs)
    except TimeIsUp:
        if trial:
            begun.clear()
        print("the minutes were over before the last epoch: the rate had not fallen to its end")
    signal.setitimer(signal.ITIMER_REAL, 0)
    peer_io.say_steps(len(begun), f"{BATCH} crops", deadline)
    diameter = float(model.net.diam_labels.item())
    results = []
    for name, image, _ in zip(*peer_io.read_split(args.data, "test"), strict=True):
        masks, flows, _ = model.eval(image, channels=[0, 0], diameter=diameter)
        probability = 1 / (1 + np.exp(-flows[2]))
        sums = np.bincount(masks.ravel(), probability.ravel(), minlength=masks.max() + 1)
        sizes = np.bincount(masks.ravel(), minlength=masks.max() + 1)
        results += peer_io.label_results(name, masks, (sums / np.maximum(sizes, 1))[1:])
    peer_io.write_results(args.out, results)


if __name__ == "__main__":
    main()
