"""Packages for bioimage.io: bioimageio.core takes them, and cellmm runs them whole."""

import sys
import zipfile

import bioimageio.core
import pytest
import yaml

from cellmm.apis.inferencer import CellInferencer
from cellmm.errors import CellMMError
from cellmm.export import bioimageio as ours
from cellmm.export.bioimageio import tensor_id


@pytest.mark.parametrize("name", ["sparseseunet", "seunet"])
def test_they_are_written_only_if_they_pass(name, package):
    assert package(name, "bioimageio").is_file()


def test_it_passes_the_tests_of_bioimageio(package):
    summary = bioimageio.core.test_model(package("diskmask", "bioimageio"))
    assert summary.status == "passed"
    said = [detail.name for detail in summary.details]
    assert any(line.startswith("Reproduce test outputs") for line in said)
    assert "Run onnx inference for inputs with batch_size: 2 and size parameter n: 2" in said


def test_cellmm_finds_the_same_cells_as_with_onnx(package, noise):
    image = noise(44, 72, 2)
    first, second = (
        CellInferencer(package("diskmask", kind), device="cpu").predict(image)
        for kind in ("onnx", "bioimageio")
    )
    assert len(first) > 1 and first.scores.tolist() == second.scores.tolist()


def test_what_the_description_says(package):
    with zipfile.ZipFile(package("diskmask", "bioimageio")) as archive:
        rdf, page = yaml.safe_load(archive.read("rdf.yaml")), archive.read("README.md").decode()
    assert rdf["name"] == "diskmask" and "worm" in rdf["description"]
    assert "license" not in rdf  # of a user's own model: unknown
    sizes = {axis["id"]: axis["size"] for axis in rdf["inputs"][0]["axes"] if axis["type"] == "space"}
    assert sizes == dict(y=dict(min=16, step=8), x=dict(min=8, step=8))
    disks = rdf["outputs"][1]
    assert disks["id"] == "instances_disk_logits" and [a.get("scale") for a in disks["axes"]] == [
        None,
        None,
        2,
        2,
    ]
    assert [file["source"] for file in rdf["attachments"]] == ["cellmm.json", "instances.masks.onnx"]
    assert "Validation" in page and "a gateway is opened" in page


def test_outputs_have_ids_that_bioimageio_takes():
    assert tensor_id("instances.out.stages.0.cls_logits", 0) == "instances_stages_0_cls_logits"
    assert tensor_id("0.out", 4) == "output_4"


def test_a_package_that_is_refused_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "rdf.yaml").write_text("type: model\nformat_version: 0.5.4\nname: mine\n")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "rdf.yaml", "rdf.yaml")
    with pytest.raises(CellMMError, match="bioimageio.core refuses the package: ") as caught:
        ours.test_package(tmp_path / "a.zip")
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "bioimageio.core", None)
    with pytest.raises(CellMMError, match="packages for bioimage.io need bioimageio.core"):
        ours.test_package(tmp_path / "a.zip")
