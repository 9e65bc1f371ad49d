"""Wrappers of datasets: whose image, which draw, which id, which seed."""

import mmengine.dataset
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.datasets import CellDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset
from cellmm.engine.runner import build_runner
from cellmm.errors import CellMMError
from cellmm.registry import DATASETS


class Named(CellDataset):
    """Images <name>0.png, <name>1.png, ..., with the ids 1, 2, ..."""

    def __init__(self, name: str, num: int, **kwargs):
        self.name, self.num = name, num
        super().__init__(pipeline=[draw_number], **kwargs)

    def load_data_list(self):
        return [dict(img_path=f"{self.name}{i}.png", img_id=i + 1, instances=[]) for i in range(self.num)]


def draw_number(results: dict) -> dict:
    kept = {key: results[key] for key in ("img_path", "img_id", "draw")}
    return dict(kept, number=results["rng"].integers(2**31))


class Plain:
    """A dataset by its contract alone: no base class, no optional method."""

    def __init__(self, dataset: dict, seed: int = 0, classes: tuple[str, ...] = ("cell",)):
        self.images, self.metainfo = DATASETS.build(dict(dataset, seed=seed)), dict(classes=classes)
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def get_data_info(self, index: int) -> dict:
        return self.images.get_data_info(index)

    def __getitem__(self, index):
        return self.images[index]


def plain(*args, **kwargs) -> Plain:
    return Plain(dict(type=Named, name="p", num=2), *args, **kwargs)


def two() -> ConcatDataset:
    """a0 a1 b0 b1 b2 b0 b1 b2 c0: the second one twice."""
    b = RepeatDataset(dataset=Named("b", 3, seed=4), times=2)
    return ConcatDataset(datasets=[Named("a", 2, seed=4), b, ConcatDataset(datasets=[Named("c", 1, seed=4)])])


def test_images_ids_and_draws_by_hand():
    dataset = two()
    names = ["a0", "a1", "b0", "b1", "b2", "b0", "b1", "b2", "c0"]
    assert len(dataset) == 9 and dataset.metainfo == dict(classes=("cell",))
    for i, name in enumerate(names):
        info = dataset.get_data_info(i)
        assert (info["img_path"], info["img_id"]) == (f"{name}.png", i + 1)
        sample = dataset[i, 17]
        assert (sample["img_path"], sample["img_id"], sample["draw"]) == (f"{name}.png", i + 1, 17)
        assert sample["number"] == np.random.default_rng((4, 17)).integers(2**31)  # of seed and draw alone
        assert dataset[i] == dataset[i, i] and dataset[i]["draw"] == i
    assert dataset[-1] == dataset[8, 8] and dataset.get_data_info(-1)["img_id"] == 9
    with pytest.raises(IndexError):
        dataset[9]


def test_datasets_without_a_base_class():
    dataset = ConcatDataset(datasets=[Named("a", 1, seed=4), RepeatDataset(dataset=plain(seed=4), times=2)])
    assert len(dataset) == 5 and dataset.metainfo == dict(classes=("cell",))
    assert dataset.get_data_info(3)["img_path"] == "p0.png"
    sample = dataset[4, 17]
    assert (sample["img_path"], sample["img_id"], sample["draw"]) == ("p1.png", 5, 17)
    assert sample["number"] == np.random.default_rng((4, 17)).integers(2**31)
    assert len(ClassBalancedDataset(dataset=plain(), oversample_thr=1)) == 2
    alike = [plain(classes=("x", "y")), Named("a", 1, metainfo=dict(classes=("y", "x")))]
    assert ConcatDataset(datasets=alike).children[1].metainfo["classes"] == ("x", "y")
    with pytest.raises(CellMMError, match=r"Plain: its classes are \['x', 'y'\], .*: name them in the same"):
        ConcatDataset(datasets=alike[::-1]).take_class_order(("y", "x"), "the checkpoint")


class Labelled(CellDataset):
    """One image for each list of labels; a negative label is a crowd region of that class."""

    def __init__(self, labels: list[list[int]], **kwargs):
        self.labels = labels
        super().__init__(pipeline=[draw_number], metainfo=dict(classes=tuple("abcd")), **kwargs)

    def load_data_list(self):
        return [
            dict(
                img_path=f"{i}.png",
                img_id=i + 1,
                instances=[dict(label=abs(label), iscrowd=int(label < 0)) for label in own],
            )
            for i, own in enumerate(self.labels)
        ]

    def get_cat_ids(self, index):
        return [label for label in self.labels[index] if label >= 0]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 1])
def test_images_of_rare_classes_count_as_often_as_in_mmengine(share):
    rng = np.random.default_rng(0)
    labels = [rng.choice(4, rng.integers(0, 4), p=(0.7, 0.2, 0.07, 0.03)).tolist() for _ in range(50)]
    ours = ClassBalancedDataset(dataset=Labelled(labels, seed=4, allow_empty=True), oversample_thr=share)
    plain = Labelled(labels, allow_empty=True)
    assert ours.indices == mmengine.dataset.ClassBalancedDataset(plain, share).repeat_indices
    assert len(ours) == len(ours.indices) and (len(ours) > 50) == (share > 0.1)


def test_a_balanced_set_by_hand():
    """Of 8 images one shows class 1, which asks for sqrt(0.5 / 0.125) = 2; a crowd region for nothing."""
    dataset = ClassBalancedDataset(
        dataset=Labelled([[0], [0, 1], *[[0]] * 5, [0, -2]], seed=4), oversample_thr=0.5
    )
    assert dataset.indices == [0, 1, 1, 2, 3, 4, 5, 6, 7]
    sample = dataset[2, 17]
    assert (sample["img_path"], sample["draw"]) == ("1.png", 17)
    assert sample["number"] == np.random.default_rng((4, 17)).integers(2**31)
    both = ConcatDataset(datasets=[dataset, Named("c", 1, metainfo=dict(classes=tuple("abcd")))])
    assert len(both) == 10 and both[9, 0]["img_path"] == "c0.png"
    assert len(ClassBalancedDataset(dataset=Named("a", 3), oversample_thr=1)) == 3  # no cell anywhere


def test_the_same_batches_from_any_number_of_workers():
    batches = []
    for workers in (0, 2):
        config = dict(dataset=two(), sampler=dict(type="DrawSampler", _scope_="cellmm"), batch_size=2)
        loader = Runner.build_dataloader(config | dict(num_workers=workers), seed=9)
        loader.sampler.seek(14)
        batches.append([batch for batch, _ in zip(loader, range(4), strict=False)])
    assert batches[0] == batches[1]
    assert len({str(batch) for batch in batches[0]}) == 4


def test_the_id_of_a_packed_sample():
    class Sample:
        def set_metainfo(self, info):
            self.info = info

    a = Named("a", 2)
    a.pipeline = lambda results: dict(inputs=0, data_samples=Sample())
    assert ConcatDataset(datasets=[Named("b", 3), a])[4, 0]["data_samples"].info == dict(img_id=5)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: ConcatDataset(datasets=[]), "ConcatDataset: datasets is empty"),
        (lambda: RepeatDataset(dataset=Named("a", 1), times=0), "times is 0; a whole number of at least 1"),
        (
            lambda: ClassBalancedDataset(dataset=Named("a", 1), oversample_thr=0),
            "give a share above 0, at most 1",
        ),
        (lambda: RepeatDataset(dataset=Named("a", 1), times=True), "times is True; a whole number"),
        (
            lambda: ConcatDataset(datasets=[[1, 2]]),
            "ConcatDataset: list does not know numbered draws; take a",
        ),
        (
            lambda: ConcatDataset(datasets=[mmengine.dataset.RepeatDataset(Named("a", 1), times=2)]),
            "ConcatDataset: RepeatDataset does not know numbered draws",
        ),
        (
            lambda: ConcatDataset(
                datasets=[
                    Named("a", 1, metainfo=dict(classes=("x", "y"))),
                    Named("b", 1, metainfo=dict(classes=("y", "z"))),
                ]
            ),
            r"its classes are \['y', 'z'\], those of the first dataset of ConcatDataset \['x', 'y'\]: use",
        ),
    ],
)
def test_what_is_refused(build, says):
    with pytest.raises(CellMMError, match=says):
        build()


def test_classes_are_numbered_as_in_the_first():
    """By their names; and as another set has them, where the wrapper is told to."""
    orders = dict(a=("x", "y"), b=("y", "x"))
    sets = [Named(name, 1, metainfo=dict(classes=order)) for name, order in orders.items()]
    both = ConcatDataset(datasets=sets)
    assert [dataset.metainfo["classes"] for dataset in sets] == [("x", "y")] * 2
    both.take_class_order(("y", "x"), "the checkpoint")
    assert both.metainfo["classes"] == ("y", "x") == sets[1].metainfo["classes"]


def test_a_set_without_classes_takes_those_of_the_next():
    negatives = Named("a", 1)
    negatives._any_classes = True  # as an annotation without categories
    cells = Named("b", 1, metainfo=dict(classes=("x", "y"), category_ids=(7, 3)))
    both = ConcatDataset(datasets=[RepeatDataset(dataset=negatives, times=2), cells])
    assert both.metainfo == negatives.metainfo == dict(classes=("x", "y"), category_ids=(7, 3))


def test_two_sets_train_together_with_the_seed_of_the_training(tiny_config, tmp_path, monkeypatch):
    """In a config the names are cellmm's; every dataset inside gets the seed, unless it has one."""
    monkeypatch.setattr(Runner, "_log_env", lambda *args: None)
    cfg = load_config(tiny_config(tmp_path), {"randomness.seed": 5})
    base = cfg.train_dataloader.dataset
    own = dict(base, seed=7, indices=[0])
    repeat = dict(type="RepeatDataset", times=2, dataset=dict(base))
    monkeypatch.setitem(DATASETS.module_dict, "Plain", Plain)
    sets = [dict(base), own, repeat, dict(type="Plain", dataset=dict(base))]
    cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=sets)
    cfg.work_dir = str(tmp_path / "work")
    check_config(Config(cfg.to_dict()))
    dataset = build_runner(cfg).train_dataloader.dataset
    assert type(dataset) is DATASETS.get("ConcatDataset") is ConcatDataset
    assert DATASETS.get("ClassBalancedDataset") is ClassBalancedDataset
    a, b, repeated, plain = dataset.datasets
    assert [child.seed for child in (a, b, repeated.dataset, plain, plain.images)] == [5, 7, 5, 5, 5]
    assert len(dataset) == 5 + 1 + 10 + 5
    assert dataset[15, 3]["data_samples"].img_id == 16
