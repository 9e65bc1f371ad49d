"""The first transforms of every pipeline: pixels and cells from files."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.io.coco_segmentations import check_instances, instance_rle
from cellmm.io.images import read_image, read_mask, to_float32
from cellmm.io.layered_tiff import read_label_layers
from cellmm.io.sources import ImageSource, ReadOptions, open_image, open_images
from cellmm.io.sources.grey import as_grey, count_files
from cellmm.registry import TRANSFORMS
from cellmm.structures import LabelLayers
from cellmm.structures.rle import encode_one


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image into ``img``, float32 (H, W, C) with the raw values of the file, C from 1 to 8.

    The image is that of ``img_path``, a file or files whose channels are joined; where the results hold an
    ``img_source`` (an ImageSource) or an array ``img`` already, it is that one, and ``img_path`` is its name
    unless it is set (see ``open``). Also sets ``img_shape`` and
    ``ori_shape``, (h, w), ``to_original``, the identity, ``pixel_size`` and ``read_options``.

    Args:
        num_channels: what the model takes. Another number is an error, except that grey images stored as RGB
            are read as a single channel where the model takes one per file.
        channels, channel_axis, color, level, time, position, z: see ``cellmm.io.sources.ReadOptions``.
            Focal planes are channels with ``z='channels'``.
        pixel_size: micrometres, one number or (y, x), in place of what files state.

    Attributes:
        options: the ReadOptions; ``cellmm predict`` replaces what the user asks for.
    """

    reads = ("img_path",)
    writes = ("img", "img_path", "img_shape", "ori_shape", "to_original", "pixel_size", "read_options")

    def __init__(
        self,
        *,
        num_channels: int | None = None,
        channel_axis: int | None = None,
        channels: Sequence[int | str] | None = None,
        color: str = "unchanged",
        level: int = 0,
        time: int | None = None,
        position: int | None = None,
        z: int | str | None = None,
        pixel_size: float | Sequence[float] | None = None,
    ) -> None:
        self.num_channels = self.model_channels = num_channels
        self.options = ReadOptions(
            channels=channels,
            channel_axis=channel_axis,
            color=color,
            level=level,
            time=time,
            position=position,
            z=z,
            pixel_size=pixel_size,
        )

    def open(self, image: Any, name: str | None = None) -> list[ImageSource]:
        """All images in ``image``, a path, paths or an array, as this step reads them, in parts if need be.

        Raises:
            CellMMError: it cannot be read, or has another number of channels than the model takes.
        """
        images = open_images(image, self.options, name=name)
        if self.model_channels == count_files(images[0]):
            images = [as_grey(source) for source in images]
        for source in images:
            self._check_channels(source.num_channels, source)
        return images

    @staticmethod
    def to_float32(pixels: np.ndarray, source: ImageSource) -> np.ndarray:
        """What ``source.read`` gave as float32; CellMMError where values do not fit."""
        return to_float32(pixels, source.path or source.name)

    def transform(self, results: dict) -> dict:
        options, source = self.options, results.pop("img_source", None)
        if source is not None:
            z = getattr(source, "z", options.z)
            options = replace(options, time=source.time, position=source.position, z=z)
        else:
            source = open_image(results["img"] if "img" in results else results["img_path"], self.options)
        results.setdefault("img_path", str(source.path or source.name))
        image = read_image(source, grey=self.model_channels == count_files(source))
        path, shape = results["img_path"], image.shape[:2]
        stated = (results.get("height", shape[0]), results.get("width", shape[1]))
        if stated != shape:
            raise CellMMError(
                f"{path} is {shape} pixels (h, w), but its annotation says {stated}: one of them was "
                "cropped, resized or turned, export it again"
            )
        self._check_channels(image.shape[2], source)
        results.update(img=image, img_shape=shape, ori_shape=shape, to_original=np.eye(3))
        results.update(pixel_size=source.pixel_size, read_options=options)
        return results

    def _check_channels(self, count: int, source: ImageSource) -> None:
        if self.num_channels not in (None, count):
            raise CellMMError(
                f"{source.path or source.name} has {count} channels, num_channels is {self.num_channels}: "
                "choose with channels=[...] or color='grayscale' or 'rgb' of LoadImage"
            )


@TRANSFORMS.register_module()
class LoadCells(BaseTransform):
    """Read the annotated cells, of whatever kind, into ``gt_layers``, with one entry per cell in
    ``gt_labels`` (int64), ``gt_ignore`` (bool, crowd regions) and ``gt_areas`` (annotated area in px^2, nan
    if not stated).

    Cells without a pixel are kept, and a warning counts them. After LoadImage.

    ``keep_original``: also ``eval_instances`` = {masks: RLEs of the original frame, labels, ignore, areas},
    for test pipelines.
    ``cache``: keep the decoded cells of each image in the memory of the process, 2 bytes per pixel and layer.
    """

    reads = ("img_id", "img_path", "img_shape", "ori_shape")
    writes = ("gt_layers", "gt_labels", "gt_ignore", "gt_areas", "eval_instances")
    annotation_only = True

    def __init__(self, *, keep_original: bool = False, cache: bool = False) -> None:
        self.keep_original = keep_original
        self.cache: dict | None = {} if cache else None

    def transform(self, results: dict) -> dict:
        if results["img_shape"] != results["ori_shape"]:
            raise CellMMError(
                f"LoadCells has to come right after LoadImage: {results['img_path']} is resized already"
            )
        cells = self.read(results)
        results["gt_layers"] = LabelLayers(cells["layers"].astype(np.int32), num=cells["num"])
        results.update({key: cells[key].copy() for key in ("gt_labels", "gt_ignore", "gt_areas")})
        if self.keep_original:
            results["eval_instances"] = self.original_cells(cells)
        return results

    def read(self, results: dict) -> dict:
        """The annotated cells of the image's file, from the cache where it has them."""
        key = results["img_id"], str(results["img_path"])
        cells = None if self.cache is None else self.cache.get(key)
        if cells is None:
            cells = self._load(results)
            if self.cache is not None:
                small = np.uint16 if cells["num"] < 2**16 else np.int32
                cells["layers"] = cells["layers"].astype(small)
                self.cache[key] = cells
        return cells

    @staticmethod
    def original_cells(cells: dict) -> dict:
        """``eval_instances`` of what ``read`` gives, which remembers the RLEs."""
        if "rles" not in cells:
            cells["rles"] = LabelLayers(cells["layers"].astype(np.int32), num=cells["num"]).to_rles()
        return {
            "masks": list(cells["rles"]),
            "labels": cells["gt_labels"].copy(),
            "ignore": cells["gt_ignore"].copy(),
            "areas": cells["gt_areas"].copy(),
        }

    def _load(self, results: dict) -> dict:
        shape = results["ori_shape"]
        instances = results.get("instances")
        source = results["img_path"]
        if instances is not None:
            if not results.get("segmentations_checked"):
                instances = check_instances(instances, shape, str(source))
            layers = LabelLayers.from_rles(
                [instance_rle(cell["segmentation"], shape) for cell in instances], shape
            )
        elif "label_path" in results:
            source = results["label_path"]
            layers = read_label_layers(source)
            self._check_shape(source, layers.shape, results)
        elif "class_paths" in results:
            layers, instances = self._load_classes(results)
        else:
            rles = []  # thousands of whole masks would take gigabytes
            for path in results["mask_paths"]:
                mask = read_mask(path)
                self._check_shape(path, mask.shape, results)
                rles.append(encode_one(mask))
            layers = LabelLayers.from_rles(rles, shape)
        num = len(layers)
        if empty := int((layers.areas() == 0).sum()):
            print_log(
                f"{source}: {empty} of {num} cells have no pixel", logger="current", level=logging.WARNING
            )
        instances = instances or [{}] * num
        areas = [np.nan if cell.get("area") is None else cell["area"] for cell in instances]
        return {
            "layers": layers.layers,
            "num": num,
            "gt_labels": np.array([cell.get("label", 0) for cell in instances], np.int64),
            "gt_ignore": np.array([cell.get("iscrowd", 0) for cell in instances], bool),
            "gt_areas": np.array(areas, np.float64),
        }

    def _load_classes(self, results: dict) -> tuple[LabelLayers, list[dict]]:
        """The cells of a label image per class, ids in the order of the files, and the label of each."""
        rles, cells = [], []
        for label, path in results["class_paths"]:
            layers = read_label_layers(path)
            self._check_shape(path, layers.shape, results)
            rles += layers.to_rles()
            cells += [{"label": label}] * len(layers)
        return LabelLayers.from_rles(rles, results["ori_shape"]), cells

    @staticmethod
    def _check_shape(path: str, shape: tuple[int, int], results: dict) -> None:
        if tuple(shape) != tuple(results["ori_shape"]):
            raise CellMMError(
                f"{path} is {shape} pixels (h, w), but its image {results['img_path']} "
                f"{results['ori_shape']}: one of them was cropped, resized or turned, export it again"
            )
