"""Generated situations of users: each comes out right, is refused in one line, or a line says what differs.

300 in the suite; ``CELLMM_FUZZ=5000 python -m pytest tests/fuzz`` makes more, and ``CELLMM_FUZZ_FIRST=1234``
begins with that number. A failure names the number of its situation, which alone decides what it is.
"""

import contextlib
import io
import json
import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from cellmm.commands.cli import main as cellmm
from cellmm.datasets import LabelImageDataset
from cellmm.datasets.to_coco import dataset_to_coco
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.errors import CellMMError
from cellmm.evaluation.metrics import CellCocoMetric
from cellmm.registry import MODELS
from cellmm.structures import CellSample, rle
from tests.fuzz.damaged import damaged_checkpoint, damaged_image
from tests.fuzz.exact_model import SMALL
from tests.fuzz.images import draw_cells, draw_image, same_masks, write_image

FIRST, NUMBER = int(os.environ.get("CELLMM_FUZZ_FIRST", 0)), int(os.environ.get("CELLMM_FUZZ", 300))
SECONDS = 60  # a situation that takes longer hangs
CLASSES = ("small", "large")
CONFIG = """
default_scope = "cellmm"
custom_imports = dict(imports=["tests.fuzz.exact_model"])
model = dict(
    type="CellSegmentor",
    data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
    encoder=dict(type="SamePixels"),
    decoder=dict(type="SamePixels"),
    heads=dict(instances=dict(type="BrightSpots")),
)
pipeline = [
    dict(type="LoadImage", num_channels=1),
    dict(type="LoadCells", keep_original=True),
    {extra}
    dict(type="Normalize", mode="mean_std"),
    dict(type="PackCellInputs"),
]
test_dataloader = dict(
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="CellCocoDataset", {dataset} pipeline=pipeline),
)
test_cfg = dict()
test_evaluator = dict(type="CellCocoMetric")
"""


class Said(list):
    """What a command said: log records of warnings and worse, and its lines on stderr."""

    status: int = 0

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def run(monkeypatch):
    """``run(argv)``: a command of cellmm, with its status and what it said; a traceback fails the test."""
    said = Said()
    handlers = MMLogger.callHandlers

    def listen(logger, record):
        if record.levelname in ("WARNING", "ERROR") and "will be deprecated" not in record.getMessage():
            said.append(record.getMessage())
        handlers(logger, record)

    monkeypatch.setattr(MMLogger, "callHandlers", listen)

    def command(argv: list[str] | None = None, act=None) -> Said:
        said.clear()
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            if act is not None:
                try:
                    said.status, said.value = 0, act()
                except CellMMError as error:
                    said.status, said.value = 1, None
                    said.append(str(error))
            else:
                said.status = cellmm([str(word) for word in argv])
        lines = [
            line for line in stderr.getvalue().replace("\r", "\n").splitlines() if line.startswith("cellmm ")
        ]
        said.extend(lines)
        assert said.status in (0, 1), f"status {said.status}: {said.text}"
        if said.status:
            assert said, "refused without a word"
            assert all("Traceback" not in line and len(line) < 1500 for line in said), said.text
        return said

    return command


@pytest.fixture(autouse=True)
def no_hang():
    def hang(*_):
        raise TimeoutError(f"more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exact") / "exact.pth"
    torch.save(
        dict(
            state_dict={"heads.instances.threshold": torch.tensor(0.5)},
            meta=dict(dataset_meta=dict(classes=CLASSES), trained_on=dict(size=[220, 220], scale=[1.0, 1.0])),
        ),
        path,
    )
    return path


def predicting(rng, folder, run, checkpoint):
    """Sizes, arrangements, formats, holes, tiles, batches, thresholds, files beside the images."""
    config, images, truth = folder / "exact.py", folder / "images", {}
    extras = ["", "", "", "", "dict(type='ResizeTo', size=(64, 64)),", "dict(type='PadTo', divisor=16),"]
    config.write_text(CONFIG.format(extra=rng.choice(extras), dataset="ann_file='cells.json',"))
    images.mkdir()
    for i in range(rng.integers(1, 4)):
        shape = tuple(int(n) for n in rng.choice([1, 7, 20, 40, 64, 90, 150, 220], 2))
        masks = draw_cells(rng, shape, 30)
        image = draw_image(rng, masks, shape)
        if rng.random() < 0.2 and min(shape) >= 64:  # a missing tile
            image[: shape[0] // 2, : shape[1] // 2] = 0
            cut = [mask for mask in masks if image[mask].min() == 0]
            image[np.any([*cut, np.zeros(shape, bool)], axis=0)] = 0
            masks = [mask for mask in masks if image[mask].min() > 0]
            if not masks:  # two plain areas, of which either could be the cell
                image[:] = 50
        name = f"{'abc'[i]}.{rng.choice(['png', 'tif'])}"
        write_image(rng, images / name, image)
        truth[name] = masks
        if rng.random() < 0.2:
            cv2.imwrite(str(images / f"{'abc'[i]}_masks.png"), image.astype(np.uint8))
    thr = float(rng.choice([0.3, 0.5, 0.95]))
    argv = ["predict", images, "--config", config, "--checkpoint", checkpoint, "--out", folder / "out"]
    argv += ["--score-thr", thr, "--batch-size", rng.choice([1, 2, 3]), "--device", "cpu"]
    if rng.random() < 0.5:
        argv += ["--tile", rng.choice([1, 16, 33, 64, 100, 500])]
        if rng.random() < 0.5:
            argv += ["--tile-overlap", rng.choice([0, 8, 16, 40])]
    if rng.random() < 0.5:
        argv += ["--no-overlays"]
    said = run(argv)
    written = folder / "out" / "cells.json"
    content = json.loads(written.read_text()) if written.is_file() else dict(images=[], annotations=[])
    found: dict[str, list] = {image["file_name"]: [] for image in content["images"]}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for cell in content["annotations"]:
        found[names[cell["image_id"]]].append(cell["segmentation"])
    for name, masks in truth.items():
        right = name in found and same_masks(found[name], [] if thr > 0.9 else masks)
        assert right or said, f"{name}: {len(found.get(name, []))} cells, not {len(masks)}, without a word"
    extra = found.keys() - truth.keys()
    assert not extra, f"{extra} were segmented too"


def scoring(rng, folder, run, checkpoint):
    """Class orders and ids, sets without cells, crowds, areas: AP is 1 and the ids are the file's."""
    ids = [int(n) for n in rng.choice([0, 1, 2, 5, 7, 90], 2, replace=False)]
    names = list(rng.permutation(CLASSES)) if rng.random() < 0.9 else ["small", "huge"]
    content = dict(images=[], annotations=[], categories=[])
    content["categories"] = [dict(id=n, name=str(name)) for n, name in zip(ids, names, strict=True)]
    by_name = dict(zip(names, ids, strict=True))
    (folder / "images").mkdir()
    most = int(rng.choice([0, 3, 10]))
    crowd = rng.random() < 0.2
    for i in range(2):
        shape = (40, 50)
        masks = draw_cells(rng, shape, most)
        image = draw_image(rng, masks, shape)
        tifffile.imwrite(folder / "images" / f"{i}.tif", image)
        content["images"].append(dict(id=i + 3, file_name=f"{i}.tif", height=40, width=50))
        for mask in masks:
            name = CLASSES[int(mask.sum() > SMALL)]
            content["annotations"].append(
                dict(
                    id=len(content["annotations"]) + 1,
                    image_id=i + 3,
                    category_id=by_name.get(name, ids[1]),
                    iscrowd=int(crowd),
                    segmentation=rle.encode_one(mask),
                    area=float(mask.sum()),
                )
            )
    (folder / "cells.json").write_text(json.dumps(content))
    options = [f"data_root={str(folder)!r}, ann_file='cells.json', img_dir='images', "]
    if rng.random() < 0.8:
        options += ["allow_empty=True, "]
    order = rng.random()
    if order < 0.3:
        options += [f"metainfo=dict(classes={list(map(str, names))}), "]
    elif order < 0.4:
        options += ["class_agnostic=True, "]
    config = folder / "exact.py"
    config.write_text(CONFIG.format(extra="", dataset="".join(options)))
    said = run(["test", config, checkpoint, "--work-dir", folder / "work"])
    if said.status:
        return
    metrics = json.loads((folder / "work" / "metrics.json").read_text())
    results = json.loads((folder / "work" / "results.segm.json").read_text())
    cells = {
        (cell["image_id"], cell["category_id"], cell["segmentation"]["counts"])
        for cell in content["annotations"]
    }
    written = {(cell["image_id"], cell["category_id"], cell["segmentation"]["counts"]) for cell in results}
    agnostic = any("agnostic" in option for option in options)
    right = metrics["AP"] == (1.0 if cells and not crowd else None) and (agnostic or written == cells)
    assert right or said, f"AP {metrics['AP']}, {len(written & cells)} of {len(cells)} cells, without a word"


def labelling(rng, folder, run, checkpoint):
    """Label images as people have them: gaps in ids, 0 and 255, backgrounds, subfolders, lost partners."""
    truth = {}
    kind = str(rng.choice(["ids", "ids", "gaps", "0 and 255", "background", "float", "colour"]))
    for i in range(rng.integers(1, 5)):
        masks = draw_cells(rng, (40, 60), 12)
        name = f"{rng.choice(['', '', 'day2/'])}{'abcd'[i]}"
        label = np.zeros((40, 60), np.uint16)
        for k, mask in enumerate(masks, start=1):
            label[mask] = {"gaps": 7 * k, "0 and 255": 255}.get(kind, k)
        if kind == "background":
            label[label == 0] = 65535
        label = label.astype(np.float32) if kind == "float" else label
        label = np.repeat(label[..., None], 3, axis=2).astype(np.uint8) if kind == "colour" else label
        suffix = str(rng.choice([".tif", ".TIF", ".tiff"]))
        for part, pixels in (("images", draw_image(rng, masks, (40, 60))), ("labels", label)):
            path = folder / part / f"{name}{suffix if part == 'labels' else '.tif'}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if part == "images" or rng.random() < 0.9:
                tifffile.imwrite(path, pixels)
        truth[f"{name}.tif"] = masks

    def convert():
        return dataset_to_coco(LabelImageDataset(data_root=folder, allow_empty=True))

    said = run(act=convert)
    if said.status:
        return
    found = {image["file_name"]: [] for image in said.value["images"]}
    names = {image["id"]: image["file_name"] for image in said.value["images"]}
    for cell in said.value["annotations"]:
        found[names[cell["image_id"]]].append(cell["segmentation"])
    for name, masks in truth.items():
        right = name in found and same_masks(found[name], masks)
        assert right or said, (
            f"{kind}, {name}: {len(found.get(name, []))} cells, not {len(masks)}, without a word"
        )


def limits(rng, folder, run, checkpoint):
    """max_gates, num_queries, max_dets: what a limit cuts is said."""
    torch.manual_seed(int(rng.integers(1000)))
    if rng.random() < 0.3:
        most, num = int(rng.integers(1, 12)), int(rng.integers(0, 12))
        masks = [rle.encode_one(mask) for mask in draw_cells(rng, (80, 80), 40)][:num]
        cells = dict(masks=masks, labels=np.zeros(len(masks), np.int64), scores=np.ones(len(masks)))
        truth = dict(cells, ignore=np.zeros(len(masks), bool), areas=np.full(len(masks), np.nan))
        sample = dict(
            img_id=1, ori_shape=(80, 80), img_path="a.tif", eval_instances=truth, pred_instances=cells
        )
        metric = CellCocoMetric(max_dets=most)
        said = run(act=lambda: (metric.process(None, [sample]), metric.evaluate(1))[1])
        assert said or len(masks) <= most or said.value["AP"] == 1.0, f"{len(masks)} cells, max_dets {most}"
        return
    gates = rng.random() < 0.5
    limit = int(rng.choice([1, 3, 10, 1000])) if gates else int(rng.choice([4, 9, 25]))
    head = (
        dict(type="GatewayHead", feature_channels=4, windows=dict(type="GrowingWindows", size=16))
        | dict(finder=dict(type="PeakFinder", score_thr=0.01, max_gates=limit))
        | dict(mask_decoder=dict(type="DecoNet", widths=(4, 4), norm="BN", padding="same"))
        if gates
        else dict(
            type="IAMHead",
            num_queries=limit,
            feature_dim=8,
            instance_branch=dict(channels=4, depth=1),
            mask_branch=dict(channels=4, depth=1, mask_dim=4),
        )
    )
    config = dict(
        type="CellSegmentor",
        data_preprocessor=dict(type="CellDataPreprocessor", in_channels=1),
        encoder=dict(type="SEUNetEncoder", widths=(4, 4, 4)),
        decoder=dict(type="SEUNetDecoder", widths=(4, 4)),
        heads=dict(instances=dict(head, test_cfg=dict(score_thr=0.0, mask_thr=0.05))),
        tile=int(rng.choice([16, 24])) if rng.random() < 0.3 else None,
        tile_overlap=4,
    )
    if config["tile"] is None:
        config.pop("tile_overlap")
    model = MODELS.build(config).eval()
    shape = tuple(int(n) for n in rng.choice([16, 32, 48], 2))
    image = torch.from_numpy(rng.normal(size=(1, *shape)).astype(np.float32))
    sample = CellSample(
        metainfo=dict(img_id=1, img_path="a.tif", img_shape=shape, ori_shape=shape, to_original=np.eye(3))
    )
    number = []

    def predict():
        if gates:
            finder = model.heads.instances.finder
            find = finder.find

            def unlimited(disk_probs):
                finder.max_gates = None
                number.append(len(find(disk_probs)))
                finder.max_gates = limit
                return find(disk_probs)

            finder.find = unlimited
        with torch.no_grad():
            return model.test_step(dict(inputs=[image], data_samples=[sample]))[0].pred_instances

    said = run(act=predict)
    most = max(number) if gates else len(said.value)
    assert said or (most <= limit if gates else most < limit), f"{head['type']}: {most}, limit {limit}"


OPTIONS = {
    "train_cfg.max_iters": [1, 2, 0, -1, 1.5],
    "train_cfg.val_interval": [1, 2, 0],
    "train_cfg.dynamic_intervals": [[(1, 1)], [(1, 0)], 3],
    "train_dataloader.batch_size": [1, 2, 0],
    "optim_wrapper.optimizer.lr": [1e-3, 0, -1, "fast"],
    "optim_wrapper.optimizer.betas": [(0.9,), (0.9, 0.99), (2, 0.9)],
    "optim_wrapper.clip_grad": [dict(max_norm=1.0), dict(max_norm=-1.0), dict(max_nrm=1.0)],
    "optim_wrapper.accumulative_counts": [1, 2, 0],
    "model.heads.instances.num_queries": [16, 2, 0, -3],
    "model.heads.instances.criterion.points": [
        dict(type="UncertainPoints", num_points=number) for number in (5, 0)
    ],
    "model.heads.instances.mask_branch.mask_dim": [1, 0],
    "model.heads.instances.instance_branch.depth": [1, 0, -1],
    "model.heads.instances.test_cfg.score_thr": [0.0, 2.0],
    "model.data_preprocessor.divisor": [8, 4, 0, -2, 1],
    "model.data_preprocessor.in_channels": [2, 3, 0],
    "model.encoder.widths": [(4, 4), (), (4, 0, 4)],
    "model.tile": [None, 16, 0, -5],
    "custom_hooks": [[dict(type="EMAHook", momentum=m)] for m in (0.1, 2, 0)],
    "param_scheduler": [
        [dict(type="OneCycleLR", eta_max=0.1, total_steps=10, by_epoch=False)],
        [dict(type="ConstantLR", factor=0.5, by_epoch=False, end=2)],
        [dict(type="CosineAnnealingLR", T_max=0, by_epoch=False)],
    ],
    "val_evaluator": [
        dict(type="CellCocoMetric", collect_device="moon"),
        dict(type="CellCocoMetric", max_dets=0),
        dict(type="CellCocoMetric", outfile_prefix="/proc/no/place"),
    ],
    "default_hooks.checkpoint.interval": [1, 2, 0, -1, 1.5],
    "default_hooks.checkpoint.save_best": ["AP", "AQ", "auto"],
    "lr": [1],
    "optimizer": [dict(type="SGD")],
    "fp16": [dict(loss_scale=512)],
    "train_pipelines": [[dict(type="LoadImage")]],
    "activation_checkpointing": [["encoder"]],
    "randomness": [dict(seed=1), dict(seed="x"), dict(seed=-1)],
}


def training(rng, folder, run, checkpoint, tiny_config):
    """One option of a config: trained with it to the end, or refused before the first step."""
    key = str(rng.choice(list(OPTIONS)))
    value = OPTIONS[key][rng.integers(len(OPTIONS[key]))]
    cfg = Config.fromfile(tiny_config(folder))
    cfg.merge_from_dict(
        {"train_cfg.max_iters": 2, "train_cfg.val_interval": 2, "default_hooks.logger.interval": 1}
    )
    cfg.merge_from_dict({key: value})
    config = folder / "changed.py"
    config.write_text("".join(f"{name} = {part!r}\n" for name, part in cfg.to_dict().items()))
    said = run(["train", config, "--work-dir", folder / "work"])
    logs = [log.read_text() for log in (folder / "work").glob("*/*.log")]
    began = any("Iter(train)" in log for log in logs)
    if said.status:
        assert not began, f"{key}={value!r}: refused after the first step: {said.text}"
    else:
        saved = sorted((folder / "work").glob("iter_*.pth"))
        assert saved or key.startswith("default_hooks"), f"{key}={value!r}: nothing was saved"
        assert all(
            weight.isfinite().all()
            for path in saved
            for weight in load_checkpoint(path)["state_dict"].values()
        )


KINDS = [
    *(predicting, scoring, damaged_checkpoint, damaged_image, limits),
    *(predicting, scoring, damaged_checkpoint, damaged_image, limits),
    *(predicting, labelling, scoring, labelling, training),
]


@pytest.mark.parametrize("number", range(FIRST, FIRST + NUMBER))
def test_right_or_warned_or_refused(number, tmp_path, run, checkpoint, tiny_config, monkeypatch):
    monkeypatch.setattr("mmengine.runner.Runner._log_env", lambda *args: None)  # seconds of no interest
    kind = KINDS[number % len(KINDS)]
    rng = np.random.default_rng((7, number))
    more = (tiny_config,) if kind is training else ()
    kind(rng, tmp_path, run, checkpoint, *more)
