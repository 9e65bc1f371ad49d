"""Is it worth to start from a shipped model? Five annotated images, of a kind that the model has never seen.

    python tools/benchmarks/fine_tune.py --out work_dirs/fine_tune [--minutes 10] [--seed 0]

Simulates bacteria in dark field: thin, bent rods whose ends shine, some crossing, on black; 5 images to train
and 20 others to test. The shipped model of nuclei has learned from round nuclei in fluorescence and stained
tissue. Two networks of its architecture then learn from the 5 images for ``--minutes`` each, on this machine:
one from random weights, the other from those of the model. Both are trained by the config that `cellmm init
--from nuclei` writes for the images; from scratch, with the learning rate of the model's own training, which
is twice that of the fine-tuning. Nothing chooses a checkpoint: the last one counts.

All rows are scored by `cellmm test`. The model as it is stands there twice: with the size of cells found in
each image, as `cellmm predict` does, and with the scale of the fine-tuning, which takes the median cell of
all 25 images to the size that the model knows. Prints the table and writes it into ``--out``, with the
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
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import best_checkpoint
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.own_data import prepare
from cellmm.simulation import SceneConfig, optics
from cellmm.simulation.scene import canvas_of, cells_in_image, field_behind, place_cells
from cellmm.structures import LabelLayers
from cellmm.zoo import shipped_models

MODEL = "nuclei"
FROM_SCRATCH = 1e-3  # the learning rate, that of the model's own training
LOW_SCORES = "model.heads.instances.test_cfg.score_thr=0.05"  # they count in an AP
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
AS_IT_IS = """
_base_ = ["cellmm::{base}"]
test_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="AnnotatedFolderDataset",
        data_root={root!r},
        images={images!r},
        test_mode=True,
        pipeline=_base_.test_pipeline,
    )
)
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


def simulate(root: Path, seed: int) -> None:
    """Write ``<split>/images`` and ``<split>/labels``, a layered TIFF per image."""
    for split, number in SPLITS.items():
        for folder in ("images", "labels"):
            (root / split / folder).mkdir(parents=True)
        for i in range(number):
            image, cells = bacteria(np.random.default_rng([seed, *split.encode(), i]))
            tifffile.imwrite(root / split / "images" / f"{i:02d}.tif", image)
            write_layered_tiff(root / split / "labels" / f"{i:02d}.tif", cells)


def write_configs(out: Path) -> tuple[Path, Path]:
    """The configs of the model as it is and of its fine-tuning, the latter as `cellmm init` writes it."""
    images = [f"test/images/{i:02d}" for i in range(SPLITS["test"])]
    text = AS_IT_IS.format(base=shipped_models()[MODEL].config, root=str(out / "data"), images=images)
    as_it_is = out / "as_it_is.py"
    as_it_is.write_text(text, encoding="utf-8")
    return as_it_is, prepare(out / "data", out / "prepared", start=MODEL)


def run(argv: Sequence[str]) -> None:
    if status := cellmm(list(argv)):
        raise CellMMError(f"cellmm {' '.join(argv)} ended with status {status}")


def score(config: Path, weights: Path, work: Path) -> dict[str, float]:
    run(["test", str(config), str(weights), "--work-dir", str(work), "--cfg-options", LOW_SCORES])
    return json.loads((work / "metrics.json").read_text(encoding="utf-8"))


def train(config: Path, work: Path, options: Sequence[str]) -> tuple[Path, float]:
    """The last checkpoint, and the minutes from the start to the end of the command."""
    began = time.monotonic()
    run(["train", str(config), "--work-dir", str(work), *options])
    return best_checkpoint(work), (time.monotonic() - began) / 60


def options_of(args: argparse.Namespace) -> list[str]:
    """The options of both trainings, --cfg-options last."""
    if args.iters is None:
        options = ["--minutes", str(args.minutes), "--cfg-options"]
    else:
        warm_up = -(-args.iters // 20)
        ends = dict.fromkeys(("train_cfg.max_iters", "param_scheduler.1.end"), args.iters)
        ends |= dict.fromkeys(("param_scheduler.0.end", "param_scheduler.1.begin"), warm_up)
        options = ["--cfg-options", *(f"{key}={value}" for key, value in ends.items())]
    return [*options, f"randomness.seed={args.seed}", *args.cfg_options]


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
    simulate(out / "data", args.seed)
    as_it_is, config = write_configs(out)
    weights, rows = shipped_models()[MODEL].weights, {}
    for name, its_config in (("size found", as_it_is), ("size given", config)):
        scores = score(its_config, weights, out / f"shipped, {name}")
        rows[f"{MODEL} as it is, {name}"] = dict(scores, minutes=0.0, iterations=0)
    trainings = {
        "from scratch": ["load_from=None", f"optim_wrapper.optimizer.lr={FROM_SCRATCH}"],
        f"fine-tuned from {MODEL}": [],
    }
    for title, own in trainings.items():
        checkpoint, minutes = train(config, out / title, [*options_of(args), *own])
        iterations = load_checkpoint(checkpoint)["meta"]["iter"]
        rows[title] = dict(score(config, checkpoint, out / title), minutes=minutes, iterations=iterations)
    text = table(rows)
    (out / "table.md").write_text(text, encoding="utf-8")
    (out / "results.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    sys.exit(main())
