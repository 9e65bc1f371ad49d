"""What mmengine asks of a hook, tested."""

import inspect

from mmengine.hooks import Hook
from mmengine.runner.priority import get_priority

from cellmm.registry import HOOKS
from cellmm.testing.rules import build, must_work, require


def check_hook(config: dict) -> None:
    """Test that the runner can call a hook: its methods are those of mmengine's Hook, with their arguments.

    Raises:
        CellMMError: one line that names the hook and the rule.
    """
    name, hook = build(HOOKS, config)
    require(isinstance(hook, Hook), name, "it must be a Hook of mmengine")
    with must_work(name, "reading its priority"):
        get_priority(hook.priority)
    known = {
        method: function for method, function in vars(Hook).items() if method.startswith(("before", "after"))
    }
    for method in dir(hook):
        if not method.startswith(("before_", "after_")):
            continue
        require(method in known, name, f"nothing calls {method}; take one of {', '.join(sorted(known))}")
        names = [*inspect.signature(known[method]).parameters][1:]
        given = {argument: None for argument in names}
        try:
            inspect.signature(getattr(hook, method)).bind(**given)
        except TypeError as error:
            require(False, name, f"{method} must take {', '.join(names)}: {error}")
