"""The last transform of every pipeline."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement, InstanceData

from cellmm.datasets.transforms.moving_cells import FIXED_TARGETS, MOVING_TARGETS
from cellmm.errors import CellMMError
from cellmm.registry import TRANSFORMS
from cellmm.structures import CellSample, LabelLayers

META_KEYS = (
    "img_id",
    "img_path",
    "img_shape",
    "ori_shape",
    "to_original",
    "pixel_size",
    "model_pixel_size",
    "cell_diameter",
    "read_options",
    "draw",
)
PER_CELL = ("gt_labels", "gt_ignore", "gt_areas", "gt_nuclei", "gt_points")  # with one entry per cell
# maps (..., H, W)
MAPS = ("gt_proximity", "gt_weight", "gt_center", "gt_boundary", "gt_distance", "gt_center_offsets")
KNOWN_TARGETS = {*FIXED_TARGETS, *MOVING_TARGETS, "gt_disk_weight"}


@TRANSFORMS.register_module()
class PackCellInputs(BaseTransform):
    """``results`` -> dict(inputs: float32 tensor (C, H, W), data_samples: CellSample); see CellSample.

    Crowd regions (``gt_ignore``) and cells without a pixel are left out of what is trained on.

    Args:
        keys: targets of your own, ``gt_*``. NumPy arrays become tensors as they are, LabelLayers become int32
            tensors (L, H, W) of the same cells as ``gt_layers``. Those that are absent, as in a test, are
            not packed.
        cell_keys: the same for arrays (N, ...) with one entry per cell of ``gt_layers``. The entries of
            cells that are left out are dropped.

    Raises CellMMError naming the file if ``img`` and any key of its pixels or cells differ in size, as after
    a step that moves only one of them, and if a ``gt_*`` key is neither cellmm's nor named.
    """

    reads = ("img",)
    writes = ("inputs", "data_samples")

    def __init__(self, *, keys: Sequence[str] = (), cell_keys: Sequence[str] = ()) -> None:
        self.keys, self.cell_keys, self.meta_keys = tuple(keys), tuple(cell_keys), META_KEYS
        for key in (*self.keys, *self.cell_keys):
            if not key.startswith("gt_") or key in KNOWN_TARGETS:
                raise ValueError(
                    f"PackCellInputs: {key!r} in keys or cell_keys; name a target of your own, gt_..."
                )

    def transform(self, results: dict) -> dict:
        self._check(results)
        sample = CellSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        kept = None
        if "gt_layers" in results:
            kept = (results["gt_layers"].areas() > 0) & ~results["gt_ignore"]
            cells = results["gt_layers"] if kept.all() else results["gt_layers"].select(kept)
            if "gt_points" in results:
                sample.gt_points = torch.from_numpy(results["gt_points"][kept])
            if "gt_disks" in results:
                ids = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)])
                sample.gt_disks = torch.from_numpy(ids.astype(np.int32)[results["gt_disks"]])
                sample.gt_disk_weight = torch.from_numpy(results["gt_disk_weight"])
            sample.gt_layers = torch.from_numpy(np.ascontiguousarray(cells.layers))
            sample.gt_instances = InstanceData(labels=torch.from_numpy(results["gt_labels"][kept]))
        if "gt_semantic" in results:
            maps = {name: torch.from_numpy(values) for name, values in results["gt_semantic"].items()}
            sample.gt_semantic = BaseDataElement(**maps)
        for key in MAPS:
            if key in results:
                setattr(sample, key, torch.from_numpy(results[key]))
        if "ignore" in results:
            sample.ignore = torch.from_numpy(np.ascontiguousarray(results["ignore"]))
        for key in (*self.keys, *self.cell_keys):
            if key in results:
                setattr(sample, key, self._own_target(key, results, kept))
        if "eval_instances" in results:
            sample.eval_instances = InstanceData(**results["eval_instances"])
        if "eval_nuclei" in results:
            sample.eval_nuclei = InstanceData(masks=results["eval_nuclei"])
        image = np.ascontiguousarray(results["img"].transpose(2, 0, 1), dtype=np.float32)
        return dict(inputs=torch.from_numpy(image), data_samples=sample)

    def _check(self, results: dict) -> None:
        shape = results["img"].shape[:2]
        for key, own in _sizes(results):
            if own != shape and not (key == "gt_disks" and _is_grid_of(own, shape)):
                writer = FIXED_TARGETS.get(key, "its step")
                raise CellMMError(
                    f"{results.get('img_path')}: img has {shape} px (h, w), but {key} {own}: a step after "
                    f"{writer} crops, resizes, pads or turns one without the other; use RandomWarp, "
                    "Albumentations, CropRegion or PadTo in its place"
                )
        num = len(results["gt_layers"]) if "gt_layers" in results else None
        for key in PER_CELL:
            if num is not None and key in results and len(results[key]) != num:
                raise CellMMError(
                    f"{results.get('img_path')}: {key} has {len(results[key])} entries, gt_layers {num}: "
                    "a step drops or adds cells in one of them alone; use moving_cells.replace_cells in it"
                )
        for key in results:
            unknown = key not in KNOWN_TARGETS and key not in self.keys and key not in self.cell_keys
            if unknown and str(key).startswith("gt_"):
                raise CellMMError(
                    f"{key} would be left out; name it: dict(type='PackCellInputs', keys=({key!r},)), or in "
                    "cell_keys if it has one entry per cell"
                )

    def _own_target(self, key: str, results: dict, kept: np.ndarray | None) -> torch.Tensor:
        value, num = results[key], 0 if kept is None else len(kept)
        if (layers := isinstance(value, LabelLayers)) or key in self.cell_keys:
            if kept is None or len(value) != num:
                raise CellMMError(
                    f"{results.get('img_path')}: {key} has {len(value)} entries, gt_layers {num} cells: give "
                    "each cell one, in the same order"
                )
            value = value.select(kept).layers if layers else np.asarray(value)[kept]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
            raise CellMMError(
                f"{key} is a {type(value).__name__}; PackCellInputs takes arrays of numbers and LabelLayers"
            )
        return torch.from_numpy(np.ascontiguousarray(value))


def _sizes(results: dict) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(key, (h, w)) of all that belongs to the pixels of ``img``."""
    if "img_shape" in results:
        yield "img_shape", tuple(results["img_shape"][:2])
    for key, value in results.items():
        if isinstance(value, LabelLayers) or key in ("ignore", "gt_disks", "gt_disk_weight", *MAPS):
            yield ("gt_disks" if key == "gt_disk_weight" else key), tuple(value.shape[-2:])
    for value in results.get("gt_semantic", {}).values():
        yield "gt_semantic", value.shape


def _is_grid_of(grid: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether a whole stride makes ``grid`` of ``shape``, both (h, w), rounded up."""
    stride = max(-(-n // m) for n, m in zip(shape, grid, strict=True))
    return tuple(-(-n // stride) for n in shape) == tuple(grid)
