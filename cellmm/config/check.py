"""A config, checked as it stands: its components, what does not go together, variables without effect."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from cellmm.config.components import ComponentChecker, short
from cellmm.config.foreign import CURES_BY_KEY
from cellmm.config.lookup import component_of
from cellmm.config.names import PREFIX
from cellmm.config.schema import DEFAULT_HOOKS, REGISTRIES_BY_KEY, TABLES, TOP_LEVEL_KEYS
from cellmm.config.text import objects
from cellmm.config.variables import unread, unused_pipelines, without_effect
from cellmm.errors import CellMMError
from cellmm.registry import SCOPE


def check_config(cfg: Config) -> None:
    """Check a config without building a network or a data set.

    Raises:
        CellMMError: one line with all that is wrong, each with its dotted key and the cure.
    """
    top = {key: value for key, value in cfg.to_dict().items() if isinstance(key, str)}
    loop = component_of(top.get("train_cfg"), "LOOPS")
    in_iterations = loop is not None and not getattr(loop, "counts_epochs", False)
    wrapper = top.get("optim_wrapper")
    counts = wrapper.get("accumulative_counts") if isinstance(wrapper, dict) else None
    checker = ComponentChecker(in_iterations, counts)
    for key in cfg:
        if not (isinstance(key, str) and key.isidentifier()):
            checker.report(str(key), "not a name; keys of a config are names of Python")
    for path, text in (*_top_level(top), *unread(top), *_second_hooks(top)):
        checker.report(path, text)
    for key in TOP_LEVEL_KEYS:
        if key in top and (key in REGISTRIES_BY_KEY or key in TABLES):
            checker.visit(top[key], key, key)
    for path, text in (*_variables(cfg, top), *_objects(top)):
        checker.report(path, text)
    _raise(checker.problems)


def check_pipeline(steps: Any, path: str) -> None:
    """Check a list of transforms alone, which the config has at ``path``; see ``check_config``."""
    checker = ComponentChecker()
    checker.visit(steps, "pipeline", path)
    _raise(checker.problems)


def _raise(problems: dict[str, str]) -> None:
    if problems:
        lines = [f"{path}: {text}" for path, text in problems.items()]
        raise CellMMError("; ".join(" ".join(line.splitlines()) for line in lines))


def _top_level(top: dict) -> Iterator[tuple[str, str]]:
    if (scope := top.get("default_scope")) not in (None, SCOPE):
        yield "default_scope", f"{short(scope)}, where classes of cellmm are not found; set {SCOPE!r}"
    words = {word for key in TOP_LEVEL_KEYS for word in key.split("_")}
    for key, value in top.items():
        near = difflib.get_close_matches(key, TOP_LEVEL_KEYS, 1, 0.8)
        if key in (*TOP_LEVEL_KEYS, *CURES_BY_KEY) or not near or words.issuperset(key.split("_")):
            continue
        # a free variable may be called mode, but then it holds no model
        if (near[0] in {*REGISTRIES_BY_KEY, *TABLES}) == isinstance(value, dict | list):
            yield key, f"unknown; did you mean {near[0]}?"
    if top.get("model") is None:
        yield "model", "missing"
    for split, last in (("train", "optim_wrapper"), ("val", "val_evaluator"), ("test", "test_evaluator")):
        group = (f"{split}_dataloader", f"{split}_cfg", last)
        present = [key for key in group if top.get(key) is not None]
        absent = [key for key in group if key not in present]
        if absent and present:
            yield absent[0], f"missing beside {' and '.join(present)}; give all of them or none"
    if top.get("param_scheduler") and top.get("optim_wrapper") is None:
        yield "param_scheduler", "there is no optim_wrapper whose values it could change"


def _second_hooks(top: dict) -> Iterator[tuple[str, str]]:
    hooks = top.get("default_hooks")
    hooks = hooks if isinstance(hooks, dict) else {}
    defaults = {component_of(hooks[name], "HOOKS"): name for name in DEFAULT_HOOKS if name in hooks}
    for key, hook in hooks.items():
        cls = component_of(hook, "HOOKS")
        if cls is not None and key not in DEFAULT_HOOKS and cls in defaults:
            yield f"default_hooks.{key}", f"a second {cls.__name__}; did you mean {defaults[cls]}?"


def _variables(cfg: Config, top: dict) -> Iterator[tuple[str, str]]:
    """Variables without effect, of a config that was read from a file and then changed by options."""
    name = getattr(cfg, "filename", None)
    is_file = isinstance(name, str | Path) and Path(name).is_file()
    file = Config.fromfile(str(name)).to_dict() if is_file else top
    yield from unused_pipelines(file)
    for key, keys in without_effect(file, top):
        yield key, f"an option for it changes nothing any more; set {keys}"
    for base in Config._get_base_files(str(name)) if is_file else ():
        if "::" not in base or base.startswith(PREFIX):  # else of another package
            path, _ = Config._get_cfg_path(base, str(name))
            config = Config.fromfile(path).to_dict()
            for key, keys in without_effect(config, file, same_name=True):
                yield key, f"set here alone it changes nothing that a base has made of it; set {keys} too"


def _objects(top: dict) -> Iterator[tuple[str, str]]:
    for path, value in objects(top):
        text = f"{type(value).__name__}, which a config cannot hold; write text, numbers, lists and dicts"
        is_variable = "." not in path and path not in TOP_LEVEL_KEYS
        yield path, f"{text}, or end the file with `del {path}`" if is_variable else text
