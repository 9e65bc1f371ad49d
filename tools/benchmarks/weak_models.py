"""The cost of predicting with networks that have learned little: the work of DecoNet and CPU seconds.

    python tools/benchmarks/weak_models.py CONFIG CHECKPOINT [CHECKPOINT ...] [--images 6]

For the weights that training starts from (``start``) and for each checkpoint, the first images of
test_dataloader: calls of DecoNet, megapixels through it, CPU seconds of the whole prediction, cells. The last
checkpoint is that of the trained network, with which the others are compared. One thread:
OMP_NUM_THREADS=1.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from cellmm.config.load import load_config
from cellmm.engine.checkpoints import load_fitting
from cellmm.models.segmentor import CellSegmentor
from cellmm.registry import DATASETS, MODELS


def count_work(head: torch.nn.Module) -> dict[str, int]:
    """``calls`` and ``pixels`` of DecoNet from now on: a dict that each call brings up to date."""
    work, decode = dict(calls=0, pixels=0), head.decode_windows

    def counted(features: list[Tensor], f: Tensor, image: Tensor, first: Tensor, gates: Tensor):
        work["calls"] += 1
        work["pixels"] += gates.numel()
        return decode(features, f, image, first, gates)

    head.decode_windows = counted
    return work


@torch.inference_mode()
def predict(model: CellSegmentor, images: Sequence[dict]) -> dict[str, float]:
    """Calls, pixels, CPU ``seconds`` and ``cells`` of all ``images``, as a pipeline gives them."""
    work = count_work(model.heads[model.instance_head])
    cells, start = 0, time.process_time()
    for image in images:
        sample = image["data_samples"].clone()
        found = model.test_step(dict(inputs=[image["inputs"]], data_samples=[sample]))
        cells += len(found[0].pred_instances.masks)
    return dict(work, seconds=time.process_time() - start, cells=cells)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--images", type=int, default=6)
    args = parser.parse_args(argv)
    cfg = load_config(args.config)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    images = [dataset[i] for i in range(min(args.images, len(dataset)))]
    rows = {}
    for checkpoint in ["start", *args.checkpoints]:
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        if checkpoint != "start":
            load_fitting(model, checkpoint)
        elif cfg.model.get("init_cfg"):
            model.init_weights()
        rows[checkpoint] = predict(model.eval(), images)
    trained = rows[args.checkpoints[-1]]
    print(f"{len(images)} images, {torch.get_num_threads()} threads")
    for checkpoint, row in rows.items():
        print(
            f"{checkpoint}: {row['calls']} calls of DecoNet, {row['pixels'] / 1e6:.2f} megapixels "
            f"({row['pixels'] / trained['pixels']:.2f}x), {row['seconds']:.2f} CPU s "
            f"({row['seconds'] / trained['seconds']:.2f}x), {row['cells']} cells"
        )


if __name__ == "__main__":
    sys.exit(main())
