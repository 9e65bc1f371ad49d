"""CellInferencer with a stand-in model: a cell is a connected patch brighter than one learnt number."""

from pathlib import Path

import cv2
import dask.array
import numpy as np
import pytest
import tifffile
import torch
import zarr
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import nn

from cellmm.apis.inferencer import CellInferencer
from cellmm.errors import CellMMError
from cellmm.registry import MODELS, TRANSFORMS
from cellmm.structures import rle

QUICK_START = Path(__file__).parents[2] / "configs/sparseseunet/brightfield_quickstart.py"
CONFIG = """
default_scope = 'cellmm'
preprocessor = dict(type='CellDataPreprocessor', in_channels=1, divisor=8)
model = dict(type='PatchFinder', data_preprocessor=preprocessor)
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadCells', keep_original=True),
    dict(type='PackCellInputs'),
]
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CellCocoDataset',
        ann_file='cells.json',
        metainfo=dict(classes=('worm',)),
        pipeline=test_pipeline,
    ),
)
test_cfg = dict()
test_evaluator = dict(type='CellCocoMetric')
"""


class PatchFinder(BaseModel):
    """Scores fall with the area; ``batches`` keeps the shape of every batch."""

    def __init__(self, data_preprocessor):
        super().__init__(MODELS.build(data_preprocessor))
        self.level = nn.Parameter(torch.zeros(()))
        self.batches = []

    def forward(self, inputs, data_samples=None, mode="tensor"):
        assert mode == "predict" and not self.training
        self.batches.append(tuple(inputs.shape))
        for image, sample in zip(inputs, data_samples, strict=True):
            h, w = sample.ori_shape
            number, label = cv2.connectedComponents((image[0, :h, :w] > self.level).numpy().astype(np.uint8))
            masks = rle.encode(label == np.arange(1, number)[:, None, None])
            masks.sort(key=lambda mask: rle.area([mask])[0])
            sample.pred_instances = InstanceData(
                masks=masks,
                scores=1 / (1 + torch.arange(number - 1.0)),
                labels=torch.zeros(number - 1, dtype=torch.long),
            )
        return data_samples


@pytest.fixture(autouse=True)
def registered():
    MODELS.register_module(module=PatchFinder, force=True)
    yield
    MODELS.module_dict.pop("PatchFinder")


@pytest.fixture
def trained(tmp_path):
    """(config, checkpoint) that find what is brighter than 100."""
    (tmp_path / "config.py").write_text(CONFIG)
    torch.save(dict(state_dict=dict(level=torch.tensor(100.0)), meta=dict(iter=3)), tmp_path / "w.pth")
    return tmp_path / "config.py", tmp_path / "w.pth"


def write_image(path, *corners, shape=(20, 30), high=200):
    """Patches of 4x5 pixels at these corners (y, x)."""
    image = np.full(shape, 50, np.uint16)
    for y, x in corners:
        image[..., y : y + 4, x : x + 5] = high
    tifffile.imwrite(path, image)
    return path


def boxes(instances):
    """(left, top, width, height) of each cell."""
    return rle.bbox(instances.masks.to_rles()).tolist()


def test_finds_the_cells_of_a_file_without_annotations(trained, tmp_path):
    inferencer = CellInferencer(*trained, device="cpu")
    found = inferencer.predict(write_image(tmp_path / "a.tif", (2, 3), (10, 20)))
    assert (found.name, found.shape, found.classes) == ("a", (20, 30), ("worm",))
    assert boxes(found) == [[3, 2, 5, 4], [20, 10, 5, 4]] and found.scores.tolist() == [1, 0.5]
    assert inferencer.classes == ("worm",)
    inferencer.score_thr = 0.6
    assert len(inferencer.predict(tmp_path / "a.tif")) == 1


def test_takes_arrays_paths_and_sources(trained, tmp_path):
    inferencer = CellInferencer(*trained, device="cpu")
    path = write_image(tmp_path / "a.tif", (2, 3), (10, 20))
    array = tifffile.imread(path)
    (source,) = inferencer.open(path)
    images = [str(path), array, array[..., None], dask.array.from_array(array, 8), zarr.array(array), source]
    for image in images:
        assert boxes(inferencer.predict(image)) == [[3, 2, 5, 4], [20, 10, 5, 4]]
    found = list(inferencer(images, batch_size=2))
    assert [boxes(instances) for _, instances in found] == [[[3, 2, 5, 4], [20, 10, 5, 4]]] * 6
    assert found[-1][0] is source
    with pytest.raises(CellMMError, match="the model gives no maps"):
        inferencer.predict_maps(array)


def test_a_film_gives_an_image_per_time_point(trained, tmp_path):
    frames = np.full((3, 20, 30), 50, np.uint16)
    for i in range(3):
        frames[i, 2:6, 5 * i : 5 * i + 5] = 200
    tifffile.imwrite(tmp_path / "a.ome.tif", frames, metadata=dict(axes="TYX"))
    inferencer = CellInferencer(*trained, device="cpu")
    found = list(inferencer([tmp_path / "a.ome.tif"]))
    assert [source.name for source, _ in found] == ["a_t0000", "a_t0001", "a_t0002"]
    assert [boxes(instances)[0][0] for _, instances in found] == [0, 5, 10]
    with pytest.raises(CellMMError, match="a_t0000 and 2 more images are in one file: give its time"):
        inferencer.predict(tmp_path / "a.ome.tif")
    inferencer = CellInferencer(*trained, device="cpu", read_options=dict(time=1))
    assert boxes(inferencer.predict(tmp_path / "a.ome.tif")) == [[5, 2, 5, 4]]


def test_few_images_are_in_memory(trained):
    """Read ahead of the model: a bounded number, however long the list is."""
    inferencer = CellInferencer(*trained, device="cpu")
    made = []

    def images():
        for number in range(40):
            made.append(number)
            yield np.zeros((8, 8), np.uint8)

    for seen, _ in enumerate(inferencer(images(), batch_size=2)):
        assert len(made) <= seen + 10


@pytest.mark.parametrize(
    "steps",
    [
        "dict(type='LoadNuclei', keep_original=True)",
        "dict(type='cellmm.ReferencePoints'), dict(type='DiskTargets')",
        "dict(type='SemanticTargets', targets=('cytoplasm', 'nuclei'))",
        "dict(type='ProximityMap', kind='v0')",
        "dict(type='SamplingDensity')",
        "dict(type='MyTargets')",
    ],
)
def test_steps_that_want_annotations_are_left_out(trained, tmp_path, steps):
    config, checkpoint = trained
    config.write_text(CONFIG.replace("    dict(type='PackCell", f"    {steps},\n    dict(type='PackCell"))
    TRANSFORMS.register_module(module=MyTargets, force=True)
    try:
        inferencer = CellInferencer(config, checkpoint, "cpu")
    finally:
        TRANSFORMS.module_dict.pop("MyTargets")
    (source,) = inferencer.open(write_image(tmp_path / "a.tif", (2, 3)))
    sample = inferencer.prepare(source).item["data_samples"]
    assert not {"gt_layers", "gt_semantic", "gt_proximity", "eval_nuclei"} & set(sample.keys())
    assert len(inferencer.predict(source)) == 1


LAZY = """
from cellmm.datasets import CellCocoDataset
from cellmm.datasets.transforms import LoadCells, LoadImage, PackCellInputs
from cellmm.models import CellDataPreprocessor

preprocessor = dict(type=CellDataPreprocessor, in_channels=1, divisor=8)
model = dict(type='PatchFinder', data_preprocessor=preprocessor)
steps = [dict(type=LoadImage), dict(type=LoadCells, keep_original=True), dict(type=PackCellInputs)]
test_dataloader = dict(dataset=dict(type=CellCocoDataset, ann_file='cells.json', pipeline=steps))
"""


def test_types_may_be_classes(trained, tmp_path):
    """As configs in the style of lazy imports have them."""
    trained[0].write_text(LAZY)
    inferencer = CellInferencer(*trained, "cpu")
    assert inferencer.classes == ("cell",)
    assert len(inferencer.predict(write_image(tmp_path / "a.tif", (2, 3)))) == 1


def test_grey_stored_as_rgb_is_read_by_a_model_of_one_channel(trained, tmp_path):
    grey = np.full((20, 30), 50, np.uint8)
    grey[2:6, 3:8] = 200
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.dstack([grey] * 3))
    inferencer = CellInferencer(*trained, "cpu")
    assert boxes(inferencer.predict(path)) == [[3, 2, 5, 4]]
    cv2.imwrite(str(path), np.dstack([grey, grey, grey // 2]))
    with pytest.raises(CellMMError, match="a.png: 3 channels, but the model takes 1"):
        inferencer.predict(path)


@pytest.mark.parametrize("whole", [False, True])
def test_images_larger_than_those_of_training_go_in_tiles(
    trained, tmp_path, monkeypatch, whole, tiles_of_training
):
    for name, value in dict(tile=None, tile_overlap=0, tile_step=8, margin=3).items():
        monkeypatch.setattr(PatchFinder, name, value, raising=False)
    meta = dict(trained_on=dict(size=[20, 30], scale=[1.0, 1.0]))
    torch.save(dict(state_dict=dict(level=torch.tensor(100.0)), meta=meta), trained[1])
    shapes = [(20, 30), (20, 45), (29, 44)]
    paths = [write_image(tmp_path / f"{i}.tif", (2, 3), shape=shape) for i, shape in enumerate(shapes)]
    inferencer = CellInferencer(*trained, "cpu", whole=whole)
    assert all(len(found) == 1 for _, found in inferencer(paths))
    prepared = [inferencer.prepare(*inferencer.open(path)) for path in paths]
    assert [inferencer.predict_prepared([image])[0].tiled for image in prepared] == [False, not whole, False]
    assert inferencer.model.tile is None and inferencer.model.tile_overlap == 0


class MyTargets:
    """A step of the user's own."""

    annotation_only = True

    def __call__(self, results):
        return dict(results, mine=results["gt_layers"])


def test_takes_a_config_object_and_options(trained):
    path, checkpoint = trained
    cfg = Config.fromfile(path)
    options = {"test_dataloader.dataset.metainfo.classes": ("cell",)}
    assert CellInferencer(cfg, checkpoint, "cpu", options).classes == ("cell",)
    assert cfg.test_dataloader.dataset.metainfo.classes == ("worm",)
    assert CellInferencer(str(path), str(checkpoint), "cpu", options).classes == ("cell",)


def test_classes_of_the_dataset_are_the_default(trained):
    path, checkpoint = trained
    config = CONFIG.replace("metainfo=dict(classes=('worm',)),", "")
    for name in ("CellCocoDataset", "of.a.plug_in.that.is.not.here"):  # which need not have METAINFO
        path.write_text(config.replace("CellCocoDataset", name))
        assert CellInferencer(path, checkpoint, "cpu").classes == ("cell",)


def test_one_bad_file_does_not_stop_the_others(trained, tmp_path):
    paths = [write_image(tmp_path / f"{i}.tif", (2, 3), (12, 4 * i)) for i in range(5)]
    paths[1].write_bytes(paths[1].read_bytes()[:50])  # cut off
    paths[2].unlink()
    tifffile.imwrite(paths[3], np.zeros((2, 20, 30), np.uint16))  # two channels, the model takes one
    for batch_size in (1, 2, 5):
        results = list(CellInferencer(*trained, "cpu")(paths, batch_size=batch_size))
        for number, (path, (_, result)) in enumerate(zip(paths, results, strict=True)):
            if number in (1, 2, 3):
                assert isinstance(result, CellMMError) and path.name in str(result)
            else:
                assert result.name == path.stem and len(result) == 2
    assert "2 channels" in str(results[3][1])


def test_batches_hold_images_of_one_shape_in_order(trained, tmp_path):
    shapes = [(20, 30), (20, 30), (20, 30), (24, 30), (20, 30), (20, 30)]
    paths = [
        write_image(tmp_path / f"{i}.tif", *[(3, 6 * j) for j in range(i % 3)], shape=shape)
        for i, shape in enumerate(shapes)
    ]
    inferencer = CellInferencer(*trained, "cpu")
    results = list(inferencer(paths, batch_size=2))
    assert inferencer.model.batches == [(2, 1, 24, 32), (1, 1, 24, 32), (1, 1, 24, 32), (2, 1, 24, 32)]
    assert [source.path for source, _ in results] == paths
    assert [len(found) for _, found in results] == [0, 1, 2, 0, 1, 2]
    assert list(inferencer([])) == []
    with pytest.raises(CellMMError, match="batch_size is 0"):
        list(inferencer(paths, batch_size=0))


def test_a_channel_error_within_a_batch_is_of_its_file_only(trained, tmp_path):
    inferencer = CellInferencer(*trained, "cpu")
    good = [write_image(tmp_path / f"{i}.tif", (2, 3)) for i in range(2)]
    failing = inferencer.model.data_preprocessor.forward

    def refuse(data, training=False):
        if any(sample.img_path == str(good[1]) for sample in data["data_samples"]):
            raise CellMMError(f"{good[1]}: not this one")
        return failing(data, training)

    inferencer.model.data_preprocessor.forward = refuse
    (_, first), (_, second) = inferencer(good, batch_size=2)
    assert len(first) == 1
    assert str(second) == f"{good[1]}: not this one"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "holds no weights"),
        (dict(other=torch.ones(2)), r"1 missing \(level\); 1 unknown \(other\)"),
        (dict(level=torch.ones(3)), r"1 of another shape \(level \[3\], not \[\]\)"),
    ],
)
def test_weights_of_another_model_in_one_line(trained, state, message):
    torch.save(dict(state_dict=state), trained[1])
    with pytest.raises(CellMMError, match=message) as caught:
        CellInferencer(*trained, "cpu")
    assert str(trained[1]) in str(caught.value) and "\n" not in str(caught.value)


class Evil:
    def __reduce__(self):
        return (eval, ("1 / 0",))


def test_a_checkpoint_cannot_run_code(trained):
    torch.save(dict(state_dict=dict(level=torch.ones(())), evil=Evil()), trained[1])
    with pytest.raises(CellMMError, match="w.pth: refused"):
        CellInferencer(*trained, "cpu")


def test_wrong_config_and_device(trained, tmp_path):
    config, checkpoint = trained
    with pytest.raises(CellMMError, match="absent.py: no such config file"):
        CellInferencer(tmp_path / "absent.py", checkpoint)
    with pytest.raises(CellMMError, match="absent.pth: no such checkpoint"):
        CellInferencer(config, tmp_path / "absent.pth")
    with pytest.raises(CellMMError, match="device 'toaster' cannot be used"):
        CellInferencer(config, checkpoint, "toaster")
    config.write_text(CONFIG[: CONFIG.index("test_pipeline")])
    with pytest.raises(CellMMError, match="config.py: no model or no test_dataloader"):
        CellInferencer(config, checkpoint)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("model.tile", 0, "^model: tile must be"),
        ("model.encoder.widths", (), r"^model\.encoder: widths"),
        (
            "test_dataloader.dataset.pipeline.2.mode",
            "best",
            r"^test_dataloader\.dataset\.pipeline.*: mode must be",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_one_line(tmp_path, key, value, says):
    with pytest.raises(CellMMError, match=says):
        CellInferencer(QUICK_START, tmp_path / "no.pth", "cpu", {key: value})
