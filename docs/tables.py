"""Write the result tables of the README and the docs from the metafiles, and the cards of the models.

    python docs/tables.py            # write them anew
    python docs/tables.py --check    # exit status 1, and the name of the page, where one is out of date

A table stands between `<!-- results: NAME -->` and `<!-- end of results -->`. Results of configs are written
in configs/*/metafile.yml alone, those of other methods in docs/peers.yml, those of the GlaS challenge in
docs/glas.yml, seconds in docs/speed.yml; docs/other_programs/NAME.csv is table.csv of a `cellmm compare`.
What is known about the models that come with cellmm is written in cellmm/zoo/models/*.yml; each has a page of
its own in docs/model_cards.
"""

import argparse
import csv
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import yaml

from cellmm.ablation.tables import mark_best
from cellmm.zoo.shipped import ShippedModel, shipped_models

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "docs/model_zoo.md",
    "docs/ablations.md",
    "docs/other_programs.md",
    "docs/how_to/speed.md",
    "docs/model_cards/index.md",
    "configs/glas/README.md",
    "configs/unet/README.md",
)
CARDS = ROOT / "docs/model_cards"
PICTURES = {"cells-simulated": "cells_found.jpg", "nuclei": "nuclei_found.jpg"}  # by draw_found.py
PLACE = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end of results -->)", re.DOTALL)
INSTANCES, MAPS = "Instance Segmentation", "Semantic Segmentation"
INSTANCE_KEYS = ("AP", "AP50", "AP75", "AP90", "S")
PIXEL_KEYS = ("Acc", "Prec", "Rec", "F1", "IoU")


def read_models(path: Path) -> list[dict]:
    """The entries under ``Models`` of a metafile, or of all metafiles that an index imports."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    models = content.get("Models", [])
    for name in content.get("Import", []):
        models += read_models(path.parent / name)
    return models


MODELS = {model["Name"]: model for model in read_models(ROOT / "model-index.yml")}
ENTRIES = yaml.safe_load((ROOT / "docs/glas.yml").read_text(encoding="utf-8"))
PEERS = {model["Name"]: model for model in read_models(ROOT / "docs/peers.yml")}


def results(model: dict, task: str) -> list[dict]:
    """The results of one task, in the order of the metafile."""
    return [result for result in model.get("Results", []) if result["Task"] == task]


def metrics(model: dict, task: str, **wanted: str) -> dict[str, float]:
    """The metrics of the first result with all ``wanted`` entries; empty where there is none."""
    found = (result["Metrics"] for result in results(model, task) if wanted.items() <= result.items())
    return next(found, {})


def number(value: float | None) -> str:
    """0.745 -> '.745', as papers print AP."""
    return "-" if value is None else f"{value:.3f}".removeprefix("0")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, without the columns that hold no number in any row."""
    rows = [list(row) for row in rows]
    used = [i for i in range(len(header)) if any(row[i] not in ("", "-") for row in rows)]
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line[i] for i in used) + " |\n" for line in lines)


def link(model: dict, page: Path) -> str:
    """The config's name, linked from ``page``."""
    config = ROOT / model["Config"]
    name = config.relative_to(ROOT / "configs").with_suffix("").as_posix()
    return f"[{name}]({os.path.relpath(config, page.parent)})"


def training(model: dict) -> str:
    """Hardware, minutes and seed of the training, or what it is made for where it was not run."""
    data = model["Metadata"]
    if data["Training Data"] == "none":
        return "none"
    if "Results" not in model:
        return f"not run; made for {data['Made For']}"
    return f"{data['Hardware']}, {data['Minutes']:g} min, seed {data['Seed']}"


def collection(name: str) -> Callable[[Path], str]:
    """All configs of a collection, each with its training and results."""

    def write(page: Path) -> str:
        header = ["config", "what", "trained on", "training", *INSTANCE_KEYS, "maps"]
        rows = []
        for model in MODELS.values():
            if model["In Collection"] != name:
                continue
            found = metrics(model, INSTANCES)
            scores = [number(found.get(key)) for key in INSTANCE_KEYS]
            maps = [
                f"{result['Map']} F1 {number(result['Metrics']['F1'])}" for result in results(model, MAPS)
            ]
            about = [model["Description"], model["Metadata"]["Training Data"], training(model)]
            rows.append([link(model, page), *about, *scores, ", ".join(maps)])
        return table(header, rows)

    return write


def beside_peers(page: Path) -> str:
    """Our CPU trainings on the worms of BBBC010 and the peers, on the same test wells."""
    rows = []
    for name in ("diskmask_bbbc010_cpu", "sparseseunet_bbbc010_multi_level_cpu"):
        model = MODELS[name]
        found = metrics(model, INSTANCES)
        scores = [number(found.get(key)) for key in ("AP", "AP50", "S")]
        rows.append([model["In Collection"], *scores, f"{link(model, page)}: {training(model)}"])
    bibliography = os.path.relpath(ROOT / "docs/bibliography.md", page.parent)
    for name, peer in PEERS.items():
        found = metrics(peer, INSTANCES)
        scores = [number(found.get(key)) for key in ("AP", "AP50", "S")]
        rows.append([f"[{name}]({bibliography}#{peer['Source'].lower()})", *scores, peer["Description"]])
    return table(["method", "AP", "AP50", "S", "source"], rows)


def paired(page: Path) -> str:
    """DiskMask and PatchPerPix as `cellmm compare` scored them in one run."""
    keys = (*INSTANCE_KEYS, "S50", "S90")
    model = MODELS["diskmask_bbbc010_cpu"]
    both = {
        link(model, page): metrics(model, INSTANCES, Dataset="BBBC010, 47 wells, S of scores from 0.6 on"),
        "PatchPerPix": metrics(PEERS["PatchPerPix"], INSTANCES),
    }
    return table(["", *keys], [[name, *(number(found[key]) for key in keys)] for name, found in both.items()])


def pixels(task_map: str, rows: dict[str, str]) -> Callable[[Path], str]:
    """Pixel scores of one map, {label: config of configs/seunet}; the best is bold, the second underlined."""

    def write(page: Path) -> str:
        found = [metrics(MODELS[f"seunet_{name}"], MAPS, Map=task_map) for name in rows.values()]
        columns = [
            mark_best([f"{scores[key]:.4f}" if scores else "-" for scores in found]) for key in PIXEL_KEYS
        ]
        return table(["Model", *PIXEL_KEYS], zip(rows, *columns, strict=True))

    return write


GLAND_KEYS = {"F1": -1, "object_dice": -1, "object_hausdorff": 1}  # 1: lower is better


def gland_values(row: dict) -> list[float]:
    """F1, object Dice and object Hausdorff, of parts A and B each."""
    return [value for key in GLAND_KEYS for value in row[key]]


def gland_ranks(row: dict, rows: Iterable[dict]) -> list[int]:
    """The rank of each value of ``row`` among ``rows``: 1 and the number of better ones."""
    signs = [sign for sign in GLAND_KEYS.values() for _ in "AB"]
    own, others = gland_values(row), list(map(gland_values, rows))
    return [
        1 + sum(sign * other[i] < sign * value for other in others)
        for i, (sign, value) in enumerate(zip(signs, own, strict=True))
    ]


def gland_results() -> dict[str, tuple[dict, dict]]:
    """{config: the model, its scores as in docs/glas.yml} of the models scored on both parts of GlaS."""
    found = {}
    for name, model in MODELS.items():
        parts = [metrics(model, INSTANCES, Dataset="GlaS", Part=part) for part in "AB"]
        if all(parts):
            found[name] = model, {key: [part[key] for part in parts] for key in GLAND_KEYS}
    return found


def glands(page: Path) -> str:
    """The entries of the GlaS challenge with their ranks, and our configs, each ranked among them alone."""
    columns = [f"{name} {part}" for name in ("F1", "object Dice", "object Hausdorff") for part in "AB"]

    def line(name: str, row: dict, rows: Iterable[dict]) -> list[str]:
        ranks = gland_ranks(row, rows)
        cells = [f"{value:.3f} ({rank})" for value, rank in zip(gland_values(row), ranks, strict=True)]
        return [name, *cells, str(sum(ranks))]

    rows = [line(name, row, ENTRIES.values()) for name, row in ENTRIES.items()]
    rows += [line(link(model, page), row, ENTRIES.values()) for model, row in gland_results().values()]
    return table(["method", *columns, "sum of ranks"], rows)


def gland_losses(page: Path) -> str:
    """BCE and counts of the report's two networks, as printed, and of our configs."""
    keys = ("BCE", "BCE_binary", "count_ratio")
    header = ["method", *(f"{name} {part}" for name in ("BCE", "BCE of masks", "count") for part in "AB")]
    rows = []
    for name, row in ENTRIES.items():
        if "count_ratio" in row:
            rows.append([name, *(number(v) for key in keys for v in row.get(key, (None, None)))])
    for name, (model, _) in gland_results().items():
        parts = [metrics(MODELS[name], INSTANCES, Dataset="GlaS", Part=part) for part in "AB"]
        rows.append([link(model, page), *(number(part.get(key)) for key in keys for part in parts)])
    return table(header, rows)


COMPARED = ("AP", "AP50", "AP75", "S", "S50")
DSB, DSB_PARTS = "Data Science Bowl 2018", ("all", "fluorescence", "stained", "brightfield")


def formulations(page: Path) -> str:
    """S at IoU .5, mean of the test images, of every model that was scored on nuclei by modality."""
    rows = []
    for model in MODELS.values():
        found = [metrics(model, INSTANCES, Dataset=DSB, Part=part).get("S50") for part in DSB_PARTS]
        if any(found):
            rows.append([link(model, page), model["Description"], *map(number, found), training(model)])
    return table(["config", "what", *DSB_PARTS, "training"], rows)


def compared(name: str) -> Callable[[Path], str]:
    """What `cellmm compare` wrote: scores with their intervals, and how far AP is from that of the first."""

    def interval(row: dict) -> str:
        return "{} ({} to {})".format(*(number(float(row[key])) for key in ("value", "low", "high")))

    def difference(row: dict) -> str:
        if row["difference"] in ("", "0"):
            return ""
        values = (float(row[key]) for key in ("difference", "difference_low", "difference_high"))
        return "{:+.3f} ({:+.3f} to {:+.3f})".format(*values)

    def write(page: Path) -> str:
        scores: dict[str, dict[str, dict]] = {}
        with open(ROOT / f"docs/other_programs/{name}.csv", newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                scores.setdefault(row["name"], {})[row["score"]] = row
        rows = [
            [entry, *(interval(found[key]) for key in COMPARED), difference(found["AP"])]
            for entry, found in scores.items()
        ]
        return table(["", *COMPARED, "AP, to the first"], rows)

    return write


def speed(page: Path) -> str:
    """Seconds and memory per megapixel by stage, as tools/benchmarks/predict.py wrote them."""
    measured = yaml.safe_load((ROOT / "docs/speed.yml").read_text(encoding="utf-8"))
    stages = list(next(iter(measured["Forms"].values())))
    rows = []
    for form, row in measured["Forms"].items():
        seconds = [row[stage]["seconds"] for stage in stages]
        most = max(row[stage]["memory"] for stage in stages)
        rows.append([f"cellmm, {form}", *(f"{n:.2f}" for n in seconds), f"{sum(seconds):.2f}", f"{most}"])
    for peer, row in measured["Peers"].items():
        blank = ["-"] * len(stages)
        rows.append([f"{peer}, network", *blank, f"{row['seconds']:.2f}", f"{row['memory']}"])
    return table(["s / Mpx", *stages, "all", "MiB / Mpx"], rows)


def shipped(page: Path) -> str:
    """The models that come with cellmm, each linked to its card."""
    header = ["model", "for", "trained on", "licence of the weights", "size"]
    rows = []
    for name, model in shipped_models().items():
        card = model.card
        rows.append([f"[{name}]({name}.md)", card["for"], card["data"], card["licence"], size(model)])
    return table(header, rows)


def size(model: ShippedModel) -> str:
    return f"{model.weights.stat().st_size / 1e6:.1f} MB"


def model_card(model: ShippedModel) -> str:
    """The page of a model that comes with cellmm."""
    card, name = model.card, model.name
    picture = ""
    if name in PICTURES:
        picture = f"![A simulated image, and what the model finds in it](../pictures/{PICTURES[name]})\n\n"
    config = f"[{card['config']}](../../configs/{card['config']}.py)"
    about = {
        "images": card["images"],
        "trained on": card["data"],
        "training": card["training"],
        "licence of the weights": card["licence"],
        "config": config,
        "size": f"{card['parameters']:,} parameters in half precision, {size(model)}",
    }
    keys = list(dict.fromkeys(key for score in card["scores"] for key in score["metrics"]))
    scores = [
        [score["test"], *(number(score["metrics"].get(key)) for key in keys)] for score in card["scores"]
    ]
    again = "\n".join(card["again"])
    return (
        f"# {name}\n\n<!-- written by docs/tables.py; change cellmm/zoo/models/{name}.yml -->\n\n"
        f"For {card['for']}:\n\n"
        f"```sh\ncellmm predict my_images/ --model {name} --out results\n```\n\n{picture}"
        f"{table(['', ''], about.items())}\n## Scores\n\n{table(['', *keys], scores)}\n"
        "[Evaluation](../evaluation.md) says how to read them.\n\n"
        f"## Limits\n\n{card['limits']}\n\n## Train it again\n\n```sh\n{again}\n```\n"
    )


HEADS = {
    "SEU-Net (2-head)": "two_heads",
    "SEU-Net (3-head)": "three_heads",
    "SEU-Net (4-head)": "four_heads",
    "SEU-Net (one decoder, 4 maps)": "multi_channel",
}
OVERLAP = {
    "SEU-Net": "overlap",
    **{f"SEU-Net + attn. map (v{i})": f"overlap_v{i}" for i in range(5)},
    "SEU-Net + attn. map (v4), eq. 5.1": "overlap_v4_weight",
    "SEU-Net + attn. map (v4), eq. 4.5": "overlap_v4_target",
}
TABLES: dict[str, Callable[[Path], str]] = {
    "peers": beside_peers,
    "diskmask": collection("DiskMask"),
    "maskrcnn": collection("Mask R-CNN"),
    "glas": collection("GlaS"),
    "glands": glands,
    "formulations": formulations,
    "gland_losses": gland_losses,
    "queryseunet": collection("QuerySEUNet"),
    "seunet": collection("SEU-Net"),
    "classical": collection("Classical"),
    "sparseseunet": collection("SparseSEUNet"),
    "unet": collection("U-Net"),
    "pix2pix": collection("pix2pix"),
    "paired": paired,
    "worms": compared("worms"),
    "scenes": compared("scenes"),
    "speed": speed,
    "shipped": shipped,
    "cytoplasm": pixels("cytoplasm", {"SEU-Net (base)": "cytoplasm", **HEADS}),
    "nuclei": pixels("nuclei", {"SEU-Net (base)": "nuclei", **HEADS}),
    "overlap": pixels("overlap", OVERLAP),
}


def with_tables(page: Path) -> str:
    """The page's text with all its tables written anew."""
    text = page.read_text(encoding="utf-8")
    return PLACE.sub(lambda place: f"{place[1]}{TABLES[place[2]](page)}{place[3]}", text)


def texts() -> dict[Path, str | None]:
    """What every page should hold; None: it is of a model that is gone."""
    pages: dict[Path, str | None] = {ROOT / name: with_tables(ROOT / name) for name in PAGES}
    pages |= {page: None for page in CARDS.glob("*.md") if page not in pages}
    return pages | {CARDS / f"{name}.md": model_card(model) for name, model in shipped_models().items()}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, say which pages are out of date")
    args = parser.parse_args(argv)
    old = {
        page: text
        for page, text in texts().items()
        if text != (page.read_text(encoding="utf-8") if page.exists() else None)
    }
    for page, text in old.items():
        if args.check:
            print(f"{page.relative_to(ROOT)}: run python docs/tables.py", file=sys.stderr)
        elif text is None:
            page.unlink()
        else:
            page.write_text(text, encoding="utf-8")
    return int(args.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
