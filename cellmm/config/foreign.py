"""What configs of other libraries and of other versions say, and what to write in its place."""

from collections.abc import Callable
from importlib.util import find_spec

# libraries whose transforms move or change ``img`` and know nothing of cellmm's keys
LIBRARIES = (
    *("mmcv", "mmdet", "mmseg", "mmpretrain", "mmcls", "mmyolo", "mmrotate", "mmpose", "mmocr", "mmaction"),
    *("mmagic", "mmedit", "mmdet3d", "mmselfsup", "torchvision"),
)
# of mmcv, and safe: they hand the same dict to some of the transforms that they hold
CONTAINERS = ("RandomApply", "RandomChoice")

# names that cellmm has too: only those of another library, as mmcv.Resize, are refused
OWN = (
    *("LoadImageFromFile", "LoadAnnotations", "RandomFlip", "Resize", "RandomResize", "Pad", "CenterCrop"),
    *("RandomCrop", "Normalize", "PhotoMetricDistortion", "PackDetInputs"),
)
_CHANGE = "RandomIntensity or PhotoMetricDistortion"
_OUT = "leave it out"
TRANSFORMS = {
    **{name: f"cellmm's {name}, by its plain name" for name in OWN},
    "LoadMultiChannelImageFromFiles": "LoadImage",
    "LoadImageFromNDArray": "LoadImage",
    "LoadPanopticAnnotations": "LoadCells",
    "RandomChoiceResize": "RandomResize(scale=[smallest, largest])",
    "FixShapeResize": "Resize(scale=(width, height))",
    **dict.fromkeys(("MinIoURandomCrop", "RandomCenterCropPad", "RandomResizedCrop"), "RandomCrop"),
    "Expand": "Pad, or RandomWarp(scale=(0.5, 1), border=0)",
    **dict.fromkeys(
        ("RandomRotate", "Rotate", "RandomAffine", "GeomTransform"), "RandomWarp(rotate=(-180, 180))"
    ),
    **dict.fromkeys(
        ("ShearX", "ShearY", "TranslateX", "TranslateY"), "RandomWarp, or Albumentations with Affine"
    ),
    **dict.fromkeys(
        ("ColorTransform", "ColorJitter", "Brightness", "Contrast", "Sharpness"),
        _CHANGE,
    ),
    **dict.fromkeys(
        ("AutoContrast", "Equalize", "Invert", "Posterize", "Solarize", "SolarizeAdd", "YOLOXHSVRandomAug"),
        _CHANGE,
    ),
    **dict.fromkeys(("Color", "RandomGrayscale"), "color='grayscale' of LoadImage, or RandomIntensity"),
    **dict.fromkeys(("CutOut", "RandomErasing"), "Albumentations with CoarseDropout"),
    "Albu": "Albumentations",
    **dict.fromkeys(
        ("Mosaic", "CachedMosaic", "MixUp", "CachedMixUp", "CopyPaste", "RandAugment", "AutoAugment"),
        f"RandomWarp and {_CHANGE}, it mixes no images",
    ),
    **dict.fromkeys(("PackSegInputs", "PackInputs", "DefaultFormatBundle", "Collect"), "PackCellInputs"),
    **dict.fromkeys(("ImageToTensor", "ToTensor", "PILToTensor"), "PackCellInputs"),
    **dict.fromkeys(("FilterAnnotations", "Corrupt"), _OUT),
    **dict.fromkeys(("MultiScaleFlipAug", "TestTimeAug"), f"{_OUT}, there is one pass of an image"),
    **dict.fromkeys(
        ("Compose", "KeyMapper", "TransformBroadcaster"), "write its steps in the pipeline itself"
    ),
}

_OPTIMIZER = "write optim_wrapper=dict(type='OptimWrapper', optimizer=dict(...))"
_AMP = "use --amp, or optim_wrapper.type='AmpOptimWrapper'"
_ITERATIONS = "set train_cfg.max_iters, or max_epochs"
_HOOKS = "write {} of default_hooks"
_LOADERS = "write train_dataloader, val_dataloader and test_dataloader"
_TTA = "leave it out, there is one pass of an image at test"
TOP_LEVEL = {
    "optimizer": _OPTIMIZER,
    "optimizer_config": "write optim_wrapper.clip_grad",
    "optimizers": _OPTIMIZER,
    **dict.fromkeys(("lr_config", "lr_scheduler", "momentum_config"), "write param_scheduler"),
    **dict.fromkeys(("total_epochs", "max_epochs", "num_epochs", "total_iters", "epochs"), _ITERATIONS),
    **dict.fromkeys(("runner", "runner_type", "workflow"), f"{_ITERATIONS} and val_interval"),
    **dict.fromkeys(("evaluation", "evaluator"), "write val_evaluator and train_cfg.val_interval"),
    "data": _LOADERS,
    **dict.fromkeys(("fp16", "bf16", "amp"), _AMP),
    **dict.fromkeys(("resume_from", "auto_resume"), "use --resume, or set load_from and resume=True"),
    **dict.fromkeys(("seed", "deterministic"), "set randomness=dict(seed=0)"),
    "checkpoint_config": _HOOKS.format("checkpoint"),
    "log_config": _HOOKS.format("logger"),
    "ema_config": "write a hook in custom_hooks",
    "dist_params": "set env_cfg.dist_cfg",
    "cudnn_benchmark": "set env_cfg.cudnn_benchmark",
    **dict.fromkeys(("mp_start_method", "opencv_num_threads"), "set env_cfg.mp_cfg"),
    **dict.fromkeys(("gpu_ids", "gpus", "device", "device_ids"), "set CUDA_VISIBLE_DEVICES"),
    **dict.fromkeys(("strategy", "deepspeed_config"), "use --launcher pytorch"),
    **dict.fromkeys(("tta_model", "tta_pipeline", "tta_cfg"), _TTA),
    "activation_checkpointing": "mmengine's cuts the gradients off, set model.activation_checkpointing",
}

# what the visualization backends of mmengine import: (module, name of the package)
PACKAGES = {
    "TensorboardVisBackend": (("tensorboard", "tensorboard"),),
    "WandbVisBackend": (("wandb", "wandb"),),
    "MLflowVisBackend": (("mlflow", "mlflow"),),
    "ClearMLVisBackend": (("clearml", "clearml"),),
    "NeptuneVisBackend": (("neptune", "neptune"),),
    "DVCLiveVisBackend": (("dvclive", "dvclive"), ("pygit2", "pygit2")),
    "AimVisBackend": (("aim", "aim"),),
}


def cure_of_transform(kind: object, component: Callable | None) -> str | None:
    """What to say of a transform of another library, found (``component``) or not; None for others."""
    name = getattr(component, "__name__", kind)
    library, _, last = str(name).rpartition(".")
    library = str(getattr(component, "__module__", library)).partition(".")[0]
    if component is not None and (library not in LIBRARIES or (library == "mmcv" and last in CONTAINERS)):
        return None
    if component is None and not (library in LIBRARIES or (not library and last in TRANSFORMS)):
        return None
    return f"{last} would change the image without its cells; use {TRANSFORMS.get(last, 'a step of cellmm')}"


def missing_packages(cls: type) -> list[str]:
    """Names of packages that this visualization backend needs and that are not installed."""
    needed = {pair for base in cls.__mro__ for pair in PACKAGES.get(base.__name__, ())}
    return sorted(package for module, package in needed if find_spec(module) is None)
