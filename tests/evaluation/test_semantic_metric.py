"""The scores of semantic maps: by hand, conventions, errors, several ranks, beside the other metric."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.datasets import SimulatedDataset
from cellmm.errors import CellMMError
from cellmm.evaluation.functional import pixel_counts, pixel_scores
from cellmm.registry import METRICS
from cellmm.simulation import SceneConfig
from cellmm.structures import SEMANTIC_NAMES, CellSample, LabelLayers, semantic_maps
from cellmm.structures import rle as rle_ops

SHAPE = (9, 13)
SCORES = ("Acc", "Prec", "Rec", "F1", "IoU")


def box(y0, x0, y1, x1):
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def sample(img_id, cells, maps, *, nuclei=None, ignore=None):
    """A sample with these masks and maps of probabilities."""
    packed = CellSample(metainfo=dict(img_id=img_id, img_path=f"folder/image_{img_id}.tif", ori_shape=SHAPE))
    packed.eval_instances = InstanceData(
        masks=[rle_ops.encode_one(mask) for mask in cells],
        labels=np.zeros(len(cells), np.int64),
        ignore=np.array([False] * len(cells) if ignore is None else ignore, bool),
        areas=np.full(len(cells), math.nan),
    )
    if nuclei is not None:
        packed.eval_nuclei = InstanceData(masks=[rle_ops.encode_one(mask) for mask in nuclei])
    packed.pred_semantic = BaseDataElement(
        **{name: torch.from_numpy(np.asarray(values, np.float32)) for name, values in maps.items()}
    )
    return packed


def metric_of(**kwargs):
    return METRICS.build(dict(type="SemanticMetric", **kwargs))


def run(*samples, **kwargs):
    metric = metric_of(**kwargs)
    metric.process(None, [packed.to_dict() for packed in samples])
    return metric.evaluate(len(samples))


def test_pixels_by_hand():
    pred, truth = np.array([[1, 1, 1], [0, 0, 0]]), np.array([[1, 1, 0], [1, 0, 0]])
    assert pixel_counts(pred, truth).tolist() == [2, 1, 1, 2]
    assert pixel_counts(pred, truth, np.array([[1, 0, 0], [1, 1, 0]])).tolist() == [1, 0, 1, 1]
    scores = pixel_scores(np.array([2, 1, 1, 2]))
    assert {key: float(value) for key, value in scores.items()} == pytest.approx(
        dict(Acc=4 / 6, Prec=2 / 3, Rec=2 / 3, F1=2 / 3, IoU=1 / 2)
    )


def test_images_are_pooled_with_the_thresholds_of_the_thesis():
    # Image 1: two cells of 4 x 4 that share 4 x 2 pixels: cytoplasm 24 px, overlap 8 px.
    cells = [box(0, 0, 4, 4), box(0, 2, 4, 6)]
    first = sample(1, cells, dict(cytoplasm=0.5 * box(0, 0, 4, 3), overlap=0.3 * box(0, 2, 4, 4)))
    # Image 2: no cell, 3 px of cytoplasm are predicted, 0.29 is no overlap.
    second = sample(2, [], dict(cytoplasm=0.9 * box(0, 0, 1, 3), overlap=0.29 * box(0, 0, 1, 3)))
    numbers = run(first, second, targets=("cytoplasm", "overlap"))
    pixels = 2 * 9 * 13
    assert numbers["cytoplasm/Acc"] == pytest.approx((pixels - 12 - 3) / pixels)
    assert numbers["cytoplasm/Prec"] == pytest.approx(12 / 15)
    assert numbers["cytoplasm/Rec"] == pytest.approx(12 / 24)
    assert numbers["cytoplasm/F1"] == pytest.approx(24 / (24 + 3 + 12))
    assert numbers["cytoplasm/IoU"] == pytest.approx(12 / 27)
    assert [numbers[f"overlap/{score}"] for score in SCORES] == [1] * 5
    strict = run(first, targets=["overlap"], thresholds=dict(overlap=0.31))
    assert (strict["overlap/Rec"], strict["overlap/F1"]) == (0, 0) and math.isnan(strict["overlap/Prec"])


def test_the_targets_of_training_score_one():
    masks = [box(0, 0, 6, 6), box(2, 4, 9, 12)]
    nuclei = [box(1, 1, 3, 3), np.zeros(SHAPE, bool)]
    names = ("cytoplasm", "nuclei", "border", "background", "overlap")
    layers = (LabelLayers.from_masks(masks), LabelLayers.from_masks(nuclei))
    for width in (1, 2):
        maps = semantic_maps(*layers, names, border_width=width)
        packed = sample(1, masks, maps, nuclei=nuclei)
        numbers = run(packed, targets=names, border_width=width)
        assert set(numbers.values()) == {1.0} and len(numbers) == 25
        assert run(packed, targets=names, border_width=3 - width)["border/IoU"] < 1


@pytest.mark.parametrize(("scale", "width"), [(4, 8), (3.9, 8), (0.5, 1), (0.1, 1)])
def test_the_width_of_the_border_is_in_pixels_of_the_networks_frame(scale, width):
    masks = [np.pad(np.ones((28, 40), bool), 2), np.pad(np.ones((16, 16), bool), ((8, 8), (0, 28)))]
    truth = semantic_maps(LabelLayers.from_masks(masks), None, ["border"], border_width=width)
    packed = sample(1, masks, truth)
    # The network saw the image scale times smaller (1 along one side, scale^2 along the other one).
    packed.set_metainfo(dict(ori_shape=(32, 44), to_original=np.diag([1, scale**2, 1])))
    assert run(packed, targets=["border"])["border/F1"] == 1
    packed.set_metainfo(dict(to_original=np.eye(3)))
    assert run(packed, targets=["border"])["border/F1"] < 1


def test_a_border_of_a_smaller_frame_scores_one():
    small = np.pad(np.ones((20, 30), bool), 4)
    border = semantic_maps(LabelLayers.from_masks([small]), None, ["border"])["border"]
    large = np.ones((4, 4), bool)
    packed = sample(1, [np.kron(small, large)], dict(border=np.kron(border, large)))
    packed.set_metainfo(dict(ori_shape=(112, 152), to_original=np.diag([4, 4, 1])))
    assert run(packed, targets=["border"])["border/F1"] == 1


def test_samples_of_a_test_pipeline(tmp_path):
    steps = [
        dict(type="LoadImage"),
        dict(type="LoadCells", keep_original=True),
        dict(type="LoadNuclei", keep_original=True),
        dict(type="SemanticTargets", targets=SEMANTIC_NAMES),
        dict(type="PackCellInputs"),
    ]
    scene = SceneConfig(size=(48, 64), pixel=0.5, cells=(3, 6), min_visible=20, neighbour_share=0.6)
    dataset = SimulatedDataset(
        data_root=tmp_path / "set",
        split="test",
        nuclei=True,
        pipeline=steps,
        simulation=dict(splits=dict(test=2), scene=scene),
    )
    samples = [dataset[i]["data_samples"] for i in range(2)]
    for packed in samples:
        packed.pred_semantic = BaseDataElement(
            **{name: packed.gt_semantic.get(name).float() for name in SEMANTIC_NAMES}
        )
    assert set(run(*samples, targets=SEMANTIC_NAMES).values()) == {1.0}


def test_crowd_pixels_do_not_count():
    crowd = box(0, 0, 9, 5)
    packed = sample(
        1, [box(2, 8, 4, 10), crowd], dict(cytoplasm=box(0, 0, 2, 2) + box(2, 8, 4, 10)), ignore=[False, True]
    )
    assert [run(packed, targets=["cytoplasm"])[f"cytoplasm/{score}"] for score in SCORES] == [1] * 5


def test_many_crowd_regions_take_no_memory():
    h, w = 900, 1000
    crowd = np.zeros((h, w), bool)
    crowd[:, 1:] = True
    first = np.zeros((h, w), bool)
    first[:4, 0] = True
    packed = sample(1, [first] + [crowd] * 20, dict(cytoplasm=first), ignore=[False] + [True] * 20)
    packed.set_metainfo(dict(ori_shape=(h, w)))
    packed = packed.to_dict()
    metric = metric_of(targets=["cytoplasm"])
    peak = peak_memory(lambda: metric.process(None, [packed]))
    assert metric.results[0].counts.tolist() == [[4, 0, 0, h - 4]]
    assert peak < 40 * h * w  # 20 masks take 20 bytes a pixel, and their pixels' numbers 8 each


@pytest.mark.parametrize("counted", [False, True])
def test_counting_takes_three_bytes_a_pixel(counted):
    pred, truth = np.zeros((2, 1000, 1000), bool)
    pred[:10], truth[5:30] = True, True
    where = np.ones((1000, 1000), bool) if counted else None
    truth = truth.view(np.uint8)
    assert pixel_counts(pred, truth, where).tolist() == [5000, 5000, 20000, 970000]
    assert peak_memory(lambda: pixel_counts(pred, truth, where)) < 3.5e6


def peak_memory(call):
    """Bytes that numpy held at most during a call, beyond what was there."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_undefined_numbers_are_nan():
    none = run(sample(1, [], dict(cytoplasm=np.zeros(SHAPE))), targets=["cytoplasm"])
    assert none["cytoplasm/Acc"] == 1
    assert all(math.isnan(none[f"cytoplasm/{score}"]) for score in SCORES[1:])
    invented = run(sample(1, [], dict(cytoplasm=np.ones(SHAPE))), targets=["cytoplasm"])
    assert math.isnan(invented["cytoplasm/Rec"])
    assert [invented[f"cytoplasm/{score}"] for score in ("Acc", "Prec", "F1", "IoU")] == [0] * 4


@pytest.mark.parametrize("prefix", [None, "val"])
def test_the_keys_are_known_before(prefix):
    options = dict(targets=("cytoplasm", "border"), prefix=prefix)
    numbers = run(sample(1, [box(0, 0, 3, 3)], dict.fromkeys(options["targets"], np.ones(SHAPE))), **options)
    assert metric_of(**options).metric_keys == list(numbers)
    assert next(iter(numbers)) == ("val/" if prefix else "") + "cytoplasm/Acc"


def test_beside_the_metric_of_instances():
    packed = sample(1, [box(0, 0, 4, 4)], dict(cytoplasm=box(0, 0, 4, 4)))
    packed.pred_instances = InstanceData(
        masks=[rle_ops.encode_one(box(0, 0, 4, 4))], scores=torch.ones(1), labels=torch.zeros(1).long()
    )
    both = Evaluator([dict(type="CellCocoMetric"), dict(type="SemanticMetric", targets=("cytoplasm",))])
    both.dataset_meta = dict(classes=("cell",))
    both.process([packed])
    numbers = both.evaluate(1)
    assert (numbers["AP"], numbers["F1"], numbers["cytoplasm/F1"]) == (1, 1, 1)
    assert sorted(numbers) == sorted(key for metric in both.metrics for key in metric.metric_keys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("eval_instances"),
            r"image_1.tif: no eval_instances; .*LoadCells\(keep_original=True",
        ),
        (lambda s: s.pop("eval_nuclei"), r"image_1.tif: no eval_nuclei .*LoadNuclei\(keep_original=True\)"),
        (lambda s: s.pop("pred_semantic"), r"image_1.tif: .*no map 'nuclei' \(no pred_semantic.*a head with"),
        (lambda s: s.update(pred_semantic={"border": None}), r"no map 'nuclei' \(of its maps \['border'\]\)"),
        (lambda s: s["pred_semantic"]["nuclei"].fill_(math.nan), "has nan or infinite values"),
        (lambda s: s["pred_semantic"]["nuclei"].fill_(7), "values from 7 to 7, no probabilities"),
        (lambda s: s.update(ori_shape=(8, 13)), r"image_1.tif: .*\(h, w\), not \[8, 13\]"),
        (
            lambda s: s["pred_semantic"].update(nuclei=torch.zeros(4, 4)),
            r"has \(4, 4\) pixels \(h, w\), the image \(9, 13\)",
        ),
    ],
)
def test_what_is_wrong_is_named(change, message):
    cell = box(0, 0, 4, 4)
    broken = sample(1, [cell], dict(nuclei=cell), nuclei=[cell]).to_dict()
    change(broken)
    with pytest.raises(CellMMError, match=message):
        metric_of(targets=["nuclei"]).process(None, [broken])


def test_each_image_once():
    packed = sample(1, [], dict(cytoplasm=np.zeros(SHAPE)))
    with pytest.raises(CellMMError, match=r"img_id 1 came 2 times \(image_1.tif\)"):
        run(packed, packed, targets=["cytoplasm"])
    with pytest.raises(CellMMError, match="no image was evaluated"):
        run(targets=["cytoplasm"])
    metric = metric_of(targets=["cytoplasm"])
    metric.process(None, [packed.to_dict()])
    with pytest.raises(CellMMError, match="1 of 2 images"):
        metric.evaluate(2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(targets=()), "targets is"),
        (dict(targets="nuclei"), "targets is"),
        (dict(targets=["border", "border"]), "targets is"),
        (dict(targets=["cells"]), "targets has 'cells': choose from .*a map of your own needs a metric of"),
        (dict(targets=["border"], thresholds=dict(overlap=0.3)), "thresholds has 'overlap'"),
        (dict(targets=["border"], thresholds=dict(border=0)), "thresholds is"),
        (dict(targets=["border"], border_width=0), "border_width is 0"),
    ],
)
def test_wrong_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        metric_of(**options)


def _three_images():
    cell = box(0, 0, 4, 4)
    return [sample(i, [cell], dict(cytoplasm=box(0, 0, 4, 4 - i))).to_dict() for i in range(3)]


def _one_rank(rank, world_size, meeting_point, queue):
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=world_size)
    # As mmengine's sampler deals them out: the last one is image 0 again.
    images = _three_images()
    metric = metric_of(targets=["cytoplasm"])
    metric.process(None, [(images[0], images[2]), (images[1], images[0])][rank])
    queue.put(metric.evaluate(3))
    dist.destroy_process_group()


def test_two_ranks_with_a_padded_last_batch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # mmengine exchanges results through a folder here
    metric = metric_of(targets=["cytoplasm"])
    metric.process(None, _three_images())
    alone = metric.evaluate(3)
    assert alone["cytoplasm/Rec"] == pytest.approx((16 + 12 + 8) / 48)
    context = torch.multiprocessing.get_context("fork")
    queue = context.Queue()
    args = [(rank, 2, tmp_path / "meeting_point", queue) for rank in range(2)]
    ranks = [context.Process(target=_one_rank, args=of_rank, daemon=True) for of_rank in args]
    for process in ranks:
        process.start()
    numbers = [queue.get(timeout=60) for _ in ranks]
    for process in ranks:
        process.join(timeout=60)
    assert numbers == [alone, alone]
