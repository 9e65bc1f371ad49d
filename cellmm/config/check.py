"""A config, checked as it stands: unknown keys, components and arguments; parts that do not go together."""

import difflib
import functools
import inspect
import math
import numbers
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import mmengine.hooks
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop

from cellmm.config.components import LOOP_CURE, ComponentChecker, has_type, same, short
from cellmm.config.foreign import TOP_LEVEL
from cellmm.config.schema import PLACES
from cellmm.config.text import objects
from cellmm.errors import CellMMError
from cellmm.registry import SCOPE

LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
# keys of a config that mmengine wants all or none of
TOGETHER = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    ("val_dataloader", "val_cfg", "val_evaluator"),
    ("test_dataloader", "test_cfg", "test_evaluator"),
)
# what a hook that watches a number calls it
WATCHED = {mmengine.hooks.CheckpointHook: "save_best", mmengine.hooks.EarlyStoppingHook: "monitor"}


def check_config(cfg: Config) -> None:
    """Check a config without building anything of it.

    Raises:
        CellMMError: one line with all that is wrong, each with its dotted key and the cure.
    """
    _raise(_Check(cfg).run())


def check_pipeline(steps: Any, path: str) -> None:
    """Check a list of transforms alone, which the config has at ``path``; see ``check_config``."""
    parts = ComponentChecker({}, {})
    parts.visit(steps, "transform", path)
    _raise(parts.lines())


def _raise(problems: list[str]) -> None:
    if problems:
        raise CellMMError("; ".join(" ".join(one.splitlines()) for one in problems))


class _Check:
    """One run over one config."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        self.top = {key: value for key, value in cfg.to_dict().items() if isinstance(key, str)}
        keys = PLACES["config"].keys
        # lists of dicts under a name of the user's own, such as train_pipeline
        self.lists = {
            key: value
            for key, value in self.top.items()
            if key not in keys and isinstance(value, list) and value and all(map(has_type, value))
        }
        self.parts = ComponentChecker(self.top, self.lists)

    def run(self) -> list[str]:
        self._check_top_level()
        for key, name in PLACES["config"].parts.items():
            if self.top.get(key) is not None or (key in self.top and key in ("env_cfg", "randomness")):
                self.parts.visit(self.top[key], name, key)
        self._check_training()
        self._check_loaders()
        self._check_pipelines()
        self._check_variables()
        self._check_objects()
        return self.parts.lines()

    def _check_top_level(self) -> None:
        place = PLACES["config"]
        words = {word for key in place.keys for word in key.split("_")}
        if self.top.get("default_scope") not in (None, SCOPE):
            text = f"{short(self.top['default_scope'])}, where classes of cellmm are not found; set {SCOPE!r}"
            self.parts.report("default_scope", text)
        for key, value in self.top.items():
            if key in TOP_LEVEL and value is not None and not self._is_read(key, value):
                self.parts.report(key, f"nothing reads it; {TOP_LEVEL[key]}")
            if key in TOP_LEVEL or key in place.keys or words.issuperset(key.split("_")):
                continue
            nearest = difflib.get_close_matches(key, place.keys, 1, 0.8)
            # a free variable may be called mode, but then it holds no model
            if nearest and (nearest[0] in place.parts) == isinstance(value, (dict, list)):
                self.parts.report(key, f"unknown; did you mean {nearest[0]}?")
        if self.top.get("model") is None:
            self.parts.report("model", "missing")
        for group in TOGETHER:
            absent = [key for key in group if self.top.get(key) is None]
            if absent and len(absent) < len(group):
                present = [key for key in group if key not in absent]
                self.parts.report(absent[0], f"missing, but {' and '.join(present)} {_is(present)} there")
        if self.top.get("param_scheduler") and self.top.get("optim_wrapper") is None:
            self.parts.report("param_scheduler", "there is no optim_wrapper whose values it could change")

    def _is_read(self, name: str, value: Any) -> bool:
        """Whether a key of the config has the value of the variable ``name``."""
        keys = PLACES["config"].keys
        holds = isinstance(value, (dict, list)) and value
        return any(
            same(one, value) and (holds or path[-1] in (name, "max_iters", "load_from"))
            for path, one in _nodes({key: one for key, one in self.top.items() if key in keys})
        )

    def _check_objects(self) -> None:
        for key, value in objects(self.top):
            text = f"{type(value).__name__}, which a config cannot hold; write text, numbers, lists and dicts"
            own = "." not in key and key not in PLACES["config"].keys
            self.parts.report(key, f"{text}, or end the file with `del {key}`" if own else text)
        for key in self.cfg:
            if not (isinstance(key, str) and key.isidentifier()):
                self.parts.report(str(key), "not a name; keys of a config are names of Python")

    def _check_training(self) -> None:
        loader, loop = self.top.get("train_dataloader"), self.top.get("train_cfg")
        for path, key, least in (
            ("train_cfg", "max_iters", 1),
            ("train_cfg", "max_epochs", 1),
            ("train_cfg", "val_interval", 1),
            ("train_cfg", "val_begin", 0),
            ("optim_wrapper", "accumulative_counts", 1),
            ("log_processor", "window_size", 1),
        ):
            self._check_whole(self.top.get(path), path, key, least)
        wrapper = self.top.get("optim_wrapper")
        optimizer = wrapper.get("optimizer") if isinstance(wrapper, dict) else None
        if isinstance(optimizer, dict) and "lr" in optimizer and not _is_positive(optimizer["lr"]):
            got = short(optimizer["lr"])
            self.parts.report("optim_wrapper.optimizer.lr", f"a number above 0 is needed, got {got}")
        if not isinstance(loader, dict):
            return
        if isinstance(loop, dict):
            cls = self.parts.component(loop, "train_loop")
            if "by_epoch" in loop or (inspect.isclass(cls) and issubclass(cls, EpochBasedTrainLoop)):
                self.parts.report_instead("train_cfg", LOOP_CURE)
        sampler = loader.get("sampler")
        if has_type(sampler):
            cls = self.parts.component(sampler, "sampler")
            if cls is not None and not hasattr(cls, "seek"):
                self.parts.report_instead(
                    "train_dataloader.sampler",
                    f"{cls.__name__} does not number its draws, so every epoch would repeat the same "
                    "augmentation; use dict(type='DrawSampler', shuffle=True)",
                )
        for path, hook, cls in self._hooks():
            if issubclass(cls, mmengine.hooks.CheckpointHook):
                self._check_checkpoint_hook(hook, path)
            if issubclass(cls, tuple(WATCHED)):
                self._check_best_rule(hook, cls, path)

    def _hooks(self) -> Iterator[tuple[str, dict, type]]:
        """(path, config, class) of all hooks."""
        default, custom = self.top.get("default_hooks"), self.top.get("custom_hooks")
        default = default if isinstance(default, dict) else {}
        custom = custom if isinstance(custom, list) else []
        hooks = {f"default_hooks.{key}": hook for key, hook in default.items()}
        hooks |= {f"custom_hooks.{i}": hook for i, hook in enumerate(custom)}
        for path, hook in hooks.items():
            cls = self.parts.component(hook, "hook") if has_type(hook) else None
            if inspect.isclass(cls):
                yield path, hook, cls

    def _check_checkpoint_hook(self, hook: dict, path: str) -> None:
        for key in ("out_dir", "filename_tmpl"):
            if hook.get(key) is not None:
                self.parts.report(
                    f"{path}.{key}",
                    "checkpoints are written to the work dir as iter_N.pth, where --resume finds them; "
                    "use --work-dir",
                )
        self._check_whole(hook, path, "save_begin", 0)
        wrapper = self.top.get("optim_wrapper")
        counts = wrapper.get("accumulative_counts") if isinstance(wrapper, dict) else None
        begin = hook.get("save_begin")
        by_epoch = hook.get("by_epoch", False)
        if (
            not by_epoch
            and isinstance(begin, int)
            and isinstance(counts, int)
            and counts > 0
            and begin % counts
        ):
            self.parts.report(
                f"{path}.save_begin",
                f"{begin} is not a multiple of optim_wrapper.accumulative_counts, {counts}; training could "
                f"not be resumed exactly; take {begin + -begin % counts}",
            )

    def _check_best_rule(self, hook: dict, cls: type, path: str) -> None:
        """A hook that watches a number has to know whether it should grow."""
        watched = hook.get(next(key for base, key in WATCHED.items() if issubclass(cls, base)))
        known = [*cls._default_greater_keys, *cls._default_less_keys]
        if hook.get("rule") is not None or "greater_keys" in hook or "less_keys" in hook:
            return
        for one in watched if isinstance(watched, list) else [watched]:
            if isinstance(one, str) and one != "auto" and not _contains(one, known):
                text = f"missing; say whether more of {one} is better (rule='greater') or less ('less')"
                self.parts.report(f"{path}.rule", text)
                break

    def _check_loaders(self) -> None:
        for path in LOADERS:
            loaders = self.top.get(path)
            for loader in loaders if isinstance(loaders, list) else [loaders]:
                if not isinstance(loader, dict):
                    continue
                self._check_whole(loader, path, "batch_size", 1)
                self._check_whole(loader, path, "num_workers", 0)
                if loader.get("num_workers", 0) == 0:
                    for key in ("persistent_workers", "prefetch_factor"):
                        if loader.get(key):
                            self.parts.report(
                                f"{path}.{key}",
                                f"{short(loader[key])} with num_workers=0, where there is no worker; "
                                f"set it to {False if key == 'persistent_workers' else None}",
                            )

    def _check_whole(self, part: Any, path: str, key: str, least: int) -> None:
        if isinstance(part, dict) and key in part:
            value = part[key]
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                text = f"a whole number of at least {least} is needed, got {short(value)}"
                self.parts.report_instead(f"{path}.{key}", text)

    def _check_pipelines(self) -> None:
        loaders = {key: self.top[key] for key in LOADERS if self.top.get(key) is not None}
        in_use = list(_lists(loaders.values()))
        for name, steps in self.lists.items():
            start = name.split("_")[0]
            absent = f"{start}_dataloader" in LOADERS and f"{start}_dataloader" not in loaders
            if not loaders or absent or _is_used(steps, in_use):
                continue
            if not any(self.parts.component(one, "transform") for one in steps):
                continue
            if self._was_used(name, steps):
                continue
            old = self.file.get(name)
            if not name.startswith(("train", "val", "test")) and not (old and self._was_used(name, old)):
                continue  # for something else, as pictures of the pipeline
            loader = f"{start}_dataloader" if f"{start}_dataloader" in loaders else "a dataloader"
            self.parts.report(
                name,
                f"no dataloader uses it (a child config that redefines it must also set "
                f"{loader}.dataset.pipeline={name}; to drop it set {name}=None)",
            )

    def _was_used(self, name: str, steps: list) -> bool:
        """Whether the file's own config uses it: then an option has changed the dataloader, not the list."""
        in_use = list(_lists(self.file.get(key) for key in LOADERS))
        return same(self.file.get(name), steps) and _is_used(steps, in_use)

    def _check_variables(self) -> None:
        """A variable that an option or a child config has changed: what was made of it has the old value."""
        for name, paths in self._stale(self.file, self.top).items():
            self.parts.report(name, f"an option for it changes nothing any more; set {', '.join(paths[:3])}")
        for base in self._bases():
            for name, paths in self._stale(base, self.file, named=True).items():
                if isinstance(self.file[name], (dict, list, tuple)):
                    continue  # a piece that the child makes its own of
                some = ", ".join(paths[:3])
                text = f"set here alone it changes nothing that a base has made of it; set {some} too"
                self.parts.report(name, text)

    def _stale(self, before: dict, after: dict, named: bool = False) -> dict[str, list[str]]:
        """{variable: keys that still have its value from ``before``}, where ``after`` has another.

        ``named``: only keys of the variable's name.
        """
        keys, found = PLACES["config"].keys, {}
        made = [node for key, value in before.items() if key in keys for node in _nodes({key: value})]
        now = dict(_nodes(after))
        for name, old in before.items():
            if name in keys or name in self.lists or after.get(name) is None or same(after[name], old):
                continue
            paths = [path for path, value in made if same(value, old)]
            paths = [path for path in paths if path[-1] == name] or ([] if named else paths)
            stale = [".".join(path) for path in paths if same(now.get(path), old)]
            if stale and not (named and len(stale) < len(paths)):  # some were set on purpose
                found[name] = stale
        return found

    def _bases(self) -> Iterator[dict]:
        """The configs that the file inherits from, each as it stands alone."""
        if not self.file:
            return
        path = Path(self.cfg.filename)
        for name in Config._get_base_files(str(path)):
            if "::" not in name:  # of another package
                yield Config.fromfile(str(path.parent / name)).to_dict()

    @functools.cached_property
    def file(self) -> dict:
        """The config as its file has it, without later options; empty where there is no file."""
        filename = getattr(self.cfg, "filename", None)
        if not isinstance(filename, (str, Path)) or not Path(filename).is_file():
            return {}
        return Config.fromfile(str(filename)).to_dict()


def _lists(values: Iterable[Any]) -> Iterator[list]:
    """All lists at any depth."""
    for value in values:
        if isinstance(value, (list, tuple)):
            yield list(value)
            yield from _lists(value)
        elif isinstance(value, dict):
            yield from _lists(value.values())


def _nodes(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of everything below ``tree``."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in parts:
        yield (*path, str(key)), value
        yield from _nodes(value, (*path, str(key)))


def _is_used(steps: list, in_use: list[list]) -> bool:
    """Whether one of the lists is ``steps`` or has them as a part, one after the other."""
    size = len(steps)
    return any(same(one[i : i + size], steps) for one in in_use for i in range(len(one) - size + 1))


def _contains(name: str, words: Iterable[str]) -> bool:
    return any(word.lower() in name.lower() for word in words)


def _is(words: list) -> str:
    return "is" if len(words) == 1 else "are"


def _is_positive(value: Any) -> bool:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0
