"""Cells whose pixels point at one centre, on a ResNet, from outlines drawn in Fiji; scored by AJI."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import torch
import torchvision
from mmcv.transforms import BaseTransform
from mmengine.evaluator import BaseMetric
from torch import Tensor, nn
from torch.nn import functional as F

from cellmm.datasets.base import CellDataset
from cellmm.datasets.transforms.moving_cells import cell_pixels, pixel_means
from cellmm.errors import CellMMError
from cellmm.models import feature_pyramid
from cellmm.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from cellmm.structures import PredictedInstances, rle


@MODELS.register_module()
class FourMapResNet(nn.Module):
    """A ResNet of torchvision: five maps, at strides 2 to 32."""

    def __init__(self, in_channels: int, depth: int = 18, weights: str | None = None) -> None:
        super().__init__()
        net = torchvision.models.get_model(f"resnet{depth}", weights=weights)
        if in_channels != 3:
            net.conv1 = nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        stem = nn.Sequential(net.conv1, net.bn1, net.relu)
        first = nn.Sequential(net.maxpool, net.layer1)
        self.levels = nn.ModuleList([stem, first, net.layer2, net.layer3, net.layer4])
        widths = [net.fc.in_features // 2**i for i in (3, 2, 1, 0)]
        self.out_specs = feature_pyramid((64, *widths), stride=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x := level(x) for level in self.levels]


@TRANSFORMS.register_module()
class OffsetTargets(BaseTransform):
    """Write ``gt_offsets``, float32 (3, H, W): y and x from a pixel to the centre of its cell; 1 in cells."""

    annotation_only = True
    reads, writes = ("gt_layers",), ("gt_offsets",)

    def transform(self, results: dict) -> dict:
        cells, (height, width) = results["gt_layers"], results["gt_layers"].shape
        pixels, ids = cell_pixels(cells)
        y, x = (pixel_means(pixels, ids, len(cells), width)[ids - 1] - np.c_[np.divmod(pixels, width)]).T
        offsets = np.zeros((3, height * width), np.float32)
        offsets[:, pixels] = y, x, np.ones(len(pixels))
        results["gt_offsets"] = offsets.reshape(3, height, width)
        return results


@MODELS.register_module()
class OffsetHead(nn.Module):
    """Pixels of cells, grouped by the centre that they point at. ``reach``: px within which votes are one."""

    needs = {"gt_offsets": "OffsetTargets, and keys=('gt_offsets',) to PackCellInputs"}

    def __init__(self, in_channels: tuple[int, ...], stride: int, reach: int = 10) -> None:
        super().__init__()
        self.stride, self.reach = stride, reach
        self.maps = nn.Conv2d(in_channels[0], 3, kernel_size=1)
        self.loss_inside = MODELS.build(dict(type="BCELoss"))

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.maps(features[0]).float()

    def loss(self, features: list[Tensor], samples: list) -> dict[str, Tensor]:
        maps, (height, width) = self(features), features[0].shape[-2:]
        targets = [sample.gt_offsets[:, :: self.stride, :: self.stride] for sample in samples]
        targets = [F.pad(t, (0, width - t.shape[2], 0, height - t.shape[1])) for t in targets]
        *offsets, inside = torch.stack(targets, 1)
        error = (maps[:, :2] - torch.stack(offsets, 1) / self.reach).abs().sum(1) * inside
        loss_offsets = error.sum() / inside.sum().clamp(min=1)
        return dict(loss_offsets=loss_offsets, loss_inside=self.loss_inside(maps[:, 2], inside))

    def predict(self, features: list[Tensor], samples: list) -> list[PredictedInstances]:
        return [self.group(maps) for maps in self(features)]

    def group(self, maps: Tensor) -> PredictedInstances:
        """Each pixel above 0.5 goes to the peak of votes that is nearest to its own vote."""
        inside, reach = maps[2].sigmoid(), max(1, self.reach // (2 * self.stride))
        y, x = torch.where(inside > 0.5)
        votes = torch.stack([y, x], 1) + maps[:2, y, x].T * self.reach / self.stride
        row, col = (votes[:, i].round().long().clamp(0, inside.shape[i] - 1) for i in (0, 1))
        counts = torch.zeros_like(inside).index_put_((row, col), inside[y, x], accumulate=True)
        around, counts = dict(kernel_size=2 * reach + 1, stride=1, padding=reach), counts[None]
        for _ in range(2):  # the second time makes one peak of a plateau
            counts = F.avg_pool2d(counts, **around)
        peaks = ((counts == F.max_pool2d(counts, **around)) & (counts > 0.1))[0].nonzero()
        probs = inside.new_zeros(len(peaks), *inside.shape)
        if len(peaks):
            probs[torch.cdist(votes, peaks.float()).argmin(1), y, x] = inside[y, x]
        scores = probs.sum((1, 2)) / (probs > 0).sum((1, 2)).clamp(min=1)
        labels = torch.zeros(len(peaks), dtype=torch.long)
        found = PredictedInstances(probs=probs, scores=scores, labels=labels, stride=self.stride)
        return found.select(found.scores.argsort(descending=True))


@DATASETS.register_module()
class FijiDataset(CellDataset):
    """Images, and the cells outlined in Fiji beside them: b03.tif with b03.zip (a RoiSet) or b03.roi."""

    def load_data_list(self) -> list[dict]:
        images = enumerate(sorted(self.resolve("").glob("*.tif")), start=1)
        return [dict(img_id=i, img_path=str(path), instances=read_rois(path)) for i, path in images]


def read_rois(image: Path) -> list[dict]:
    path = next((p for p in map(image.with_suffix, (".zip", ".roi")) if p.exists()), None)
    if path is None:
        raise CellMMError(f"{image}: no outlines; save the ROI Manager's to {image.with_suffix('.zip').name}")
    if path.suffix == ".roi":
        return [dict(segmentation=[outline(path.read_bytes(), path)])]
    with zipfile.ZipFile(path) as rois:
        names = [name for name in rois.namelist() if name.endswith(".roi")]
        return [dict(segmentation=[outline(rois.read(name), path)]) for name in names]


def outline(roi: bytes, path: Path) -> list[float]:
    """x, y, x, y, ... of a polygon, a freehand or a traced selection (RoiDecoder.java of ImageJ)."""
    if roi[:4] != b"Iout" or roi[6] not in (0, 7, 8):
        raise CellMMError(f"{path}: a selection without outline; draw it with the polygon or freehand tool")
    (top, left), (number,) = struct.unpack(">2h", roi[8:12]), struct.unpack(">H", roi[16:18])
    return (np.frombuffer(roi, ">i2", 2 * number, 64).reshape(2, -1).T + [left, top]).ravel().tolist()


@METRICS.register_module()
class AJIMetric(BaseMetric):
    """``AJI``: aggregated Jaccard index (Kumar et al. 2017), mean over the images where it is defined."""

    default_prefix, metric_keys = "", ("AJI",)

    def process(self, data_batch: object, data_samples: list[dict]) -> None:
        for sample in data_samples:
            found, truth = sample["pred_instances"], sample["eval_instances"]
            masks = [m for m, score in zip(found["masks"], found["scores"], strict=True) if score >= 0.5]
            cells = [m for m, crowd in zip(truth["masks"], truth["ignore"], strict=True) if not crowd]
            self.results.append(aggregated_jaccard(masks, cells))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return dict(AJI=float(np.mean([aji for aji in results if not np.isnan(aji)] or [np.nan])))


def aggregated_jaccard(masks: list[dict], cells: list[dict]) -> float:
    """Pixels that cells share with their best masks / those of all unions and of the masks left over."""
    mask_area = np.append(0, rle.area(masks))  # with an empty mask, for cells that no other one covers
    cell_area = rle.area(cells)
    iou = np.vstack([np.zeros(len(cells)), rle.iou(masks, cells)])
    best, largest = iou.argmax(0), iou.max(0)
    shared = largest * (mask_area[best] + cell_area) / (1 + largest)
    union = (mask_area[best] + cell_area - shared).sum() + np.delete(mask_area, best).sum()
    return shared.sum() / union if union else np.nan
