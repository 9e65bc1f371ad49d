"""Is it worth to start from a shipped model? Five annotated images, of a kind that the model has never seen.

    python tools/benchmarks/fine_tune.py --out work_dirs/fine_tune [--minutes 10] [--seed 0]

Simulates bacteria in dark field: thin, bent rods whose ends shine, some crossing, on black; 5 images to train
and 20 others to test. The shipped model of nuclei has learned from round nuclei in fluorescence and stained
tissue. Two networks of its architecture then learn from the 5 images for ``--minutes`` each, on this machine:
one from random weights, the other from those of the model. Data, pipelines, batches and schedules are the
same; the learning rates are FROM_SCRATCH, as in the configs of cellmm, and RATE. Nothing chooses a
checkpoint: the last one counts.

All rows are scored by `cellmm test`. The model as it is stands there twice: with the size of cells found in
each image, as `cellmm predict` does, and with the scale of the fine-tuning, which takes the median cell of
the training images to the size that the model knows. Prints the table and writes it into ``--out``, with the
configs and logs of all steps. One thread: OMP_NUM_THREADS=1.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from cellmm.commands.cli import main as cellmm
from cellmm.config.load import load_config
from cellmm.datasets.transforms.diameter import diameter_of_areas
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.simulation import SceneConfig, optics
from cellmm.simulation.scene import canvas_of, cells_in_image, field_behind, place_cells
from cellmm.structures import LabelLayers
from cellmm.zoo import shipped_models

MODEL = "nuclei"
RATE, FROM_SCRATCH = 5e-4, 1e-3  # learning rates
ITERATIONS = 500  # of the schedule, which --minutes scales
SPLITS = dict(train=5, test=20)
STOP = 0.35  # 1/um: light that is coarser than 3 um does not reach the camera
DARK = 0.03  # of the brightest light: what scatters everywhere
BACTERIA = SceneConfig(
    size=(320, 320),
    pixel=0.1,
    margin=3.0,
    cells=(25, 45),
    worm_share=1.0,
    worm_elongation=(2.0, 4.0),
    worm_width=(1.0, 1.6),
    bend=0.7,
    height=(0.5, 0.9),
    roughness=0.04,
    neighbour_share=0.4,
    max_overlap=0.25,
    min_visible=30,
    index_step=0.05,
    aperture=1.2,
    uneven_light=0.25,
    photons=1200.0,
    read_noise=10.0,
)
DATA = """
_base_ = ["cellmm::{base}"]
data_root = {root!r}
images = dict(type="LabelImageDataset", data_root=data_root)
test = dict(images, _delete_=True, img_dir="test/images", label_dir="test/labels", test_mode=True)
low_scores = dict(score_thr=0.05)  # they count in an AP
"""
AS_IT_IS = """
test_dataloader = dict(dataset=dict(test, pipeline=_base_.test_pipeline))
model = dict(heads=dict(instances=dict(test_cfg=low_scores)))
"""
TUNED = """
# all images have one pixel size: a factor takes the median cell of those to train on, {diameter:.3g} px
# across, to the {known} px that the model knows
rescale = dict(type="Rescale", factor={factor:.3g})
train_pipeline = [
    *_base_.train_pipeline[:3],
    rescale,
    # one size of cells, and always bright on dark: fewer changes than the model was trained with
    dict(
        type="RandomWarp",
        size=(160, 160),
        centre="uniform",
        rotate=(-180, 180),
        scale=(0.8, 1.25),
        elastic_spacing=32,
        elastic_magnitude=1.0,
        min_area=20,
    ),
    dict(type="RandomIntensity", brightness=0.1, contrast=0.3, gamma=0.3, noise=0.05),
    *_base_.train_pipeline[-3:],
]
test_pipeline = [*_base_.test_pipeline[:3], rescale, dict(type="PackCellInputs")]
train = dict(images, _delete_=True, img_dir="train/images", label_dir="train/labels")
train_dataloader = dict(dataset=dict(train, pipeline=train_pipeline))
val_dataloader = val_evaluator = val_cfg = None
test_dataloader = dict(dataset=dict(test, pipeline=test_pipeline))
model = dict(
    cell_size=None,
    heads=dict(instances=dict(windows=dict(size=48), test_cfg=low_scores)),  # 96 px: rods are long
)
max_iters = {iterations}
optim_wrapper = dict(optimizer=dict(lr={rate}))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.02, by_epoch=False, begin=0, end={warm_up}),
    dict(type="CosineAnnealingLR", eta_min=1e-6, by_epoch=False, begin={warm_up}, end=max_iters),
]
train_cfg = dict(max_iters=max_iters)
default_hooks = dict(checkpoint=dict(interval=max_iters, max_keep_ckpts=1))
"""


def bacteria(rng: np.random.Generator) -> tuple[np.ndarray, LabelLayers]:
    """An image in dark field, uint16 (H, W), and its cells."""
    scene = BACTERIA
    shapes = place_cells(scene, rng)
    light = dict(wavelength=scene.wavelength, pixel=scene.pixel, aperture=scene.aperture)
    seen = optics.dark_field(field_behind(shapes, scene), stop=STOP, **light)[canvas_of(scene)[1]]
    seen = seen / max(float(np.percentile(seen, 99.5)), 1e-6) + DARK
    lamp = optics.illumination(rng, scene.size, scene.uneven_light)
    record = dict(photons=scene.photons, read_noise=scene.read_noise, bits=scene.bits)
    return optics.camera(rng, lamp * seen, **record), cells_in_image(shapes, scene)


def simulate(root: Path, seed: int) -> float:
    """Write ``<split>/images`` and ``<split>/labels``; the diameter of the median cell to train on."""
    areas = []
    for split, number in SPLITS.items():
        for folder in ("images", "labels"):
            (root / split / folder).mkdir(parents=True)
        for i in range(number):
            image, cells = bacteria(np.random.default_rng([seed, *split.encode(), i]))
            tifffile.imwrite(root / split / "images" / f"{i:02d}.tif", image)
            write_layered_tiff(root / split / "labels" / f"{i:02d}.tif", cells)
            if split == "train":
                areas.append(cells.areas())
    return diameter_of_areas(np.concatenate(areas))


def write_configs(out: Path, diameter: float, iterations: int) -> None:
    """``as_it_is.py``, ``fine_tuned.py`` and ``from_scratch.py``; ``diameter`` of the cells, pixels."""
    warm_up = -(-iterations // 20)
    base = shipped_models()[MODEL].config
    known = load_config(base).diameter
    values = dict(base=base, root=str(out / "data"), diameter=diameter, known=known, factor=known / diameter)
    values |= dict(iterations=iterations, warm_up=warm_up)
    texts = dict(as_it_is=DATA + AS_IT_IS, fine_tuned=DATA + TUNED, from_scratch=DATA + TUNED)
    for name, text in texts.items():
        rate = RATE if name == "fine_tuned" else FROM_SCRATCH
        (out / f"{name}.py").write_text(text.format(**values, rate=rate), encoding="utf-8")


def run(argv: Sequence[str]) -> None:
    if status := cellmm(list(argv)):
        raise CellMMError(f"cellmm {' '.join(argv)} ended with status {status}")


def score(out: Path, config: str, weights: Path, name: str) -> dict[str, float]:
    run(["test", str(out / f"{config}.py"), str(weights), "--work-dir", str(out / name)])
    return json.loads((out / name / "metrics.json").read_text())


def train(out: Path, name: str, options: Sequence[str], start: Sequence[str] = ()) -> tuple[Path, float]:
    """The last checkpoint, and the minutes from the start to the end of the command."""
    work, began = out / name, time.monotonic()
    run(["train", str(out / f"{name}.py"), "--work-dir", str(work), *start, *options])
    minutes = (time.monotonic() - began) / 60
    return best_checkpoint(work), minutes


def table(rows: dict[str, dict]) -> str:
    lines = ["| model | minutes | iterations | AP | AP50 | AP75 | S |", "|---|---|---|---|---|---|---|"]
    for name, row in rows.items():
        scores = " | ".join(f"{row[key]:.3f}" for key in ("AP", "AP50", "AP75", "S"))
        lines.append(f"| {name} | {row['minutes']:.1f} | {row['iterations']} | {scores} |")
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--seed", type=int, default=0, help="of images and trainings")
    duration = parser.add_mutually_exclusive_group()
    duration.add_argument(
        "--minutes", type=float, default=10.0, help="of each training; default: %(default)g"
    )
    duration.add_argument("--iters", type=int, help="of each training, instead of minutes")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="of both trainings")
    args = parser.parse_args(argv)
    out = args.out.resolve()
    if out.exists():
        raise CellMMError(f"{out} exists: name a new folder, or remove it")
    write_configs(out, simulate(out / "data", args.seed), args.iters or ITERATIONS)
    length = ["--minutes", str(args.minutes)] if args.iters is None else []
    options = [*length, "--cfg-options", f"randomness.seed={args.seed}", *args.cfg_options]
    rows = {}
    shipped = shipped_models()[MODEL].weights
    for name, config in (("size found", "as_it_is"), ("size given", "fine_tuned")):
        scores = score(out, config, shipped, f"shipped_{config}")
        rows[f"{MODEL} as it is, {name}"] = dict(scores, minutes=0.0, iterations=0)
    trainings = {
        "from scratch": ("from_scratch", []),
        f"fine-tuned from {MODEL}": ("fine_tuned", ["--from", MODEL]),
    }
    for title, (name, start) in trainings.items():
        checkpoint, minutes = train(out, name, options, start)
        iterations = load_checkpoint(checkpoint)["meta"]["iter"]
        rows[title] = dict(score(out, name, checkpoint, name), minutes=minutes, iterations=iterations)
    text = table(rows)
    (out / "table.md").write_text(text, encoding="utf-8")
    (out / "results.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
