"""The contract tester finds what is broken, and names the component and the rule in one line."""

import time
from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from torch import nn

from cellmm import testing
from cellmm.datasets import DrawSampler, SimulatedDataset
from cellmm.datasets.transforms import CropRegion, RandomIntensity, ReferencePoints
from cellmm.errors import CellMMError
from cellmm.io.annotations import AsapReader
from cellmm.models import feature_pyramid
from cellmm.models.losses.weighted_loss import WeightedLoss
from cellmm.results.writers import CocoWriter
from cellmm.structures import PredictedInstances


class AddsAKey(ReferencePoints):
    writes = ()


class ReadsTheAnnotationAndChangesTheImage(RandomIntensity):
    annotation_only = True


class DrawsFromItself(RandomIntensity):
    rng = np.random.default_rng(0)

    def transform(self, results: dict) -> dict:
        return super().transform(results | dict(rng=self.rng))


class LeavesNucleiBehind(CropRegion):
    def transform(self, results: dict) -> dict:
        nuclei = results.pop("gt_nuclei")
        return super().transform(results) | dict(gt_nuclei=nuclei)


class MovesCellsElsewhere(CropRegion):
    def transform(self, results: dict) -> dict:
        found = super().transform(results)
        found["gt_layers"].layers[:] = found["gt_layers"].layers[:, ::-1].copy()
        return found


class ForgetsToOriginal(CropRegion):
    def transform(self, results: dict) -> dict:
        return super().transform(dict(results)) | dict(to_original=results["to_original"])


class FailsWithoutCells(RandomIntensity):
    def transform(self, results: dict) -> dict:
        results["gt_labels"].max()
        return super().transform(results)


class FailsOnOnePixel(RandomIntensity):
    def transform(self, results: dict) -> dict:
        results["img"][1, 1]
        return super().transform(results)


class DoesNotSayThatItCrops(CropRegion):
    moves_pixels = False
    writes = ("img", "img_shape", "to_original")


class DoesNotSayThatItRemovesCells(CropRegion):
    removes_cells = False
    writes = ("gt_labels", "gt_ignore", "gt_areas")


CROP = dict(y0=4, x0=8, y1=40, x1=62)
SMALL_CROP = dict(y0=0, x0=0, y1=4, x1=4)
NOISE = dict(noise=0.1)
TRANSFORMS = [
    (AddsAKey, {}, "changes 'gt_points'"),
    (ReadsTheAnnotationAndChangesTheImage, NOISE, "annotation_only"),
    (DrawsFromItself, NOISE, "same results\\['rng'\\]"),
    (LeavesNucleiBehind, CROP, "gt_nuclei must have the size of img"),
    (MovesCellsElsewhere, CROP, "gt_layers must move as img does"),
    (ForgetsToOriginal, CROP, "to_original"),
    (FailsWithoutCells, NOISE, "an image without cells failed with ValueError"),
    (FailsOnOnePixel, NOISE, "an image of 1 x 1 pixels failed with IndexError"),
    (DoesNotSayThatItCrops, CROP, "moves_pixels = True|'gt_layers'"),
    (DoesNotSayThatItRemovesCells, SMALL_CROP, "removes_cells = True"),
]


@pytest.mark.parametrize(("cls", "arguments", "rule"), TRANSFORMS)
def test_transforms(cls, arguments, rule):
    with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*({rule})") as error:
        testing.check_transform(dict(type=cls, **arguments))
    assert "\n" not in str(error.value)


class Forgets(DrawSampler):
    def seek(self, draws: int) -> None:
        self.start = 0


class Ends(DrawSampler):
    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter([(0, 0), (1, 1)])


class CannotSeek(torch.utils.data.SequentialSampler):
    def __init__(self, dataset: range, seed: int) -> None:
        super().__init__(dataset)


class Counts:
    """A sampler of its own that follows the contract without a base class."""

    def __init__(self, dataset: range, seed: int) -> None:
        self.size, self.start = len(dataset), 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        draw = self.start
        while True:
            yield draw % self.size, draw
            draw += 1

    def seek(self, draws: int) -> None:
        self.start = draws


def test_samplers():
    for cls, rule in ((Forgets, "seek"), (Ends, "never end"), (CannotSeek, "must have seek")):
        with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*{rule}"):
            testing.check_sampler(dict(type=cls))
    testing.check_sampler(dict(type=Counts))


class OneIdForAll(SimulatedDataset):
    def get_data_info(self, idx: int) -> dict:
        return super().get_data_info(idx) | dict(img_id=1)


class LabelBeyondItsClasses(SimulatedDataset):
    def get_data_info(self, idx: int) -> dict:
        info = super().get_data_info(idx)
        info["instances"][0]["label"] = 1
        return info


class AnotherGeneratorEachTime(SimulatedDataset):
    def __getitem__(self, index: tuple[int, int]) -> dict:
        return super().__getitem__(index) | dict(rng=np.random.default_rng())


def test_datasets(tiny_data):
    for cls, rule in (
        (OneIdForAll, "img_id of its own"),
        (LabelBeyondItsClasses, "labels must be from 0 to 0"),
        (AnotherGeneratorEachTime, "rng must be a function of seed and draw"),
    ):
        with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*{rule}"):
            testing.check_dataset(dict(type=cls, data_root=str(tiny_data), split="train"))


class Count(BaseMetric):
    default_prefix, metric_keys = "", ("count",)

    def process(self, data_batch: object, data_samples: list[dict]) -> None:
        self.results += [len(sample["pred_instances"]["scores"]) for sample in data_samples]

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return dict(count=float(np.mean(results)))


class Unnamed(Count):
    metric_keys = ("number",)


class LastImage(Count):
    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return dict(count=results[-1])


class BestScore(Count):
    def process(self, data_batch: object, data_samples: list[dict]) -> None:
        self.results += [max(sample["pred_instances"]["scores"]) for sample in data_samples]


def test_metrics():
    testing.check_metric(dict(type=Count))
    for cls, rule in (
        (Unnamed, "metric_keys must name"),
        (BestScore, "an image without predictions failed"),
        (LastImage, "order of the images"),
    ):
        with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*{rule}"):
            testing.check_metric(dict(type=cls))


class Squares(WeightedLoss):
    def elements(self, pred: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        squares = (pred.float() - target) ** 2
        return squares if weight is None else squares * weight


class NotReduced(Squares):
    def reduce(self, elements: torch.Tensor, avg_factor: float | None) -> torch.Tensor:
        return elements


class WeightsNothing(Squares):
    def elements(self, pred: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        return super().elements(pred, target, None)


class MeanOfNothing(Squares):
    def reduce(self, elements: torch.Tensor, avg_factor: float | None) -> torch.Tensor:
        return self.loss_weight * elements.mean()


class WithoutGradient(Squares):
    def elements(self, pred: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        return super().elements(pred.detach(), target, weight)


def test_losses():
    testing.check_loss(dict(type=Squares))
    for cls, rule in (
        (NotReduced, "one number"),
        (WeightsNothing, "weight=0"),
        (MeanOfNothing, "finite"),
        (WithoutGradient, "gradient"),
    ):
        with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*{rule}"):
            testing.check_loss(dict(type=cls))


class OneBlob(nn.Module):
    """One instance per image: the pixels above 0.5."""

    def __init__(self, in_channels: tuple[int, ...], stride: int) -> None:
        super().__init__()
        self.stride, self.logits = stride, nn.Conv2d(in_channels[0], 1, 1)

    def loss(self, features: list[torch.Tensor], samples: list) -> dict[str, torch.Tensor]:
        return dict(loss_blob=self.logits(features[0]).float().square().mean())

    def predict(self, features: list[torch.Tensor], samples: list) -> list[PredictedInstances]:
        return [self.found(probs) for probs in self.logits(features[0]).float().sigmoid()]

    def found(self, probs: torch.Tensor) -> PredictedInstances:
        score, label = probs.mean()[None], torch.zeros(1, dtype=torch.long)
        return PredictedInstances(probs=probs, scores=score, labels=label, stride=self.stride)


class DividesByCells(OneBlob):
    def loss(self, features: list[torch.Tensor], samples: list) -> dict[str, torch.Tensor]:
        number = sum(len(sample.gt_instances) for sample in samples)
        return dict(loss_blob=super().loss(features, samples)["loss_blob"] / number)


class NamesNoLoss(OneBlob):
    def loss(self, features: list[torch.Tensor], samples: list) -> dict[str, torch.Tensor]:
        return dict(dice=super().loss(features, samples)["loss_blob"])


class GivesLogits(OneBlob):
    def found(self, probs: torch.Tensor) -> PredictedInstances:
        return super().found(probs.logit())


class WindowOutside(OneBlob):
    def found(self, probs: torch.Tensor) -> PredictedInstances:
        found = super().found(probs)
        found.origins = found.origins + 1
        return found


class WorstFirst(OneBlob):
    def found(self, probs: torch.Tensor) -> PredictedInstances:
        scores, labels = torch.tensor([0.1, 0.9]), torch.zeros(2, dtype=torch.long)
        return PredictedInstances(probs=probs.expand(2, -1, -1), scores=scores, labels=labels)


class NeedsMore(OneBlob):
    needs = {"gt_distances": "DistanceMap before PackCellInputs"}


def test_heads():
    testing.check_component(dict(type="SemanticHead", target="nuclei"), in_specs=feature_pyramid((4,)))
    testing.check_head(dict(type=OneBlob))
    for cls, rule in (
        (DividesByCells, "loss_blob of a batch without cells must be finite"),
        (NamesNoLoss, "'loss' in it"),
        (GivesLogits, "probabilities"),
        (WindowOutside, "inside grid_shape"),
        (WorstFirst, "best first"),
        (NeedsMore, "no step writes gt_distances.*DistanceMap"),
    ):
        with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*{rule}"):
            testing.check_head(dict(type=cls))


class Halves(nn.Module):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_specs = feature_pyramid((4,), stride=2)
        self.conv = nn.Conv2d(in_channels, 4, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.conv(x)]


class SaysAnotherStride(Halves):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.out_specs = feature_pyramid((4,), stride=4)


class SaysNothing(Halves):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        del self.out_specs


def test_encoders():
    testing.check_encoder(dict(type=Halves))
    for cls, rule in ((SaysAnotherStride, "at stride 4 must be"), (SaysNothing, "out_specs")):
        with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*{rule}"):
            testing.check_encoder(dict(type=cls))


class MisspeltStage(Hook):
    def after_train_step(self, runner: object) -> None: ...


class TakesLess(Hook):
    def after_train_iter(self, runner: object) -> None: ...


def test_hooks():
    for cls, rule in (
        (MisspeltStage, "nothing calls after_train_step"),
        (TakesLess, "must take runner, batch_idx"),
    ):
        with pytest.raises(CellMMError, match=rf"^{cls.__name__}: .*{rule}"):
            testing.check_hook(dict(type=cls))


def test_what_is_not_registered():
    with pytest.raises(CellMMError, match="no registry of cellmm has it"):
        testing.check_component(dict(type="NoSuchThing"))


class WritesTheTime(CocoWriter):
    def write(self, path, instances, source):
        super().write(path, instances, source)
        path.write_text(f"{path.read_text()} {time.perf_counter_ns()}")
        return Counter()


class LeavesAFileBehind(CocoWriter):
    def write(self, path, instances, source):
        super().write(path, instances, source)
        (path.parent / "more.txt").touch()
        return Counter()


class CountsNothing(CocoWriter):
    def write(self, path, instances, source):
        super().write(path, instances, source)


class NeedsTheImage(CocoWriter):
    def write(self, path, instances, source):
        source.read(0, 0, 1, 1)
        return super().write(path, instances, source)


class NeedsCells(CocoWriter):
    def write(self, path, instances, source):
        instances.scores.max()
        return super().write(path, instances, source)


class HasNoDot(CocoWriter):
    suffix = "json"


class CollectsInAnyOrder(CocoWriter):
    def collect(self, path, parts):
        super().collect(path, parts)
        path.write_text(f"{path.read_text()} {time.perf_counter_ns()}")


@pytest.mark.parametrize(
    ("cls", "rule"),
    [
        (WritesTheTime, "cells must give the same bytes every time"),
        (LeavesAFileBehind, "write must leave its file alone"),
        (CountsNothing, "write must return a Counter of losses"),
        (NeedsTheImage, "writing cells without their image failed with AttributeError"),
        (NeedsCells, "writing no cells failed with ValueError"),
        (HasNoDot, "suffix 'json' must start with a dot"),
        (CollectsInAnyOrder, "a run must give the same bytes every time"),
    ],
)
def test_formats_of_results(cls, rule):
    with pytest.raises(CellMMError, match=f"^{cls.__name__}: {rule}"):
        testing.check_writer(dict(type=cls))


class KnowsEveryFile(AsapReader):
    def recognises(self, path):
        return True


class ReadsEveryFile(AsapReader):
    def read(self, path):
        return []


class FailsOnOtherFiles(AsapReader):
    def read(self, path):
        return ElementTree.parse(path)


class NamesNoFile(AsapReader):
    def read(self, path):
        raise CellMMError("it is damaged")


class HasAnUpperSuffix(AsapReader):
    suffixes = (".XML",)


class GivesMasks(AsapReader):
    def read(self, path):
        return super().read(path)[0].cells


@pytest.mark.parametrize(
    ("cls", "rule"),
    [
        (KnowsEveryFile, "recognises must be false for a file .xml of"),
        (ReadsEveryFile, "a file .xml of b'' must be refused with a CellMMError"),
        (FailsOnOtherFiles, "reading a file .xml of b'' failed with ParseError"),
        (NamesNoFile, "the error of a file .xml of b'' must be one line that names the file"),
        (HasAnUpperSuffix, "suffix '.XML' must start with a dot, in lower case"),
        (GivesMasks, "read must return a list of ImageAnnotation"),
    ],
)
def test_formats_of_annotations(tmp_path, cls, rule):
    file = tmp_path / "a.xml"
    points = "".join(
        f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate([(1, 1), (9, 1), (9, 9)])
    )
    file.write_text(f"<ASAP_Annotations><Annotation Type='Polygon'>{points}</Annotation></ASAP_Annotations>")
    testing.check_annotation_reader(dict(type="AsapReader"), file)
    with pytest.raises(CellMMError, match=f"^{cls.__name__}: {rule}"):
        testing.check_annotation_reader(dict(type=cls), file)
