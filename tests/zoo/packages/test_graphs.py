"""Graphs on ONNX Runtime."""

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from cellmm.errors import CellMMError
from cellmm.zoo.packages.graphs import OnnxGraph, provider_of, tuple_of

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture(scope="module")
def addition() -> bytes:
    """a + b, of (N, 2) each."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"])], "sum", values[:2], values[2:])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def test_tensors_and_lists_of_them(addition):
    graph = OnnxGraph(addition, "sum.onnx", ["a", "b"], ["c"])
    ones, twos = torch.ones(3, 2), torch.full((3, 2), 2.0)
    torch.testing.assert_close(graph(ones, twos)["c"], torch.full((3, 2), 3.0))
    torch.testing.assert_close(tuple_of(graph)([ones, twos]), torch.full((3, 2), 3.0))
    assert graph(torch.zeros(0, 2), torch.zeros(0, 2))["c"].shape == (0, 2)


def test_an_input_that_changes_nothing_may_be_absent_in_the_file(addition):
    graph = OnnxGraph(addition, "sum.onnx", ["a", "unused", "b"], ["c"])
    assert graph(torch.ones(1, 2), torch.ones(5), torch.ones(1, 2))["c"].tolist() == [[2.0, 2.0]]


def test_what_is_no_graph_or_another_one(addition):
    with pytest.raises(CellMMError, match="sum.onnx: no graph for ONNX Runtime"):
        OnnxGraph(addition[:-20], "sum.onnx", ["a", "b"], ["c"])
    with pytest.raises(CellMMError, match="it takes a, b; export it again"):
        OnnxGraph(addition, "sum.onnx", ["images"], ["c"])
    with pytest.raises(CellMMError, match="does not match its description"):
        OnnxGraph(addition, "sum.onnx", ["a", "b"], ["c", "d"])
    with pytest.raises(CellMMError, match="sum.onnx: cannot be run on"):
        OnnxGraph(addition, "sum.onnx", ["a", "b"], ["c"])(torch.ones(3, 2), torch.ones(4, 2))
    assert onnx.load_from_string(addition).graph.name == "sum"


def test_devices():
    assert provider_of("auto", [CPU]) == provider_of("cpu", [CPU, CUDA]) == CPU
    assert provider_of("auto", [CPU, CUDA]) == provider_of("cuda:1", [CUDA]) == CUDA
    assert provider_of("openvino", ["OpenVINOExecutionProvider", CPU]) == "OpenVINOExecutionProvider"
    for device in ("openvino", "cuda", "tpu"):
        with pytest.raises(CellMMError, match=f"device {device!r} cannot be used: ONNX Runtime here has cpu"):
            provider_of(device, [CPU])
