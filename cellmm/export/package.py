"""A trained model as a package: a zip file with its graphs, its config as plain values, and a page."""

import copy
import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import cellmm
from cellmm.apis.trained_model import TrainedModel, load_trained
from cellmm.config.lookup import has_weights
from cellmm.errors import CellMMError
from cellmm.export.bioimageio import bioimageio_files, test_package
from cellmm.export.files import onnx_difference, onnx_file, torch_difference, torch_file
from cellmm.export.graphs import Graph, graphs_of
from cellmm.export.page import page_of
from cellmm.extras import need
from cellmm.io.files import atomic_path, check_writable
from cellmm.models.layers.fused import fold_norms
from cellmm.models.tile_choice import Footprint
from cellmm.zoo import shipped_models
from cellmm.zoo.packages import is_package
from cellmm.zoo.packages.format import DESCRIPTION, FORMAT, KINDS, WEIGHTS

PAGE = "README.md"
TIME = (1980, 1, 1, 0, 0, 0)  # of the files in a package: the same model gives the same bytes


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: of the package.
        differences: {graph: its largest difference from the layers}.
    """

    path: Path
    differences: Mapping[str, float]


def export_model(
    model: str | Path,
    kind: str,
    out: str | Path,
    *,
    checkpoint: str | Path | None = None,
    name: str = "model",
) -> Exported:
    """Write a trained model into a package.

    Args:
        model: a model that comes with cellmm, the folder of a training, or with ``checkpoint`` a config.
        kind: ``'onnx'``; ``'torch'``: .pt2 files for other programs, and the weights for cellmm;
            ``'bioimageio'``: ONNX with the description of bioimage.io.
        out: the zip file.
        name: of the model, in the package.

    Raises:
        CellMMError: there is no such model, a part of it cannot be exported, its graphs differ from it, or
            the file cannot be written.
    """
    out = Path(out)
    if kind not in KINDS:
        raise CellMMError(f"--to {kind}: give {', '.join(KINDS)}")
    if out.suffix != ".zip":
        raise CellMMError(f"{out}: a package is a zip file: give it this suffix")
    if is_package(model):
        raise CellMMError(f"{model}: a package already; export the model that it was made of")
    check_writable(out)
    trained = load_trained(model, checkpoint, "cpu", fuse=False)
    network = trained.model
    if not has_weights(trained.cfg.model):
        raise CellMMError(
            f"{model}: a {trained.cfg.model.type} has no weights and no graphs; hand on its config instead"
        )
    content = dict(
        format=FORMAT,
        cellmm=cellmm.__version__,
        kind=kind,
        name=name,
        **_plain(trained),
        footprint=asdict(Footprint.of(copy.deepcopy(network).fuse_for_inference())),
        graphs={},
    )
    files: dict[str, bytes] = {}
    if kind == "torch":
        save = need("safetensors.torch", "export", "packages of PyTorch").save
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        files[WEIGHTS] = save(state)
    fold_norms(network)
    network.to(memory_format=torch.contiguous_format)
    torch.manual_seed(0)  # of the examples
    differences = {}
    graphs = graphs_of(network)
    for graph in graphs:
        file = f"{graph.name}.{'pt2' if kind == 'torch' else 'onnx'}"
        files[file], differences[graph.name] = _graph_file(graph, kind, name)
        content["graphs"][graph.name] = dict(
            file=file, inputs=list(graph.inputs), outputs=list(graph.outputs)
        )
    files[PAGE] = page_of(content, trained).encode()
    if kind == "bioimageio":
        shipped = shipped_models().get(str(model))
        files |= bioimageio_files(graphs[0], content, PAGE, shipped and shipped.card)
    content["sha256"] = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    files[DESCRIPTION] = json.dumps(content, indent=1).encode()
    with atomic_path(out) as tmp:
        write_zip(tmp, files)
        if kind == "bioimageio":
            test_package(tmp)
    return Exported(out, differences)


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """``files`` by their names; the same ones give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(file, TIME), data, zipfile.ZIP_DEFLATED)


def _graph_file(graph: Graph, kind: str, name: str) -> tuple[bytes, float]:
    if kind == "torch":
        content = torch_file(graph)
        return content, torch_difference(graph, content)
    content = onnx_file(graph, {"model": name, "graph": graph.name, "cellmm": cellmm.__version__})
    return content, onnx_difference(graph, content)


def _plain(trained: TrainedModel) -> dict[str, Any]:
    """What predicting needs of the config and of the checkpoint, as plain values."""
    cfg = trained.cfg
    seen = trained.trained_on
    model = cfg.model.to_dict() | dict(inference_dtype=None)
    plain = dict(
        model=model,
        pipeline=[step.to_dict() for step in cfg.test_dataloader.dataset.pipeline],
        classes=list(trained.classes),
        category_ids=list(trained.category_ids),
        trained_on=None if seen is None else seen.to_meta(),
    )
    try:
        return json.loads(json.dumps(plain, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CellMMError(
            f"the config of the model holds what a package cannot, {error}: write it as numbers, texts, "
            "lists and dicts, with types by their names"
        ) from error
