"""The parts of a model that become graphs: images -> what each head gives, and what heads call besides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.models.encoders.base import min_size
from cellmm.models.heads.base import HeadExport, sides
from cellmm.models.segmentor import CellSegmentor
from cellmm.zoo.packages.format import MAPS, flatten, unflatten


@dataclass(frozen=True)
class Graph:
    """A part of a model.

    Args:
        name: by which the package knows it.
        layers: tensors -> a tuple of tensors.
        examples: (number, size) -> example inputs, one after another; see HeadExport.
        inputs, outputs: their names, in order.
        multiples: {input: what its last two sides are multiples of}.
    """

    name: str
    layers: nn.Module
    examples: Callable[[int, int], tuple[Tensor, ...]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    multiples: Mapping[str, int]


def graphs_of(model: nn.Module) -> list[Graph]:
    """The graphs of a model whose layers are as they were trained.

    Raises:
        CellMMError: a part of it does not say how it is exported.
    """
    if not isinstance(model, CellSegmentor):
        raise CellMMError(
            f"a model of type {type(model).__name__} cannot be exported: only CellSegmentor can be"
        )
    for name, head in model.heads.items():
        if not isinstance(getattr(head, "export", None), HeadExport):
            raise CellMMError(
                f"model.heads.{name}: a {type(head).__name__} does not say which of its parts become graphs; "
                "give it an attribute export, a HeadExport"
            )
    calls = [
        _call_graph(f"{name}.{call}", call, head, head.export)
        for name, head in model.heads.items()
        for call in head.export.calls
    ]
    return [_maps_graph(model), *calls]


class _Maps(nn.Module):
    """Images (B, C, H, W) -> what heads read of the maps, and what their ``forward`` gives."""

    def __init__(self, model: CellSegmentor) -> None:
        super().__init__()
        self.model = model

    def named(self, images: Tensor) -> dict[str, Tensor]:
        features, found = self.model.extract(images), {}
        for name, head in self.model.heads.items():
            own = self.model.head_inputs.features(name, features, images)
            found |= flatten(head.export.outputs(head(own)), f"{name}.out")
            found |= {f"{name}.map{i}": own[i] for i in head.export.maps}
        return found

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(*tensors).values())


def _maps_graph(model: CellSegmentor) -> Graph:
    layers, step = _Maps(model), model.tile_step
    least = [max(-(-side // step) - 1, -(-4 * model.margin // step)) for side in min_size(model.encoder)]
    channels = model.data_preprocessor.in_channels

    def examples(number: int, size: int) -> tuple[Tensor]:
        rows, cols = (step * (side + more) for side, more in zip(least, sides(size), strict=True))
        return (torch.randn(number, channels, rows, cols),)

    with torch.no_grad():
        outputs = tuple(layers.named(*examples(1, 1)))
    return Graph(MAPS, layers.eval(), examples, ("images",), outputs, {})


class _Call(nn.Module):
    """A call of a head, its lists of tensors one after another."""

    def __init__(self, head: nn.Module, call: Callable, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.head, self.call, self.order = head, call, tuple(arguments)
        self.lists = [key for key, value in arguments.items() if isinstance(value, list)]
        self.names = [name for key, value in arguments.items() for name in flatten(value, key)]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        arguments = dict.fromkeys(self.lists, []) | unflatten(dict(zip(self.names, tensors, strict=True)))
        found = self.call(*(arguments[key] for key in self.order))
        return found if isinstance(found, tuple) else (found,)


def _call_graph(name: str, call: str, head: nn.Module, export: HeadExport) -> Graph:
    arguments = export.examples[call](1, 1)
    layers = _Call(head, export.calls[call], arguments)

    def examples(number: int, size: int) -> tuple[Tensor, ...]:
        given = export.examples[call](number, size)
        return tuple(leaf for key, value in given.items() for leaf in flatten(value, key).values())

    return Graph(
        name,
        layers.eval(),
        examples,
        tuple(layers.names),
        export.results[call],
        export.multiples.get(call, {}),
    )
