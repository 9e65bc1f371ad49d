"""The contract of transforms, tested: cellmm/datasets/transforms/contract.py."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from cellmm.datasets.transforms.contract import TransformContract
from cellmm.datasets.transforms.moving_cells import MOVING_TARGETS
from cellmm.errors import CellMMError
from cellmm.randomness import seeded
from cellmm.registry import TRANSFORMS
from cellmm.structures import CellSample, LabelLayers
from cellmm.testing import generated
from cellmm.testing.rules import BrokenRule, build, must_work, require, same

FILE_KEYS = {"img_path", "label_path", "class_paths", "nuclei_path", "mask_paths", "instances"}
FOREIGN = "made_by_another_step"  # a key that no transform knows
PER_CELL = tuple(key for key in MOVING_TARGETS if key not in ("gt_layers", "gt_nuclei"))
EXACT = 0.1  # px that ``to_original`` may be off, in the median
IGNORED = np.s_[8:40, 24:56]  # of the generated image


def check_transform(config: dict, *, before: Sequence[dict] = ()) -> None:
    """Test that a transform follows ``TransformContract`` and what it says of itself.

    It runs on generated images with cells, without cells, and of one pixel. It must give the same for equal
    ``results["rng"]``, leave alone what it does not state, and move cells, nuclei, ignored pixels and
    ``to_original`` as it moves the image. It may refuse an image by a CellMMError.

    Args:
        config: of the transform.
        before: configs of steps that run before it, such as one that writes a key which it reads.

    Raises:
        CellMMError: one line that names the transform and the rule.
    """
    name, step = build(TRANSFORMS, config)
    says = TransformContract.of(step)
    earlier = [TRANSFORMS.build(config) for config in before]
    with _start(says) as start:
        run = _Runner(name, step, earlier, start)
        if "data_samples" in says.writes:
            _check_packed(name, run)
            return
        given, found = run()
        require(isinstance(found, dict), name, f"transform must return the dict, got {type(found).__name__}")
        _check_keys(name, says, given, found)
        _check_sizes(name, says, given, found)
        _check_randomness(name, run)
    if FILE_KEYS & set(says.reads):
        return
    for what, image in (
        ("an image without cells", generated.results(cells=False)),
        ("an image of 1 x 1 pixels", generated.results((1, 1), cells=False)),
    ):
        run = _Runner(name, step, earlier, lambda image=image: copy.deepcopy(image))
        try:
            given, found = run(what)
        except BrokenRule:
            raise
        except CellMMError:  # it may refuse small images
            require(image["img"].shape[:2] == (1, 1), name, "it must take images without cells")
            continue
        _check_sizes(name, says, given, found)
    if says.moves_pixels:
        _check_moves(name, step, earlier)


class _Runner:
    """``runner()`` runs the step once: (what it was given, what it gave)."""

    def __init__(
        self, name: str, step: Callable, earlier: Sequence[Callable], start: Callable[[], dict]
    ) -> None:
        self.name, self.step, self.earlier, self.start = name, step, earlier, start
        self.dataset = generated.OneImage(step)

    def __call__(self, what: str = "an image with cells", draw: int = 0) -> tuple[dict, dict]:
        results = self.start()
        results[FOREIGN] = "kept"
        with must_work(self.name, what):
            for step in self.earlier:
                results = step(results)
            results["rng"] = np.random.default_rng(draw)
            if TransformContract.of(self.step).mixes_images:
                results["dataset"] = self.dataset
            given = {key: copy.deepcopy(value) for key, value in results.items() if key != "rng"}
            with seeded(draw):
                found = self.step(results)
        return given, found


@contextlib.contextmanager
def _start(says: TransformContract) -> Iterator[Callable[[], dict]]:
    """What makes the results that a transform starts from: a file for those that read files."""
    if not FILE_KEYS & set(says.reads):
        yield generated.results
        return
    with generated.files() as info:
        yield lambda: copy.deepcopy(info)


def _check_packed(name: str, run: _Runner) -> None:
    given, found = run()
    kept = isinstance(found, dict) and {"inputs", "data_samples"} <= set(found)
    require(kept, name, "it must return dict(inputs=..., data_samples=...)")
    inputs, image = found["inputs"], given["img"]
    right = isinstance(inputs, torch.Tensor) and inputs.dtype == torch.float32
    right = right and inputs.shape == (image.shape[2], *image.shape[:2])
    require(right, name, "inputs must be a float32 tensor (C, H, W) of img")
    require(isinstance(found["data_samples"], CellSample), name, "data_samples must be a CellSample")


def _check_keys(name: str, says: TransformContract, given: dict, found: dict) -> None:
    changed = {key for key in given if key not in found or not same(given[key], found[key])}
    changed |= {key for key in found if key not in given and key != "rng"}
    for key in sorted(changed - says.may_change()):
        raise CellMMError(
            f"{name}: it changes {key!r}, which its writes do not name; name it there, or leave it alone"
        )
    if says.annotation_only and "img" in changed:
        raise CellMMError(f"{name}: it says annotation_only, but changes img; leave that out")


def _check_sizes(name: str, says: TransformContract, given: dict, found: dict) -> None:
    if "img" not in found:
        return
    image = found["img"]
    right = isinstance(image, np.ndarray) and image.ndim == 3 and image.dtype == np.float32
    require(right, name, "img must be a float32 array (H, W, C)")
    size = image.shape[:2]
    if "img" in given and not says.moves_pixels:
        right = size == given["img"].shape[:2]
        require(right, name, "it changes the size of img; set moves_pixels = True in its class")
    require(tuple(found["img_shape"]) == size, name, f"img_shape must be the size of img, {size}")
    for key in ("gt_layers", "gt_nuclei", "ignore"):
        if key in found:
            require(tuple(found[key].shape) == size, name, f"{key} must have the size of img, {size}")
    if not isinstance(cells := found.get("gt_layers"), LabelLayers):
        return
    if "gt_layers" in given and not says.removes_cells:
        right = len(cells) >= len(given["gt_layers"])
        require(right, name, "it leaves out cells; set removes_cells = True in its class")
    if "gt_layers" in given and not says.adds_cells:
        right = len(cells) <= len(given["gt_layers"])
        require(right, name, "it adds cells; set adds_cells = True in its class")
    for key in PER_CELL:
        if key in found:
            require(len(found[key]) == len(cells), name, f"{key} must have one entry per cell of gt_layers")


def _check_randomness(name: str, run: _Runner) -> None:
    _, first = run()
    run(draw=1)
    _, again = run()
    for key in first:
        if key != "rng" and not same(first[key], again[key]):
            raise CellMMError(
                f"{name}: {key} is another for the same results['rng']; draw random numbers from it alone"
            )


def _marked() -> dict:
    results = generated.results()
    results["img"] = generated.coordinates(results["img_shape"])
    return results


def _check_moves(name: str, step: Callable, earlier: Sequence[Callable]) -> None:
    """Move an image of coordinates, and see that all else went where its pixels say."""

    def move(**given: Any) -> tuple[dict, dict]:
        return _Runner(name, step, earlier, lambda: _marked() | given)()

    truth = dict(eval_instances=dict(masks=_marked()["gt_layers"].to_rles()))
    try:
        given, found = move(**truth)
    except BrokenRule:
        raise
    except CellMMError:  # it may refuse test pipelines
        truth = {}
        given, found = move()
    moved = _Moved(given, found)
    mirrored = found.get("ignore", np.zeros(moved.shown.shape, bool))  # or outside the image
    for key in ("gt_layers", "gt_nuclei"):
        before, after = given[key].to_masks(), found[key].to_masks()
        require(not after[:, mirrored].any(), name, f"{key} must end where the image ends")
        for number, label in enumerate(found["gt_labels"]):
            inside, outside = moved.surely(before[label]), moved.surely(~before[label])
            kept = after[number][inside & ~mirrored].all() and not after[number][outside].any()
            require(kept, name, f"{key} must move as img does, with the entries of its cells")
    if truth:
        error = moved.error_of(found["to_original"])[moved.shown & ~mirrored]
        kept = not error.size or np.median(error) <= EXACT
        require(kept, name, "to_original must take pixels of the output to those of the original image")
    ignore = np.zeros(given["img"].shape[:2], bool)
    ignore[IGNORED] = True
    try:
        _, found = move(ignore=ignore, **truth)
    except BrokenRule:
        raise
    except CellMMError:  # it may refuse ignored pixels
        return
    require(found["ignore"][moved.surely(ignore)].all(), name, "ignore must move as img does")


class _Moved:
    """Where the pixels of the output come from, as an image of coordinates that was moved tells.

    ``shown``: bool (h, w), output pixels that show the image.
    """

    def __init__(self, given: dict, found: dict) -> None:
        image, self.shape = found["img"], given["img"].shape[:2]
        self.y, self.x = (image[..., axis] * (self.shape[axis] - 1) for axis in (0, 1))
        self.shown = image[..., 2] > 0.999
        self.nearest = tuple(
            np.clip(np.rint(place).astype(int), 0, side - 1)
            for place, side in zip((self.y, self.x), self.shape, strict=True)
        )
        steps = [0.0]  # pixels of the input between neighbours of the output
        for axis in (0, 1):
            both = np.delete(self.shown, 0, axis) & np.delete(self.shown, -1, axis)
            steps += [float(np.abs(np.diff(p, axis=axis))[both].max(initial=0)) for p in (self.y, self.x)]
        reach = 1 + int(np.ceil(max(steps)))
        self.kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)

    def surely(self, mask: np.ndarray) -> np.ndarray:
        """Output pixels that come from well inside of ``mask``, bool (H, W) of the input."""
        inside = cv2.erode(mask.astype(np.uint8), self.kernel, borderValue=1).astype(bool)
        return inside[self.nearest] & self.shown

    def error_of(self, to_original: np.ndarray) -> np.ndarray:
        """How far ``to_original`` is off at each output pixel, px, (h, w)."""
        rows, columns = np.indices(self.shown.shape)
        places = to_original @ np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
        return np.abs(places[:2].reshape(2, *rows.shape) - np.stack([self.x, self.y])).max(0)
