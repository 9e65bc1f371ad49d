"""A trained model on images, without a Runner."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import Compose

from cellmm.engine.checkpoint import load_weights
from cellmm.engine.runner import load_config
from cellmm.errors import CellMMError
from cellmm.registry import MODELS, TRANSFORMS
from cellmm.structures import CellSample


class CellInferencer:
    """Find the cells in image files.

    Args:
        config: a config file, which is code and runs as such, or a Config.
        checkpoint: weights, read with weights_only=True.
        device: ``'auto'``: a GPU if there is one.
        cfg_options: changes of the config.

    Raises:
        CellMMError: a file that is absent, damaged, or weights of another model.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        device: str = "auto",
        cfg_options: dict | None = None,
    ) -> None:
        cfg = config if isinstance(config, Config) else load_config(config, cfg_options)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = MODELS.build(cfg.model)
        try:
            self.model.load_state_dict(load_weights(checkpoint))
        except RuntimeError as error:
            raise CellMMError(f"{checkpoint}: not weights of this config's model ({error})") from error
        self.model.to(device).eval()
        steps = cfg.test_dataloader.dataset.pipeline
        self.pipeline = Compose([TRANSFORMS.build(step) for step in steps if step["type"] != "LoadCells"])

    @torch.no_grad()
    def predict(self, path: str | Path, img_id: int = 0) -> CellSample:
        """The cells of one image file, as ``pred_instances`` in the frame of the file."""
        item = self.pipeline(dict(img_path=str(path), img_id=img_id))
        return self.model.test_step(dict(inputs=[item["inputs"]], data_samples=[item["data_samples"]]))[0]

    def __call__(self, paths: Iterable[str | Path]) -> Iterator[tuple[Path, CellSample | CellMMError]]:
        """Each path with its sample, or with the error where the file cannot be used; the others go on."""
        for i, path in enumerate(paths):
            try:
                yield Path(path), self.predict(path, i + 1)
            except CellMMError as error:
                yield Path(path), error
