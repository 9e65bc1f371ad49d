"""From what a user gives as a model to a config and weights."""

import difflib
from pathlib import Path
from typing import Any

from cellmm.config.names import PREFIX, config_names, find_config
from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import TORCHVISION, best_checkpoint, torchvision_file
from cellmm.zoo.packages import is_package
from cellmm.zoo.shipped import shipped_models

WEIGHTS = (".pth", ".safetensors")


def resolve_model(model: str | Path, checkpoint: str | Path | None = None) -> tuple[Path, Path | None]:
    """The config and the weights of a model; None: it has none.

    Args:
        model: the name of a shipped model; the work dir of a training, whose best checkpoint is taken, else
            its last; a checkpoint in such a folder; a package of ``cellmm export``, which is both; weights
            that were published and know the name of their config, which is one of cellmm; or a config or the
            name of a config of cellmm, with ``checkpoint`` unless its model has no weights.
        checkpoint: the weights, in place of those that belong to ``model``.

    Raises:
        CellMMError: there is no such model, or no weights go with it.
    """
    shipped = shipped_models()
    if str(model) in shipped:
        known = shipped[str(model)]
        return find_config(known.config), Path(checkpoint or known.weights)
    if Path(model).is_dir():
        return _of_work_dir(Path(model), checkpoint)
    if is_package(model):
        if checkpoint is not None:
            raise CellMMError(f"{model}: a package has its own weights; leave --checkpoint out")
        if not Path(model).is_file():
            raise CellMMError(f"{model}: no such file; `cellmm export` writes packages")
        return Path(model), Path(model)
    if checkpoint is not None:
        return find_config(model), Path(checkpoint)
    if is_config(model):
        path = find_config(model)
        check_weights(_model_of(path), model, None)
        return path, None
    if Path(model).suffix in WEIGHTS and Path(model).is_file():
        from cellmm.engine.checkpoints import load_checkpoint  # needs torch, and `cellmm models` does not

        if name := load_checkpoint(model)["meta"].get("config_name"):
            # PREFIX: a checkpoint is data, and must not name a file that would run as a config
            return find_config(f"{PREFIX}{name}"), Path(model)
        folder = Path(model).absolute().parent
        if (folder / "last_checkpoint").is_file() and any(folder.glob("*.py")):
            return _of_work_dir(folder, model)
    near = difflib.get_close_matches(str(model), shipped, 1, 0.6)
    hint = f"did you mean {near[0]}?" if near else f"cellmm has {', '.join(shipped)}"
    if Path(model).suffix in WEIGHTS:
        hint = "these are weights: give --config too, and this file as --checkpoint"
    elif Path(model).suffix in (".onnx", ".pt2"):
        hint = (
            "a graph alone does not say how images come to it: give the zip file that `cellmm export` wrote"
        )
    raise CellMMError(f"{model}: no such model and no folder of a training; {hint}")


def check_weights(
    model: Any,
    name: str | Path,
    checkpoint: str | Path | None,
    give: str = "give its weights as --checkpoint",
) -> None:
    """Refuse a ``model`` of the config ``name`` that does not go with this checkpoint, or with none.

    Args:
        give: the cure where there is none.

    Raises:
        CellMMError: it has weights and there is no checkpoint, or the reverse.
    """
    from cellmm.config.lookup import has_weights

    if has_weights(model) and checkpoint is None:
        raise CellMMError(f"{name}: this is a config, and its model has weights: {give}")
    if not has_weights(model) and checkpoint is not None:
        raise CellMMError(f"{name}: its {model.get('type')} has no weights; leave out {checkpoint}")


def is_config(model: str | Path) -> bool:
    """Whether a user who names this means a config: a file, or one of cellmm's by its name."""
    return Path(model).suffix == ".py" or str(model).removeprefix(PREFIX) in config_names()


def _model_of(config: Path) -> Any:
    from cellmm.config.load import load_config  # needs torch, and `cellmm models` does not

    return load_config(config).get("model")


def weights_of(model: str | Path) -> Path:
    """The weights of a model alone: of a shipped model, a work dir (see ``resolve_model``), a checkpoint, or
    ``torchvision://MODEL`` (see ``torchvision_file``).

    Raises:
        CellMMError: there is no such model.
    """
    if str(model).startswith(TORCHVISION):
        return torchvision_file(model)
    if str(model) not in shipped_models() and (Path(model).is_dir() or Path(model).suffix in WEIGHTS):
        return best_checkpoint(model)
    if str(model) not in shipped_models() and is_config(model):
        raise CellMMError(
            f"{model}: a config, which has no weights; give a checkpoint or the work dir of a training"
        )
    return resolve_model(model)[1]


def _of_work_dir(folder: Path, checkpoint: str | Path | None) -> tuple[Path, Path]:
    configs = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    if not configs:
        raise CellMMError(f"{folder}: no config in it, as a training writes; give the folder of a training")
    return configs[-1], best_checkpoint(folder if checkpoint is None else checkpoint)
