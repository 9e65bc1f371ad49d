import random

import numpy as np
import pytest
import tifffile
import torch
from mmengine.runner import Runner

from cellmm.datasets import CellDataset
from cellmm.errors import CellMMError
from cellmm.io.images import read_image
from cellmm.io.sources import ReadOptions, open_images
from cellmm.registry import DATASETS


class Numbers(CellDataset):
    def load_data_list(self):
        return [{"img_path": f"{i}.png", "img_id": i + 1, "instances": []} for i in range(5)]


def draw_number(results: dict) -> dict:
    return {"img_id": results["img_id"], "draw": results["draw"], "number": results["rng"].integers(2**31)}


def test_random_numbers_are_a_function_of_seed_and_draw():
    dataset = Numbers(pipeline=[draw_number], seed=4)
    expected = np.random.default_rng((4, 17)).integers(2**31)
    assert dataset[2, 17] == {"img_id": 3, "draw": 17, "number": expected}
    assert dataset[0, 17]["number"] == expected
    assert dataset[2, 18]["number"] != expected
    assert Numbers(pipeline=[draw_number], seed=5)[2, 17]["number"] != expected


def test_a_step_that_uses_the_global_generators_is_repeatable_and_leaves_them_alone():
    dataset = Numbers(pipeline=[lambda results: (random.random(), np.random.rand(), torch.rand(1).item())])
    assert dataset[2, 17] == dataset[0, 17] != dataset[2, 18]
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    _ = dataset[1, 3]
    assert np.random.rand() == expected


def test_plain_index_is_its_own_draw():
    dataset = Numbers(pipeline=[draw_number])
    assert dataset[3] == dataset[3, 3] == dataset[-2]
    with pytest.raises(IndexError):
        dataset[5]


def test_the_same_batches_from_any_number_of_workers():
    config = {
        "dataset": Numbers(pipeline=[draw_number], seed=1),
        "sampler": {"type": "DrawSampler", "_scope_": "cellmm"},
        "batch_size": 2,
    }
    batches = []
    for workers in (0, 2):
        loader = Runner.build_dataloader(config | {"num_workers": workers}, seed=9)
        loader.sampler.seek(6)
        batches.append([batch["number"] for batch, _ in zip(loader, range(4), strict=False)])
    assert batches[0] == batches[1]


def test_indices_keep_the_image_ids():
    assert [Numbers(indices=[1, 3]).get_data_info(i)["img_id"] for i in range(2)] == [2, 4]
    assert len(Numbers(indices=2)) == 2
    with pytest.raises(CellMMError, match="indices="):
        Numbers(indices=[])
    with pytest.raises(CellMMError, match="no image in"):
        type("Nothing", (Numbers,), {"load_data_list": lambda self: []})()


def test_metainfo():
    assert Numbers().metainfo == {"classes": ("cell",)}
    assert Numbers(metainfo={"classes": ["live", "dead"]}).metainfo["classes"] == ["live", "dead"]
    with pytest.raises(CellMMError, match="'cell'"):
        Numbers(metainfo={"classes": "cell"})


def test_a_pipeline_that_loses_its_sample_is_an_error():
    with pytest.raises(CellMMError, match=r"0\.png.*None"):
        Numbers(pipeline=[lambda results: None])[0]


def test_lazy_init_builds_the_index_on_first_use():
    dataset = Numbers(lazy_init=True, pipeline=[draw_number])
    assert not dataset._fully_initialized
    assert dataset[1]["img_id"] == 2


def test_every_dataset_is_in_the_registry():
    names = {"CellCocoDataset", "LabelImageDataset", "MaskFolderDataset", "BBBC010Dataset", "DSB2018Dataset"}
    assert names | {"LIVECellDataset"} <= set(DATASETS.module_dict)


class Frames(CellDataset):
    """Each frame of a film is an image."""

    def load_data_list(self):
        frames = open_images(self.ann_file, ReadOptions(z="max"))
        return [
            dict(img_path=str(frame.path), img_source=frame, img_id=i, instances=[])
            for i, frame in enumerate(frames)
        ]


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_are_a_part_of_a_file(tmp_path, workers):
    film = np.random.default_rng(0).integers(0, 60_000, (3, 2, 16, 24), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", film, imagej=True, metadata={"axes": "TZYX"})
    steps = [dict(type="LoadImage", z="max"), dict(type="PackCellInputs")]
    dataset = Frames(ann_file=tmp_path / "a.tif", pipeline=steps, allow_empty=True)
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers)
    for item, frame in zip(loader, film, strict=True):
        np.testing.assert_array_equal(item["inputs"][0], frame.max(axis=0))
        sample = item["data_samples"]
        again = read_image(sample.img_path, sample.read_options)
        np.testing.assert_array_equal(again[..., 0], frame.max(axis=0))
