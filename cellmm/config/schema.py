"""What may stand where in a config: for each place the registries or the keys, and what lies below."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import Runner
from mmengine.runner.utils import set_random_seed
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from cellmm.registry import ALL
from cellmm.simulation import make_dataset

REGISTRIES = {**ALL, "WEIGHT_INITIALIZERS": WEIGHT_INITIALIZERS}
# what mmengine takes for itself from a dict before it is anything's argument
ALWAYS_TAKEN = ("type", "_scope_")


def _parameters(function: Callable, *leave_out: str) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(function).parameters if name not in ("self", *leave_out))


@dataclass(frozen=True)
class Place:
    """What mmengine or cellmm makes of the dict at a place of a config.

    A component (``registries``), a table of fixed ``keys``, or a group with one place for ``each`` value.

    Args:
        registries: where ``type`` is looked up, in this order.
        default: the component where ``type`` is left out.
        supplied: arguments that the builder gives, so that they may be left out.
        taken: keys that the builder takes out.
        strict: whether required arguments must be there.
        keys, required: of a table.
        each: the place of every value of a group.
        parts: the places of some keys; the others of a component are ``part``, those of a table are free.
        optional: whether None stands for nothing.
    """

    registries: tuple[str, ...] = ()
    default: str | None = None
    supplied: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    strict: bool = True
    keys: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    each: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


_LOADER = ("dataset", "sampler")
PLACES = {
    "config": Place(
        keys=(
            *_parameters(Runner.__init__, "cfg"),
            *("compile", "sync_bn", "find_unused_parameters", "model_wrapper_cfg", "custom_imports"),
            "efficient_conv_bn_eval",
        ),
        required=("model",),
        parts=dict(
            model="model",
            data_preprocessor="component",
            train_dataloader="dataloader",
            val_dataloader="dataloader",
            test_dataloader="dataloader",
            train_cfg="train_loop",
            val_cfg="val_loop",
            test_cfg="test_loop",
            optim_wrapper="optim_wrapper",
            param_scheduler="scheduler",
            val_evaluator="metric",
            test_evaluator="metric",
            default_hooks="hooks",
            custom_hooks="hook",
            visualizer="visualizer",
            log_processor="log_processor",
            env_cfg="env",
            randomness="randomness",
            auto_scale_lr="auto_scale_lr",
            model_wrapper_cfg="model_wrapper",
            compile="compile",
            custom_imports="custom_imports",
        ),
    ),
    "model": Place(
        ("MODELS",),
        parts=dict(
            data_preprocessor="preprocessor",
            encoder="encoder",
            decoder="decoder",
            heads="heads",
            postprocess="postprocess",
        ),
        optional=True,  # said to be missing
    ),
    "component": Place(("MODELS",)),
    # what CellSegmentor derives: cellmm.models.derive
    "preprocessor": Place(("MODELS",), supplied=("divisor",)),
    "encoder": Place(("MODELS",), supplied=("in_channels",)),
    "decoder": Place(("MODELS",), supplied=("in_specs", "in_channels"), parts=dict(decoders="decoders")),
    "decoders": Place(each="decoder"),
    "head": Place(
        ("MODELS",),
        supplied=("in_specs", "in_channels", "stride"),
        taken=("reads",),
        parts=dict(deco_net="deco_net"),
    ),
    "deco_net": Place(
        ("MODELS",),
        default="DecoNet",
        supplied=("in_channels", "skip_channels", "fine_channels"),
        optional=True,
    ),
    "heads": Place(each="head"),
    "postprocess": Place(("TASK_UTILS",), optional=True),
    # below a component: it alone knows how it builds them
    "part": Place(("MODELS", "TASK_UTILS", *REGISTRIES), strict=False, optional=True),
    "init": Place(("WEIGHT_INITIALIZERS",), taken=("override",), optional=True),
    "dataloader": Place(
        keys=(
            *_parameters(DataLoader.__init__, "shuffle"),  # it is the sampler that shuffles
            *("num_batch_per_epoch", "disable_subprocess_warning"),
        ),
        required=_LOADER,
        parts=dict(
            dataset="dataset",
            sampler="sampler",
            batch_sampler="batch_sampler",
            collate_fn="function",
            worker_init_fn="function",
        ),
        optional=True,
    ),
    "dataset": Place(
        ("DATASETS",),
        parts=dict(pipeline="transform", dataset="dataset", datasets="dataset", simulation="simulation"),
    ),
    "simulation": Place(
        keys=("folder", *_parameters(make_dataset, "root")), required=("splits",), optional=True
    ),
    "transform": Place(("TRANSFORMS",), parts=dict(transforms="transform")),
    "sampler": Place(("DATA_SAMPLERS",), supplied=("dataset", "seed")),
    "batch_sampler": Place(("DATA_SAMPLERS",), supplied=("sampler", "batch_size"), optional=True),
    "function": Place(("FUNCTIONS",), strict=False, optional=True),
    "train_loop": Place(("LOOPS",), supplied=("runner", "dataloader"), taken=("by_epoch",), optional=True),
    "val_loop": Place(
        ("LOOPS",), default="ValLoop", supplied=("runner", "dataloader", "evaluator"), optional=True
    ),
    "test_loop": Place(
        ("LOOPS",), default="TestLoop", supplied=("runner", "dataloader", "evaluator"), optional=True
    ),
    "optim_wrapper": Place(
        ("OPTIM_WRAPPERS",),
        default="OptimWrapper",
        taken=("constructor", "paramwise_cfg"),
        parts=dict(optimizer="optimizer", paramwise_cfg="paramwise", clip_grad="clip_grad"),
        optional=True,
    ),
    "constructor": Place(("OPTIM_WRAPPER_CONSTRUCTORS",), strict=False),
    "optimizer": Place(("OPTIMIZERS",), supplied=("params",)),
    "paramwise": Place(
        keys=(
            *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "dwconv_decay_mult"),
            *("flat_decay_mult", "dcn_offset_lr_mult", "bypass_duplicate"),
        ),
        optional=True,
    ),
    "clip_grad": Place(
        keys=(
            "type",
            *_parameters(torch.nn.utils.clip_grad_norm_, "parameters"),
            *_parameters(torch.nn.utils.clip_grad_value_, "parameters", "foreach"),
        ),
        optional=True,
    ),
    "scheduler": Place(
        ("PARAM_SCHEDULERS",),
        supplied=("optimizer",),
        taken=("convert_to_iter_based", "epoch_length"),
        optional=True,
    ),
    "metric": Place(("METRICS",), optional=True),
    "evaluator": Place(("EVALUATOR",), default="Evaluator", parts=dict(metrics="metric")),
    "hooks": Place(each="hook", optional=True),
    "hook": Place(
        ("HOOKS",), taken=("priority",), parts=dict(on_trace_ready="free", schedule="free"), optional=True
    ),
    "visualizer": Place(
        ("VISUALIZERS",), supplied=("name", "save_dir"), parts=dict(vis_backends="vis_backend"), optional=True
    ),
    "vis_backend": Place(
        ("VISBACKENDS",),
        supplied=("save_dir",),
        taken=("name",),
        parts=dict(init_kwargs="free"),
        optional=True,
    ),
    "log_processor": Place(
        ("LOG_PROCESSORS",), default="LogProcessor", parts=dict(custom_cfg="free"), optional=True
    ),
    "env": Place(
        keys=("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit"), parts=dict(mp_cfg="mp_cfg")
    ),
    "mp_cfg": Place(keys=_parameters(set_multi_processing, "distributed")),
    "randomness": Place(keys=_parameters(set_random_seed), required=("seed",)),
    "auto_scale_lr": Place(keys=("enable", "base_batch_size"), optional=True),
    "model_wrapper": Place(
        ("MODEL_WRAPPERS",),
        default="MMDistributedDataParallel",
        supplied=("module", "device_ids"),
        optional=True,
    ),
    "compile": Place(keys=_parameters(torch.compile, "model"), optional=True),
    "custom_imports": Place(keys=("imports", "allow_failed_imports"), optional=True),
    "free": Place(),
}


def find_component(name: str, registries: Sequence[str]) -> Callable | None:
    """The class or function that ``name`` means in the first of the registries that has it; None: in none."""
    for key in registries:
        registry = REGISTRIES[key]
        registry.import_from_location()
        scope, dot, rest = name.rpartition(".")
        while registry is not None:
            if not dot and name in registry.module_dict:
                return registry.module_dict[name]
            if dot and scope == registry.scope and rest in registry.module_dict:
                return registry.module_dict[rest]
            registry = registry.parent
    if not all(part.isidentifier() for part in name.split(".")) or "." not in name:
        return None
    try:
        found = REGISTRIES[registries[0]].get(name)  # another package's registry, or module.Class
    except (RuntimeError, ImportError, AttributeError, TypeError, ValueError):
        return None
    return found if callable(found) else None


def component_names(registries: Sequence[str]) -> list[str]:
    """All names that ``find_component`` finds."""
    names: dict[str, None] = {}
    for key in registries:
        registry = REGISTRIES[key]
        registry.import_from_location()
        while registry is not None:
            names.update(dict.fromkeys(registry.module_dict))
            registry = registry.parent
    return list(names)
