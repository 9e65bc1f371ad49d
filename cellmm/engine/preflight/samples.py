"""The first sample of a data set: what its pipeline makes of it, and whether the model can take that."""

from collections.abc import Sequence
from typing import Any

from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from torch import nn
from torch.utils.data import DataLoader

from cellmm.engine.preflight.cell_counts import name_of
from cellmm.errors import CellMMError
from cellmm.models.encoders.base import min_size
from cellmm.models.heads.base import HeadContract, targets_of

WRAPPERS = (ConcatDataset, RepeatDataset, ClassBalancedDataset)


def check_first_sample(loader: DataLoader, model: nn.Module) -> None:
    dataset, where = loader.dataset, "train_dataloader.dataset"
    if isinstance(dataset, WRAPPERS):
        raise CellMMError(
            f"{where}.type: {type(dataset).__name__} of mmengine does not know numbered draws; use cellmm's "
            "of the same name"
        )
    sample = first_sample(dataset, model, where, index=(0, 0))
    if getattr(model, "learns_cells", True) and "gt_layers" not in sample["data_samples"]:
        raise CellMMError(f"{where}.pipeline: no step loads the cells; add dict(type='LoadCells')")
    for name, head in getattr(model, "heads", {}).items():
        stated = HeadContract.of(head)
        for key, steps in stated.needs.items():
            if key not in sample["data_samples"]:
                raise CellMMError(
                    f"{where}.pipeline: no step writes {key}, which model.heads.{name} learns; add {steps}"
                )
        maps = sample["data_samples"].get("gt_semantic", {}).keys()
        lacking = [target for target in targets_of(head) if target not in maps]
        if maps and lacking:
            raise CellMMError(
                f"{where}.pipeline: gt_semantic has {', '.join(sorted(maps))} and not {lacking[0]!r}, which "
                f"model.heads.{name} learns; add SemanticTargets or BoundaryTargets with this map, or "
                f"change model.heads.{name}.target"
            )
    height, width = sample["inputs"].shape[-2:]
    what = f"{name_of(dataset.get_data_info(0))} comes out of the pipeline with {height}x{width} px"
    _check_size((height, width), loader, model, what)


def first_sample(dataset: Any, model: nn.Module, where: str, index: Any) -> dict:
    """What the pipeline makes of the first image: packed, with the channels that the model takes."""
    try:
        sample = dataset[index]
    except CellMMError:
        raise
    except ValueError as error:
        raise CellMMError(f"{where}.pipeline: {name_of(dataset.get_data_info(0))}: {error}") from error
    if not isinstance(sample, dict) or "inputs" not in sample or "data_samples" not in sample:
        raise CellMMError(f"{where}.pipeline: it has to end with dict(type='PackCellInputs')")
    channels = len(sample["inputs"])
    takes = getattr(getattr(model, "data_preprocessor", None), "in_channels", channels)
    if channels != takes:
        raise CellMMError(
            f"model.data_preprocessor.in_channels: {takes}, but {name_of(dataset.get_data_info(0))} has "
            f"{channels} channels; set this, or choose channels in LoadImage"
        )
    return sample


def _check_size(size: Sequence[int], loader: DataLoader, model: nn.Module, what: str) -> None:
    divisor = getattr(getattr(model, "data_preprocessor", None), "divisor", 1)
    encoder = getattr(model, "encoder", None)
    padded = [n + -n % divisor for n in size]
    least = min_size(encoder)
    if any(n < m for n, m in zip(padded, least, strict=True)):
        raise CellMMError(
            f"train_dataloader.dataset.pipeline: {what}; the model needs {least[0]}x{least[1]} px or more"
        )
    specs = getattr(encoder, "out_specs", None)
    if not specs:
        return
    stride = specs[-1].stride
    batch = loader.batch_size or getattr(loader.batch_sampler, "batch_size", None)
    has_batch_norm = any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, nn.SyncBatchNorm)
        for module in model.modules()
    )
    if batch == 1 and has_batch_norm and all(n == stride for n in padded):
        raise CellMMError(
            f"train_dataloader.batch_size: 1, and {what}: one pixel at the coarsest stride, {stride}, on "
            f"which batch normalisation cannot work; take more than {stride} px, or batch_size=2"
        )
