"""The models in ``cellmm/zoo/models``: weights in half precision, each with a card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "models"


@dataclass(frozen=True)
class ShippedModel:
    """A model that can be used without training.

    Args:
        name: by which it is asked for.
        config: the name of its config, as in ``diskmask/nuclei``.
        weights: a safetensors file.
        card: ``<name>.yml``: what it is for, the data and their licence, scores, limits.
    """

    name: str
    config: str
    weights: Path
    card: dict[str, Any]

    @property
    def base(self) -> str:
        """The config that trainings from it inherit, without what belongs to these weights alone."""
        return self.card.get("base", self.config)


def shipped_models() -> dict[str, ShippedModel]:
    """Every shipped model by its name."""
    models = {}
    for path in sorted(FOLDER.glob("*.yml")):
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        models[path.stem] = ShippedModel(path.stem, card["config"], path.with_suffix(".safetensors"), card)
    return models
