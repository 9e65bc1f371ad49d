"""Every component of a config: does it exist, does it take its arguments, does it get those it needs."""

import difflib
import inspect
import numbers
import re
import reprlib
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook, EMAHook
from mmengine.optim import ReduceOnPlateauParamScheduler, _ParamScheduler
from mmengine.runner import EpochBasedTrainLoop, LogProcessor
from torch.utils.data import DataLoader

from cellmm.config import schema
from cellmm.config.arguments import arguments_of, wrong_kind
from cellmm.config.foreign import cure_of_transform, missing_package
from cellmm.config.lookup import component_names, component_of
from cellmm.config.schema import LOADERS, REGISTRIES, TABLES
from cellmm.datasets.transforms import Albumentations

# mmengine's hooks whose constructors say what is wrong with their values, and do nothing else
TRIED = (CheckpointHook, EarlyStoppingHook)
# what counts either iterations or epochs, as the loop of training does
COUNTING = (_ParamScheduler, CheckpointHook, LogProcessor)
COUNTS = "training counts iterations, not epochs; set"
LOOP = "set type='IterBasedTrainLoop' with max_iters, or type='EpochBasedTrainLoop' with max_epochs"
MODELS = REGISTRIES["model"]
NEVER_NONE = ("env_cfg", "mp_cfg", "randomness")
NOT_CONFIGS = ("on_trace_ready", "init_kwargs", "ema_type")  # dicts of other libraries, and a name


class ComponentChecker:
    """Walks down a config; ``problems`` keeps what it found, the first for each key, in order.

    Args:
        in_iterations: whether training counts iterations, not epochs.
    """

    def __init__(self, in_iterations: bool = False) -> None:
        self.in_iterations = in_iterations
        self.problems: dict[str, str] = {}

    def report(self, path: str, text: str) -> None:
        self.problems.setdefault(path, text)

    def visit(self, value: Any, key: str, path: str, strict: bool = True, free: bool = False) -> None:
        """Check what stands at a key.

        Args:
            strict: what builds it is known: it must be a dict with a type and all arguments.
            free: only what builds it knows what its keys mean, unless they are of networks.
        """
        known = key in TABLES and not free or key in REGISTRIES and (not free or REGISTRIES[key] == MODELS)
        registries = REGISTRIES.get(key, []) if known else []
        if isinstance(value, list | tuple) and (registries or not known or key in LOADERS):
            for i, part in enumerate(value):
                self.visit(part, key, f"{path}.{i}", strict, free)
        elif not isinstance(value, dict):
            needed = value is not None or key in NEVER_NONE or path[-1].isdigit()
            if known and strict and needed and not (key == "compile" and isinstance(value, bool)):
                self.report(path, f"a dict is needed, got {short(value)}")
        elif known and not registries:
            self._visit_table(value, key, path)
        elif "type" in value or (known and key in schema.DEFAULTS):
            self._visit_component(value, key, path, registries, strict)
        else:
            self._visit_untyped(value, key, path, registries, strict)

    def _visit_table(self, value: dict, key: str, path: str) -> None:
        self._check_arguments(value, None, key, path, strict=True)
        for name, part in value.items():
            if name in TABLES or name in REGISTRIES:
                self.visit(part, name, f"{path}.{name}")
        if key in LOADERS:
            plain = {name: part for name, part in value.items() if isinstance(part, str | numbers.Number)}
            self._try(DataLoader, {**plain, "dataset": [0]}, path)

    def _visit_untyped(self, value: dict, key: str, path: str, registries: list[str], strict: bool) -> None:
        each = (
            "metrics"
            if registries and "metrics" in value
            else schema.GROUPS.get(key, None if registries else key)
        )
        for name, part in value.items():
            if isinstance(part, str) and difflib.get_close_matches("type", [str(name)], 1, 0.7):
                if component_of(part, *registries):
                    self.report(f"{path}.{name}", f"{part} is a component; did you mean type?")
            if each:
                self.visit(part, each, f"{path}.{name}", strict, free=not registries)
        if strict and not each:
            self.report(path, LOOP if key == "train_cfg" else "has no type")

    def _visit_component(self, value: dict, key: str, path: str, registries: list[str], strict: bool) -> None:
        kind = value.get("type", schema.DEFAULTS.get(key))
        component = component_of(dict(type=kind), *registries)
        if key in ("pipeline", "transforms") and (cure := cure_of_transform(kind, component)):
            self.report(f"{path}.type", cure)
        elif component is None:
            near = nearest(kind, component_names(*registries))
            self.report(f"{path}.type", f"there is no {short(kind)}; {near}")
        elif key == "optim_wrapper" and value.get("constructor") is not None:  # takes the rest as it likes
            self.visit(dict(type=value["constructor"]), "constructor", f"{path}.constructor")
        else:
            self._check_arguments(value, component, key, path, strict and inspect.isclass(component))
            if inspect.isclass(component):
                self._check_class(value, component, path)
            is_ours = str(getattr(component, "__module__", "")).startswith("cellmm.")
            types = getattr(component, "default_parts", {})
            for name, part in value.items():
                if name in types and isinstance(part, dict):
                    part = {"type": types[name], **part}
                below = "albumentations" if name == "transforms" and component is Albumentations else name
                if name not in NOT_CONFIGS:
                    free = registries in ([], MODELS)
                    self.visit(part, below, f"{path}.{name}", is_ours, free)

    def _check_arguments(
        self, value: dict, component: Callable | None, key: str, path: str, strict: bool
    ) -> None:
        """``component``: None for a table."""
        title = getattr(component, "__name__", key)
        arguments, taken = (arguments_of(component), schema.TAKEN) if component else (TABLES[key], ())
        supplied = {*schema.SUPPLIED, *getattr(component, "derived_arguments", ())} if component else ()
        by_name = dict(arguments.by_name)
        if "ema_type" in by_name:  # the average, which gets the other arguments
            average = value.get("ema_type", by_name["ema_type"].default)
            self.visit(dict(type=average), "ema_type", f"{path}.ema_type")
            by_name |= arguments_of(component_of(average, "MODELS") or Albumentations).by_name
        names = [name for name in by_name if name not in supplied] + sorted(taken)
        for name, part in value.items():
            if name in by_name:
                # init_cfg may be a list of dicts, whatever is written to it
                if name != "init_cfg" and (wanted := wrong_kind(part, by_name[name])):
                    self.report(f"{path}.{name}", f"{title} needs {wanted}, got {short(part)}")
            elif name == "_delete_":
                self.report(f"{path}.{name}", "the bases hold nothing here to be deleted; leave it out")
            elif name not in taken:
                if not arguments.is_open or difflib.get_close_matches(str(name), names, 1, 0.8):
                    self.report(f"{path}.{name}", f"{title} takes no such argument; {nearest(name, names)}")
        missing = [name for name in schema.REQUIRED.get(key, ()) if value.get(name) is None]
        if strict:
            missing += [name for name in arguments.required if name not in (*supplied, *value)]
        for name in missing:
            self.report(f"{path}.{name}", f"missing; {title} needs it")

    def _check_class(self, value: dict, cls: type, path: str) -> None:
        options = {name: part for name, part in value.items() if name not in schema.TAKEN}
        if package := missing_package(cls):
            text = f"{cls.__name__} needs what is not installed; pip install {package}"
            self.report(f"{path}.type", text)
        if path == "train_dataloader.sampler" and not hasattr(cls, "seek"):
            text = f"{cls.__name__} has no seek, so that every epoch would have the same augmentation"
            self.report(f"{path}.type", f"{text}; use dict(type='DrawSampler', shuffle=True)")
        if issubclass(cls, EpochBasedTrainLoop) and not cls.__module__.startswith("cellmm."):
            self.report(path, LOOP)
        if self.in_iterations and issubclass(cls, EMAHook) and value.get("begin_epoch"):
            self.report(f"{path}.begin_epoch", f"{COUNTS} begin_iter")
        if self.in_iterations and issubclass(cls, COUNTING):
            parameter = arguments_of(cls).by_name.get("by_epoch")
            by_epoch = value.get("by_epoch", parameter is not None and parameter.default)
            # a schedule without end would be converted to one of a single epoch
            converted = value.get("convert_to_iter_based") and "end" in value
            if by_epoch and not converted and not issubclass(cls, ReduceOnPlateauParamScheduler):
                self.report(f"{path}.by_epoch", f"{COUNTS} by_epoch=False, and all its steps in iterations")
        if issubclass(cls, TRIED):
            self._try(cls, options, path)
        elif cls.__module__.startswith("albumentations."):
            self._try(Albumentations, dict(transforms=[value]), path)

    def _try(self, make: Callable, options: dict, path: str) -> None:
        """Report what the constructor says of values that seem right, with the option that it names."""
        if any(key.startswith(f"{path}.") for key in self.problems):
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                make(**options)
        except Exception as error:  # a constructor can fail in any way
            lines = [line.strip().split(" [type=")[0] for line in (str(error) or repr(error)).splitlines()]
            # of pydantic's list of errors the first, without its preamble
            text = ": ".join(lines[1:3]) if "validation error" in lines[0] else " ".join(lines)
            named = [word for word in re.findall(r"\w+", text) if word in arguments_of(make).by_name]
            self.report(".".join([path, *named[:1]]), text)


def nearest(word: Any, words: Iterable[str]) -> str:
    """A question for the most similar of the words, or the first few of them."""
    by_lower = {each.lower(): each for each in words if isinstance(each, str)}
    near = difflib.get_close_matches(str(word).lower(), by_lower, 1, 0.6)
    if near:
        return f"did you mean {by_lower[near[0]]}?"
    return f"possible: {', '.join(list(by_lower.values())[:12])}" if by_lower else "none is possible"


def short(value: Any) -> str:
    return reprlib.repr(value)
