"""The settings of a training that a reader asks for first, and the commands that go on from it."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config


def settings(cfg: Config) -> dict[str, str]:
    """Name -> value, of those that the config has."""
    model, data = cfg.get("model") or {}, cfg.get("train_dataloader") or {}
    wrapper = cfg.get("optim_wrapper") or {}
    optimizer = dict(wrapper.get("optimizer") or {})
    batch, counts = data.get("batch_size"), wrapper.get("accumulative_counts", 1)
    found = {
        "Model": _type(model),
        "Encoder": _type(model.get("encoder")),
        "Decoder": _type(model.get("decoder")),
        "Heads": ", ".join(f"{name}: {_type(head)}" for name, head in (model.get("heads") or {}).items()),
        "Resumed from" if cfg.get("resume") else "Started from": str(cfg.get("load_from") or ""),
        "Frozen": ", ".join(model.get("frozen") or ()),
        "Training images": ", ".join(_places(data.get("dataset"))),
        "Steps that load and augment": ", ".join(_pipeline(data.get("dataset"))),
        "Batch size": f"{batch}" + (f", {counts} batches to a step" if counts != 1 else "") if batch else "",
        "Optimizer": ", ".join(
            [
                _type(optimizer),
                *(f"{key} {optimizer[key]:g}" for key in ("lr", "weight_decay") if key in optimizer),
            ]
        ),
        "Schedules of the learning rate": ", ".join(map(_type, _schedules(cfg))) or "constant",
        "Length": _length(cfg),
        "Other hooks": ", ".join(_type(hook) for hook in cfg.get("custom_hooks") or ()),
        "Seed": str((cfg.get("randomness") or {}).get("seed", "")),
    }
    return {key: value for key, value in found.items() if value}


def minutes_of(cfg: Config) -> float | None:
    """The time budget, ``--minutes``; None without one."""
    return ((cfg.get("default_hooks") or {}).get("param_scheduler") or {}).get("minutes")


def iterations_of(cfg: Config) -> int | None:
    """How many iterations the config asks for; None where it counts epochs or minutes."""
    return None if minutes_of(cfg) else (cfg.get("train_cfg") or {}).get("max_iters")


def commands(cfg: Config | None, config_file: Path | None, work_dir: Path) -> dict[str, str]:
    """What may be done next -> the command that does it."""
    folder = shlex.quote(str(work_dir))
    found = {}
    if config_file is not None:
        config = shlex.quote(str(config_file))
        resume = f"cellmm train {config} --work-dir {folder} --resume"
        minutes = cfg and minutes_of(cfg)
        pause = cfg and ((cfg.get("default_hooks") or {}).get("pause") or {}).get("minutes")
        given = {"--minutes": minutes, "--pause-after": pause}
        options = [f" {option} {value:g}" for option, value in given.items() if value]
        found["Go on where it was stopped"] = "".join([resume, *options])
        key, number = _longer(cfg) if cfg else (None, 0)
        if minutes:
            found["Train twice as long"] = f"{resume} --minutes {2 * minutes:g}"
        elif key:
            found["Train twice as long"] = f"{resume} --cfg-options train_cfg.{key}={2 * number}"
        if cfg and cfg.get("test_dataloader") is not None:
            found["Score it on the test images"] = f"cellmm test {config} {folder}"
    found["Find the cells in other images"] = f"cellmm predict IMAGES --model {folder} --out RESULTS"
    return found


def _longer(cfg: Config) -> tuple[str | None, int]:
    """The key of ``train_cfg`` that says how long the training is, and its value."""
    loop = cfg.get("train_cfg") or {}
    return next(((key, loop[key]) for key in ("max_iters", "max_epochs") if key in loop), (None, 0))


def _length(cfg: Config) -> str:
    key, number = _longer(cfg)
    if minutes := minutes_of(cfg):
        return f"{minutes:g} minutes"
    return f"{number} {'iterations' if key == 'max_iters' else 'epochs'}" if key else ""


def _schedules(cfg: Config) -> list[dict]:
    found = cfg.get("param_scheduler") or []
    return [found] if isinstance(found, dict) else list(found)


def _type(part: Any) -> str:
    kind = part.get("type", "") if isinstance(part, dict) else ""
    return kind if isinstance(kind, str) else kind.__name__


def _datasets(dataset: Any) -> Iterator[dict]:
    """Those inside of wrappers."""
    if not isinstance(dataset, dict):
        return
    inner = dataset.get("datasets") or ([dataset["dataset"]] if "dataset" in dataset else [])
    if not inner:
        yield dataset
    for part in inner:
        yield from _datasets(part)


def _places(dataset: Any) -> Iterator[str]:
    for part in _datasets(dataset):
        yield f"{_type(part)} {part['data_root']}" if part.get("data_root") else _type(part)


def _pipeline(dataset: Any) -> list[str]:
    """The types of the steps, without repetition where several datasets share them."""
    return list(
        dict.fromkeys(_type(step) for part in _datasets(dataset) for step in part.get("pipeline") or ())
    )
