"""What keys of a config hold, outside of the model: components of a registry, or tables of fixed keys."""

from collections.abc import Callable
from inspect import Parameter

import torch
from mmengine.runner import Runner
from mmengine.runner.utils import set_random_seed
from mmengine.utils.dl_utils import set_multi_processing
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from cellmm.arguments import Arguments, arguments_of
from cellmm.simulation import make_dataset


def _keys(*functions: Callable, but: str = "", more: str = "") -> Arguments:
    """The arguments of the functions except for ``but``, and those named in ``more``; all are optional."""
    names = [name for each in functions for name in arguments_of(each).by_name if name != but] + more.split()
    return Arguments({name: Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in names})


_RUNNER = "compile sync_bn find_unused_parameters model_wrapper_cfg custom_imports efficient_conv_bn_eval"
_LOADER = "num_batch_per_epoch disable_subprocess_warning"
_PARAMWISE = "custom_keys bias_lr_mult bias_decay_mult norm_decay_mult dwconv_decay_mult flat_decay_mult"
TOP_LEVEL_KEYS = tuple(_keys(Runner, but="cfg", more=_RUNNER).by_name)  # of the whole config
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
# hooks that mmengine adds unless a config sets them, or sets them to None
DEFAULT_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
# dicts of fixed keys
TABLES = {
    **dict.fromkeys(LOADERS, _keys(DataLoader, but="shuffle", more=_LOADER)),
    "simulation": _keys(make_dataset, but="root", more="folder"),
    "paramwise_cfg": _keys(more=f"{_PARAMWISE} dcn_offset_lr_mult bypass_duplicate"),
    "clip_grad": _keys(clip_grad_norm_, clip_grad_value_, but="parameters", more="type"),
    "env_cfg": _keys(more="cudnn_benchmark mp_cfg dist_cfg resource_limit"),
    "mp_cfg": _keys(set_multi_processing, but="distributed"),
    "randomness": _keys(set_random_seed),
    "auto_scale_lr": _keys(more="enable base_batch_size"),
    "compile": _keys(torch.compile, but="model"),
}
_KEYS_BY_REGISTRIES = {
    "MODELS": "model data_preprocessor encoder decoder heads head ensemble ema_type generator discriminator "
    "pixel_loss",
    "DATASETS": "dataset datasets",
    "TRANSFORMS": "pipeline transforms",
    "ALBUMENTATIONS": "albumentations",
    "DATA_SAMPLERS": "sampler batch_sampler",
    "FUNCTIONS": "collate_fn worker_init_fn",
    "LOOPS": "train_cfg val_cfg test_cfg",
    "OPTIM_WRAPPERS": "optim_wrapper",
    "OPTIM_WRAPPER_CONSTRUCTORS": "constructor",
    "OPTIMIZERS": "optimizer",
    "PARAM_SCHEDULERS": "param_scheduler",
    "METRICS EVALUATOR": "val_evaluator test_evaluator metrics",
    "HOOKS": "default_hooks custom_hooks hook",
    "VISUALIZERS": "visualizer",
    "VISBACKENDS": "vis_backends",
    "LOG_PROCESSORS": "log_processor",
    "MODEL_WRAPPERS": "model_wrapper_cfg",
}
REGISTRIES_BY_KEY = {
    key: names.split() for names, keys in _KEYS_BY_REGISTRIES.items() for key in keys.split()
}
# the component where type is left out
DEFAULTS = {
    "optim_wrapper": "OptimWrapper",
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "log_processor": "LogProcessor",
    "model_wrapper_cfg": "MMDistributedDataParallel",
    "generator": "UNetGenerator",
    "discriminator": "PatchGANDiscriminator",
}
# dicts without a type, whose values are what stands at another key
GROUPS = {
    "default_hooks": "hook",
    "param_scheduler": "param_scheduler",
    "heads": "head",
    "decoders": "decoder",
    "losses": "pixel_loss",
}
REQUIRED = {
    **dict.fromkeys(LOADERS, ("dataset", "sampler")),
    "optim_wrapper": ("optimizer",),
    "randomness": ("seed",),
    "simulation": ("splits",),
}
# keys that may hold a list of dicts in place of a dict; transforms may hold a list of lists too
LISTS = {*LOADERS, "val_evaluator", "test_evaluator", "metrics", "param_scheduler", "custom_hooks"}
LISTS |= {"ensemble", "datasets", "pipeline", "transforms", "albumentations", "vis_backends"}
# arguments that a config leaves out: whatever builds the component at the key gives them
SUPPLIED_ARGUMENTS = {
    "data_preprocessor": ("divisor",),
    "encoder": ("in_channels",),
    "decoder": ("in_specs", "in_channels"),
    "head": ("in_specs", "in_channels", "stride"),
    "generator": ("in_channels", "out_channels"),
    "discriminator": ("in_channels",),
    "ema_type": ("model",),
    "sampler": ("dataset", "seed"),
    "batch_sampler": ("sampler", "batch_size"),
    **dict.fromkeys(("train_cfg", "val_cfg", "test_cfg"), ("runner", "dataloader", "evaluator")),
    "constructor": ("optim_wrapper_cfg", "paramwise_cfg"),
    "optimizer": ("params",),
    "param_scheduler": ("optimizer",),
    "visualizer": ("name", "save_dir"),
    "vis_backends": ("save_dir",),
    "model_wrapper_cfg": ("module", "device_ids"),
}
# keys that whatever builds the component at the key takes out before, beside type and _scope_
BUILDER_KEYS = {
    "head": ("reads",),
    "init_cfg": ("override",),
    "override": ("name",),
    "optim_wrapper": ("constructor", "paramwise_cfg"),
    "param_scheduler": ("convert_to_iter_based", "epoch_length"),
    **dict.fromkeys(("custom_hooks", "hook"), ("priority",)),
    "vis_backends": ("name",),
}
# the smallest whole number that an argument of the component or table at the key may be
MINIMUM = {
    **dict.fromkeys(LOADERS, dict(batch_size=1, num_workers=0)),
    "train_cfg": dict(max_iters=1, max_epochs=1, val_interval=1, val_begin=0),
    "optim_wrapper": dict(accumulative_counts=1),
    "log_processor": dict(window_size=1),
}
