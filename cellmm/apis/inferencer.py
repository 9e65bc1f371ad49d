"""A trained model on images, without a Runner."""

import contextlib
import copy
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from cellmm.config.check import check_pipeline
from cellmm.config.load import load_config
from cellmm.config.lookup import component_of
from cellmm.datasets import CellDataset
from cellmm.datasets.transforms import TransformContract
from cellmm.engine.checkpoints import load_checkpoint, load_fitting
from cellmm.engine.preflight import build, tell_channels
from cellmm.engine.trained_on import TrainedOn
from cellmm.errors import CellMMError, explain
from cellmm.io.coco_categories import category_ids
from cellmm.plugins import load_plugins
from cellmm.registry import MODELS, TRANSFORMS
from cellmm.structures import CellSample


class CellInferencer:
    """Find the cells in image files, as a test with the same config would.

    The steps are those of ``test_dataloader.dataset.pipeline``, except those that load annotations or make
    targets from them: transforms with ``annotation_only = True``. Images have one file each;
    several focal planes are the pages of one TIFF.

    If the checkpoint describes the images of training, an image with cells at another scale is refused, and a
    clearly larger image is predicted in tiles of the training size.

    Args:
        config: a config file, which is code and runs as such, or a Config.
        checkpoint: weights that cellmm saved, read with weights_only=True.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'`` ...; ``'auto'``: a GPU if available.
        cfg_options: changes of the config, as {'key.subkey': value}.
        whole: predict large images whole where the config sets no ``model.tile``.

    Attributes:
        classes: the names of the labels.
        category_ids: their ids in the annotation that was trained on.
        trained_on: what the checkpoint says about the images of training; None if it says nothing.
        own_tile: (tile, overlap) for those larger images, in pixels; None: they are not tiled.
        num_tiled: how many images were predicted in tiles so far.
        num_whole: how many were predicted whole.

    Raises:
        CellMMError: an absent or damaged file, weights of another model, a device that does not exist.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        device: str = "auto",
        cfg_options: dict | None = None,
        *,
        whole: bool = False,
    ) -> None:
        if isinstance(config, Config):
            cfg = copy.deepcopy(config)
            cfg.merge_from_dict(cfg_options or {})
            init_default_scope(cfg.get("default_scope", "cellmm"))
            load_plugins()
        else:
            cfg = load_config(config, cfg_options)
        dataset = (cfg.get("test_dataloader") or {}).get("dataset", {})
        if "model" not in cfg or "pipeline" not in dataset:
            raise CellMMError(
                f"{cfg.filename or 'the config'}: no model or no test_dataloader.dataset.pipeline; "
                "give the config that the model was trained with"
            )
        key = "test_dataloader.dataset.pipeline"
        check_pipeline(dataset.pipeline, key)
        steps = build(key, lambda: [TRANSFORMS.build(step) for step in dataset.pipeline], dataset.pipeline)
        steps = [step for step in steps if not TransformContract.of(step).annotation_only]
        self._load_image, self._steps = steps[0], steps[1:]
        self.model = build("model", lambda: MODELS.build(cfg.model), cfg.model)
        tell_channels(steps, self.model)
        content = load_checkpoint(checkpoint)
        load_fitting(self.model, checkpoint, content["state_dict"])
        meta = content["meta"]
        trained = meta.get("dataset_meta") or {}
        cls = component_of(dataset, "DATASETS")
        metainfo = dataset.get("metainfo") or getattr(cls, "METAINFO", CellDataset.METAINFO)
        self.trained_on = TrainedOn.from_meta(meta, checkpoint)
        self.num_tiled = self.num_whole = 0
        self.own_tile = None
        if not whole and self.trained_on and getattr(self.model, "tile", 0) is None:
            self.own_tile = self.trained_on.tile_for(self.model)
        named = trained if trained.get("classes") else metainfo
        self.classes, self.category_ids = tuple(named["classes"]), category_ids(named)
        _move(self.model, device)
        self.model.eval()

    def read_image(self, path: str | Path) -> np.ndarray:
        """The image as the config reads it, before any other step: float32 (H, W, C)."""
        return self._load_image(dict(img_path=str(path)))["img"]

    def predict(self, path: str | Path, img_id: int = 1) -> CellSample:
        """Predict one image file: a sample with ``pred_instances`` and ``pred_semantic``, as far as the model
        gives them, in the frame of the file.
        """
        return self._predict([self._prepare(path, img_id)])[0]

    def __call__(
        self, paths: Iterable[str | Path], batch_size: int = 1
    ) -> Iterator[tuple[Path, CellSample | CellMMError]]:
        """Yield each path, in order, with its sample, or with the error if its file cannot be used.

        ``img_id`` counts the paths from 1. Only images that come to the model in the same shape share a
        batch, so that no image is padded to fit another.
        """
        if batch_size < 1:
            raise CellMMError(f"batch_size is {batch_size}: 1 or more is needed")
        batch: list[tuple[Path, dict]] = []
        for img_id, path in enumerate(map(Path, paths), start=1):
            try:
                item = self._prepare(path, img_id)
            except CellMMError as error:
                yield from self._run(batch)
                batch = []
                yield path, error
                continue
            if batch and batch[0][1]["inputs"].shape != item["inputs"].shape:
                yield from self._run(batch)
                batch = []
            batch.append((path, item))
            if len(batch) == batch_size:
                yield from self._run(batch)
                batch = []
        yield from self._run(batch)

    def _run(self, batch: list[tuple[Path, dict]]) -> Iterator[tuple[Path, CellSample | CellMMError]]:
        if not batch:
            return
        paths, items = zip(*batch, strict=True)
        try:
            results: list[CellSample | CellMMError] = list(self._predict(items))
        except CellMMError as error:
            if len(batch) > 1:  # which of them is it?
                for sample in batch:
                    yield from self._run([sample])
                return
            results = [error]
        yield from zip(paths, results, strict=True)

    def _prepare(self, path: str | Path, img_id: int) -> dict:
        with _named_after(path):
            results = self._load_image(dict(img_path=str(path), img_id=img_id))
            for step in self._steps:
                results = step(results)
            if self.trained_on:
                self.trained_on.check_scale(results["data_samples"], results["inputs"].shape[-2:])
            return results

    @torch.inference_mode()
    def _predict(self, items: Sequence[dict]) -> list[CellSample]:
        path, shape = items[0]["data_samples"].img_path, items[0]["inputs"].shape[-2:]
        batch = dict(
            inputs=[item["inputs"] for item in items],
            data_samples=[item["data_samples"] for item in items],
        )
        with _named_after(path), self._tiles(shape) as tile:
            found = self.model.test_step(batch)
        if tile is not None and max(shape) > tile:
            self.num_tiled += len(items)
        else:
            self.num_whole += len(items)
        return found

    @contextlib.contextmanager
    def _tiles(self, shape: Sequence[int]) -> Iterator[int | None]:
        """The side (px) of tiles for inputs of ``shape``; own tiles are set in this block."""
        if self.own_tile is None or not self.trained_on.is_exceeded_by(shape):
            yield getattr(self.model, "tile", None)
            return
        self.model.tile, self.model.tile_overlap = self.own_tile
        try:
            yield self.model.tile
        finally:
            self.model.tile, self.model.tile_overlap = None, 0


@contextlib.contextmanager
def _named_after(path: str | Path) -> Iterator[None]:
    """Where memory runs out, name the image."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        line = explain(error)
        if line is None:
            raise
        raise CellMMError(f"{path}: {line}") from error


def _move(model: torch.nn.Module, device: str) -> None:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch raises either for a device that does not exist
        raise CellMMError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
