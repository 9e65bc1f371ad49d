"""Draw what DiskMask learns and how it finds cells: a page of targets; with a checkpoint, one of inference.

    python tools/analysis/draw_diskmask.py CONFIG [--checkpoint FILE] [--index 0] [--out docs/pictures]
    python tools/analysis/draw_diskmask.py --out docs/pictures

The first writes diskmask_targets.jpg (cells, reference points, disks, weights, the density that crops are
drawn from, a warp with its ignored pixels) and diskmask_inference.jpg (logits and probability of disks,
gateways, one gateway in its window, what is drawn through it, its mask, the masks that are kept), the second
diskmask_disks.png (the pixels of the disks by radius). Source: diskmask, figures 4 to 11.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config

from cellmm.config.load import load_config
from cellmm.datasets.transforms.disk_targets import disk_offsets
from cellmm.datasets.transforms.moving_cells import fixed_targets
from cellmm.engine.checkpoints import load_fitting
from cellmm.errors import CellMMError
from cellmm.models.heads.mask_scores import maskness
from cellmm.registry import DATASETS, MODELS, TRANSFORMS
from cellmm.structures import LabelLayers
from cellmm.visualization import caption, draw_instances, grid, save_picture, to_display

SIDE = 448  # px of a panel's longer side, about
RED, YELLOW = (255, 60, 60), (255, 220, 0)
RADIUS, PIXEL = 5, 14  # of the largest disk that is shown; px of the picture per pixel of a disk


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", help="a config with a GatewayHead; without: the disks alone")
    parser.add_argument("--checkpoint", help="weights of a training with it")
    parser.add_argument("--index", type=int, default=0, help="which image, from 0")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    args = parser.parse_args(argv)
    if args.config is None and (args.checkpoint or args.index):
        parser.error("--checkpoint and --index need a config")
    return args


def panel(picture: np.ndarray, title: str) -> np.ndarray:
    """RGB (H, W, 3), enlarged by a whole number to about SIDE, with a caption."""
    scale = max(1, round(SIDE / max(picture.shape[:2])))
    enlarged = picture.repeat(scale, 0).repeat(scale, 1)
    return caption(np.ascontiguousarray(enlarged), title)


def heat(values: np.ndarray, most: float | None = None) -> np.ndarray:
    """(H, W) from 0 to ``most`` (or its maximum) -> RGB."""
    most = float(values.max()) if most is None else most
    scaled = np.clip(values / max(most, 1e-12), 0, 1)
    return cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)[..., ::-1]


def grey(image: np.ndarray) -> np.ndarray:
    """The first channel of (H, W, C) as an RGB picture."""
    return to_display(image[..., :1])


def with_points(picture: np.ndarray, points: np.ndarray, radius: int = 3) -> np.ndarray:
    """Dots at (y, x) of ``points`` (N, 2); rows of nan are left out."""
    picture = np.array(picture, order="C")  # a copy
    for y, x in points[~np.isnan(points).any(1)]:
        cv2.circle(picture, (round(float(x)), round(float(y))), radius, RED, -1)
    return picture


def shade(picture: np.ndarray, where: np.ndarray, color: Sequence[int], share: float = 0.6) -> np.ndarray:
    """``color`` over the pixels of ``where`` (h, w), enlarged to the picture."""
    where = cv2.resize(where.astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    picture = picture.copy()
    picture[where] = (1 - share) * picture[where] + share * np.array(color)
    return picture


def disk_panels() -> list[np.ndarray]:
    """The pixels of the disks of radius 1 to RADIUS, each a red square. Source: diskmask, figure 4."""
    offsets, sizes = disk_offsets(RADIUS)
    panels = []
    for radius in range(1, RADIUS + 1):
        pixels = np.zeros((2 * RADIUS + 3,) * 2, bool)
        pixels[tuple(offsets[: sizes[radius]].T + RADIUS + 1)] = True
        squares = np.pad(np.ones((PIXEL - 1, PIXEL - 1), np.uint8), (0, 1))  # with a line between them
        shown = np.array([(30, 30, 30), (90, 90, 90), RED], np.uint8)[np.kron(1 + pixels, squares)]
        panels.append(caption(shown, f"radius {radius}: {sizes[radius]} px"))
    return panels


def target_panels(cfg: Config, index: int) -> list[np.ndarray]:
    """The training pipeline on one image, with SamplingDensity and a warp added where it has none."""
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[]))
    results = dict(dataset.get_data_info(index), rng=np.random.default_rng(0), draw=0)
    steps = [step for step in cfg.train_dataloader.dataset.pipeline if step.type != "PackCellInputs"]
    geometry = ("RandomWarp", "Albumentations", "RandomIntensity", "SamplingDensity")
    for step in steps:
        if step.type not in geometry:
            results = TRANSFORMS.build(step)(results)
    picture, cells = grey(results["img"]), results["gt_layers"]
    disks, weight = results["gt_disks"], results["gt_disk_weight"]
    density = TRANSFORMS.build(dict(type="SamplingDensity"))(dict(results))["sampling_density"]
    warp = next((step for step in steps if step.type == "RandomWarp"), None)
    warp = dict(warp or dict(type="RandomWarp", elastic_magnitude=4.0), border="mirror")
    targets = fixed_targets(results)
    before = {key: value for key, value in results.items() if key not in targets}
    warped = TRANSFORMS.build(warp)(before)
    for step in steps:
        if step.type in ("ReferencePoints", "DiskTargets"):
            warped = TRANSFORMS.build(step)(warped)
    shown = draw_instances(warped["img"][..., :1], warped["gt_layers"], scale=1)
    return [
        panel(
            draw_instances(results["img"][..., :1], cells, scale=1), "cells: each its own mask, overlap too"
        ),
        panel(with_points(picture, results["gt_points"]), "reference points"),
        panel(shade(picture, disks > 0, RED), "disks: smaller where points are near, never touching"),
        panel(heat(np.log1p(weight)), f"disk weights, 0 to {weight.max():.0f}, on a log scale"),
        panel(heat(density), "density of the cells: where crops are taken"),
        panel(shade(shown, warped["ignore"], YELLOW, 0.35), "one warp; yellow: mirrored, ignored"),
        panel(
            shade(grey(warped["img"]), warped["gt_disks"] > 0, RED), "its disks: none in cells that are cut"
        ),
        panel(heat(np.log1p(warped["gt_disk_weight"])), "its weights: black is left out of the loss"),
    ]


@torch.inference_mode()
def inference_panels(cfg: Config, checkpoint: str, index: int) -> list[np.ndarray]:
    """Each step of the head's ``predict`` on one image of the test set."""
    model = MODELS.build(cfg.model).eval()
    load_fitting(model, checkpoint)
    head = model.heads[model.instance_head]
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    item = dataset[index]
    batch = model.data_preprocessor(dict(inputs=[item["inputs"]], data_samples=[item["data_samples"]]))
    features = model.extract(batch["inputs"])
    outputs = head(features)
    disk_probs = 1 - outputs["disk_logits"].softmax(1)[0, 0]
    logits = outputs["disk_logits"][0].numpy()
    gateways = head.finder.find(disk_probs)
    image = grey(batch["inputs"][0].permute(1, 2, 0).numpy())
    stride, origin = head.grid.stride, head.grid.origin
    points = (gateways.points.numpy() + 0.5) * stride - 0.5 + origin
    page = [
        panel(image, "image"),
        panel(heat(logits[0] - logits[0].min()), "logits of the background"),
        *(panel(heat(values - values.min()), "logits of disks") for values in logits[1:]),
        panel(heat(disk_probs.numpy(), 1), "disk probability"),
        panel(with_points(image, points), f"{len(gateways)} gateways"),
    ]
    if len(gateways):
        which = torch.tensor([0])  # the surest
        size = head.windows.shape_on(disk_probs.shape)
        first = head.windows.first_pixels(gateways.points[which], size, disk_probs.shape)
        gate = gateways.open(which, first, size)
        logits, _ = head.decode_windows(features, outputs["features"], which * 0, first, gate)
        y, x = (first[0] * stride + origin).tolist()
        window = image[y : y + size[0] * stride, x : x + size[1] * stride]
        page.append(panel(shade(window, gate[0].numpy(), RED), "one gateway open, in its window"))
        probs, least = logits.sigmoid(), head.test_cfg.mask_thr
        mask, mean = probs > least, float(maskness(probs, probs > least))
        page.append(panel(heat(probs[0].numpy(), 1), "what DecoNet draws through it"))
        text = f"its mask, above {least:g}: objectness {mean:.3f}, the mean there"
        page.append(panel(heat((probs * mask)[0].numpy(), 1), text))
    results = dataset.get_data_info(index)
    found = model.test_step(dict(inputs=[item["inputs"]], data_samples=[item["data_samples"]]))[0]
    instances = found.pred_instances
    original = TRANSFORMS.build(cfg.test_dataloader.dataset.pipeline[0])(dict(results))["img"]
    cells = LabelLayers.from_rles(instances.masks, original.shape[:2])
    title = f"{len(instances.masks)} masks kept, with their scores in per cent"
    page.append(panel(draw_instances(original[..., :1], cells, instances.scores.numpy(), scale=1), title))
    return page


def write(pages: dict[str, list[np.ndarray]], folder: Path, columns: int) -> None:
    """Each page of panels as a picture of its name, which is printed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, panels in pages.items():
        save_picture(folder / name, grid(panels, columns))
        print(folder / name)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        if args.config is None:
            write({"diskmask_disks.png": disk_panels()}, args.out, columns=RADIUS)
            return 0
        cfg = load_config(args.config)
        heads = cfg.model.get("heads", {})
        if not any(head.get("type") == "GatewayHead" for head in heads.values()):
            raise CellMMError(f"{args.config}: none of its heads is a GatewayHead")
        for loader in ("train_dataloader", *(["test_dataloader"] if args.checkpoint else [])):
            num = len(DATASETS.build(dict(cfg[loader].dataset, pipeline=[])))
            if not 0 <= args.index < num:
                raise CellMMError(f"--index {args.index}: {loader} has images 0 to {num - 1}")
        pages = {"diskmask_targets.jpg": target_panels(cfg, args.index)}
        if args.checkpoint:
            pages["diskmask_inference.jpg"] = inference_panels(cfg, args.checkpoint, args.index)
        write(pages, args.out, columns=3)
    except CellMMError as error:
        print(f"draw_diskmask: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
