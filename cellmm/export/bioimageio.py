"""A package for bioimage.io: the description of the graph from images to maps, and tensors to test it by.

The standard describes networks from images to images. How cells come of the maps, which takes a second graph
or code, is said in the package's page.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.export.files import OPSET
from cellmm.export.graphs import Graph
from cellmm.extras import need
from cellmm.zoo.packages.format import DESCRIPTION, MAPS

RDF = "rdf.yaml"
VERSION = "0.5.4"  # of the specification: newer programs read older versions
LONGEST = 32  # letters of a tensor's id
SIZE = 4  # of the test image, in strides of the network


def bioimageio_files(
    graph: Graph, content: Mapping[str, Any], page: str, card: Mapping[str, Any] | None
) -> dict[str, bytes]:
    """The description and its test tensors, by their names.

    Args:
        graph: from images to maps.
        content: the description of the package, as ``DESCRIPTION`` has it.
        page: the name of the package's page.
        card: of a shipped model; None: it is one of the user's own, of which neither authors nor licence are
            known.
    """
    card = card or {}
    images = graph.examples(1, SIZE)
    with torch.no_grad():
        outputs = graph.layers(*images)
    files = {"test_images.npy": _npy(images[0])}
    descriptions = []
    for number, (name, value) in enumerate(zip(graph.outputs, outputs, strict=True)):
        tensor = tensor_id(name, number)
        files[f"test_{tensor}.npy"] = _npy(value)
        axes = _axes(value, images[0])
        descriptions.append(dict(id=tensor, axes=axes, **_tested(tensor)) | dict(description=name))
    others = sorted(other["file"] for key, other in content["graphs"].items() if key != MAPS)
    rdf = dict(
        type="model",
        format_version=VERSION,
        name=_name(content["name"]),
        description=f"Finds {', '.join(content['classes'])}: {card.get('for', 'a model of cellmm')}",
        tags=["instance-segmentation", "cellmm"],
        documentation=page,
        attachments=[dict(source=name) for name in (DESCRIPTION, *others)],
        inputs=[
            dict(
                id="images",
                description="Images after the steps of `pipeline` in cellmm.json",
                axes=_input_axes(graph),
                **_tested("images"),
            )
        ],
        outputs=descriptions,
        weights=dict(onnx=dict(source=content["graphs"][MAPS]["file"], opset_version=OPSET)),
    )
    if card:
        rdf |= dict(license=card["licence"], authors=[dict(name="Contributors of cellmm")])
    return files | {RDF: yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True).encode()}


def test_package(path: Path) -> None:
    """Validate the description of a package and run its tests, by bioimageio.core.

    Raises:
        CellMMError: bioimageio.core is not installed, or the package does not pass.
    """
    core = need("bioimageio.core", "bioimageio", "packages for bioimage.io")
    summary = core.test_model(path)
    if summary.status != "passed":
        wrong = [" ".join(error.msg.split()) for detail in summary.details for error in detail.errors]
        raise CellMMError(f"bioimageio.core refuses the package: {'; '.join(wrong)[:300]}")


def tensor_id(name: str, number: int) -> str:
    """An id of bioimage.io for the output of a graph.

    Examples:
        >>> tensor_id("instances.out.disk_logits", 0), tensor_id("Cells.a_very_long_name_of_an_output", 3)
        ('instances_disk_logits', 'output_3')
    """
    text = name.replace(".out", "").replace(".", "_").lower()
    return text if text.isidentifier() and len(text) <= LONGEST else f"output_{number}"


def _name(text: str) -> str:
    """Names of models may have letters, digits, spaces and some signs."""
    kept = "".join(letter if letter.isalnum() or letter in "_+- ()" else " " for letter in text)
    return " ".join(kept.split()).ljust(5, "-")[:64]


def _tested(tensor: str) -> dict[str, Any]:
    return dict(data=dict(type="float32"), test_tensor=dict(source=f"test_{tensor}.npy"))


def _input_axes(graph: Graph) -> list[dict[str, Any]]:
    """Sides are as large as those of the smallest example, or larger by whole strides."""
    (least,), (larger,) = graph.examples(1, 1), graph.examples(1, 3)
    names = [f"channel{i}" for i in range(least.shape[1])]
    axes: list[dict[str, Any]] = [dict(type="batch"), dict(type="channel", channel_names=names)]
    for axis, small, large in zip("yx", least.shape[2:], larger.shape[2:], strict=True):
        axes.append(dict(type="space", id=axis, size=dict(min=small, step=(large - small) // 2)))
    return axes


def _axes(value: Tensor, images: Tensor) -> list[dict[str, Any]]:
    """Of an output: maps (B, C, h, w), or tensors of queries, (B, N, D)."""
    names = [f"channel{i}" for i in range(value.shape[1 if value.ndim == 4 else -1])]
    channels = dict(type="channel", channel_names=names)
    if value.ndim != 4:
        return [dict(type="batch"), *(dict(type="index", size=side) for side in value.shape[1:-1]), channels]
    axes: list[dict[str, Any]] = [dict(type="batch"), channels]
    for axis, side, whole in zip("yx", value.shape[2:], images.shape[2:], strict=True):
        if whole % side:
            raise CellMMError(
                f"a map of {tuple(value.shape[2:])} pixels of an image of {tuple(images.shape[2:])}: "
                "bioimage.io knows only maps that are whole fractions of the image; export --to onnx"
            )
        size = dict(tensor_id="images", axis_id=axis)
        axes.append(dict(type="space", id=axis, size=size, scale=float(whole // side)))
    return axes


def _npy(value: Tensor) -> bytes:
    file = io.BytesIO()
    np.save(file, value.numpy())
    return file.getvalue()
