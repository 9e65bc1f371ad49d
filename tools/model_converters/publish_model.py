"""Turn a checkpoint into a file for others: its weights as plain tensors, and a json about them."""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from cellmm import __version__
from cellmm.config.names import PREFIX, configs_folder, find_config
from cellmm.engine.checkpoints import load_checkpoint, save_weights, sha256
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path


def publish(
    source: Path, out: Path, force: bool = False, half: bool = False, config_name: str | None = None
) -> Path:
    """Write ``out`` (.pth or .safetensors) and ``<out>.json``; returns the path of the json.

    The weights are those that testing uses: the averaged ones where training averaged them. The json holds
    ``file``, ``sha256``, ``config`` (its name), ``config_text``, ``classes``, ``iter``, ``cellmm_version``
    and ``metrics`` (see ``read_metrics``), null if unknown.

    Args:
        half: write numbers in half precision (float16), in half of the space.
        config_name: of a config of cellmm, as in ``diskmask/nuclei``. It is written into ``out`` too, which
            then needs no other file to predict.

    Raises:
        CellMMError: a file exists, there is no such config, or a number is too large for half precision.
    """
    if out.suffix not in (".pth", ".safetensors"):
        raise CellMMError(f"{out}: name the file *.pth or *.safetensors")
    about = Path(f"{out}.json")
    for path in (out, about):
        if path.exists() and not force:
            raise CellMMError(f"{path} exists: give another name, or --force to replace it")
    checkpoint, metrics = load_checkpoint(source), read_metrics(source)
    meta = checkpoint["meta"]
    trained_with = re.sub(r"(_\d{8}_\d{6}(_\d+)?)+$", "", str(meta.get("experiment_name", ""))) or None
    if config_name is not None:
        path = find_config(f"{PREFIX}{config_name}")
        config_name = path.relative_to(configs_folder()).with_suffix("").as_posix()
    trained = meta.get("dataset_meta") or {}
    classes = list(trained.get("classes", ()))
    kept = dict(cellmm_version=__version__, dataset_meta=dict(classes=classes) if classes else None)
    if classes and trained.get("category_ids"):
        kept["dataset_meta"]["category_ids"] = list(trained["category_ids"])
    kept |= {key: meta[key] for key in ("iter", "trained_on") if key in meta}
    if config_name is not None:
        kept["config_name"] = config_name
    about.unlink(missing_ok=True)  # it is of the file that is replaced
    weights = checkpoint["state_dict"]
    save_weights(out, halved(weights, source) if half else weights, kept)
    text = dict(
        file=out.name,
        sha256=sha256(out),
        config=config_name or trained_with,
        config_text=meta.get("cfg"),
        classes=classes or None,
        iter=meta.get("iter"),
        cellmm_version=__version__,
        metrics=metrics,
    )
    with atomic_path(about) as tmp:
        tmp.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
    return about


def halved(weights: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Numbers with fractions as float16."""
    small = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    if large := [name for name, value in small.items() if not value.isfinite().all()]:
        raise CellMMError(f"{source}: numbers too large for half precision in {large[0]}; leave out --half")
    return small


def read_metrics(source: Path) -> dict | None:
    """The numbers of the ``metrics.json`` beside ``source``, where it is of that checkpoint; else None."""
    path = source.with_name("metrics.json")
    if not path.is_file():
        return None
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
        tested = Path(metrics["checkpoint"]).name
    except (ValueError, KeyError, TypeError) as error:
        raise CellMMError(f"{path}: not what `cellmm test` writes; move it away") from error
    if tested != source.name:
        print(f"publish_model: {path} is of {tested}: its numbers are left out", file=sys.stderr)
        return None
    return {key: value for key, value in metrics.items() if key not in ("checkpoint", "config")}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="publish_model", description=__doc__)
    parser.add_argument("source", type=Path, metavar="IN", help="a checkpoint that training wrote")
    parser.add_argument("out", type=Path, metavar="OUT", help="a new .pth file")
    parser.add_argument("--safetensors", action="store_true", help="write OUT as .safetensors instead")
    parser.add_argument("--half", action="store_true", help="half precision: a file of half the size")
    parser.add_argument("--config-name", metavar="NAME", help="the config of cellmm that it was trained with")
    parser.add_argument("--force", action="store_true", help="replace OUT where it exists")
    args = parser.parse_args(argv)
    out = args.out
    if args.safetensors and out.suffix != ".safetensors":
        out = Path(f"{str(out).removesuffix('.pth')}.safetensors")
    try:
        about = publish(args.source, out, args.force, args.half, args.config_name)
    except CellMMError as error:
        print(f"publish_model: {error}", file=sys.stderr)
        return 1
    print(f"{out}\n{about}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
