"""Time, memory and exactness of prediction in tiles, with a model whose result is known: simulated scenes.

    python tools/benchmarks/large_images.py areas --sides 1024 4096 16384   # peak memory, time per megapixel
    python tools/benchmarks/large_images.py mosaic                          # scenes in a mosaic and apart
    python tools/benchmarks/large_images.py merge --cells 1000000           # cells of synthetic pieces joined

The model reads the cells off the image, whose 16 bit channels are the layers of labels of simulated scenes,
so that cells overlap, and what is measured is reading, joining and writing, not a network. Each measurement
is made in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tifffile
import torch
from mmengine.model import BaseModule
from scipy import ndimage
from torch import Tensor, nn

from cellmm.apis.inferencer import CellInferencer
from cellmm.apis.tile_plan import TilePlan
from cellmm.datasets.transforms import Normalize
from cellmm.models import FeatureSpec
from cellmm.registry import MODELS
from cellmm.results import Instances
from cellmm.results.run_folder import InputFile
from cellmm.results.writers import build_writers
from cellmm.simulation import SCENES, simulate_scene
from cellmm.structures import MaskRuns, PredictedInstances
from cellmm.tiles.merge import FromPieces
from cellmm.tiles.pieces import UnitResult, write_piece
from cellmm.tiles.plan import PiecePlan, PlannedImage, plan_hash, share

SCENE = 256  # px
LAYERS = 3
GAP = 2  # px without cells at the borders of a scene, so that its cells end there
CONFIG = """
default_scope = 'cellmm'
model = dict(
    type='CellSegmentor',
    encoder=dict(type='LabelsAsTheyAre'),
    decoder=dict(type='LabelsAsTheyAre'),
    heads=dict(instances=dict(type='LabelsAsCells')),
    data_preprocessor=dict(type='CellDataPreprocessor', in_channels=3),
    tile=TILE,
    tile_overlap=OVERLAP,
)
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CellCocoDataset',
        ann_file='cells.json',
        pipeline=[dict(type='LoadImage'), dict(type='PackCellInputs')],
    ),
)
test_cfg = dict()
test_evaluator = dict(type='CellCocoMetric')
"""


@MODELS.register_module()
class LabelsAsTheyAre(BaseModule):
    """Encoder and decoder in one: the image."""

    out_specs = (FeatureSpec(LAYERS),)

    def forward(self, x: Tensor | list[Tensor]) -> list[Tensor]:
        return [x] if isinstance(x, Tensor) else x


@MODELS.register_module()
class LabelsAsCells(BaseModule):
    """Every value of a layer but 0 is a cell; its score follows from its value."""

    def __init__(self, num_classes: int = 1) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, features: list[Tensor]) -> Tensor:
        return features[0]

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        return dict(loss=self.unused)

    def predict(self, features: list[Tensor], samples: list) -> list[PredictedInstances]:
        return [self._predict(image.numpy().astype(np.int32)) for image in features[0]]

    def _predict(self, layers: np.ndarray) -> PredictedInstances:
        probs, origins, values = [], [], []
        for layer in layers:
            found = np.unique(layer)
            found = found[found > 0]
            dense = np.searchsorted(found, layer) + 1
            dense[layer == 0] = 0
            for number, box in enumerate(ndimage.find_objects(dense), start=1):
                probs.append((dense[box] == number).astype(np.float32))
                origins.append((box[0].start, box[1].start))
                values.append(found[number - 1])
        scores = 0.5 + np.array(values, np.float64) % 997 / 2000
        return PredictedInstances(
            probs,
            scores=torch.from_numpy(scores),
            labels=torch.zeros(len(probs), dtype=torch.long),
            origins=np.array(origins, np.int64).reshape(-1, 2),
            grid_shape=layers.shape[1:],
        )


def scenes(number: int) -> list[np.ndarray]:
    """Layers of labels, uint16 (SCENE, SCENE, LAYERS), of simulated cells, of which many overlap."""
    found = []
    seed = 0
    while len(found) < number:
        cells = simulate_scene(SCENES["small"], np.random.default_rng(seed)).cells
        seed += 1
        layers = cells.layers.copy()
        layers[:, :GAP] = layers[:, -GAP:] = 0
        layers[:, :, :GAP] = layers[:, :, -GAP:] = 0
        if len(layers) <= LAYERS:
            whole = np.zeros((SCENE, SCENE, LAYERS), np.uint16)
            whole[..., : len(layers)] = layers.transpose(1, 2, 0)
            found.append(whole)
    return found


def write_mosaic(path: Path, side: int, some: Sequence[np.ndarray]) -> int:
    """A tiled 16 bit TIFF of (side, side, LAYERS) of scenes in random order; the number of cells in it."""
    num = -(-side // SCENE)
    order = np.random.default_rng(side).integers(0, len(some), (num, num))
    total = 0

    def tiles() -> Iterator[np.ndarray]:
        nonlocal total
        first = 0
        for row in range(num):
            for col in range(num):
                scene = some[order[row, col]]
                top = int(scene.max())
                if first + top >= 2**16:
                    first = 0  # values are distinct within what a tile sees
                total += sum(len(np.unique(layer)) - 1 for layer in scene.transpose(2, 0, 1))
                yield np.where(scene > 0, scene + np.uint16(first), 0).astype(np.uint16)
                first += top

    shape = (num * SCENE, num * SCENE, LAYERS)
    tifffile.imwrite(
        path,
        tiles(),
        shape=shape,
        dtype=np.uint16,
        tile=(SCENE, SCENE),
        photometric="minisblack",
        planarconfig="contig",
        bigtiff=True,
        metadata={"axes": "YXC"},
    )
    return total


def build(folder: Path, tile: int | None, overlap: int) -> CellInferencer:
    (folder / "config.py").write_text(CONFIG.replace("TILE", str(tile)).replace("OVERLAP", str(overlap)))
    torch.save(dict(state_dict={"heads.instances.unused": torch.zeros(())}), folder / "w.pth")
    return CellInferencer(folder / "config.py", folder / "w.pth", "cpu", whole=tile is None)


def resident(key: str) -> float:
    """VmRSS (now) or VmHWM (the most so far) of this process, MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) / 1024


def measure_area(side: int, tile: int, overlap: int) -> dict:
    """Statistics, prediction and the files of a mosaic of side x side pixels."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cells = write_mosaic(folder / "a.tif", side, scenes(8))
        inferencer = build(folder, tile, overlap)
        base = resident("VmRSS")
        (source,) = inferencer.open(folder / "a.tif")
        begin, used = time.perf_counter(), time.process_time()
        blocks = inferencer.large.blocks(source, [])
        Normalize(mode="percentile").statistics(source.shape, blocks, "a.tif")
        read = time.perf_counter() - begin
        found = inferencer.predict(source)
        predicted = time.perf_counter() - begin - read
        found.save(folder / "a.npz")
        (writer,) = build_writers("coco")
        writer.write(folder / "coco.json", found, source)
        total = time.perf_counter() - begin
    return dict(
        side=source.shape[0],
        cells=cells,
        found=len(found),
        seconds=round(total, 2),
        processor=round(time.process_time() - used, 2),
        statistics=round(read, 2),
        predict=round(predicted, 2),
        per_megapixel=round(total / (source.shape[0] * source.shape[1] / 1e6), 4),
        peak_MiB=round(resident("VmHWM")),
        before_MiB=round(base),
    )


def measure_mosaic(side: int, tile: int, overlap: int) -> dict:
    """How many cells of the scenes apart are in their mosaic, and how many are there twice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        some = scenes(8)
        write_mosaic(folder / "a.tif", side, some)
        found = build(folder, tile, overlap).predict(folder / "a.tif")
        whole = build(folder, None, 0)
        order = np.random.default_rng(side).integers(0, len(some), (-(-side // SCENE),) * 2)
        apart = [whole.predict(scene) for scene in some]
        parts = [
            apart[order[row, col]].masks.moved(row * SCENE, col * SCENE, found.shape)
            for row, col in np.ndindex(order.shape)
        ]
    expected = MaskRuns.concatenate(parts)
    i, j, shared = expected.intersections(found.masks)
    union = expected.areas()[i] + found.masks.areas()[j] - shared
    same = shared == union
    twice = len(found) - len(np.unique(j[same]))
    return dict(
        cells=len(expected),
        found=len(found),
        same=round(len(np.unique(i[same])) / len(expected), 5),
        not_in_the_scenes=twice,
    )


def measure_merge(cells: int, tile: int, overlap: int) -> dict:
    """Disks and bars on a jittered grid, written as the pieces of a plan and joined."""
    pitch = 40
    side = int(np.sqrt(cells)) * pitch
    rng = np.random.default_rng(0)
    num = side // pitch
    centres = np.stack(np.meshgrid(np.arange(num), np.arange(num), indexing="ij"), -1) * pitch + pitch // 2
    centres = (centres + rng.integers(-8, 9, centres.shape)).reshape(-1, 2)
    radii = rng.integers(7, 16, len(centres))
    plan = TilePlan((side, side), tile, overlap, 32, 0)
    image = PlannedImage(0, 0, "a", (side, side), plan)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inferencer = build(folder, tile, overlap)
        work = share([image.areas], 64)
        PiecePlan([], {}, False, {}, [InputFile(folder / "a", "a", "a")], [None], [image], work).write(folder)
        mark = plan_hash(folder)
        for number, piece in enumerate(work):
            units = {(0, u): disks(plan, u, centres, radii) for w in piece for u in range(w.first, w.end)}
            write_piece(folder, number, mark, units)
        base = resident("VmRSS")
        source = InMemory((side, side))
        begin, used = time.perf_counter(), time.process_time()
        reader = FromPieces(inferencer, folder)
        found: Instances = reader.predict(source, 0).instances
        joined = time.perf_counter() - begin
        found.save(folder / "a.npz")
        total = time.perf_counter() - begin
    return dict(
        cells=len(centres),
        found=len(found),
        tiles=len(plan.grid),
        join_seconds=round(joined, 1),
        with_saving=round(total, 1),
        processor=round(time.process_time() - used, 1),
        peak_MiB=round(resident("VmHWM")),
        before_MiB=round(base),
    )


class InMemory:
    """As much of an ImageSource as joining needs."""

    name, path, pixel_size = "a", None, None

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape


def disks(plan: TilePlan, number: int, centres: np.ndarray, radii: np.ndarray) -> UnitResult:
    """The disks that a tile sees."""
    top, left, bottom, right = plan.grid.tile(number).box
    reach = radii[:, None]
    near = ((centres + reach >= (top, left)) & (centres - reach < (bottom, right))).all(1)
    crops, corners, scores = [], [], []
    for (y, x), radius in zip(centres[near].tolist(), radii[near].tolist(), strict=True):
        offsets = np.arange(-radius, radius + 1)
        disk = offsets[:, None] ** 2 + offsets**2 <= radius**2
        first = max(top - y + radius, 0), max(left - x + radius, 0)
        end = bottom - y + radius, right - x + radius
        crop = disk[first[0] : end[0], first[1] : end[1]]
        if crop.any():
            crops.append(crop)
            corners.append((y - radius + first[0], x - radius + first[1]))
            scores.append(0.5 + (y * 7 + x) % 499 / 1000)
    masks = MaskRuns.from_crops(crops, corners, plan.shape)
    return UnitResult(masks, np.array(scores, np.float32), np.zeros(len(crops), np.int64), {})


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("areas", "mosaic", "merge"))
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 4096], help="of the images, px")
    parser.add_argument("--cells", type=int, default=1_000_000, help="to merge")
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--overlap", type=int, default=128)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # measure in this process
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    numbers = [args.cells] if args.what == "merge" else args.sides
    if args.here:
        measure = dict(areas=measure_area, mosaic=measure_mosaic, merge=measure_merge)[args.what]
        print(json.dumps(measure(numbers[0], args.tile, args.overlap)))
        return 0
    for number in numbers:
        option = ["--cells" if args.what == "merge" else "--sides", str(number)]
        sizes = ["--tile", str(args.tile), "--overlap", str(args.overlap)]
        command = [sys.executable, __file__, args.what, *option, *sizes, "--here"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout.splitlines()[-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
