"""The scores of training images, to compare with those of validation."""

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader, Subset

from cellmm.datasets.transforms import LoadImage
from cellmm.engine.class_order import leaves
from cellmm.errors import CellMMError
from cellmm.evaluation.trial_evaluator import trial_evaluator
from cellmm.randomness import preserve_rng
from cellmm.registry import DATASETS, HOOKS


@HOOKS.register_module()
class TrainMetricsHook(Hook):
    """Score a few training images at each validation, with the metrics of validation: ``train/AP`` and so on.

    The images are spread over the training set, the same each time, and go through the pipeline of
    ``val_dataloader``, without augmentation. The numbers are logged with those of validation; where
    training learns its images by heart, the two move apart. Nothing that training draws changes, and there is
    nothing to resume. Source: maskrcnn-report, Evaluation.

    Args:
        number: of images.
        keys: which of the metrics' numbers are kept.
    """

    priority = "HIGHEST"  # with averaged weights in place, and before the numbers are logged

    def __init__(self, number: int = 16, keys: Sequence[str] = ("AP", "AP50", "S")) -> None:
        if number < 1:
            raise ValueError(f"number must be 1 or more, got {number}")
        self.number, self.keys = number, (keys,) if isinstance(keys, str) else tuple(keys)
        self._loader: DataLoader | None = None

    def before_train(self, runner: Runner) -> None:
        if runner.val_loop is None:
            raise CellMMError("TrainMetricsHook scores training images at validations: add a val_dataloader")
        with preserve_rng():
            self._loader = self._build(runner)

    def _build(self, runner: Runner) -> DataLoader:
        seen = runner.train_loop.dataloader.dataset
        pipeline = runner.cfg.val_dataloader.dataset.pipeline
        dataset = DATASETS.build(_with_pipeline(runner.cfg.train_dataloader.dataset, pipeline))
        channels = {
            step.model_channels
            for leaf in leaves(seen)
            for step in getattr(getattr(leaf, "pipeline", None), "transforms", ())
            if isinstance(step, LoadImage)
        }
        for leaf in leaves(dataset):
            for step in leaf.pipeline.transforms:
                if isinstance(step, LoadImage) and step.num_channels is None and len(channels) == 1:
                    (step.model_channels,) = channels
        if classes := seen.metainfo.get("classes"):
            dataset.take_class_order(classes, "train_dataloader", seen.metainfo.get("category_ids"))
        places = np.unique(np.linspace(0, len(dataset) - 1, self.number).round().astype(int)).tolist()
        return runner.build_dataloader(
            dict(
                dataset=Subset(dataset, places),
                batch_size=1,
                num_workers=0,
                sampler=dict(type="DefaultSampler", shuffle=False),
                collate_fn=dict(type="pseudo_collate"),
            )
        )

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self._loader is None or metrics is None:
            return
        loop, model = runner.val_loop, runner.model
        with preserve_rng(), torch.no_grad(), trial_evaluator(loop.evaluator) as evaluator:
            model.eval()
            for batch in self._loader:
                with autocast(enabled=getattr(loop, "fp16", False)):
                    outputs = model.val_step(batch)
                evaluator.process(data_samples=outputs, data_batch=batch)
            found = evaluator.evaluate(len(self._loader.dataset))
        if missing := [name for name in self.keys if name not in found]:
            raise CellMMError(
                f"TrainMetricsHook: keys {missing} are not given by val_evaluator; it gives {list(found)}"
            )
        metrics.update({f"train/{name}": found[name] for name in self.keys})


def _with_pipeline(config: dict, pipeline: Sequence[dict]) -> dict:
    """The config of a dataset, or of the datasets in it, with another pipeline, and for tests."""
    if "datasets" in config:
        return config | dict(datasets=[_with_pipeline(part, pipeline) for part in config["datasets"]])
    if "dataset" in config:
        return config | dict(dataset=_with_pipeline(config["dataset"], pipeline))
    return config | dict(pipeline=list(pipeline), test_mode=True)
