"""Building the parts of a training; what a constructor says of a wrong value becomes one line."""

import copy
import functools
from collections.abc import Callable, Iterator
from types import FrameType, SimpleNamespace
from typing import Any

from mmengine.config import Config
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.optim.scheduler.param_scheduler import _ParamScheduler
from mmengine.runner import Runner

from cellmm.engine.mmengine_fixes.weights_only_hook import is_plain
from cellmm.errors import CellMMError, explain

# what a constructor raises for a value that it cannot use
VALUE_ERRORS = (ValueError, TypeError, AssertionError, LookupError, ArithmeticError, RuntimeError)
LIBRARIES = ("cellmm", "mmengine", "torch", "albumentations")  # whose methods a constructor may call


def build(key: str, make: Callable[[], Any], config: Any = None) -> Any:
    """``make()``, which builds from ``config``, the part ``key`` of the whole config."""
    try:
        return make()
    except CellMMError:
        raise
    except VALUE_ERRORS as error:
        if explain(error) is not None or is_bug(error, config, key):  # explain: of memory
            raise
        raise CellMMError(say(error, config, key)) from error


def say(error: Exception, config: Any, key: str) -> str:
    """One line: the key of the component that raised ``error`` in its constructor, what it said, the cure."""
    text = " ".join(str(error).split())
    for frame, found in _components(error, config, key):
        if frame.f_code.co_name == "__init__":
            key = " or ".join(found)
            break
    if isinstance(error, ValueError | AssertionError) and text:
        return f"{key}: {text}"
    given = f" ({text})" if text else ""
    return f"{key}: cannot be made with these values, {type(error).__name__}{given}; check each of them"


def is_bug(error: Exception, config: Any, key: str) -> bool:
    """Whether a component of a plug-in raised ``error`` at work, not in its constructor: keep its traceback.

    ValueError and AssertionError are always taken for what they say of a value.
    """
    if isinstance(error, ValueError | AssertionError):
        return False
    for frame, _ in _components(error, config, key):
        if frame.f_code.co_name == "__init__":
            return False
        if frame.f_globals.get("__name__", "").partition(".")[0] not in LIBRARIES:
            return True
    return False


def _components(error: Exception, config: Any, key: str) -> Iterator[tuple[FrameType, list[str]]]:
    """Frames of methods of components of ``config``, the deepest first, and the component's dotted keys."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    for frame in reversed(frames):
        owner = frame.f_locals.get("self")
        if owner is not None and (found := list(_places(config, type(owner), key))):
            yield frame, found


def _places(config: Any, cls: type, key: str) -> Iterator[str]:
    """The dotted keys of the components of class ``cls``."""
    if isinstance(config, dict):
        kind = config.get("type")
        if kind is cls or (isinstance(kind, str) and kind.rpartition(".")[2] == cls.__name__):
            yield key
    parts = config.items() if isinstance(config, dict) else enumerate(config) if _is_list(config) else ()
    for name, part in parts:
        yield from _places(part, cls, f"{key}.{name}" if key else str(name))


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def build_from_config(make: Callable[[Config], Any], cfg: Config) -> Any:
    """``make(cfg)``: all that ``Runner.from_cfg`` builds."""
    try:
        return make(cfg)
    except CellMMError:
        raise
    except VALUE_ERRORS as error:
        config = cfg.to_dict()
        if is_bug(error, config, ""):
            raise
        text = say(error, config, "")
        if text.startswith(": ") and not isinstance(error, ValueError):
            raise  # in no component's constructor
        raise CellMMError(f"{cfg.filename}{text}" if text.startswith(": ") else text) from error


def build_optimizer(runner: Runner) -> None:
    """What ``Runner.train`` does first; it leaves alone what is built."""
    config = runner.cfg.get("optim_wrapper")
    wrapper = build("optim_wrapper", lambda: runner.build_optim_wrapper(runner.optim_wrapper), config)
    runner.optim_wrapper = wrapper
    build("auto_scale_lr", lambda: runner.scale_lr(wrapper, runner.auto_scale_lr))
    runner.auto_scale_lr = None  # done; train would scale a second time
    if (configs := runner.param_schedulers) is not None:
        make = functools.partial(runner.build_param_scheduler, configs)
        runner.param_schedulers = build("param_scheduler", make, runner.cfg.get("param_scheduler"))


def check_schedules(runner: Runner) -> None:
    """Each goes into a checkpoint, and a copy of it reaches the end of training."""
    for path, schedule in schedules(runner.param_schedulers, "param_scheduler"):
        if not isinstance(schedule, _ParamScheduler):
            continue
        kind = type(schedule).__name__
        odd = [name for name, value in schedule.state_dict().items() if not is_plain(value)]
        if odd:
            raise CellMMError(
                f"{path}: {kind} keeps an object ({odd[0]}), which no checkpoint can hold; take LinearLR to "
                "warm up and CosineAnnealingLR to come down"
            )
        if not isinstance(schedule, ReduceOnPlateauParamScheduler):
            _walk(path, schedule, runner.max_epochs if schedule.by_epoch else runner.max_iters)


def _walk(path: str, schedule: _ParamScheduler, last: int) -> None:
    """Step a copy of a schedule, on a copy of its optimizer's values, at its beginning and its end."""
    optimizer = schedule.optimizer
    groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    light = SimpleNamespace(param_groups=groups, step=optimizer.step, _global_step=0)
    # deepcopy takes what memo has for the optimizer, which holds the model's weights
    trial = copy.deepcopy(schedule, {id(optimizer): light})
    end = min(schedule.end, last)
    for step in sorted({1, 2, schedule.begin, schedule.begin + 1, end - 1, end, last}):
        if not 0 < step <= last:
            continue
        trial._global_step, trial.last_step = step - 1, max(step - 1 - schedule.begin, -1)
        try:
            trial.step()
        except VALUE_ERRORS as error:
            text = " ".join(str(error).split())
            unit = "epoch" if schedule.by_epoch else "iteration"
            raise CellMMError(f"{path}: at {unit} {step} of {last}: {text}; change its end") from error


def schedules(of: Any, path: str) -> Iterator[tuple[str, Any]]:
    """(key, schedule) of all schedules, built or not."""
    if isinstance(of, (list, tuple)):
        for i, part in enumerate(of):
            yield from schedules(part, f"{path}.{i}")
    elif isinstance(of, dict) and "type" not in of:
        for key, part in of.items():
            yield from schedules(part, f"{path}.{key}")
    elif of is not None:
        yield path, of
