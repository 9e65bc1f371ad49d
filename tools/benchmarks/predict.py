"""Seconds and memory per megapixel of a prediction, by stage, and of the networks of other methods beside it.

    python tools/benchmarks/predict.py CONFIG [--checkpoint FILE] [--image FILE ...] [--peers FOLDER]

One core, CPU time, the least of several rounds. Stages: `read` (file to network input), `encoder and
decoder`, `gateways` (the masks of DiskMask), `postprocess` (the rest of the model: finding gateways, scores,
repeated masks, runs in the pixels of the file) and `write` (a COCO file). The forms of a model are measured
in turns: as trained, fused (what `predict` uses), fused in bfloat16.

Without a checkpoint, weights are random: `--cells` gateways lie on a grid, every window is drawn whole, which
is the most that they can cost, and there are no masks to postprocess and to write.

FOLDER holds an environment for each method, made by

    for name in cellpose3 stardist instanseg; do python -m venv FOLDER/$name; done
    FOLDER/cellpose3/bin/pip install 'cellpose==3.*'
    FOLDER/stardist/bin/pip install stardist tensorflow-cpu
    FOLDER/instanseg/bin/pip install instanseg-torch

Their networks are untrained, of their default size, and see the first four images as one mosaic, since they
cut small images less well (see peers.py): no more than the network is measured, since what comes after it
depends on the weights.
"""

import argparse
import contextlib
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from cellmm.config.load import load_config
from cellmm.datasets.transforms import TransformContract
from cellmm.engine.checkpoints import load_fitting
from cellmm.engine.preflight import tell_channels
from cellmm.io.coco_results import write_coco
from cellmm.models.heads.gateways import Gateways
from cellmm.models.segmentor import CellSegmentor
from cellmm.registry import MODELS, TRANSFORMS
from cellmm.results import Instances
from cellmm.results.writers.coco import to_coco

STAGES = ("read", "encoder and decoder", "gateways", "postprocess", "write")
PEERS = ("cellpose3", "stardist", "instanseg")  # those of peers.py
FORMS = {
    "as trained": dict(fused=False, dtype=None),
    "fused": dict(fused=True, dtype=None),
    "fused, bfloat16": dict(fused=True, dtype="bfloat16"),
}


class Clock:
    """CPU seconds and the most memory of the stage that is the innermost, summed over calls.

    Attributes:
        seconds: {stage: sum}.
        memory: {stage: MiB beyond ``base``}, only with ``with_memory``: to read it takes time.
    """

    def __init__(self, with_memory: bool = False) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.memory: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since, self._with_memory, self._base = 0.0, with_memory, resident("VmRSS")

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._switch()
        self._stack.append(name)
        try:
            yield
        finally:
            self._switch()
            self._stack.pop()

    def _switch(self) -> None:
        now = time.process_time()
        if self._stack:
            stage = self._stack[-1]
            self.seconds[stage] += now - self._since
            if self._with_memory:
                self.memory[stage] = max(self.memory[stage], resident("VmHWM") - self._base)
        if self._with_memory:
            Path("/proc/self/clear_refs").write_text("5")  # the most so far starts anew
        self._since = time.process_time()

    def follow(self, owner: object, method: str, stage: str) -> None:
        """Count all calls of a method as this stage."""
        inner = getattr(owner, method)

        def timed(*args: object, **kwargs: object) -> object:
            with self.stage(stage):
                return inner(*args, **kwargs)

        setattr(owner, method, timed)


def resident(key: str) -> float:
    """VmRSS (now) or VmHWM (the most so far) of this process, MiB."""
    return int(Path("/proc/self/status").read_text().partition(f"{key}:")[2].split()[0]) / 1024


def build_pipeline(cfg: dict, model: CellSegmentor) -> list[Callable[[dict], dict]]:
    """The steps from a file to the network, without those that load annotations."""
    steps = [TRANSFORMS.build(step) for step in cfg.test_dataloader.dataset.pipeline]
    steps = [step for step in steps if not TransformContract.of(step).annotation_only]
    tell_channels(steps, model)
    return steps


def through(steps: Sequence[Callable[[dict], dict]], path: Path) -> dict:
    """What the network gets of a file."""
    results = dict(img_path=str(path), img_id=1)
    for step in steps:
        results = step(results)
    return results


def mosaic(images: Sequence[torch.Tensor]) -> np.ndarray:
    """The first channel of four images as one, or of the first if they are fewer: float32 (H, W)."""
    first = [image[0].float().numpy() for image in images]
    return np.block([first[:2], first[2:]]) if len(first) == 4 else first[0]


def draw_whole_windows(model: CellSegmentor, cells: int) -> None:
    """Random weights: ``cells`` gateways on a grid, drawn to the end of their windows, without a mask."""
    head = model.heads[model.instance_head]
    head.windows.patience = None
    head.mask_decoder.logits.weight.data.zero_()
    head.mask_decoder.logits.bias.data.zero_()

    def find(disk_probs: torch.Tensor) -> Gateways:
        height, width = disk_probs.shape
        rows = max(round((cells * height / width) ** 0.5), 1)
        row, col = np.divmod(np.arange(cells), -(-cells // rows))
        row, col = row / max(row.max(), 1), col / max(col.max(), 1)
        points = torch.tensor(
            np.stack([row * (height - 1), col * (width - 1)], 1).round(), dtype=torch.float32
        )
        return Gateways(points, torch.full((cells,), 3.0), torch.ones(cells))

    head.finder.find = find


def forms_of(model: CellSegmentor, names: Sequence[str]) -> dict[str, CellSegmentor]:
    """The model in each of its FORMS."""
    found = {}
    for name in names:
        found[name] = copy.deepcopy(model)
        found[name].inference_dtype = FORMS[name]["dtype"]
        if FORMS[name]["fused"]:
            found[name].fuse_for_inference()
    return found


@torch.inference_mode()
def predict_once(
    model: CellSegmentor, steps: Sequence[Callable], paths: Sequence[Path], folder: Path, clock: Clock
) -> float:
    """Predict the files and write what was found; -> megapixels that went into the network."""
    megapixels = 0.0
    for path in paths:
        with clock.stage("read"):
            item = through(steps, path)
        megapixels += item["inputs"][0].numel() / 1e6
        with clock.stage("postprocess"):
            sample = model.test_step(dict(inputs=[item["inputs"]], data_samples=[item["data_samples"]]))[0]
        if "pred_instances" in sample:
            with clock.stage("write"):
                write_coco(folder / f"{path.stem}.json", to_coco(Instances.of_sample(sample, name=path.name)))
    return megapixels


def follow(model: CellSegmentor, clock: Clock) -> CellSegmentor:
    """A copy of the model whose stages the clock counts; it shares the weights."""
    model = copy.copy(model)
    clock.follow(model, "extract", "encoder and decoder")
    head = model.heads[model.instance_head] if model.instance_head else None
    if hasattr(head, "draw_windows"):
        model.heads = copy.copy(model.heads)
        model.heads._modules = dict(model.heads._modules)
        model.heads[model.instance_head] = head = copy.copy(head)
        clock.follow(head, "draw_windows", "gateways")
    return model


def measure(
    models: dict[str, CellSegmentor], steps: Sequence[Callable], paths: Sequence[Path], rounds: int
) -> dict:
    """{form: {stage: seconds per megapixel}}, the least of the rounds, forms in turns."""
    best: dict[str, dict[str, float]] = {name: {} for name in models}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, model in models.items():
                clock = Clock()
                megapixels = predict_once(follow(model, clock), steps, paths, Path(folder), clock)
                for stage, seconds in clock.seconds.items():
                    best[name][stage] = min(best[name].get(stage, np.inf), seconds / megapixels)
    return {
        name: {stage: round(best[name][stage], 3) for stage in STAGES if stage in best[name]}
        for name in models
    }


def memory_of(form: str, argv: Sequence[str]) -> dict[str, int]:
    """MiB per megapixel of each stage of the first image, in a process that did nothing else."""
    command = [sys.executable, "-W", "ignore", __file__, *argv, "--forms", form, "--only-memory"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout.splitlines()[-1])


def measure_peers(folder: Path, image: np.ndarray, rounds: int) -> dict:
    """{name: dict(seconds, memory)} per megapixel of the peers whose environments ``folder`` holds."""
    rows = {}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary, "image.npy")
        np.save(path, image)
        for name in PEERS:
            python = folder / name / "bin/python"
            if not python.is_file():
                print(f"{name}: {folder / name} is not an environment; it is left out", file=sys.stderr)
                continue
            command = [str(python), str(Path(__file__).with_name("peers.py")), name, str(path), str(rounds)]
            environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
            environment.pop("PYTHONPATH", None)
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            if done.returncode:
                sys.exit(f"{name}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
            row = json.loads(done.stdout.splitlines()[-1])
            rows[name] = dict(seconds=round(row["seconds"], 3), memory=round(row["memory"]))
    return rows


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("--checkpoint", help="weights; without: random ones")
    parser.add_argument("--image", nargs="+", type=Path, help="files; without: noise of --side pixels")
    parser.add_argument("--side", type=int, default=896, help="of the noise image, px")
    parser.add_argument("--cells", type=int, default=60, help="gateways per image with random weights")
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS), help="of the model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="folder of environments")
    parser.add_argument("--cpu", type=int, help="run on this core")
    parser.add_argument("--only-memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="write the numbers to this YAML too")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else list(argv)
    args = parse_args(argv)
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cfg = load_config(args.config)
    model = MODELS.build(cfg.model).eval()
    if args.checkpoint:
        load_fitting(model, args.checkpoint)
    elif hasattr(model.heads[model.instance_head], "finder"):
        draw_whole_windows(model, args.cells)
    steps = build_pipeline(cfg, model)
    with tempfile.TemporaryDirectory() as folder:
        paths = args.image
        if not paths:
            paths = [Path(folder, "noise.png")]
            noise = np.random.default_rng(0).integers(0, 256, (args.side, args.side), dtype=np.uint8)
            Image.fromarray(noise).save(paths[0])
        models = forms_of(model, args.forms)
        if args.only_memory:
            clock = Clock(with_memory=True)
            model = follow(models[args.forms[0]], clock)
            megapixels = predict_once(model, steps, paths[:1], Path(folder), clock)
            print(json.dumps({stage: round(most / megapixels) for stage, most in clock.memory.items()}))
            return 0
        seconds = measure(models, steps, paths, args.rounds)
        rows = {}
        for name, stages in seconds.items():
            memory = memory_of(name, argv)
            rows[name] = {stage: dict(seconds=spent, memory=memory[stage]) for stage, spent in stages.items()}
        images = [through(steps, path)["inputs"] for path in paths[:4]]
    content = dict(
        Config=args.config,
        Weights="trained" if args.checkpoint else f"random, {args.cells} cells",
        Side=list(images[0].shape[-2:]),
        Forms=rows,
    )
    if args.peers:
        content["Peers"] = measure_peers(args.peers, mosaic(images), args.rounds)
    for name, stages in rows.items():
        total = sum(stage["seconds"] for stage in stages.values())
        print(f"{name}: {total:.2f} s/Mpx")
        for stage, row in stages.items():
            print(f"    {stage:20} {row['seconds']:.3f} s/Mpx {row['memory']:6.0f} MiB/Mpx")
    for name, row in content.get("Peers", {}).items():
        print(f"{name}, network: {row['seconds']:.2f} s/Mpx {row['memory']:6.0f} MiB/Mpx")
    if args.out:
        args.out.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
