"""Packages give what the model gives."""

import json
import zipfile

import numpy as np
import pytest

from cellmm.apis.inferencer import CellInferencer
from cellmm.engine.checkpoints import save_weights
from cellmm.errors import CellMMError
from cellmm.export import export_model
from cellmm.models.heads import GatewayHead
from cellmm.models.layers.fused_deco_net import FusedDecoNet
from cellmm.zoo.packages.format import KINDS

MODELS = ("diskmask", "sparseseunet", "seunet")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_it_predicts_what_the_model_predicts(name, kind, tiny_model, package, noise, monkeypatch):
    # the fused form leaves out pieces of masks that are not joined to their gateway
    monkeypatch.setattr(FusedDecoNet, "fits", lambda net: False)
    image = noise(44, 72, 2)
    ours = CellInferencer(*tiny_model(name), device="cpu")
    theirs = CellInferencer(package(name, kind), device="cpu")
    assert theirs.classes == ours.classes == ("worm",) and theirs.category_ids == (7,)
    if name == "seunet":
        expected, found = ours.predict_maps(image), theirs.predict_maps(image)
        assert expected.keys() == found.keys()
        for target, probs in expected.items():
            np.testing.assert_allclose(found[target], probs, atol=1e-4)
    expected, found = ours.predict(image), theirs.predict(image)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    if name != "seunet":
        assert len(found) > 1
        assert found.masks.areas().tolist() == expected.masks.areas().tolist()
    assert found.shape == (44, 72)


def test_a_package_of_graphs_has_no_weights(package):
    model = CellInferencer(package("diskmask", "onnx"), device="cpu").model
    assert all(parameter.is_meta for parameter in model.parameters())
    assert isinstance(model.heads["instances"], GatewayHead)


def test_larger_images_are_cut_as_with_the_model(tiny_model, package):
    options = {"model.tile": 32, "model.tile_overlap": 8}
    ours = CellInferencer(*tiny_model("diskmask"), device="cpu", cfg_options=options)
    theirs = CellInferencer(package("diskmask", "onnx"), device="cpu", cfg_options=options)
    assert (theirs.tile, theirs.model.tile_step) == (32, ours.model.tile_step)
    image = np.random.default_rng(1).integers(0, 255, (60, 40, 2)).astype(np.uint8)
    assert theirs.predict(image).shape == (60, 40)


def test_the_same_model_gives_the_same_package(package, tiny_model, tmp_path):
    config, weights = tiny_model("diskmask")
    export_model(config, "onnx", tmp_path / "again.zip", checkpoint=weights, name="diskmask")
    assert (tmp_path / "again.zip").read_bytes() == package("diskmask", "onnx").read_bytes()


def test_its_description_is_plain_and_whole(package):
    with zipfile.ZipFile(package("diskmask", "onnx")) as archive:
        content, names = json.loads(archive.read("cellmm.json")), archive.namelist()
        page = archive.read("README.md").decode()
    assert content["graphs"]["instances.masks"]["outputs"] == ["mask_logits", "scores"]
    assert set(names) == {"cellmm.json", *content["sha256"]}
    assert all(graph["file"] in page for graph in content["graphs"].values())
    assert "1e-4" in page and "instances.masks" in page and "worm" in page


@pytest.mark.parametrize(
    ("out", "kind", "cure"),
    [
        ("a.onnx", "onnx", "a package is a zip file"),
        ("a.zip", "tensorrt", "give onnx, torch, bioimageio"),
        ("file/a.zip", "onnx", "is not a folder"),
    ],
)
def test_what_cannot_be_written(out, kind, cure, tiny_model, tmp_path):
    (tmp_path / "file").touch()
    config, weights = tiny_model("diskmask")
    with pytest.raises(CellMMError, match=cure):
        export_model(config, kind, tmp_path / out, checkpoint=weights)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_weights_of_another_model(tiny_model, tmp_path):
    config, _ = tiny_model("diskmask")
    _, weights = tiny_model("seunet")
    with pytest.raises(CellMMError, match="not weights of this config's model"):
        export_model(config, "onnx", tmp_path / "a.zip", checkpoint=weights)
    assert not (tmp_path / "a.zip").exists()
    save_weights(tmp_path / "empty.pth", {}, {})
    with pytest.raises(CellMMError):
        export_model(config, "onnx", tmp_path / "a.zip", checkpoint=tmp_path / "empty.pth")
