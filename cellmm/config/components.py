"""Every component of a config: does it exist, does it take its arguments, does it get those it needs."""

import difflib
import inspect
import math
import numbers
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from reprlib import repr as short
from typing import Any

from mmengine.hooks import CheckpointHook, EarlyStoppingHook, EMAHook
from mmengine.optim import ReduceOnPlateauParamScheduler, _ParamScheduler
from mmengine.runner import EpochBasedTrainLoop, LogProcessor
from torch.utils.data import DataLoader

from cellmm.arguments import arguments_of
from cellmm.config import schema
from cellmm.config.foreign import cure_of_transform, missing_packages
from cellmm.config.kinds import wrong_kind
from cellmm.config.lookup import component_names, component_of
from cellmm.config.schema import LOADERS, TABLES
from cellmm.datasets.transforms import Albumentations

# mmengine's hooks whose constructors say what is wrong with their values, and do nothing else
CHECKED_BY_BUILDING = (CheckpointHook, EarlyStoppingHook)
# mmengine's hooks that take **kwargs, but no other arguments than those named and those of the average
CLOSED = (CheckpointHook, EMAHook)
# what counts either iterations or epochs, as the loop of training does
COUNTING = (_ParamScheduler, CheckpointHook, LogProcessor)
IN_ITERATIONS = "training counts iterations, not epochs; set"
LOOP_CURE = "set type='IterBasedTrainLoop' with max_iters, or type='EpochBasedTrainLoop' with max_epochs"
Names = Sequence[str]
NEVER_NONE = ("env_cfg", "mp_cfg", "randomness")
NOT_CONFIGS = ("on_trace_ready", "init_kwargs", "ema_type")  # dicts of other libraries, and a name


class ComponentChecker:
    """Walks down a config; ``problems`` keeps what it found, the first for each key, in order.

    Args:
        in_iterations: whether training counts iterations, not epochs.
        counts: of how many iterations the gradients are summed, where that is known.
    """

    def __init__(self, in_iterations: bool = False, counts: object = None) -> None:
        self.in_iterations = in_iterations
        self.counts = counts if type(counts) is int and counts > 0 else 1
        self.problems: dict[str, str] = {}

    def report(self, path: str, text: str) -> None:
        self.problems.setdefault(path, text)

    def visit(
        self, value: Any, key: str, path: str, strict: bool = True, free: bool = False, given: Names = ()
    ) -> None:
        """Check what stands at a key.

        Args:
            strict: what builds it is known: it must be a dict with a type and all arguments.
            free: only what builds it knows what its keys mean, unless they are of networks.
            given: arguments that what builds it gives to it.
        """
        registries = schema.REGISTRIES_BY_KEY.get(key, [])
        registries = [] if free and registries != ["MODELS"] else registries
        known = bool(registries) or (key in TABLES and not free)
        is_item = path.rpartition(".")[2].isdigit()
        may_be_list = not known or (key in schema.LISTS and (key == "transforms" or not is_item))
        if isinstance(value, list | tuple) and may_be_list:
            for i, part in enumerate(value):
                self.visit(part, key, f"{path}.{i}", strict, free, given)
        elif not isinstance(value, dict):
            needed = value is not None or key in NEVER_NONE or is_item
            if known and strict and needed and not (key == "compile" and isinstance(value, bool)):
                self.report(path, f"a dict is needed, got {short(value)}")
        elif known and not registries:
            self._visit_table(value, key, path)
        elif "type" in value or (known and key in schema.DEFAULTS):
            self._visit_component(value, key, path, registries, strict, given)
        else:
            self._visit_untyped(value, key, path, registries, strict)

    def _visit_table(self, value: dict, key: str, path: str) -> None:
        self._check_arguments(value, None, key, path)
        for name, part in value.items():
            if name in TABLES or name in schema.REGISTRIES_BY_KEY:
                self.visit(part, name, f"{path}.{name}")
        if key in LOADERS:
            names = arguments_of(DataLoader).by_name.keys() & value
            plain = {name: value[name] for name in names if isinstance(value[name], str | numbers.Number)}
            self._try(DataLoader, {**plain, "dataset": [0]}, path)

    def _visit_untyped(self, value: dict, key: str, path: str, registries: list[str], strict: bool) -> None:
        each = schema.GROUPS.get(key, None if registries else key)
        each = "metrics" if registries and "metrics" in value else each
        for name, part in value.items():
            if isinstance(part, str) and difflib.get_close_matches("type", [str(name)], 1, 0.7):
                if component_of(part, *registries):
                    self.report(f"{path}.{name}", f"{part} is a component; did you mean type?")
            if each:
                self.visit(part, each, f"{path}.{name}", strict, free=not registries)
        if strict and not each:
            near = difflib.get_close_matches(path.rpartition(".")[2], schema.DEFAULT_HOOKS, 1)
            hint = f"; did you mean {near[0]}?" if key == "hook" and near else ""
            self.report(path, LOOP_CURE if key == "train_cfg" else f"has no type{hint}")

    def _visit_component(
        self, value: dict, key: str, path: str, registries: list[str], strict: bool, given: Names
    ) -> None:
        kind = value.get("type", schema.DEFAULTS.get(key))
        component = component_of(dict(type=kind), *registries)
        if key in ("pipeline", "transforms") and (cure := cure_of_transform(kind, component)):
            return self.report(f"{path}.type", cure)
        if component is None:
            text = f"there is no {short(kind)}; {nearest(kind, component_names(*registries))}"
            text = text if isinstance(kind, str) else f"the name of a component is needed, got {short(kind)}"
            return self.report(f"{path}.type", text)
        if key == "optim_wrapper" and value.get("constructor") is not None:  # which reads the rest
            kind = dict(type=value["constructor"])
            self.visit(kind, "constructor", f"{path}.constructor")
            if getattr(component_of(kind, "OPTIM_WRAPPER_CONSTRUCTORS"), "of_parts", False):
                for name in [name for name in value if name not in ("constructor", "_scope_")]:
                    self.visit(value[name], key, f"{path}.{name}", strict)
            return
        given = [*given, *(schema.SUPPLIED_ARGUMENTS.get(key, ()) if registries else ())]
        self._check_arguments(value, component, key, path, strict and inspect.isclass(component), given)
        if inspect.isclass(component):
            self._check_class(value, component, key, path)
        is_ours = str(getattr(component, "__module__", "")).startswith("cellmm.")
        types, given_to = (getattr(component, name, {}) for name in ("default_parts", "part_arguments"))
        for name, part in value.items():
            if name in types and isinstance(part, dict):
                part = {"type": types[name], **part}
            below = "albumentations" if name == "transforms" and component is Albumentations else name
            if name not in NOT_CONFIGS:
                free = registries in ([], ["MODELS"])
                self.visit(part, below, f"{path}.{name}", is_ours, free, given_to.get(name, ()))

    def _check_arguments(
        self, value: dict, component: Any, key: str, path: str, strict: bool = False, given: Names = ()
    ) -> None:
        """``component``: a class or a function; None for a table."""
        title = getattr(component, "__name__", key)
        arguments, taken = (arguments_of(component), _taken(key)) if component else (TABLES[key], [])
        by_name = dict(arguments.by_name)
        is_closed = not arguments.is_open or (inspect.isclass(component) and issubclass(component, CLOSED))
        if "ema_type" in by_name:  # the average, which gets the other arguments
            average = value.get("ema_type", by_name["ema_type"].default)
            self.visit(dict(type=average), "ema_type", f"{path}.ema_type", strict=False)
            if (cls := component_of(average, "MODELS")) is None:
                return
            by_name |= {name: p for name, p in arguments_of(cls).by_name.items() if name != "model"}
        names = [name for name in by_name if name not in given] + sorted(taken)
        for name, part in value.items():
            if name in by_name:
                if wanted := _wanted(key, part, by_name[name]):
                    self.report(f"{path}.{name}", f"{title} needs {wanted}, got {short(part)}")
            elif name == "_delete_":
                self.report(f"{path}.{name}", "the bases hold nothing here to be deleted; leave it out")
            elif name not in taken:
                if is_closed or difflib.get_close_matches(str(name), names, 1, 0.8):
                    self.report(f"{path}.{name}", f"{title} takes no such argument; {nearest(name, names)}")
        missing = [name for name in schema.REQUIRED.get(key, ()) if value.get(name) is None]
        if strict:
            missing += [name for name in arguments.required if name not in (*given, *value)]
        for name in missing:
            self.report(f"{path}.{name}", f"missing; {title} needs it")

    def _check_class(self, value: dict, cls: type, key: str, path: str) -> None:
        if packages := " ".join(missing_packages(cls)):
            text = f"{cls.__name__} needs what is not installed; pip install {packages}"
            self.report(f"{path}.type", text)
        if path == "train_dataloader.sampler" and not hasattr(cls, "seek"):
            text = f"{cls.__name__} has no seek, so that every epoch would have the same augmentation"
            self.report(f"{path}.type", f"{text}; use dict(type='DrawSampler', shuffle=True)")
        if issubclass(cls, EpochBasedTrainLoop) and not cls.__module__.startswith("cellmm."):
            self.report(path, LOOP_CURE)
        if self.in_iterations:
            self._check_counting(value, cls, path)
        if issubclass(cls, CHECKED_BY_BUILDING):
            self._try(cls, {name: part for name, part in value.items() if name not in _taken(key)}, path)
        elif cls.__module__.startswith("albumentations."):
            self._try(Albumentations, dict(transforms=[value]), path)

    def _check_counting(self, value: dict, cls: type, path: str) -> None:
        if issubclass(cls, EMAHook) and value.get("begin_epoch"):
            self.report(f"{path}.begin_epoch", f"{IN_ITERATIONS} begin_iter")
        if issubclass(cls, COUNTING) and not issubclass(cls, ReduceOnPlateauParamScheduler):
            parameter = arguments_of(cls).by_name.get("by_epoch")
            by_epoch = value.get("by_epoch", parameter is not None and parameter.default)
            # a schedule without end would be converted to one of a single epoch
            if by_epoch and not (value.get("convert_to_iter_based") and "end" in value):
                text = f"{IN_ITERATIONS} by_epoch=False, and all its steps in iterations"
                self.report(f"{path}.by_epoch", text)
        begin = value.get("save_begin")
        if issubclass(cls, CheckpointHook) and type(begin) is int and begin > 0 and begin % self.counts:
            text = f"{begin} is not a multiple of optim_wrapper.accumulative_counts, {self.counts}; training"
            cure = f"set it to {begin + -begin % self.counts}"
            self.report(f"{path}.save_begin", f"{text} could not be resumed exactly; {cure}")

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


def _taken(key: str) -> list[str]:
    """Keys of a component that are none of its arguments."""
    return ["type", "_scope_", *schema.BUILDER_KEYS.get(key, ())]


def _wanted(key: str, value: Any, parameter: inspect.Parameter) -> str | None:
    """What kind of value an argument needs of a component or table at ``key``; None where ``value`` fits."""
    name = parameter.name
    least = schema.MINIMUM.get(key, {}).get(name)
    if least is not None and not (type(value) is int and value >= least):
        return f"a whole number of at least {least}"
    if (key, name) == ("optimizer", "lr") and not (type(value) in (int, float) and 0 < value < math.inf):
        return "a number above 0"
    # init_cfg may be a list of dicts, whatever is written to it
    return None if name == "init_cfg" and isinstance(value, list) else wrong_kind(value, parameter)


def nearest(word: Any, words: Iterable[str]) -> str:
    """A question for the most similar of the words, or the first few of them."""
    by_lower = {each.lower(): each for each in words if isinstance(each, str)}
    near = difflib.get_close_matches(str(word).lower(), by_lower, 1, 0.6)
    if near:
        return f"did you mean {by_lower[near[0]]}?"
    return f"possible: {', '.join(list(by_lower.values())[:12])}" if by_lower else "none is possible"
