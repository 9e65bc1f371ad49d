"""A graph on ONNX Runtime, called with tensors."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cellmm.errors import CellMMError
from cellmm.extras import need
from cellmm.zoo.packages.format import flat_arguments

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
QUIET = 3  # of ONNX Runtime's log: errors


class OnnxGraph:
    """Tensors, or lists of them -> tensors by their names.

    Args:
        content: of an ONNX file.
        name: of that file, for messages.
        inputs, outputs: their names, in order; the file has no others.
        device: ``'cpu'``, ``'cuda'``, ``'openvino'``; ``'auto'``: a GPU if ONNX Runtime can use one.

    Raises:
        CellMMError: no graph that ONNX Runtime takes, other inputs, or a device that it does not have.
    """

    def __init__(
        self, content: bytes, name: str, inputs: Sequence[str], outputs: Sequence[str], device: str = "cpu"
    ) -> None:
        runtime = need("onnxruntime", "export", "packages with ONNX graphs")
        options = runtime.SessionOptions()
        options.log_severity_level = QUIET
        options.intra_op_num_threads = torch.get_num_threads()
        providers = [provider_of(device, runtime.get_available_providers())]
        try:
            self.session = runtime.InferenceSession(content, options, providers=providers)
        except Exception as error:  # ONNX Runtime raises classes of its own that have no common base
            cause = str(error).splitlines()[0]
            raise CellMMError(f"{name}: no graph for ONNX Runtime: {cause}; export it again") from error
        self.used = {node.name for node in self.session.get_inputs()}  # an input may change nothing
        if not self.used <= set(inputs) or [out.name for out in self.session.get_outputs()] != list(outputs):
            raise CellMMError(
                f"{name}: does not match its description; it takes {', '.join(sorted(self.used))}; "
                "export it again"
            )
        self.name, self.inputs, self.outputs = name, list(inputs), list(outputs)

    def __call__(self, *arguments: Tensor | Sequence[Tensor]) -> dict[str, Tensor]:
        values = [value.detach().cpu().contiguous().numpy() for value in flat_arguments(arguments)]
        try:
            named = dict(zip(self.inputs, values, strict=True))
            found = self.session.run(self.outputs, {name: named[name] for name in self.used})
        except Exception as error:
            cause = str(error).splitlines()[0]
            shapes = ", ".join(str(value.shape) for value in values)
            raise CellMMError(f"{self.name}: cannot be run on {shapes}: {cause}") from error
        return dict(zip(self.outputs, map(torch.from_numpy, found), strict=True))


def provider_of(device: str, available: Sequence[str]) -> str:
    """The provider of ONNX Runtime for a device.

    Raises:
        CellMMError: this ONNX Runtime does not have it.

    Examples:
        >>> provider_of("auto", ["CPUExecutionProvider"])
        'CPUExecutionProvider'
    """
    if device == "auto":
        device = "cuda" if PROVIDERS["cuda"] in available else "cpu"
    provider = PROVIDERS.get(device.partition(":")[0])
    if provider not in available:
        known = [name for name, provider in PROVIDERS.items() if provider in available]
        raise CellMMError(
            f"device {device!r} cannot be used: ONNX Runtime here has {', '.join(known)}; take one of "
            "them, or install the build for that device (onnxruntime-gpu, onnxruntime-openvino)"
        )
    return provider


def tuple_of(graph: OnnxGraph) -> Callable:
    """``graph`` as a function that returns a tensor, or a tuple of several."""

    def call(*arguments: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        found = tuple(graph(*arguments).values())
        return found[0] if len(found) == 1 else found

    return call
