"""The model of a package: built from its config, with graphs in the place of its layers."""

import re
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.models.segmentor import CellSegmentor
from cellmm.models.tile_choice import Footprint
from cellmm.plugins import load_plugins
from cellmm.registry import MODELS, SCOPE, TASK_UTILS, TRANSFORMS
from cellmm.zoo.packages.format import DESCRIPTION, MAPS, WEIGHTS, under, unflatten
from cellmm.zoo.packages.graphs import OnnxGraph, tuple_of
from cellmm.zoo.packages.read import AGAIN, Package

# what of the config a graph does not hold, so that it can be changed
FREE = re.compile(
    r"test_dataloader\..+|model\.(tile|tile_overlap|tta|calibration|(postprocess|refine|cell_size)(\..+)?"
    r"|heads\.\w+\.(finder|windows|test_cfg\.(score_thr|nms))(\..+)?)"
)


def config_of(package: Package, changes: Mapping[str, Any] | None = None) -> Config:
    """Its config, as far as predicting needs it, with ``changes`` as {'key.subkey': value}.

    Raises:
        CellMMError: a change of what the graphs compute; a part that is not a registered class.
    """
    init_default_scope(SCOPE)
    load_plugins()
    content = package.content
    _refuse_unregistered([content["model"], content["pipeline"]], package.path)
    metainfo = dict(classes=content["classes"], category_ids=content["category_ids"])
    dataset = dict(pipeline=content["pipeline"], metainfo=metainfo)
    cfg = Config(dict(model=content["model"], test_dataloader=dict(dataset=dataset)))
    for key in changes or {}:
        if package.kind != "torch" and not FREE.fullmatch(key):
            raise CellMMError(
                f"{package.path}: {key} is fixed in the graphs of an exported model; change the config, and "
                "export it again"
            )
    cfg.merge_from_dict(dict(changes or {}))
    return cfg


def _refuse_unregistered(value: Any, path: Path) -> None:
    """Raise CellMMError for a ``type`` that is not a registered name: mmengine would import and call it."""
    if isinstance(value, Mapping):
        if "_scope_" in value or ("type" in value and not _is_registered(value["type"])):
            name = value.get("type", value.get("_scope_"))
            raise CellMMError(
                f"{path}: {name!r} in {DESCRIPTION} is not a part of cellmm nor of an installed plug-in; "
                f"{AGAIN}"
            )
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for inner in value:
        _refuse_unregistered(inner, path)


def _is_registered(name: object) -> bool:
    for registry in (MODELS, TASK_UTILS, TRANSFORMS):
        registry.import_from_location()
        if isinstance(name, str) and (name in registry.module_dict or name in registry.parent.module_dict):
            return True
    return False


class HeadFeatures(dict):
    """Of the maps that a head takes, those that its ``predict`` reads itself, by their indices.

    ``outputs``: what its ``forward`` gives.
    """

    outputs: Any = None


class GraphEncoder(nn.Module):
    """Images -> the HeadFeatures of each head, all by a single graph."""

    def __init__(self, graph: OnnxGraph, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.graph, self.heads = graph, tuple(heads)

    def forward(self, images: Tensor) -> dict[str, HeadFeatures]:
        found = self.graph(images)
        features = {}
        for name in self.heads:
            own = under(found, name)
            maps = {int(key[3:]): own.pop(key) for key in list(own) if re.fullmatch(r"map\d+", key)}
            features[name] = HeadFeatures(maps)
            features[name].outputs = unflatten(under(own, "out"))
        return features


class _OwnFeatures:
    """In the place of HeadInputs: each head has its own."""

    def features(
        self, head: str, features: dict[str, HeadFeatures], images: Tensor | None = None
    ) -> HeadFeatures:
        return features[head]


def model_of(package: Package, cfg: Config, device: str = "auto") -> CellSegmentor:
    """The model of a package of ONNX graphs, in eval mode. It computes with graphs, and has no weights.

    Raises:
        CellMMError: graphs that are damaged or do not go with the config, or a device that does not exist.
    """
    with torch.device("meta"):  # no memory for weights, and an error where anything would use them
        model = MODELS.build(cfg.model)
    if not isinstance(model, CellSegmentor):
        raise CellMMError(f"{package.path}: a model of type {type(model).__name__} has no graphs; {AGAIN}")
    stated = package.content["graphs"]
    graphs = {}
    for name, graph in stated.items():
        where = f"{package.path}: {graph['file']}"
        content = package.file(graph["file"])
        graphs[name] = OnnxGraph(content, where, graph["inputs"], graph["outputs"], device)
    needed = {MAPS} | {f"{name}.{call}" for name, head in model.heads.items() for call in head.export.calls}
    if needed != set(graphs):
        raise CellMMError(
            f"{package.path}: its graphs are {', '.join(sorted(graphs))}, and its model needs "
            f"{', '.join(sorted(needed))}; {AGAIN}"
        )
    model.encoder, model.decoder = GraphEncoder(graphs[MAPS], model.heads), nn.Identity()
    model.head_inputs = _OwnFeatures()
    for name, head in model.heads.items():
        head.forward = attrgetter("outputs")
        head.graphs = {call: tuple_of(graphs[f"{name}.{call}"]) for call in head.export.calls}
    model.footprint = Footprint(**package.content["footprint"])
    return model.eval()


def weights_of(package: Package) -> dict[str, Tensor]:
    """The weights in a package of kind ``torch``, by their names.

    Raises:
        CellMMError: they are damaged, or safetensors is not installed.
    """
    load = need("safetensors.torch", "export", "packages of PyTorch").load
    content = package.file(WEIGHTS)
    try:
        return load(content)
    except Exception as error:  # safetensors has an error class of its own
        raise CellMMError(f"{package.path}: {WEIGHTS} in it is damaged: {error}; {AGAIN}") from error
