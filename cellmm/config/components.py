"""Every component of a config: does it exist, does it take its arguments, does it get those it needs."""

import difflib
import functools
import inspect
import numbers
import reprlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mmengine.hooks
from mmengine.optim import ReduceOnPlateauParamScheduler, _ParamScheduler
from mmengine.runner import LogProcessor

from cellmm.config.arguments import arguments_of, wrong_kind
from cellmm.config.foreign import cure_of_transform, missing_packages
from cellmm.config.schema import ALWAYS_TAKEN, PLACES, Place, component_names, find_component
from cellmm.datasets.transforms import Albumentations
from cellmm.datasets.transforms import albumentations as albu

# hooks that mmengine adds unless a config sets them, or sets them to None
DEFAULT_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
# where a list is as good as a dict
MANY = ("dataloader", "dataset", "transform", "scheduler", "metric", "hook", "vis_backend", "part", "init")
# what may count epochs, which pass only in a training of epochs
COUNTS = (_ParamScheduler, mmengine.hooks.CheckpointHook, LogProcessor)
LOOP_CURE = "set type='IterBasedTrainLoop' with max_iters, or type='EpochBasedTrainLoop' with max_epochs"


class ComponentChecker:
    """Walks down a config; ``problems`` keeps what it found, the first for each key, in order.

    Args:
        top: the config.
        lists: pipelines under a name of the user's own, by which their steps are called.
    """

    def __init__(self, top: dict, lists: Mapping[str, list]) -> None:
        self.top, self.lists = top, lists
        self.problems: dict[str, str] = {}

    def report(self, path: str, text: str) -> None:
        self.problems.setdefault(path, text)

    def report_instead(self, path: str, text: str) -> None:
        """In place of what was said of this key and those below it."""
        below = f"{path}."
        self.problems = {
            key: one for key, one in self.problems.items() if key != path and not key.startswith(below)
        }
        self.problems[path] = text

    def lines(self) -> list[str]:
        return [f"{key}: {text}" for key, text in self.problems.items()]

    def component(self, value: Any, name: str) -> Callable | None:
        """What the dict at the place ``name`` is built by; None where that cannot be found."""
        return _component(value, PLACES[name]) if isinstance(value, dict) else None

    def visit(self, value: Any, name: str, path: str, strict: bool = False) -> None:
        """Check what stands at the place ``name``; ``strict``: report missing arguments of a ``part`` too."""
        place = PLACES[name]
        if name == "free" or (name == "compile" and isinstance(value, bool)):
            return
        if isinstance(value, (list, tuple)) and name in MANY:
            alias = next((key for key, one in self.lists.items() if same(one, value)), None)
            path = alias if alias is not None and name == "transform" else path
            for i, one in enumerate(value):
                self.visit(one, name, f"{path}.{i}", strict)
        elif not isinstance(value, dict):
            plain = isinstance(value, (str, numbers.Number, list, tuple))
            plain = plain or (value is None and not place.optional)
            if plain and name != "part":
                self.report(path, f"a dict is needed, got {short(value)}")
        elif place.keys is not None:
            self._visit_table(value, place, path)
        elif place.each is not None:
            self._visit_group(value, place, path)
        elif name == "metric" and "metrics" in value:
            self._visit_component(value, PLACES["evaluator"], path)
        elif name == "scheduler" and "type" not in value and all(map(_holds_types, value.values())):
            for key, one in value.items():  # one list for each of several optimizers
                self.visit(one, name, f"{path}.{key}")
        elif name == "part" and "type" not in value:
            for key, one in value.items():
                if difflib.get_close_matches("type", [str(key)], 1, 0.7) and isinstance(one, str):
                    if find_component(one, place.registries) is not None:
                        self.report(f"{path}.{key}", f"{one} is a component; did you mean type?")
                self.visit(one, name, f"{path}.{key}", strict)
        else:
            self._visit_component(value, place, path, strict or place.strict)

    def _visit_table(self, value: dict, place: Place, path: str) -> None:
        for key, one in value.items():
            if key not in place.keys:
                self.report(f"{path}.{key}", f"unknown; {nearest(key, place.keys)}")
            elif key in place.parts:
                self.visit(one, place.parts[key], f"{path}.{key}")
        for key in place.required:
            if key not in value:
                self.report(f"{path}.{key}", "missing")

    def _visit_group(self, value: dict, place: Place, path: str) -> None:
        for key, one in value.items():
            self.visit(one, place.each, f"{path}.{key}")
            if place is not PLACES["hooks"] or key in DEFAULT_HOOKS or not isinstance(one, dict):
                continue
            cls = _component(one, PLACES["hook"])
            for name in DEFAULT_HOOKS:
                default = value.get(name)
                if has_type(default) and _component(default, PLACES["hook"]) is cls is not None:
                    self.report(f"{path}.{key}", f"a second {cls.__name__}; did you mean {name}?")

    def _visit_component(self, value: dict, place: Place, path: str, strict: bool = True) -> None:
        kind = value.get("type", place.default)
        component = _component(value, place)
        if place is PLACES["transform"] and "type" in value and (cure := cure_of_transform(kind, component)):
            self.report(f"{path}.type", cure)
            return
        if component is None:
            if "type" not in value:
                near = difflib.get_close_matches(path.rpartition(".")[2], DEFAULT_HOOKS, 1, 0.6)
                hint = f"; did you mean {near[0]}?" if place is PLACES["hook"] and near else ""
                self.report(path, LOOP_CURE if place is PLACES["train_loop"] else f"has no type{hint}")
            elif not isinstance(kind, str):
                self.report(f"{path}.type", f"the name of a component is needed, got {short(kind)}")
            else:
                names = component_names(place.registries)
                self.report(f"{path}.type", f"there is no {short(kind)}; {nearest(kind, names)}")
            return
        if place is PLACES["optim_wrapper"] and value.get("constructor") is not None:
            self.visit(dict(type=value["constructor"]), "constructor", f"{path}.constructor")
            return  # which takes the rest as it likes
        if place is PLACES["vis_backend"] and (missing := missing_packages(component)):
            names = " ".join(missing)
            self.report(
                f"{path}.type", f"{component.__name__} needs what is not installed; pip install {names}"
            )
        self._check_arguments(value, component, place, path, strict)
        if inspect.isclass(component) and self.top.get("train_cfg") is not None:
            self._check_counts_iterations(value, component, path)
        inside = str(getattr(component, "__module__", "")).startswith("cellmm.")
        if inspect.isclass(component) and issubclass(component, Albumentations):
            self._visit_albumentations(value.get("transforms"), f"{path}.transforms")
            return
        kinds = getattr(component, "default_parts", {})
        for key, one in value.items():
            if key not in ALWAYS_TAKEN:
                if key in kinds and isinstance(one, dict):
                    one = {"type": kinds[key], **one}
                part = place.parts.get(key, "init" if key == "init_cfg" else "part")
                self.visit(one, part, f"{path}.{key}", strict=inside)

    def _check_arguments(
        self, value: dict, component: Callable, place: Place, path: str, strict: bool
    ) -> None:
        arguments, name = arguments_of(component), getattr(component, "__name__", short(value.get("type")))
        by_name = dict(arguments.by_name)
        if inspect.isclass(component) and issubclass(component, mmengine.hooks.EMAHook):
            average = value.get("ema_type", "ExponentialMovingAverage")
            cls = find_component(average, ("MODELS",)) if isinstance(average, str) else None
            if cls is None:
                near = nearest(average, component_names(("MODELS",)))
                self.report(f"{path}.ema_type", f"there is no {short(average)}; {near}")
                return
            by_name.update(arguments_of(cls).by_name)
            by_name.pop("model", None)
        for key, one in value.items():
            if key in by_name:
                # init_cfg may be a list of dicts, whatever is written to it
                if key != "init_cfg" and (wanted := wrong_kind(one, by_name[key])):
                    self.report(f"{path}.{key}", f"{name} needs {wanted}, got {short(one)}")
            elif key == "_delete_":
                self.report(f"{path}.{key}", "the bases hold nothing here to be deleted; leave it out")
            elif key not in ALWAYS_TAKEN and key not in place.taken:
                near = difflib.get_close_matches(str(key), [*by_name, *place.taken], 1, 0.8)
                if near or not arguments.is_open:
                    names = [one for one in by_name if one not in place.supplied]
                    names += [*place.taken, *(["type"] if "type" not in value else [])]
                    self.report(f"{path}.{key}", f"{name} takes no such argument; {nearest(key, names)}")
        supplied = {*place.supplied, *getattr(component, "derived_arguments", ())}
        if place is PLACES["model"]:
            supplied |= set(self.top)
        for key in arguments.required if strict else ():
            if key not in value and key not in supplied:
                self.report(f"{path}.{key}", f"missing; {name} needs it")

    def _check_counts_iterations(self, value: dict, cls: type, path: str) -> None:
        if getattr(self.component(self.top["train_cfg"], "train_loop"), "counts_epochs", False):
            return
        if issubclass(cls, mmengine.hooks.EMAHook) and value.get("begin_epoch"):
            text = "set begin_iter in its place: IterBasedTrainLoop counts iterations, not epochs"
            self.report(f"{path}.begin_epoch", text)
        if not issubclass(cls, COUNTS) or issubclass(cls, ReduceOnPlateauParamScheduler):
            return
        parameter = arguments_of(cls).by_name.get("by_epoch")
        by_epoch = value.get("by_epoch", parameter is not None and parameter.default)
        # a schedule without end would be converted to one of a single epoch
        if by_epoch and not (value.get("convert_to_iter_based") and "end" in value):
            is_schedule = issubclass(cls, _ParamScheduler)
            also = ", and all its steps in iterations" if is_schedule else ""
            text = f"set by_epoch=False{also}: IterBasedTrainLoop counts iterations, not epochs"
            self.report(f"{path}.by_epoch", text)

    def _visit_albumentations(self, parts: Any, path: str) -> None:
        for i, part in enumerate(parts if isinstance(parts, (list, tuple)) else ()):
            here = f"{path}.{i}"
            if not has_type(part):
                self.report(here, f"a dict with a type is needed, got {short(part)}")
                continue
            cls = _albumentations().get(part["type"]) if isinstance(part["type"], str) else None
            if cls is None:
                text = f"albumentations has no transform {short(part['type'])}"
                self.report(f"{here}.type", f"{text}; {nearest(part['type'], _albumentations())}")
                continue
            names = arguments_of(cls).by_name
            if unknown := [key for key in part if key != "type" and key not in names]:
                for key in unknown:
                    text = f"{cls.__name__} takes no such argument; {nearest(key, names)}"
                    self.report(f"{here}.{key}", text)
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what it says of values that are allowed
                    albu._build(part)
            except (
                ValueError,
                TypeError,
                LookupError,
                AttributeError,
                ArithmeticError,
                ImportError,
            ) as error:
                text = _first_error(error).removeprefix(f"{cls.__name__}: ")
                self.report(here, f"{cls.__name__}: {text}")


def _component(value: dict, place: Place) -> Callable | None:
    kind = value.get("type", place.default)
    if isinstance(kind, str):
        return find_component(kind, place.registries)
    return kind if inspect.isclass(kind) or inspect.isroutine(kind) else None


def _holds_types(value: Any) -> bool:
    return has_type(value) or (isinstance(value, list) and all(map(has_type, value)))


@functools.cache
def _albumentations() -> Mapping[str, type]:
    """Transforms of albumentations by name; those that hold others cannot be built from dicts."""
    found = inspect.getmembers(albu.A, inspect.isclass)
    return {name: cls for name, cls in found if issubclass(cls, albu.A.BasicTransform)}


def _first_error(error: Exception) -> str:
    """What a constructor says; of pydantic's list of errors the first, without its preamble."""
    lines = [line.strip().split(" [type=")[0] for line in (str(error) or repr(error)).splitlines()]
    return ": ".join(lines[1:3]) if "validation error" in lines[0] and len(lines) > 2 else " ".join(lines)


def has_type(value: Any) -> bool:
    return isinstance(value, dict) and "type" in value


def same(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except ValueError:  # arrays
        return False


def nearest(word: Any, words: Iterable[str]) -> str:
    words = [one for one in words if isinstance(one, str)]
    lower = {one.lower(): one for one in reversed(words)}
    near = difflib.get_close_matches(str(word), words, 1, 0.6)
    near = near or [lower[one] for one in difflib.get_close_matches(str(word).lower(), lower, 1, 0.6)]
    if near:
        return f"did you mean {near[0]}?"
    some = ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")
    return f"possible: {some}" if words else "none is possible"


def short(value: Any) -> str:
    return reprlib.repr(value)
