"""Write the row of a finished training into the metafile of its config.

    cellmm test CONFIG WORK_DIR --work-dir WORK_DIR
    python tools/zoo_row.py CONFIG WORK_DIR --tested-on "BBBC010, 47 wells"

The training must have come to the end of its schedule in pieces of `cellmm train --pause-after`, by which
its checkpoints say how long it took. Rows that are there already stay as they are, unless --replace.
Afterwards `python docs/tables.py` writes the tables. Two questions are answered by exit status 0 or 3:

    python tools/zoo_row.py CONFIG --has               # is there a row?
    python tools/zoo_row.py CONFIG WORK_DIR --ended    # has the training come to its end?
"""

import argparse
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cellmm.errors import CellMMError
from cellmm.io.checkpoint_files import best_checkpoint, checkpoint_files
from cellmm.io.files import atomic_path

INSTANCE_KEYS = ("AP", "AP50", "AP75", "AP90", "S")
GLAND_KEYS = ("F1", "object_dice", "object_hausdorff", "BCE", "BCE_binary", "count_ratio")
PIXEL_KEYS = ("Acc", "Prec", "Rec", "F1", "IoU")
# the lines of an entry that a row replaces; results are the last of them
TRAINING = re.compile(r"      (Training Data|Hardware|Minutes|Seed|Iterations|Made For):")
NO = 3  # exit status of --has and --ended


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path)
    parser.add_argument("work_dir", type=Path, nargs="?")
    parser.add_argument("--has", action="store_true", help="say by the exit status whether there is a row")
    parser.add_argument("--ended", action="store_true", help="say so of the end of the training")
    parser.add_argument("--tested-on", metavar="TEXT", help="the test set, as 'BBBC010, 47 wells'")
    parser.add_argument(
        "--trained-on", metavar="TEXT", help="the training set; default: as the metafile says"
    )
    parser.add_argument(
        "--hardware", metavar="TEXT", help="default: the GPU, or else the CPU, of this machine"
    )
    parser.add_argument("--replace", action="store_true", help="replace the row that is there")
    args = parser.parse_args(argv)
    if not args.has and not (args.work_dir and (args.ended or args.tested_on)):
        parser.error("give the work dir and --tested-on, or the work dir and --ended, or --has")
    return args


def metafile_of(config: Path) -> tuple[Path, str]:
    """The metafile beside a config, and the name of the config's entry in it."""
    return config.with_name("metafile.yml"), f"{config.resolve().parent.name}_{config.stem}"


def entry(path: Path, name: str) -> dict:
    """The entry of a config; CellMMError where the metafile has none."""
    if not path.is_file():
        raise CellMMError(f"{path}: no such file; write the entry {name} there first, without results")
    models = yaml.safe_load(path.read_text(encoding="utf-8")).get("Models", [])
    for model in models:
        if model["Name"] == name:
            return model
    raise CellMMError(f"{path}: no entry {name}; write it first, without results")


def last_checkpoint(work_dir: Path) -> dict | None:
    """The checkpoint of the most iterations; None: there is none yet."""
    from cellmm.engine.checkpoints import load_checkpoint  # torch: not for --has

    regular = [file.path for file in checkpoint_files(work_dir) if not file.kind]
    return load_checkpoint(regular[-1]) if regular else None


def has_ended(checkpoint: dict) -> bool:
    """Whether it is of the last iteration of its config, or of the one where early stopping ended it."""
    config = json.loads(checkpoint.get("trained_with", {}).get("config", "{}"))
    planned = config.get("train_cfg", {}).get("max_iters", math.inf)
    stopped = any(state["stop_training"] for state in checkpoint.get("early_stopping", {}).values())
    return stopped or checkpoint["meta"]["iter"] >= planned


def training(work_dir: Path) -> dict[str, Any]:
    """``Minutes``, ``Seed`` and ``Iterations`` of a training that has come to its end.

    Raises:
        CellMMError: it has not, or its checkpoints do not say how long it took.
    """
    last = last_checkpoint(work_dir)
    if last is None or not has_ended(last):
        raise CellMMError(f"{work_dir}: its training has not ended; go on with `cellmm train --resume`")
    seconds = last.get("trained_seconds")
    if seconds is None:
        raise CellMMError(
            f"{work_dir}: its last checkpoint does not say how long it took; all of the training must run "
            "with `cellmm train --pause-after`"
        )
    minutes = seconds / 60
    return dict(
        Minutes=round(minutes) if minutes >= 20 else round(minutes, 1),
        Seed=last["meta"]["seed"],
        Iterations=last["meta"]["iter"],
    )


def results(metrics: Mapping[str, float | None], tested_on: str) -> list[dict]:
    """The ``Results`` of an entry from a metrics.json: cells, maps by name, parts of a test set of glands.

    Raises:
        CellMMError: there is no number in it that a metafile has.
    """
    number = {key: value for key, value in metrics.items() if isinstance(value, (int, float))}
    found = []
    if cells := {key: number[key] for key in INSTANCE_KEYS if key in number}:
        found.append(dict(Task="Instance Segmentation", Dataset=tested_on, Metrics=cells))
    for prefix in dict.fromkeys(key.rpartition("/")[0] for key in number if "/" in key):
        glands = f"{prefix}/object_dice" in number
        keys = GLAND_KEYS if glands else PIXEL_KEYS
        scores = {key: number[f"{prefix}/{key}"] for key in keys if f"{prefix}/{key}" in number}
        if glands:
            about = dict(Task="Instance Segmentation", Dataset=tested_on.partition(",")[0], Part=prefix)
            found.append(dict(about, Metrics=scores))
        elif "IoU" in scores:
            about = dict(Task="Semantic Segmentation", Map=prefix, Dataset=tested_on)
            found.append(dict(about, Metrics=scores))
    if not found:
        raise CellMMError(f"none of {list(metrics)} is a score that a metafile has")
    return found


def row(model: Mapping[str, Any]) -> str:
    """``Metadata`` and ``Results`` of an entry, as the metafiles are written."""
    lines = ["    Metadata:"] + [f"      {key}: {_text(value)}" for key, value in model["Metadata"].items()]
    lines.append("    Results:")
    for result in model["Results"]:
        digits = 4 if "Map" in result else 3
        scores = ", ".join(f"{key}: {value:.{digits}f}" for key, value in result["Metrics"].items())
        first, *more = [f"{key}: {_text(value)}" for key, value in result.items() if key != "Metrics"]
        lines += [f"      - {first}", *(f"        {line}" for line in [*more, f"Metrics: {{{scores}}}"])]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """A value as YAML: bare where that reads as the same."""
    bare = str(value)
    if not isinstance(value, str):
        return bare
    try:
        reads = yaml.safe_load(f"key: {bare}") == {"key": value}
    except yaml.YAMLError:
        reads = False
    return bare if reads else json.dumps(value, ensure_ascii=False)


def write_row(path: Path, name: str, model: Mapping[str, Any]) -> None:
    """Give the entry ``name`` of a metafile this ``Metadata`` and these ``Results``; the rest stays as it is.

    Raises:
        CellMMError: the entry is not written as in the other metafiles, so that it cannot be replaced.
    """
    text = path.read_text(encoding="utf-8")
    place = re.search(rf"^  - Name: {re.escape(name)}\n(?:(?!  - Name: ).*\n?)*", text, re.MULTILINE)
    parts = place and re.fullmatch(
        r"(?P<head>(?:.*\n)*?)    Metadata:\n(?P<metadata>(?:      .*\n?)*)"
        r"(?:    Results:\n(?:      .*\n?)*)?(?P<tail>\s*)",
        place[0],
    )
    other = [line for line in parts["metadata"].splitlines() if not TRAINING.match(line)] if parts else []
    if not parts or other:
        raise CellMMError(
            f"{path}: the entry {name} is not Metadata and then Results in the form of the other metafiles"
            f"{f' ({other[0].strip()})' if other else ''}; write the row by hand:\n{row(model)}"
        )
    written = text[: place.start()] + parts["head"] + row(model) + parts["tail"] + text[place.end() :]
    old, new = yaml.safe_load(text), yaml.safe_load(written)
    for content in (old, new):
        content["Models"] = [other for other in content["Models"] if other["Name"] != name]
    if old != new:
        raise CellMMError(f"{path}: other entries would change with {name}; write it by hand:\n{row(model)}")
    with atomic_path(path) as tmp:
        tmp.write_text(written, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        path, name = metafile_of(args.config)
        model = entry(path, name)
        if args.has:
            return 0 if "Results" in model else NO
        if args.ended:
            last = last_checkpoint(args.work_dir)
            return 0 if last is not None and has_ended(last) else NO
        if "Results" in model and not args.replace:
            raise CellMMError(f"{path}: {name} has results already; --replace replaces them")
        file = args.work_dir / "metrics.json"
        if not file.is_file():
            raise CellMMError(f"{file}: no such file; run `cellmm test` with this --work-dir first")
        from cellmm.ablation.runs import hardware  # torch: not for --has

        metadata = {"Training Data": args.trained_on or model["Metadata"]["Training Data"]}
        metadata["Hardware"] = args.hardware or hardware()
        metadata |= training(args.work_dir)
        metrics, tests = json.loads(file.read_text(encoding="utf-8")), best_checkpoint(args.work_dir)
        if Path(metrics.get("checkpoint", "")).name != tests.name:
            raise CellMMError(f"{file}: is not of {tests.name}; run `cellmm test` with it again")
        if metrics.get("tta"):
            raise CellMMError(f"{file}: is of a test with --tta; run `cellmm test` without it")
        found = results(metrics, args.tested_on)
        write_row(path, name, dict(Metadata=metadata, Results=found))
    except CellMMError as error:
        print(f"zoo_row: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
