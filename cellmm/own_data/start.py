"""A model whose weights a training starts from: what its images have to be like."""

from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from cellmm.config.load import load_config, use_config_names
from cellmm.config.names import PREFIX, configs_folder, find_config
from cellmm.engine.checkpoints import load_checkpoint
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError
from cellmm.zoo import resolve_model, shipped_models
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
        rate: the learning rate of its training.
        window: side of the window in which a cell is drawn, pixels of its map; None: it has none.
    """

    name: str
    base: str
    diameter: float
    rgb: bool
    normalize: dict
    targets: tuple[dict, ...]
    rate: float = 1e-3
    window: int | None = None

    @property
    def load_from(self) -> str:
        """What a config says to start from it, wherever it is trained."""
        return str(Path(self.name).resolve()) if Path(self.name).exists() else self.name


def start_model(name: str) -> StartModel:
    """Look into the config and the weights of a model, see ``resolve_model``.

    Raises:
        CellMMError: there is no such model, or it does not say how large its cells are.
    """
    path = Path(name)
    of_file = path.suffix in WEIGHTS and path.is_file()
    config, weights = resolve_model(path.parent, path) if of_file else resolve_model(name)
    if weights is None:
        raise CellMMError(f"{name}: its model has no weights to start from; `cellmm models` lists others")
    if shipped := shipped_models().get(name):
        config = find_config(shipped.base)
    cfg = load_config(config)
    data = (cfg.get("train_dataloader") or {}).get("dataset") or {}
    if "pipeline" not in data:
        raise CellMMError(
            f"{config}: its {data.get('type', 'training')} has no pipeline of its own, which says what "
            "images the model knows; take a model that was trained on a single dataset"
        )
    steps = [dict(step) for step in data["pipeline"]]
    by_type = {step["type"]: step for step in steps}
    if "LoadImage" not in by_type:
        raise CellMMError(f"{config}: its pipeline has no LoadImage; take a model that has")
    # of an image; what training notes is the median over cells, most of which lie in few crowded images
    diameter = by_type.get("RescaleToDiameter", {}).get("diameter")
    if diameter is None:
        seen = TrainedOn.from_meta(load_checkpoint(weights)["meta"], weights)
        if seen is None or seen.diameter is None:
            raise CellMMError(f"{weights}: does not state the diameter of its cells; train it anew")
        diameter = seen.diameter
    normalize = {key: value for key, value in by_type.get("Normalize", {}).items() if key != "type"}
    if not normalize:
        raise CellMMError(f"{config}: its pipeline has no Normalize; take a model that has")
    targets = tuple(dict(type=step.pop("type"), arguments=step) for step in steps if step["type"] in TARGETS)
    rgb = by_type["LoadImage"].get("color") == "rgb"
    head = cfg.model.heads.get(cfg.model.get("instance_head", "instances")) or {}
    return StartModel(
        name,
        _base(config),
        diameter,
        rgb,
        normalize,
        targets,
        cfg.optim_wrapper.optimizer.lr,
        (head.get("windows") or {}).get("size"),
    )


def starts_from(config: Path, model: StartModel) -> bool:
    """Whether a config inherits from that of ``model``."""
    use_config_names()
    return model.base in Config._get_base_files(str(config))


def _base(config: Path) -> str:
    folder = configs_folder().resolve()
    path = config.resolve()
    if path.is_relative_to(folder):
        return PREFIX + path.relative_to(folder).with_suffix("").as_posix()
    return path.as_posix()
