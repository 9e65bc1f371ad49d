"""What configs of other libraries and of other versions say, and what to write instead."""

from collections.abc import Callable
from importlib.util import find_spec

from cellmm.registry import TRANSFORMS

# libraries whose transforms move or change ``img`` and know nothing of cellmm's keys
LIBRARIES = {
    *("mmcv", "mmdet", "mmseg", "mmpretrain", "mmcls", "mmyolo", "mmrotate", "mmpose", "mmocr", "mmaction"),
    *("mmagic", "mmedit", "mmdet3d", "mmselfsup", "torchvision"),
}
# of mmcv, and safe: they hand the same dict to some of the transforms that they hold
CONTAINERS = ("RandomApply", "RandomChoice")
_NAMES_BY_CURE = {
    "LoadImage": "LoadMultiChannelImageFromFiles LoadImageFromNDArray",
    "LoadCells": "LoadPanopticAnnotations",
    "RandomResize(scale=[smallest, largest])": "RandomChoiceResize",
    "Resize(scale=(width, height))": "FixShapeResize",
    "RandomCrop": "MinIoURandomCrop RandomCenterCropPad RandomResizedCrop",
    "Pad, or RandomWarp(scale=(0.5, 1), border=0)": "Expand",
    "RandomWarp(rotate=(-180, 180)), or Albumentations with Affine": "RandomRotate Rotate RandomAffine "
    "GeomTransform ShearX ShearY TranslateX TranslateY",
    "RandomIntensity or PhotoMetricDistortion": "ColorTransform ColorJitter Brightness Contrast Sharpness "
    "AutoContrast Equalize Invert Posterize Solarize SolarizeAdd YOLOXHSVRandomAug",
    "color='grayscale' of LoadImage, or RandomIntensity": "Color RandomGrayscale",
    "Albumentations with CoarseDropout": "CutOut RandomErasing",
    "Albumentations": "Albu",
    "Mosaic": "CachedMosaic",
    "MixUp": "CachedMixUp",
    "RandomWarp and RandomIntensity": "RandAugment AutoAugment",
    "PackCellInputs": "PackSegInputs PackInputs DefaultFormatBundle Collect ImageToTensor ToTensor "
    "PILToTensor",
    "no such step, leave it out": "FilterAnnotations Corrupt",
    'write model.tta="flips" or give --tta': "MultiScaleFlipAug TestTimeAug",
    "its steps in the pipeline itself": "Compose KeyMapper TransformBroadcaster",
}
CURES_BY_TRANSFORM = {name: cure for cure, names in _NAMES_BY_CURE.items() for name in names.split()}

_KEYS_BY_CURE = {
    "write optim_wrapper=dict(type='OptimWrapper', optimizer=dict(...))": "optimizer optimizers",
    "write optim_wrapper.clip_grad": "optimizer_config",
    "write param_scheduler": "lr_config lr_scheduler momentum_config",
    "set train_cfg.max_iters, or max_epochs": "total_epochs max_epochs num_epochs total_iters epochs",
    "set train_cfg.max_iters, or max_epochs, and val_interval": "runner runner_type workflow",
    "write val_evaluator and train_cfg.val_interval": "evaluation evaluator",
    "write train_dataloader, val_dataloader and test_dataloader": "data",
    "use --amp, or optim_wrapper.type='AmpOptimWrapper'": "fp16 bf16 amp",
    "use --resume, or set load_from and resume=True": "resume_from auto_resume",
    "set randomness=dict(seed=0)": "seed deterministic",
    "write checkpoint of default_hooks": "checkpoint_config",
    "write logger of default_hooks": "log_config",
    "write a hook in custom_hooks": "ema_config",
    "set env_cfg.dist_cfg": "dist_params",
    "set env_cfg.cudnn_benchmark": "cudnn_benchmark",
    "set env_cfg.mp_cfg": "mp_start_method opencv_num_threads",
    "set CUDA_VISIBLE_DEVICES": "gpu_ids gpus device device_ids",
    "use --launcher pytorch": "strategy deepspeed_config",
    'write model.tta="flips" or give --tta': "tta_model tta_pipeline tta_cfg",
    "mmengine's cuts the gradients off, set model.activation_checkpointing": "activation_checkpointing",
}
CURES_BY_KEY = {key: cure for cure, keys in _KEYS_BY_CURE.items() for key in keys.split()}

# packages that visualization backends of mmengine import when they are first used
PACKAGES = {
    f"{name}VisBackend": (name.lower(),)
    for name in ("Tensorboard", "Wandb", "MLflow", "ClearML", "Neptune", "DVCLive", "Aim")
}
PACKAGES["DVCLiveVisBackend"] += ("pygit2",)


def cure_of_transform(kind: object, component: Callable | None) -> str | None:
    """What to say of a transform of another library, found (``component``) or not; None for others."""
    name = str(getattr(component, "__name__", kind))
    library, _, last = name.rpartition(".")
    library = getattr(component, "__module__", library).partition(".")[0]
    is_foreign = library in LIBRARIES or (component is None and not library and last in CURES_BY_TRANSFORM)
    if not is_foreign or (component is not None and last in CONTAINERS):
        return None
    ours = f"cellmm's {last}, by its plain name" if last in TRANSFORMS.module_dict else "a step of cellmm"
    return f"{last} would change the image without its cells; use {CURES_BY_TRANSFORM.get(last, ours)}"


def missing_packages(cls: type) -> list[str]:
    """The packages that this visualization backend, or the one that it extends, needs and does not find."""
    needed = [package for base in cls.__mro__ for package in PACKAGES.get(base.__name__, ())]
    return [package for package in needed if find_spec(package) is None]
