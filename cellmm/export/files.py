"""A graph as a file, ONNX or .pt2, and how far it is from the layers that it was made of."""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim

from cellmm.errors import CellMMError
from cellmm.export.graphs import Graph
from cellmm.extras import need
from cellmm.zoo.packages.graphs import OnnxGraph

OPSET = 17  # the oldest with LayerNormalization; bioimage.io and most runtimes take it
TOLERANCE = 1e-4  # of what a graph gives, absolute and of its value
TRACED = (2, 2)  # number and size of the examples that graphs are made with
COMPARED = ((1, 3), (3, 4))  # of those that they are compared by: sizes change freely


def onnx_file(graph: Graph, about: dict[str, str]) -> bytes:
    """The graph as ONNX, its sizes free, with ``about`` as its metadata.

    It is traced as TorchScript: torch.onnx.export with dynamo=True gives the same graph, but takes half a
    minute for DecoNet, whose symbolic sizes it follows through every layer.

    Raises:
        CellMMError: onnx is not installed, or has no form of the layers.
    """
    onnx = need("onnx", "export", "ONNX files")
    inputs, file = graph.examples(*TRACED), io.BytesIO()
    axes = {name: _free_axes(value) for name, value in zip(graph.inputs, inputs, strict=True)}
    try:
        with _quiet():
            torch.onnx.export(
                graph.layers,
                inputs,
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes=axes,
            )
    except Exception as error:  # it can fail in many ways, in layers of anybody
        raise CellMMError(f"{graph.name}: its layers cannot be written as ONNX: {_cause(error)}") from error
    model = onnx.load_from_string(file.getvalue())
    for key, value in about.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    return model.SerializeToString()


def torch_file(graph: Graph) -> bytes:
    """The graph by torch.export, its sizes free: the content of a .pt2 file.

    Raises:
        CellMMError: torch.export cannot follow its layers.
    """
    inputs, file = graph.examples(*TRACED), io.BytesIO()
    try:
        with _quiet(), torch.no_grad():
            program = torch.export.export(graph.layers, inputs, dynamic_shapes=(_free_shapes(graph, inputs),))
            torch.export.save(program, file)
    except Exception as error:  # it can fail in many ways, in layers of anybody
        raise CellMMError(f"{graph.name}: torch.export cannot follow its layers: {_cause(error)}") from error
    return file.getvalue()


def onnx_difference(graph: Graph, content: bytes) -> float:
    """The largest difference of an ONNX file's outputs from those of the layers.

    Raises:
        CellMMError: it is more than ``TOLERANCE``.
    """
    run = OnnxGraph(content, graph.name, graph.inputs, graph.outputs)
    return _largest(graph, lambda inputs: list(run(*inputs).values()))


def torch_difference(graph: Graph, content: bytes) -> float:
    """As ``onnx_difference``, of a .pt2 file that this process has just made: such files are pickled."""
    with _quiet():
        program = torch.export.load(io.BytesIO(content)).module()
    return _largest(graph, lambda inputs: list(program(*inputs)))


def _largest(graph: Graph, run: Callable[[Sequence[Tensor]], Sequence[Tensor]]) -> float:
    largest = 0.0
    for number, size in COMPARED:
        inputs = graph.examples(number, size)
        with torch.no_grad():
            expected = graph.layers(*inputs)
            found = run(inputs)
        for name, ours, theirs in zip(graph.outputs, expected, found, strict=True):
            a, b = ours.numpy(), theirs.numpy()
            if a.shape != b.shape or not np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE):
                far = (
                    f"by {np.abs(a - b).max():.2g}"
                    if a.shape == b.shape
                    else f"in shape: {b.shape}, not {a.shape}"
                )
                raise CellMMError(
                    f"{graph.name}: the exported graph differs from the model {far} in {name}, of inputs of "
                    f"{', '.join(str(tuple(value.shape)) for value in inputs)}: this model cannot be exported"
                )
            largest = max(largest, float(np.abs(a - b).max(initial=0)))
    return largest


def _free_axes(value: Tensor) -> dict[int, str]:
    """All axes but that of the channels."""
    return {axis: f"axis{axis}" for axis in range(value.ndim) if (value.ndim, axis) not in ((4, 1), (2, 1))}


def _free_shapes(graph: Graph, inputs: Sequence[Tensor]) -> tuple[dict[int, object], ...]:
    """As torch.export takes them: AUTO finds by itself which sizes are fixed and which are equal."""
    shapes = []
    for name, value in zip(graph.inputs, inputs, strict=True):
        free: dict[int, object] = dict.fromkeys(range(value.ndim), Dim.AUTO)
        if multiple := graph.multiples.get(name):
            rows, cols = value.ndim - 2, value.ndim - 1
            free |= {rows: multiple * Dim(f"{name}_rows"), cols: multiple * Dim(f"{name}_cols")}
        shapes.append(free)
    return tuple(shapes)


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of tracing: the graph is compared with the layers afterwards."""
    logger = logging.getLogger("torch")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
