"""`cellmm config`: print a config with its bases, show what it changes, and check it."""

import argparse
import difflib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from cellmm.config.check import check_config
from cellmm.config.load import load_config
from cellmm.config.names import config_names, find_config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cellmm config", description="Print a config with its bases, what it changes, and check it."
    )
    parser.add_argument(
        "config",
        nargs="?",
        help="a Python config file, or the name of a config of cellmm; it is run as code: only use files "
        "that you trust",
    )
    parser.add_argument("--list", action="store_true", help="name the configs of cellmm, and end")
    parser.add_argument("--diff", action="store_true", help="only the difference from the bases")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change values of the config"
    )
    args = parser.parse_args(argv)
    if args.config is None and not args.list:
        parser.error("give a config, or --list")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Print to stdout, then check; raises CellMMError where the config cannot be used."""
    args = parse_args(argv)
    if args.list:
        _write("".join(f"{name}\n" for name in config_names()))
        return
    logging.disable(logging.INFO)  # mmengine logs to stdout, which is for the config alone
    try:
        cfg = load_config(args.config, args.cfg_options)
        names, bases = load_bases(args.config)
    finally:
        logging.disable(logging.NOTSET)
    text = "" if args.diff else f"{cfg.pretty_text.rstrip()}\n\n"
    text += f"# difference from {', '.join(names) or 'nothing: it has no _base_'}\n"
    text += "".join(f"{line}\n" for line in difference(bases, cfg.to_dict()))
    _write(text)
    check_config(cfg)
    _write("# checked: nothing wrong found\n")


def _write(text: str) -> None:
    """Write to stdout, and stop quietly when the reader, such as ``head``, has gone."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load_bases(path: str | Path) -> tuple[list[str], dict]:
    """The names of a config's ``_base_`` files, and the config that they give without its own lines."""
    path = find_config(path)
    names = Config._get_base_files(str(path))
    if not names:
        return [], {}
    paths = [name if "::" in name else str((Path(path).parent / name).resolve()) for name in names]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{Path(path).stem}.py"
        file.write_text(f"_base_ = {paths!r}\n")
        return names, load_config(file).to_dict()


def difference(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """One line per dotted key: ``key: old -> new``, ``+ key: new``, ``- key: old``.

    Lists of dicts are compared step by step, so that one more step is one more key.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            here = f"{path}.{key}" if path else str(key)
            if key not in new:
                yield from _leaves("-", old[key], here)
            elif key not in old:
                yield from _leaves("+", new[key], here)
            else:
                yield from difference(old[key], new[key], here)
    elif _has_dicts(old) and _has_dicts(new):
        matcher = difflib.SequenceMatcher(None, _kinds(old), _kinds(new), False)
        for what, i, i2, j, j2 in matcher.get_opcodes():
            if what == "equal":
                for before, after, number in zip(old[i:i2], new[j:j2], range(j, j2), strict=True):
                    yield from difference(before, after, f"{path}.{number}")
            else:
                for sign, part, first in (("-", old[i:i2], i), ("+", new[j:j2], j)):
                    for number, step in enumerate(part, first):
                        yield from _leaves(sign, step, f"{path}.{number}")
    elif repr(old) != repr(new):
        yield f"{path}: {old!r} -> {new!r}"


def _has_dicts(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(step, dict) for step in value)


def _kinds(steps: list) -> list[str]:
    return [repr(step.get("type")) if isinstance(step, dict) else repr(step) for step in steps]


def _leaves(sign: str, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(sign, part, f"{path}.{key}")
    elif _has_dicts(value):
        for number, part in enumerate(value):
            yield from _leaves(sign, part, f"{path}.{number}")
    else:
        yield f"{sign} {path}: {value!r}"
