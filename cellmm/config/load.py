"""Reading a config file with its bases and options."""

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from cellmm.config.names import PREFIX, find_config
from cellmm.config.text import use_config_text
from cellmm.errors import CellMMError
from cellmm.plugins import load_plugins
from cellmm.registry import SCOPE


def load_config(path: str | Path, cfg_options: dict | None = None) -> Config:
    """Read a Python config with its ``_base_`` files. Configs are code: only read those you trust.

    Plug-ins of cellmm are loaded, too.

    Args:
        path: of the file, or the name of a config of cellmm, see ``find_config``.

    Raises:
        CellMMError: the file is absent or is not a config, or a plug-in cannot be loaded.
    """
    use_config_text()
    use_config_names()
    path = find_config(path)
    try:
        cfg = Config.fromfile(str(path))
    except Exception as error:  # a config is a program, which can fail in any way
        cause = str(error).splitlines()[0] if str(error) else ""
        raise CellMMError(f"{path}: not a usable config: {type(error).__name__}: {cause}") from error
    try:
        cfg.merge_from_dict(cfg_options or {})
    except (KeyError, TypeError, IndexError, AssertionError, AttributeError) as error:
        raise CellMMError(
            f"--cfg-options {' '.join(cfg_options)}: does not go with {path}: {error}; see `cellmm config`"
        ) from error
    _name_loop(cfg)
    init_default_scope(SCOPE)  # the check of the config refuses another
    load_plugins()
    return cfg


def _name_loop(cfg: Config) -> None:
    """``train_cfg=dict(by_epoch=...)`` by the name of its loop, as mmengine understands it."""
    loop = cfg.get("train_cfg")
    if isinstance(loop, dict) and isinstance(loop.get("by_epoch"), bool) and "type" not in loop:
        loop.type = "EpochBasedTrainLoop" if loop.pop("by_epoch") else "IterBasedTrainLoop"


def use_config_names() -> None:
    """Let ``_base_ = ["cellmm::diskmask/nuclei"]`` mean a config of cellmm, as ``mmdet::`` does in OpenMMLab.

    mmengine knows the packages of OpenMMLab alone.
    """
    if getattr(Config._get_cfg_path, "knows_cellmm", False):
        return
    of_others = Config._get_cfg_path

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):
            return str(find_config(cfg_path)), None
        return of_others(cfg_path, filename)

    get_cfg_path.knows_cellmm = True
    Config._get_cfg_path = staticmethod(get_cfg_path)
