"""A trained model on images, without a Runner."""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from cellmm.apis.ensemble import Member
from cellmm.apis.in_order import in_order
from cellmm.apis.large_images import LargeImages
from cellmm.apis.prediction import Prediction, Prepared
from cellmm.apis.trained_model import load_trained
from cellmm.datasets.transforms import PackImagePair, RescaleToDiameter
from cellmm.engine.cell_size import rescale_to_diameter
from cellmm.errors import CellMMError, explain
from cellmm.io.sources import ImageSource, open_images
from cellmm.models.tile_choice import is_local
from cellmm.results import Instances
from cellmm.structures import CellSample

T = TypeVar("T")
AHEAD = 2  # images that are read while the model works on others, besides those of a batch


class CellInferencer:
    """Find the cells in images, as a test with the same config would.

    An image is a file, an array (H, W) or (H, W, C) of NumPy, dask or zarr, or an ImageSource. The steps are
    those of ``test_dataloader.dataset.pipeline``, except those that load annotations or make targets from
    them: transforms with ``annotation_only = True``.

    If the checkpoint describes the images of training, an image with cells at another scale is refused, and a
    clearly larger image is predicted in tiles of the training size.

    Args:
        config: a config file, which is code and runs as such, or a Config. Without ``checkpoint``: the name
            of a model that comes with cellmm, the folder of a training, or a config whose model has no
            weights.
        checkpoint: weights that cellmm saved, read with weights_only=True.
        device: ``'cpu'``, ``'cuda'``, ``'cuda:1'`` ...; ``'auto'``: a GPU if available.
        cfg_options: changes of the config, as {'key.subkey': value}.
        whole: predict large images whole where the config sets no ``model.tile``.
        score_thr: leave out cells that score less.
        read_options: fields of ReadOptions that replace those of the config, such as ``dict(z="max")``.
        diameter: of the cells in the images, in pixels; images are scaled so that cells are as large as in
            training. None: the config says how images are scaled, or the model finds the size in each image
            (``model.cell_size``).
        ensemble: further models that predict with this one, as (config, checkpoint), or (name or folder,
            None); what all find is merged. Images come to all of them as to the first.

    Attributes:
        cfg: the config with the changes.
        classes: the names of the labels.
        category_ids: their ids in the annotation that was trained on.
        trained_on: what the checkpoint says about the images of training; None if it says nothing.
        tile: side of tiles as the config sets it, in pixels of the network; None: it does not.
        tile_overlap: of these tiles, in the same pixels.
        own_tile: (tile, overlap) for those larger images, in pixels; None: they are not tiled.
        even_tiles: those tiles are the smallest that are as many, since the network only sees what is near.
        steps: the transforms after ``load_image``.
        diameter: of the cells in all images, in pixels, for RescaleToDiameter; None: it is not given, or the
            config has no such step.
        large: what predicts images in tiles; None: nothing does.

    Raises:
        CellMMError: an absent or damaged file, weights of another model, a device that does not exist.

    Usage::

        inferencer = CellInferencer("nuclei")  # or CellInferencer("config.py", "weights.pth")
        labels, covered = inferencer.predict("image.tif").to_labels()
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        device: str = "auto",
        cfg_options: dict | None = None,
        *,
        whole: bool = False,
        score_thr: float = 0.0,
        read_options: Mapping[str, Any] | None = None,
        diameter: float | None = None,
        ensemble: Sequence[Member] = (),
    ) -> None:
        trained = load_trained(config, checkpoint, device, cfg_options, ensemble=ensemble)
        self.cfg, self.model, self.score_thr = trained.cfg, trained.model, score_thr
        self.classes, self.category_ids = trained.classes, trained.category_ids
        self.trained_on = trained.trained_on
        self.load_image, *self.steps = trained.steps
        if any(isinstance(step, PackImagePair) for step in self.steps):
            raise CellMMError(
                f"{self.cfg.filename or 'the config'}: the model translates images and finds no cells; "
                "`cellmm test --cfg-options test_evaluator.0.out_dir=DIR` writes what it makes of them"
            )
        if read_options:
            if not hasattr(self.load_image, "options"):
                raise CellMMError(
                    f"{type(self.load_image).__name__} of the config takes no options of reading, such as "
                    f"{next(iter(read_options))}: leave them out, or load with LoadImage"
                )
            self.load_image.options = replace(self.load_image.options, **read_options)
        # a model that finds how large cells are scales each image itself
        finds_size = getattr(self.model, "cell_size", None) is not None
        self.checks_scale = self.trained_on is not None and diameter is None and not finds_size
        self.diameter = None
        if diameter is not None:
            self.steps, line = rescale_to_diameter(self.steps, self.trained_on, diameter)
            if any(isinstance(step, RescaleToDiameter) for step in self.steps):
                self.diameter = diameter
            print_log(line, logger="current")
        self.tile = getattr(self.model, "tile", None)
        self.tile_overlap = getattr(self.model, "tile_overlap", 0)
        self._network = threading.Lock()
        self.own_tile = None
        if not whole and self.trained_on and self.tile is None and hasattr(self.model, "tile"):
            self.own_tile = self.trained_on.tile_for(self.model)
        self.even_tiles = self.own_tile is not None and is_local(self.model)
        self.large = None if whole else LargeImages(self)

    def predict(self, image: Any, tell: Callable[[int, int], None] | None = None) -> Instances:
        """The cells of one image.

        Args:
            tell: called after each tile of a large image with the number of tiles that are done, and of all.

        Raises:
            CellMMError: it cannot be read, holds several images, or the model gives no cells.
        """
        found = self._predict_one(image, tell)
        if found.instances is None:
            raise CellMMError("the model gives no cells; take predict_maps, or set model.instance_head")
        return found.instances

    def predict_maps(self, image: Any) -> Mapping[str, np.ndarray]:
        """The maps of one image: {target: probabilities, float32 (H, W)}, in the pixels of the file.

        Raises:
            CellMMError: it cannot be read, holds several images, or the model gives no maps.
        """
        maps = self._predict_one(image).maps
        if not maps:
            raise CellMMError("the model gives no maps, it has no SemanticHead; take predict")
        return maps

    def __call__(
        self, images: Iterable[Any], batch_size: int = 1
    ) -> Iterator[tuple[ImageSource | Any, Instances | CellMMError]]:
        """Yield the source of each image, in order, with its cells, or with the error if it cannot be used.

        An image that cannot be opened is yielded as it was given. A file of several positions or time points
        gives as many images. A few images are read ahead, and no more than these are in memory. Only images
        that come to the model in the same shape share a batch, so that no image is padded to fit another.
        """
        sources = (source for some in in_order(self._try_to_open, images, ahead=1) for source in some)
        prepared = in_order(self._try_to_prepare, sources, ahead=batch_size + AHEAD)
        for source, found in self.predict_batches(prepared, batch_size):
            if isinstance(found, Prediction):
                found = found.instances
                if found is None:
                    found = CellMMError(f"{source.name}: the model gives no cells; take predict_maps")
            yield source, found

    def open(self, image: Any, name: str | None = None) -> list[ImageSource]:
        """The images of a file or an array, one per position and time point, as the config reads them.

        ``name``: what the results are called; None: as the file.

        Raises:
            CellMMError: it cannot be opened.
        """
        if hasattr(image, "num_channels"):
            return [image]
        opened = getattr(self.load_image, "open", open_images)
        return opened(image, name=name)

    def prepare(
        self, source: ImageSource, img_id: int = 1, more: Mapping[str, Any] = {}, *, tiles: bool = True
    ) -> Prepared:
        """Read an image and take it through the steps of the config; one that needs tiles is not read yet.

        Args:
            more: what the steps find in ``results`` besides the image.
            tiles: False: read it, as a tile of a larger image whose scale is checked.

        Raises:
            CellMMError: it cannot be read, or its cells come in another scale than in training.
        """
        if tiles and self.large is not None and (plan := self.large.plan(source)) is not None:
            return Prepared(source, None, plan)
        with _named_after(source):
            path = str(source.path or source.name)
            if self.diameter is not None:
                more = dict(cell_diameter=self.diameter) | dict(more)
            results = self.load_image(dict(img_path=path, img_source=source, img_id=img_id, **more))
            for step in self.steps:
                results = step(results)
            if tiles and self.checks_scale:
                self.trained_on.check_scale(results["data_samples"], results["inputs"].shape[-2:])
            return Prepared(source, results)

    def find_diameter(self, inputs: Tensor) -> float | None:
        """How large the cells of a prepared image (C, H, W) are, in its pixels; None: no cell is found."""
        with self._network:
            return self.model.find_diameter(inputs)

    def predict_batches(
        self, images: Iterable[tuple[T, Prepared | CellMMError | None]], batch_size: int = 1
    ) -> Iterator[tuple[T, Prediction | CellMMError | None]]:
        """Yield what the model gives for each prepared image, in order, with whatever came with it.

        An error or None in the place of an image is handed on, and ends a batch.
        """
        if batch_size < 1:
            raise CellMMError(f"batch_size is {batch_size}: 1 or more is needed")
        batch: list[tuple[T, Prepared]] = []
        for key, item in images:
            if batch and not (isinstance(item, Prepared) and item.shape == batch[0][1].shape):
                yield from self._run(batch)
                batch = []
            if not isinstance(item, Prepared):
                yield key, item
                continue
            batch.append((key, item))
            if len(batch) == batch_size or item.item is None:
                yield from self._run(batch)
                batch = []
        yield from self._run(batch)

    def _run(self, batch: list[tuple[T, Prepared]]) -> Iterator[tuple[T, Prediction | CellMMError]]:
        if not batch:
            return
        keys, items = zip(*batch, strict=True)
        try:
            results: list[Prediction | CellMMError] = self.predict_prepared(items)
        except CellMMError as error:
            if len(batch) > 1:  # which of them is it?
                for single in batch:
                    yield from self._run([single])
                return
            results = [error]
        yield from zip(keys, results, strict=True)

    def _predict_one(self, image: Any, tell: Callable[[int, int], None] | None = None) -> Prediction:
        sources = self.open(image)
        if len(sources) != 1:
            raise CellMMError(
                f"{sources[0].name} and {len(sources) - 1} more images are in one file: give its time or "
                "position in read_options, or call the inferencer with [the file]"
            )
        prepared = self.prepare(sources[0])
        if prepared.item is None:
            with _named_after(prepared.source):
                return self.large.predict(prepared.source, prepared.plan, tell)
        return self.predict_prepared([prepared])[0]

    def _try_to_open(self, image: Any) -> list[ImageSource | tuple[Any, CellMMError]]:
        try:
            return self.open(image)
        except CellMMError as error:
            return [(image, error)]

    def _try_to_prepare(
        self, source: ImageSource | tuple[Any, CellMMError]
    ) -> tuple[ImageSource | Any, Prepared | CellMMError]:
        if isinstance(source, tuple):
            return source
        try:
            return source, self.prepare(source)
        except CellMMError as error:
            return source, error

    @torch.inference_mode()
    def predict_prepared(self, items: Sequence[Prepared], *, whole: bool = False) -> list[Prediction]:
        """What the model gives for images that come to it in one shape.

        Args:
            whole: these are tiles: the model cuts no further, and cells of every score are given.

        Raises:
            CellMMError: not enough memory.
        """
        if items[0].item is None:
            with _named_after(items[0].source):
                return [self.large.predict(image.source, image.plan) for image in items]
        shape = items[0].shape[-2:]
        batch = dict(
            inputs=[image.item["inputs"] for image in items],
            data_samples=[image.item["data_samples"] for image in items],
        )
        # another thread may plan the next image, for which it looks at a few tiles
        with _named_after(items[0].source), self._network, self._tiles(shape, whole) as tile:
            found = self.model.test_step(batch)
        tiled = tile is not None and max(shape) > tile
        threshold = 0.0 if whole else self.score_thr
        return [
            self._prediction(sample, image.source, tiled, threshold)
            for sample, image in zip(found, items, strict=True)
        ]

    def _prediction(
        self, sample: CellSample, source: ImageSource, tiled: bool, threshold: float
    ) -> Prediction:
        maps = {name: probs.numpy() for name, probs in sample.get("pred_semantic", {}).items()}
        instances = None
        if "pred_instances" in sample:
            instances = Instances.of_sample(
                sample,
                classes=self.classes,
                category_ids=self.category_ids,
                pixel_size=source.pixel_size,
                name=source.name,
            )
            instances = instances.select(instances.scores >= np.float32(threshold))
        return Prediction(instances, maps, tiled)

    @contextlib.contextmanager
    def _tiles(self, shape: Sequence[int], whole: bool) -> Iterator[int | None]:
        """The side (px) of tiles for inputs of ``shape``, set in this block; None: they are not cut."""
        earlier = self.tile, self.tile_overlap
        own = self.own_tile is not None and self.trained_on.is_exceeded_by(shape)
        tile, overlap = (None, 0) if whole else self.own_tile if own else earlier
        self.model.tile, self.model.tile_overlap = tile, overlap
        self.model.even_tiles = own and self.even_tiles
        try:
            yield tile
        finally:
            self.model.tile, self.model.tile_overlap = earlier
            self.model.even_tiles = False


@contextlib.contextmanager
def _named_after(source: ImageSource) -> Iterator[None]:
    """Where memory runs out, name the image."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        line = explain(error)
        if line is None:
            raise
        raise CellMMError(f"{source.path or source.name}: {line}") from error
