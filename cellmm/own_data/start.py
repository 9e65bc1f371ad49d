"""A model whose weights a training starts from: what its images have to be like."""

from dataclasses import dataclass
from pathlib import Path

from cellmm.config.load import load_config
from cellmm.config.names import PREFIX, configs_folder
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError
from cellmm.zoo import resolve_model
from cellmm.zoo.resolve import WEIGHTS

TARGETS = ("ReferencePoints", "DiskTargets")


@dataclass(frozen=True)
class StartModel:
    """
    Args:
        name: as it was asked for.
        base: its config, for ``_base_``.
        diameter: of the cells that it knows, pixels.
        rgb: it takes RGB, also of grey images.
        normalize: the arguments of its Normalize.
        targets: the steps of its training pipeline that make targets: (type, arguments) of each.
    """

    name: str
    base: str
    diameter: float
    rgb: bool
    normalize: dict
    targets: tuple[dict, ...]


def start_model(name: str) -> StartModel:
    """Look into the config and the weights of a model, see ``resolve_model``.

    Raises:
        CellMMError: there is no such model, or it does not say how large its cells are.
    """
    path = Path(name)
    of_file = path.suffix in WEIGHTS and path.is_file()
    config, weights = resolve_model(path.parent, path) if of_file else resolve_model(name)
    seen = TrainedOn.from_meta(load_checkpoint(weights)["meta"], weights)
    if seen is None or seen.diameter is None:
        raise CellMMError(f"{weights}: does not state the diameter of its cells; train it anew")
    cfg = load_config(config)
    steps = [dict(step) for step in cfg.train_dataloader.dataset.pipeline]
    by_type = {step["type"]: step for step in steps}
    normalize = {key: value for key, value in by_type.get("Normalize", {}).items() if key != "type"}
    if not normalize:
        raise CellMMError(f"{config}: its pipeline has no Normalize; take a model that has")
    targets = tuple(dict(type=step.pop("type"), arguments=step) for step in steps if step["type"] in TARGETS)
    rgb = by_type["LoadImage"].get("color") == "rgb"
    return StartModel(name, _base(config), seen.diameter, rgb, normalize, targets)


def _base(config: Path) -> str:
    folder = configs_folder().resolve()
    path = config.resolve()
    if path.is_relative_to(folder):
        return PREFIX + path.relative_to(folder).with_suffix("").as_posix()
    return path.as_posix()
