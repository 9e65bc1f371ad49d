"""A model that programs with a user interface ask for again and again."""

import threading
from pathlib import Path

from cellmm.apis.inferencer import CellInferencer
from cellmm.zoo import resolve_model


class ModelCache:
    """Keeps the last model; it is loaded anew when its name, its files or the diameter have changed."""

    def __init__(self) -> None:
        self._key: tuple | None = None
        self._inferencer: CellInferencer | None = None
        self._lock = threading.Lock()

    def load(
        self, model: str, checkpoint: str | None = None, diameter: float | None = None
    ) -> CellInferencer:
        """The model of a name, a folder of a training, or a config with a checkpoint.

        Args:
            diameter: see CellInferencer.

        Raises:
            CellMMError: no such model, or a damaged one.
        """
        config, weights = resolve_model(model, checkpoint or None)
        files = [Path(path) for path in (config, weights) if path is not None]
        changed = tuple(path.stat().st_mtime_ns for path in files if path.exists())
        key = str(config), str(weights), diameter, changed
        with self._lock:
            if key != self._key:
                self._inferencer = CellInferencer(config, weights, diameter=diameter)
                self._key = key
            return self._inferencer
