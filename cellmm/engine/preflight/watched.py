"""What hooks and schedules wait for, and whether validation gives it; hooks asked before training."""

import difflib
import inspect
from collections import Counter
from collections.abc import Iterator

import mmengine.hooks
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.priority import get_priority

from cellmm.config.lookup import component_of
from cellmm.engine.preflight.building import say, schedules
from cellmm.errors import CellMMError
from cellmm.evaluation.contract import metric_keys


def check_watched(runner: Runner, val: BaseLoop | None) -> None:
    """Hooks and schedules wait for numbers that the metrics give, and no two metrics give the same number."""
    given = _given_keys(val)
    double = [key for key, count in Counter(given or ()).items() if count > 1]
    if double:
        raise CellMMError(f"val_evaluator: two metrics give {double[0]!r}; set prefix='...' in one of them")
    for path, key in _watched(runner):
        if val is None:
            raise CellMMError(f"{path}: {key!r} comes from validation; add val_dataloader, or leave it out")
        if given is not None and key not in given:
            near = difflib.get_close_matches(key, given, 1, 0.0)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise CellMMError(f"{path}: the metrics of val_evaluator give no {key!r}{hint}")


def _given_keys(val: BaseLoop | None) -> list[str] | None:
    """The names of all numbers of validation; None where a metric does not state them."""
    keys: list[str] = []
    for metric in getattr(getattr(val, "evaluator", None), "metrics", ()):
        stated = metric_keys(metric)
        if stated is None:
            return None
        keys += stated
    return keys


def _watched(runner: Runner) -> Iterator[tuple[str, str]]:
    """(key of the config, name of a number) for all that waits for a number of validation."""
    for hook in runner.hooks:
        if isinstance(hook, mmengine.hooks.CheckpointHook):
            for key in hook.save_best or ():
                if key != "auto":
                    yield f"{hook_path(runner, hook)}.save_best", key
        elif isinstance(hook, mmengine.hooks.EarlyStoppingHook):
            yield f"{hook_path(runner, hook)}.monitor", hook.monitor
    for path, schedule in schedules(runner.param_schedulers, "param_scheduler"):
        if isinstance(schedule, ReduceOnPlateauParamScheduler):
            yield f"{path}.monitor", schedule.monitor
        elif isinstance(schedule, dict):
            cls = component_of(schedule, "PARAM_SCHEDULERS")
            if inspect.isclass(cls) and issubclass(cls, ReduceOnPlateauParamScheduler):
                default = inspect.signature(ReduceOnPlateauParamScheduler).parameters["monitor"].default
                yield f"{path}.monitor", schedule.get("monitor", default)


def hook_path(runner: Runner, hook: mmengine.hooks.Hook) -> str:
    """The key of the config that a hook was built from."""
    default, custom = runner.cfg.get("default_hooks") or {}, runner.cfg.get("custom_hooks") or ()
    places = {f"default_hooks.{key}": config for key, config in default.items()}
    places |= {f"custom_hooks.{i}": config for i, config in enumerate(custom)}
    alike = []  # (priority, key) of hooks of this class, in the order in which they are registered
    for path, config in places.items():
        if config is hook:
            return path
        cls = component_of(config, "HOOKS")
        if cls is type(hook):
            alike.append((get_priority(config.get("priority", cls.priority)), path))
    alike.sort(key=lambda pair: pair[0])  # as the runner does
    later = [other for other in runner.hooks if type(other) is type(hook)]
    later = next((later[i + 1 :] for i, other in enumerate(later) if other is hook), [])
    if len(later) < len(alike):  # mmengine's default hooks, which no config has to name, come first
        return alike[-1 - len(later)][1]
    return type(hook).__name__


def ask_hook(runner: Runner, hook: mmengine.hooks.Hook, name: str) -> None:
    """``hook.before_run(runner)`` or ``before_train``; what it says of its values becomes one line."""
    try:
        getattr(hook, name)(runner)
    except CellMMError:
        raise
    except (ValueError, AssertionError) as error:
        raise CellMMError(say(error, None, hook_path(runner, hook))) from error
