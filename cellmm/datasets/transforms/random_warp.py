"""Random rotation, shift, flip, scale, elastic deformation and crop: one sampling map, one resampling."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform

from cellmm.datasets.transforms.moving_cells import (
    fixed_targets,
    moving_layers,
    pack_layers,
    replace_cells,
    unpack_layers,
)
from cellmm.datasets.transforms.warping import bend, check_warp, resample, sampling_map
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomWarp(BaseTransform):
    """Rotate, shift, flip, scale, bend and crop ``img``, ``gt_layers`` and ``gt_nuclei`` at once.

    Output pixel p = (x, y) shows the position c + s + R F (p - m) / scale + e(p) of the image: c the centre
    of the crop, m the middle of the output, s the shift, R a rotation, F a flip left to right or nothing,
    e(p) the elastic displacement. The image is interpolated linearly; of the cells the nearest pixel is
    taken, four, two or one layers at a time, so that the cost does not grow with the number of cells.

    Writes ``ignore``, bool (h, w): True where the nearest pixel lies outside the image, or was True before.
    The image may be mirrored there; the cells are not, so that no cell appears twice under the same id. As
    these pixels are ignored, a mirrored cell without annotation is not learned as background. Random numbers
    come from ``results['rng']`` alone. Removes ``sampling_density``, whose pixels have moved. diskmask 3.1.1.

    Args:
        size: (h, w) of the output, px; None: that of the image.
        rotate: range of the angle in degrees, counter-clockwise as in ``np.rot90``.
        scale: range of the magnification, at least 0.1; 2 shows everything twice as large.
        shift: the most that the centre moves along x and along y, px of the image.
        flip: probability of a flip left to right.
        elastic_spacing: distance of the random displacements, px of the output; bicubic in between.
        elastic_magnitude: their standard deviation along x and along y, px of the image; 0: none.
        centre: ``'middle'`` of the image, ``'uniform'``: any of its pixels, ``'density'``: a pixel drawn from
            ``sampling_density`` (see SamplingDensity).
        border: what the image shows outside: ``'mirror'`` (the outermost pixel is not repeated) or a value.
        min_area: cells with fewer pixels left are dropped, px.

    Raises CellMMError in test pipelines (``eval_instances``: it cannot be taken back), after steps
    that write targets, and where ``sampling_density`` is missing or of another shape than the image.
    """

    reads = ("img", "rng")
    writes = ("sampling_density",)
    moves_pixels = True
    removes_cells = True

    def __init__(
        self,
        *,
        size: Sequence[int] | None = None,
        rotate: Sequence[float] = (-180, 180),
        scale: Sequence[float] = (1, 1),
        shift: float = 0,
        flip: float = 0.5,
        elastic_spacing: float = 64,
        elastic_magnitude: float = 0,
        centre: str = "middle",
        border: str | float = "mirror",
        min_area: int = 1,
    ) -> None:
        check_warp(
            rotate=rotate,
            scale=scale,
            flip=flip,
            elastic_spacing=elastic_spacing,
            elastic_magnitude=elastic_magnitude,
        )
        if size is not None and (np.shape(size) != (2,) or min(size) < 1):
            raise ValueError(f"RandomWarp: size must be (h, w) of at least 1 px or None, got {size!r}")
        if shift < 0:
            raise ValueError(f"RandomWarp: shift must be at least 0 px, got {shift!r}")
        if centre not in ("middle", "uniform", "density"):
            raise ValueError(f"RandomWarp: centre must be 'middle', 'uniform' or 'density', got {centre!r}")
        if border != "mirror" and not isinstance(border, (int, float)):
            raise ValueError(f"RandomWarp: border must be 'mirror' or a number, got {border!r}")
        self.size = None if size is None else tuple(size)
        self.rotate, self.scale, self.shift, self.flip = tuple(rotate), tuple(scale), shift, flip
        self.elastic_spacing, self.elastic_magnitude = elastic_spacing, elastic_magnitude
        self.centre, self.border, self.min_area = centre, border, min_area

    def transform(self, results: dict) -> dict:
        self._check(results)
        image = results["img"]
        xs, ys = self._map(results)
        outside = results.get("ignore")
        valid = np.ones(image.shape[:2], np.uint8) if outside is None else (~outside).astype(np.uint8)
        cells = moving_layers(results) if "gt_layers" in results else None
        exact = [valid] if cells is None else [valid, *pack_layers(cells)]
        smooth = [np.ascontiguousarray(image[..., c : c + 4]) for c in range(0, image.shape[2], 4)]
        smooth, (valid, *packed) = resample(smooth, exact, xs, ys, self.border)
        results["img"] = np.concatenate([part.reshape(*xs.shape, -1) for part in smooth], axis=2)
        results["img_shape"] = xs.shape
        results["ignore"] = valid == 0
        results.pop("sampling_density", None)
        if cells is not None:
            replace_cells(results, unpack_layers(packed, len(cells))[: cells.num_layers], self.min_area)
        return results

    def _check(self, results: dict) -> None:
        path = results.get("img_path")
        if "eval_instances" in results:
            raise CellMMError(
                "RandomWarp cannot be taken back, so predictions would be put in the wrong place: "
                "in a test pipeline use CropRegion, Rescale and PadTo"
            )
        late = {key: writer for key, writer in fixed_targets(results).items() if key != "sampling_density"}
        for key, writer in late.items():
            raise CellMMError(
                f"RandomWarp would leave {key} of {path} where it was: put it before {writer} in the pipeline"
            )
        if self.centre == "density":
            if "sampling_density" not in results:
                raise CellMMError(
                    "RandomWarp(centre='density') needs SamplingDensity before it in the pipeline"
                )
            shape, expected = results["sampling_density"].shape, results["img"].shape[:2]
            if shape != expected:
                raise CellMMError(
                    f"sampling_density of {path} is {shape} pixels (h, w), the image {expected}: put "
                    "SamplingDensity right before RandomWarp in the pipeline"
                )

    def _map(self, results: dict) -> tuple[np.ndarray, np.ndarray]:
        """x and y in the image of each output pixel, float32 (h, w) each, px."""
        rng, shape = results["rng"], results["img"].shape[:2]
        height, width = size = self.size or shape
        angle, scale = rng.uniform(*self.rotate), rng.uniform(*self.scale)
        shift_x, shift_y = rng.uniform(-self.shift, self.shift, 2)
        flip = rng.random() < self.flip
        centre_y, centre_x = self._centre_pixel(results, size)
        # the middle of an even output lies between two pixels: without rotation, whole pixels are copied
        centre_y, centre_x = centre_y + (height - 1) % 2 / 2, centre_x + (width - 1) % 2 / 2
        centre = centre_x + shift_x, centre_y + shift_y
        xs, ys = sampling_map(size, centre, angle=angle, scale=scale, flip=flip)
        if self.elastic_magnitude:
            bend(xs, ys, rng, self.elastic_spacing, self.elastic_magnitude)
        return xs, ys

    def _centre_pixel(self, results: dict, size: tuple[int, int]) -> tuple[int, int]:
        rng, shape = results["rng"], results["img"].shape[:2]
        if self.centre == "middle":
            return tuple((old - new) // 2 + (new - 1) // 2 for old, new in zip(shape, size, strict=True))
        if self.centre == "uniform":
            return tuple(rng.integers(0, shape))
        y = _draw(results["sampling_density"].sum(axis=1, dtype=np.float64), rng)
        return y, _draw(results["sampling_density"][y], rng)


def _draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """An index, with a probability in proportion to its weight."""
    total = np.cumsum(weights, dtype=np.float64)
    return min(int(np.searchsorted(total, rng.random() * total[-1], side="right")), len(weights) - 1)
