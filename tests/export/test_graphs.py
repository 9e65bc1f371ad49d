"""Which parts of a model become graphs, and what is refused."""

import pytest
import torch
from torch import nn

from cellmm.config.load import load_config
from cellmm.errors import CellMMError
from cellmm.export import export_model
from cellmm.export.files import onnx_difference, onnx_file
from cellmm.export.graphs import Graph, graphs_of
from cellmm.registry import MODELS


@pytest.fixture(scope="module")
def unpadded() -> nn.Module:
    """DiskMask as published, whose maps start inside the image, but narrow."""
    model = load_config("diskmask/bbbc010_paper").model
    model.encoder.widths = model.decoder.widths = (4, 4, 4)
    model.heads.instances.merge(dict(feature_channels=4, mask_decoder=dict(widths=(4, 4, 4))))
    return MODELS.build(model).eval().to(memory_format=torch.contiguous_format)


def test_convolutions_without_padding(unpadded):
    maps, masks = graphs_of(unpadded)
    assert maps.inputs == ("images",) and maps.outputs[:2] == (
        "instances.out.features",
        "instances.out.disk_logits",
    )
    assert masks.inputs == ("x", "maps.0", "maps.1", "maps.2", "gates", "disk_probs")
    for graph in (maps, masks):
        assert onnx_difference(graph, onnx_file(graph, {})) < 1e-4


def test_a_head_that_does_not_say_how(unpadded, monkeypatch):
    monkeypatch.setattr(type(unpadded.heads["instances"]), "export", None)
    with pytest.raises(CellMMError, match="model.heads.instances: a GatewayHead does not say which of its"):
        graphs_of(unpadded)


def test_a_model_of_another_type():
    with pytest.raises(CellMMError, match="a model of type Linear cannot be exported"):
        graphs_of(nn.Linear(1, 1))


class AddsColumns(nn.Module):
    """Adds the number of columns, which a trace fixes."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (image + int(image.shape[-1]),)


class Eigenvalues(nn.Module):
    """Eigenvalues, which ONNX does not have."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (torch.linalg.eigvals(image).abs(),)


def graph_of(layers: nn.Module) -> Graph:
    return Graph("maps", layers, lambda n, size: (torch.ones(n, 1, size, size),), ("images",), ("a",), {})


def test_a_graph_that_gives_something_else_is_refused():
    graph = graph_of(AddsColumns())
    with pytest.raises(CellMMError, match="maps: the exported graph differs from the model by .* in a, of"):
        onnx_difference(graph, onnx_file(graph, {}))


def test_layers_that_onnx_does_not_have():
    with pytest.raises(
        CellMMError, match="maps: its layers cannot be written as ONNX: .*linalg_eigvals"
    ) as caught:
        onnx_file(graph_of(Eigenvalues()), {})
    assert "\n" not in str(caught.value)


def test_a_package_is_not_exported_again(tmp_path):
    with pytest.raises(CellMMError, match="a.zip: a package already"):
        export_model(tmp_path / "a.zip", "onnx", tmp_path / "b.zip")
