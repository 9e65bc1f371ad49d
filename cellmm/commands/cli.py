"""The command ``cellmm``: training, testing, prediction and the check of the installation."""

import argparse
import gc
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from cellmm import __version__
from cellmm.errors import CellMMError, explain

# command -> the module whose main(argv) carries it out, and what it does
COMMANDS = {
    "simulate": ("cellmm.commands.simulate", "make a folder of annotated images, to try cellmm on"),
    "init": ("cellmm.commands.init", "write a config for a folder of annotated images"),
    "train": ("cellmm.commands.train", "train a model from a config file"),
    "tune": ("cellmm.commands.tune", "search for the best values of a config, in short trainings"),
    "test": ("cellmm.commands.test", "score a checkpoint on annotated images"),
    "kfold": ("cellmm.commands.kfold", "train and test a config on k parts of its images"),
    "compare": ("cellmm.commands.compare", "score the results of several programs side by side"),
    "predict": ("cellmm.commands.predict", "find the cells in images and folders of images"),
    "propose": (
        "cellmm.commands.propose",
        "predict cells for a person to correct, the doubtful images first",
    ),
    "synthesize": (
        "cellmm.commands.synthesize",
        "make annotated brightfield from annotated phase contrast",
    ),
    "models": ("cellmm.commands.models", "list the models that need no training"),
    "export": ("cellmm.commands.export", "write a model for other programs: ONNX, .pt2, bioimage.io"),
    "tiles": ("cellmm.commands.tiles", "predict large images and folders in pieces, on many machines"),
    "track": ("cellmm.commands.track", "follow cells through films, on results of predict"),
    "config": ("cellmm.commands.config", "print a config with its bases and check it"),
    "doctor": ("cellmm.commands.doctor", "check this installation and say how to mend it"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``cellmm COMMAND ...`` and return its exit status.

    A :class:`CellMMError` (a wrong file, annotation or config) is one line on stderr and status 1, and so are
    a full disk or memory, and a command whose libraries cannot be imported. Ctrl-C is status 130.
    Anything else is a bug and keeps its traceback.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    command = _parser().parse_args(argv[:1] or ["--help"]).command
    return run(COMMANDS[command][0], argv[1:], prog=f"cellmm {command}")


def run(module: str, argv: Sequence[str], *, prog: str) -> int:
    """Import ``module`` and run its ``main(argv)``, a user's error shown as one line after ``prog``."""
    entry = None
    try:
        entry = _import(module).main
        status = entry(list(argv))
    except (Exception, KeyboardInterrupt) as error:
        if _was_stopped(error):
            return _fail(prog, "stopped", status=130)
        line = _line_of(error) if entry else _line_of_import(error)
        if line is None:
            _end_if_in_group(1, error)
            raise
        return _fail(prog, line)
    return status if isinstance(status, int) else 0


def _import(module: str) -> ModuleType:
    """Import a command with its libraries, without garbage collection.

    Their hundreds of thousands of objects stay until the end. Looking through them again and again while they
    come in, and later in every collection, took more than a fifth of the time of `cellmm predict` on an image
    of a megapixel.
    """
    if module in sys.modules or not gc.isenabled():
        return importlib.import_module(module)
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _was_stopped(error: BaseException | None) -> bool:
    """Whether an error is Ctrl-C, or was raised by code that caught Ctrl-C."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _line_of(error: BaseException) -> str | None:
    """The line that a command prints for an error; None: it is a bug."""
    if isinstance(error, CellMMError):
        # a worker of a data loader hands on its whole traceback as the text
        return str(error).rsplit("CellMMError: ", 1)[-1]
    return explain(error)


def _line_of_import(error: BaseException) -> str | None:
    """The same for errors of libraries that do not fit or are not installed."""
    if not isinstance(error, (ImportError, OSError, RuntimeError)):
        return _line_of(error)
    return f"{type(error).__name__}: {error}; `cellmm doctor` looks for the cause and its cure"


def _fail(prog: str, message: str, *, status: int = 1) -> int:
    sys.stderr.write(f"{prog}: {' '.join(message.splitlines())}\n")
    _end_if_in_group(status)
    return status


def _end_if_in_group(status: int, error: BaseException | None = None) -> None:
    """End a process of several that failed, an unexpected ``error`` with its traceback."""
    if ranks := sys.modules.get("cellmm.engine.ranks"):  # else there is no group
        ranks.exit_after_error(status, error)


def _parser() -> argparse.ArgumentParser:
    commands = "\n".join(f"  {name:<11}{what}" for name, (_, what) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="cellmm",
        description="Find single cells in microscope images, also where they overlap.",
        usage="cellmm COMMAND ...",
        epilog=f"commands:\n{commands}\n\n`cellmm COMMAND --help` lists the options of one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cellmm {__version__}")
    parser.add_argument("command", choices=tuple(COMMANDS), metavar="COMMAND", help="one of those below")
    return parser


if __name__ == "__main__":
    sys.exit(main())
