"""Cells without training: a threshold, and clumps parted at their maxima."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from scipy import ndimage
from skimage.filters import threshold_otsu
from torch import Tensor

from cellmm.checks import check_whole
from cellmm.errors import CellMMError
from cellmm.messages import NAMED, is_told
from cellmm.models.classical.thresholds import check_choice
from cellmm.models.derive import build_derived
from cellmm.models.tiled_prediction import check_tiles
from cellmm.registry import MODELS, TASK_UTILS
from cellmm.structures import CellSample, PredictedInstances

SLACK = 1e-3  # values may leave 0 to 1 by so much: rounding


@dataclass(frozen=True)
class ImageLevels:
    """What is measured in a whole image before its parts are segmented.

    ``dark``: cells are darker than the background. ``threshold``: ``Threshold.of_values`` of the image,
    inverted if ``dark``.
    """

    dark: bool
    threshold: float


@MODELS.register_module()
class ClassicalSegmentor(BaseModel):
    """Find bright objects as CellProfiler's IdentifyPrimaryObjects does, in its terms and with its defaults.

    The image is thresholded, clumped objects are parted, and what is too small, too large or cut by the
    border of the image is discarded. There is nothing to train and no checkpoint. Cells share no pixel.
    Source: CellProfiler, nuclei-notes.

    Values have to be in [0, 1], by ``Normalize(mode='percentile', percentiles=(0, 100))``, or with
    ``mode='divide'`` by the largest value that the file can hold, as CellProfiler does.

    The score of a cell is c / (1 + c), where c is its contrast: how far the mean of its pixels is above the
    mean of the background, in units of how far the threshold is. A cell that just reaches the threshold has
    0.5, one that is three times as far above the background 0.75, and one with large filled holes perhaps
    less than 0.5. All cells have label 0.

    A sample may have ``image_part``, dict(levels=..., inner=...): what ``measure`` gave for the image that it
    is a part of, as a dict, and which of its sides are inside of that image, see ``find``.

    ``forward`` as of CellSegmentor; ``'tensor'`` gives the label images, int32 (B, H, W), of the inputs.
    ``'loss'`` is an error.

    Args:
        data_preprocessor: config.
        diameter: the least and the greatest typical diameter of an object, pixels: that of a circle of its
            area.
        threshold: config of a Threshold.
        declumping: config of a Declumping.
        contrast: ``'bright'``: cells on a darker background. ``'dark'``: the reverse, the image is inverted.
            ``'auto'``: whichever covers less of the image by Otsu's threshold; the log says which.
        channel: the one that is looked at, from 0; None: the mean of all.
        fill_holes: ``'never'``, ``'both'``: after thresholding and after declumping, or ``'declumping'``:
            after that alone. Holes of the foreground with an area of the greatest diameter squared or more
            stay.
        discard_outside: discard objects outside of ``diameter``.
        discard_border: discard objects that touch the border of the image.
        tile, tile_overlap: see CellSegmentor; of images that CellInferencer reads in tiles. The threshold is
            that of the whole image, but for ``strategy='adaptive'``, which near the sides of a tile sees
            less of the image. `cellmm test` segments all images whole.

    Attributes:
        has_weights: False: commands need no checkpoint.

    Raises:
        ValueError: an argument of another range.
    """

    has_weights = False
    default_parts = dict(threshold="Threshold", declumping="Declumping")  # the config may leave out the types
    tile_step, margin = 1, 0

    def __init__(
        self,
        data_preprocessor: dict,
        diameter: Sequence[float] = (10, 40),
        threshold: dict | None = None,
        declumping: dict | None = None,
        contrast: str = "bright",
        channel: int | None = None,
        fill_holes: str = "both",
        discard_outside: bool = True,
        discard_border: bool = True,
        tile: int | None = None,
        tile_overlap: int = 0,
    ) -> None:
        preprocessor = build_derived(MODELS, data_preprocessor, "model.data_preprocessor", divisor=1)
        super().__init__(preprocessor)
        if len(diameter) != 2 or not 0 < diameter[0] <= diameter[1] < np.inf:
            raise ValueError(f"diameter must be the least and the greatest, pixels above 0, got {diameter}")
        check_choice("contrast", contrast, ("bright", "dark", "auto"))
        check_choice("fill_holes", fill_holes, ("never", "both", "declumping"))
        channels = getattr(preprocessor, "in_channels", None)
        check_whole(0, channel=channel)
        if channel is not None and channels is not None and channel >= channels:
            raise CellMMError(
                f"model.channel: {channel}, but the images have {channels} channels; count from 0, or set "
                "model.data_preprocessor.in_channels"
            )
        check_tiles(tile, tile_overlap, step=self.tile_step, margin=self.margin)
        self.diameter = tuple(float(side) for side in diameter)
        self._areas = tuple(np.pi * side**2 / 4 for side in self.diameter)
        self.threshold, self.declumping = (
            TASK_UTILS.build(dict(type=self.default_parts[name]) | (part or {}))
            for name, part in dict(threshold=threshold, declumping=declumping).items()
        )
        self.contrast, self.channel, self.fill_holes = contrast, channel, fill_holes
        self.discard_outside, self.discard_border = discard_outside, discard_border
        self.tile, self.tile_overlap = tile, tile_overlap
        self._told = {True: 0, False: 0}

    def forward(
        self, inputs: Tensor, data_samples: list[CellSample] | None = None, mode: str = "tensor"
    ) -> Tensor | list[CellSample]:
        if mode == "loss":
            refuse_training(type(self).__name__)
        if mode == "tensor":
            found = [self.find_objects(image)[0] for image in map(self.grey, inputs)]
            return torch.from_numpy(np.stack(found))
        if mode != "predict":
            raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")
        for image, sample in zip(inputs, data_samples, strict=True):
            self._predict(image, sample)
        return data_samples

    def _predict(self, image: Tensor, sample: CellSample) -> None:
        name, part = sample.get("img_path"), sample.get("image_part")
        height, width = sample.img_shape
        grey = self.grey(image[:, :height, :width], name)
        levels = self.measure(grey, name) if part is None else ImageLevels(**part["levels"])
        found = self.find(grey, levels, inner=(False,) * 4 if part is None else part["inner"])
        sample.pred_instances = found.in_original_frame(sample)

    def grey(self, image: Tensor, name: object = "an image") -> np.ndarray:
        """What is looked at of an image (C, H, W): float32 (H, W).

        Raises:
            CellMMError: a value is not finite, or outside of [0, 1].
        """
        image = image.mean(0) if self.channel is None else image[self.channel]
        grey = image.detach().float().cpu().numpy()
        low, high = float(grey.min()), float(grey.max())
        if not np.isfinite([low, high]).all():
            raise CellMMError(f"{name}: pixels that are not finite; leave it out")
        if low < -SLACK or high > 1 + SLACK:
            raise CellMMError(
                f"{name}: values from {low:.3g} to {high:.3g}, but thresholds are between 0 and 1; set "
                "Normalize(mode='percentile', percentiles=(0, 100)), or mode='divide' with the largest value "
                "that the files can hold"
            )
        return grey

    def measure(self, image: np.ndarray, name: object = None) -> ImageLevels:
        """What has to be known of a whole image (h, w), or of some of its pixels, to segment its parts.

        Args:
            name: of the image, by which the log tells what ``contrast='auto'`` chose.
        """
        dark = self.contrast == "dark"
        if self.contrast == "auto":
            dark = is_dark(image)
            self._tell(dark, name)
        return ImageLevels(dark, self.threshold.of_values(1 - image if dark else image))

    def find(
        self, image: np.ndarray, levels: ImageLevels, inner: Sequence[bool] = (False,) * 4
    ) -> PredictedInstances:
        """The objects of an image (h, w), as windows, best first.

        Args:
            inner: whether the top, left, bottom and right side are inside of a larger image. Objects that
                touch them are cut there: they are not discarded at the border, nor for being small.
        """
        objects, scores = self.find_objects(image, levels, inner)
        places = ndimage.find_objects(objects)
        order = np.argsort(-scores, kind="stable")
        windows, origins = [], np.zeros((len(order), 2), np.int64)
        for i, index in enumerate(order):  # each with a pixel around it, from which masks are resampled
            rows, cols = (slice(max(side.start - 1, 0), side.stop + 1) for side in places[index])
            origins[i] = rows.start, cols.start
            windows.append((objects[rows, cols] == index + 1).astype(np.float32))
        return PredictedInstances(
            probs=windows,
            scores=torch.from_numpy(scores[order].astype(np.float32)),
            labels=torch.zeros(len(order), dtype=torch.long),
            origins=origins,
            grid_shape=image.shape,
        )

    def find_objects(
        self, image: np.ndarray, levels: ImageLevels | None = None, inner: Sequence[bool] = (False,) * 4
    ) -> tuple[np.ndarray, np.ndarray]:
        """The label image, int32 (h, w), numbered from 1, and the scores, (N,); arguments as of ``find``."""
        levels = self.measure(image) if levels is None else levels
        image = 1 - image if levels.dark else image
        threshold = self.threshold.of_image(image, levels.threshold)
        above = foreground = self.threshold.foreground(image, threshold)
        if self.fill_holes == "both":
            foreground = foreground | _holes(foreground, self.diameter[1] ** 2)
        if self.discard_outside:  # early, since noise can have thousands of components
            foreground = _without_specks(foreground, self._areas[0], inner)
        objects = self.declumping(image, foreground, self.diameter[0])
        if self.fill_holes != "never":
            _fill_objects(objects)
        self._discard(objects, inner)
        objects, num = _renumbered(objects)
        return objects, contrast_scores(image, objects, num, threshold, ~above)

    def _discard(self, objects: np.ndarray, inner: Sequence[bool]) -> None:
        """Set what is not wanted to 0, in place."""
        areas = np.bincount(objects.ravel())
        unwanted = np.zeros(len(areas), dtype=bool)
        if self.discard_border:
            unwanted[_touching(objects, [not is_inner for is_inner in inner])] = True
        if self.discard_outside:
            least, most = self._areas
            small = areas < least
            small[_touching(objects, inner)] = False
            unwanted |= small | (areas > most)
        unwanted[0] = False
        objects[unwanted[objects]] = 0

    def _tell(self, dark: bool, name: object) -> None:
        self._told[dark] += 1
        count = self._told[dark]
        if name is None or not is_told(count):
            return
        so_far = f"{count} images so far, the last one " if count > NAMED else ""
        kind = "dark cells on a bright background" if dark else "bright cells on a dark background"
        print_log(f"{so_far}{name}: {kind}, by contrast='auto'", logger="current", level=logging.INFO)


def refuse_training(name: str) -> NoReturn:
    """Raise the CellMMError of a model without weights."""
    raise CellMMError(
        f"{name} has no weights, so there is nothing to train; `cellmm test` and `cellmm predict` take its "
        "config without a checkpoint"
    )


def is_dark(image: np.ndarray) -> bool:
    """Whether what Otsu's threshold leaves below it covers less of the image than what is above: cells are
    taken to cover less than the background. False for an image of a single value."""
    if image.min() == image.max():
        return False
    return bool(np.mean(image > threshold_otsu(image.astype(np.float64))) > 0.5)


def contrast_scores(
    image: np.ndarray, objects: np.ndarray, num: int, threshold: float | np.ndarray, background: np.ndarray
) -> np.ndarray:
    """The scores of ClassicalSegmentor, float64 (num,), in [0, 1).

    Args:
        objects: the label image of ``num`` objects.
        threshold: a number, or one per pixel, (h, w).
        background: bool (h, w).
    """
    base = float(image[background].mean()) if background.any() else 0.0
    areas = np.maximum(np.bincount(objects.ravel(), minlength=num + 1)[1:], 1)

    def mean_height(values: np.ndarray) -> np.ndarray:
        return np.bincount(objects.ravel(), values.ravel(), num + 1)[1:] / areas - base

    height = np.maximum(mean_height(image), 0.0)
    level = np.maximum(mean_height(np.broadcast_to(threshold, image.shape)), 1e-6)
    return height / (height + level)


def _holes(foreground: np.ndarray, most: float) -> np.ndarray:
    """bool (h, w): the holes of the foreground with an area below ``most``."""
    holes, _ = ndimage.label(ndimage.binary_fill_holes(foreground) & ~foreground)
    small = np.bincount(holes.ravel()) < most
    small[0] = False
    return small[holes]


def _touching(objects: np.ndarray, wanted: Sequence[bool]) -> np.ndarray:
    """The numbers on the ``wanted`` sides of a label image, of top, left, bottom and right: int (N,)."""
    sides = (objects[0], objects[:, 0], objects[-1], objects[:, -1])
    chosen = [side for side, is_wanted in zip(sides, wanted, strict=True) if is_wanted]
    return np.concatenate([np.zeros(0, np.int64), *chosen])


def _without_specks(foreground: np.ndarray, least: float, inner: Sequence[bool]) -> np.ndarray:
    """The foreground without components whose bounding box is smaller than ``least`` pixels."""
    components, num = ndimage.label(foreground, np.ones((3, 3)))
    sizes = [np.prod([side.stop - side.start for side in box]) for box in ndimage.find_objects(components)]
    kept = np.concatenate([[False], np.array(sizes, np.float64) >= least])
    kept[_touching(components, inner)] = True
    kept[0] = False
    return kept[components]


def _fill_objects(objects: np.ndarray) -> None:
    """Give the background that an object encloses to it, in place."""
    for number, place in enumerate(ndimage.find_objects(objects), start=1):
        if place is not None:
            part = objects[place]
            part[ndimage.binary_fill_holes(part == number) & (part == 0)] = number


def _renumbered(objects: np.ndarray) -> tuple[np.ndarray, int]:
    """The same objects with numbers from 1 without gaps, and how many there are."""
    kept = np.unique(objects)
    kept = kept[kept > 0]
    numbers = np.zeros(objects.max() + 1, np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    return numbers[objects], len(kept)
