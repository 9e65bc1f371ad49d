"""The registries of cellmm: children of mmengine's, each with the packages that fill it.

A class registered here is found from a config by its name alone (``default_scope = 'cellmm'``); the
``locations`` are imported on first use, so that ``import cellmm`` stays light.
"""

import mmengine.registry as parent
from mmengine.registry import Registry

SCOPE = "cellmm"


def _own(name: str, *locations: str) -> Registry:
    """A registry that mmengine does not have."""
    return Registry(name, scope=SCOPE, locations=[f"cellmm.{where}" for where in locations])


def _child(name: str, *locations: str) -> Registry:
    base = getattr(parent, name)
    return Registry(base.name, parent=base, scope=SCOPE, locations=[f"cellmm.{where}" for where in locations])


DATASETS = _child("DATASETS", "datasets")
DATA_SAMPLERS = _child("DATA_SAMPLERS", "datasets")
TRANSFORMS = _child("TRANSFORMS", "datasets.transforms")
FUNCTIONS = _child("FUNCTIONS", "datasets")
MODELS = _child("MODELS", "models", "engine.averaged_weights")
TASK_UTILS = _child("TASK_UTILS", "models")
METRICS = _child("METRICS", "evaluation")
EVALUATOR = _child("EVALUATOR", "evaluation")
HOOKS = _child("HOOKS", "engine")
LOOPS = _child("LOOPS", "engine")
OPTIM_WRAPPERS = _child("OPTIM_WRAPPERS", "engine")
MODEL_WRAPPERS = _child("MODEL_WRAPPERS", "engine")
OPTIMIZERS = _child("OPTIMIZERS", "engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child("OPTIM_WRAPPER_CONSTRUCTORS", "engine")
PARAM_SCHEDULERS = _child("PARAM_SCHEDULERS", "engine")
LOG_PROCESSORS = _child("LOG_PROCESSORS", "engine")
VISBACKENDS = _child("VISBACKENDS", "visualization")
VISUALIZERS = _child("VISUALIZERS", "visualization")
WRITERS = _own("writer", "results.writers")
ANNOTATION_READERS = _own("annotation reader", "io.annotations")
TRACK_WRITERS = _own("track writer", "tracking.writers")

ALL = {
    name: value
    for name, value in globals().items()
    if isinstance(value, Registry) and value.scope == SCOPE and name.isupper()
}
