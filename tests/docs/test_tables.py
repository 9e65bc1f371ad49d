"""docs/tables.py: result tables are those of the metafiles."""

import re
from pathlib import Path

import pytest
import yaml

from cellmm.zoo import ShippedModel

ROOT = Path(__file__).parents[2]
METAFILES = sorted((ROOT / "configs").glob("*/metafile.yml"))


@pytest.fixture(scope="module")
def tables(script):
    return script("tables")


def test_pages_are_up_to_date(tables, capsys):
    assert tables.main(["--check"]) == 0, capsys.readouterr().err


def test_a_comparison_is_written_with_its_intervals(tables, tmp_path, monkeypatch):
    (tmp_path / "docs/other_programs").mkdir(parents=True)
    keys = "name,score,value,low,high,difference,difference_low,difference_high,p"
    rows = [
        f"{name},{score},{value},0.1,0.9,{rest}"
        for name, value, rest in (("a", 0.5, ",,,"), ("b", 0.25, "-0.25,-0.3,-0.2,0.001"))
        for score in tables.COMPARED
    ]
    (tmp_path / "docs/other_programs/some.csv").write_text("\n".join([keys, *rows]) + "\n")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    first, second = tables.compared("some")(tmp_path / "docs/page.md").splitlines()[2:]
    assert first == "| a |" + " .500 (.100 to .900) |" * 5 + "  |"
    assert second == "| b |" + " .250 (.100 to .900) |" * 5 + " -0.250 (-0.300 to -0.200) |"


def test_every_table_is_on_a_page(tables):
    pages = "".join((ROOT / page).read_text(encoding="utf-8") for page in tables.PAGES)
    assert set(re.findall(r"<!-- results: (\S+) -->", pages)) == set(tables.TABLES)
    assert pages.count("<!-- results:") == pages.count("<!-- end of results -->")


def test_an_old_page_is_named_and_written(tables, tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- results: paired -->\nold\n<!-- end of results -->\nb\n")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", ("page.md",))
    monkeypatch.setattr(tables, "CARDS", tmp_path / "cards")
    monkeypatch.setattr(tables, "shipped_models", dict)
    monkeypatch.setitem(tables.TABLES, "paired", lambda page: "new\n")
    assert tables.main(["--check"]) == 1 and "page.md: run" in capsys.readouterr().err
    assert tables.main([]) == 0
    assert page.read_text() == "a\n<!-- results: paired -->\nnew\n<!-- end of results -->\nb\n"
    assert tables.main(["--check"]) == 0


def test_cards_are_written_and_those_of_models_that_are_gone_are_removed(
    tables, tmp_path, monkeypatch, capsys
):
    (tmp_path / "weights.safetensors").write_bytes(b"0" * 1_230_000)
    card = {
        **{key: f"its {key}" for key in ("for", "data", "licence", "images", "training", "limits")},
        "config": "diskmask/worms",
        "again": ["cellmm train a", "publish"],
        "parameters": 1234,
        "scores": [
            {"test": "all", "metrics": {"AP": 0.5, "S": 0.25}},
            {"test": "some", "metrics": {"S90": 0.125}},
        ],
    }
    model = ShippedModel("worms", card["config"], tmp_path / "weights.safetensors", card)
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", ())
    monkeypatch.setattr(tables, "CARDS", tmp_path)
    monkeypatch.setattr(tables, "shipped_models", lambda: {"worms": model})
    (tmp_path / "gone.md").touch()
    assert tables.main(["--check"]) == 1
    named = {line.split(":")[0] for line in capsys.readouterr().err.splitlines()}
    assert named == {"gone.md", "worms.md"}
    assert tables.main([]) == 0 and tables.main(["--check"]) == 0
    text = (tmp_path / "worms.md").read_text()
    assert not (tmp_path / "gone.md").exists()
    assert "|  | AP | S | S90 |\n| --- | --- | --- | --- |\n| all | .500 | .250 | - |\n" in text
    assert "| some | - | - | .125 |\n" in text
    assert "1,234 parameters in half precision, 1.2 MB" in text
    assert "```sh\ncellmm train a\npublish\n```" in text and "its limits" in text
    assert all(f"| its {key} |" in text for key in ("data", "licence", "images", "training"))
    assert tables.shipped(tmp_path / "index.md").splitlines()[2] == (
        "| [worms](worms.md) | its for | its data | its licence | 1.2 MB |"
    )


def test_parts_by_hand(tables):
    assert [tables.number(value) for value in (0.745, 1.0, None)] == [".745", "1.000", "-"]
    assert tables.table(["a", "b"], [["x", "-"], ["y", ""]]) == "| a |\n| --- |\n| x |\n| y |\n"


def test_the_index_has_all_metafiles(tables):
    index = yaml.safe_load((ROOT / "model-index.yml").read_text(encoding="utf-8"))
    assert sorted(index["Import"]) == [path.relative_to(ROOT).as_posix() for path in METAFILES]
    assert len(tables.MODELS) == len(tables.read_models(ROOT / "model-index.yml"))  # names are unique


@pytest.mark.parametrize("path", METAFILES, ids=lambda path: path.parent.name)
def test_entries_have_the_form_of_a_model_index(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    collections = {collection["Name"] for collection in content["Collections"]}
    for model in content["Models"]:
        stem = Path(model["Config"]).with_suffix("").relative_to("configs").as_posix()
        assert model["Name"] == stem.replace("/", "_")
        assert model["In Collection"] in collections
        data = model["Metadata"]
        assert data["Training Data"]
        if data["Training Data"] == "none":  # a model without weights
            assert not {"Minutes", "Seed", "Iterations", "Made For"} & set(data)
            continue
        assert ("Results" in model) == ({"Hardware", "Minutes", "Seed", "Iterations"} <= set(data))
        assert ("Results" in model) != ("Made For" in data)
        for result in model.get("Results", []):
            assert result["Task"] in ("Instance Segmentation", "Semantic Segmentation") and result["Dataset"]
            unbounded = ("BCE", "BCE_binary", "object_hausdorff")
            assert all(0 <= v <= 1 or v > 1 and key in unbounded for key, v in result["Metrics"].items())


def test_ranks_of_the_challenge_are_those_printed_but_for_one_tie(tables):
    entries = tables.ENTRIES
    ranks = {name: tables.gland_ranks(row, entries.values()) for name, row in entries.items()}
    printed = {name: row["Ranks"] for name, row in entries.items() if "Ranks" in row}
    assert len(entries) == 12 and len(printed) == 10
    assert {name: row for name, row in printed.items() if row != ranks[name]} == {
        "Freiburg2": [6, 7, 6, 5, 4, 5]
    }
    assert ranks["Freiburg2"] == [6, 7, 6, 4, 4, 5]  # its object Dice on B is that of ExB1
    sums = {name: row["Sum"] for name, row in entries.items() if "Sum" in row}
    assert {name for name, value in sums.items() if value != sum(ranks[name])} == {"Freiburg2"}
    assert all(sum(row) == sums[name] for name, row in printed.items())
    assert ranks["DTU-MASKRCNN"] == [1] * 6
    better = dict(F1=[0.95, 0.5], object_dice=[0.9, 0.8], object_hausdorff=[50, 300])
    assert tables.gland_ranks(better, entries.values()) == [1, 12, 2, 2, 3, 13]
