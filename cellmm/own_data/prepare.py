"""From a folder of annotated images to a config that can be trained."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from cellmm.datasets.folders import AnnotatedFolderDataset, FolderContents, look_at, read_names
from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path, check_writable, put_away
from cellmm.messages import name_some
from cellmm.own_data.choices import MODELS, choose
from cellmm.own_data.config_text import HERE, config_text
from cellmm.own_data.split import SPLITS, Split, split_images
from cellmm.own_data.start import start_model
from cellmm.own_data.statistics import measure_dataset

CONFIG = "config.py"
SAVE = "coco,png,csv,rois,layers,report"


def _write_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")


@dataclass(frozen=True)
class Place:
    """Where the files of a person's training lie: ``out`` and what is in it."""

    out: Path

    @classmethod
    def of(cls, folder: str | Path, out: str | Path | None = None) -> "Place":
        """``out``, else the folder beside ``folder`` with ``_cellmm`` after its name."""
        folder = Path(folder).resolve()
        return cls(Path(out).resolve() if out else folder.with_name(f"{folder.name}_cellmm"))

    @property
    def config(self) -> Path:
        return self.out / CONFIG

    @property
    def training(self) -> Path:
        return self.out / "training"


def prepare(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    model: str = "diskmask",
    start: str | None = None,
    layout: str | None = None,
    seed: int = 0,
    say: Callable[[str], object] = _write_line,
) -> Path:
    """Look at the images, split them, and write the config and the lists of the splits; return the config.

    An earlier config in ``out`` is moved into ``out/earlier``.

    Args:
        folder: of annotated images, in any layout that ``look_at`` knows.
        out: a folder outside of ``folder``; None: beside it, see Place.
        model: of MODELS.
        start: the name of a model to start from (``cellmm models``), or the folder of a training.
        layout: which annotations to take, where there are several kinds, see ``look_at``.
        seed: of the split.
        say: is told, line by line, what was found and done.

    Raises:
        CellMMError: there are no annotated images, they cannot be read or do not go together; ``out`` cannot
            be written or lies in ``folder``.
    """
    if model not in MODELS:
        raise CellMMError(f"--model {model}: choose from {', '.join(MODELS)}")
    folder, place = Path(folder).resolve(), Place.of(folder, out)
    if place.out == folder or folder in place.out.parents:
        raise CellMMError(f"{place.out} is in the folder of the images: give another one with --out")
    check_writable(place.config)
    contents = look_at(folder, layout)
    for line in contents.describe().splitlines():
        if line not in contents.notes:  # the dataset warns of them
            say(line)
    found = measure_dataset(AnnotatedFolderDataset(data_root=folder, layout=layout, allow_empty=True))
    split = split_images({image.name: image.group for image in contents.images}, seed)
    for line in [*found.describe(), *split.describe()]:
        say(line)
    knows = None if start is None else start_model(start)
    text = config_text(
        choose(found, model, knows),
        about=[_title(folder, start), *found.describe(), *split.describe()],
        data_root=_from_here(folder, place.out),
        validates=bool(split.val),
        tests=bool(split.test),
        empty=any(image.instances is not None and not image.instances for image in contents.images),
        start=knows,
        layout=layout,
    )
    _write(place, text, split, say)
    for line in next_commands(place, contents, split, start):
        say(line)
    return place.config


def find_prepared(folder: str | Path) -> Path | None:
    """The config that ``prepare`` wrote for ``folder``, beside it; None: there is none.

    A config in ``folder`` itself does not count: images are data, from anybody, and a config runs as code.
    """
    path = Place.of(folder).config
    return path if path.is_file() else None


def in_no_split(cfg: Config, config: Path) -> str | None:
    """A line on the annotated images that came after ``prepare`` wrote ``config``; None: there are none."""
    data = cfg.train_dataloader.dataset
    lists = [path for name in SPLITS if (path := config.with_name(f"{name}.txt")).is_file()]
    if data.get("type") != "AnnotatedFolderDataset" or not data.get("split_file") or not lists:
        return None
    listed = {name for path in lists for name in read_names(path)}
    contents = look_at(data.data_root, data.get("layout"))
    new = [image.name for image in contents.images if image.name not in listed]
    if not new:
        return None
    folder = Path(data.data_root).resolve()
    out = Path(config).resolve().parent
    where = "" if out == Place.of(folder).out else f" --out {shlex.quote(str(out))}"
    return (
        f"{folder}: annotated images in no split, not used, {name_some(new)}; "
        f"`cellmm init {shlex.quote(str(folder))}{where}` makes new splits"
    )


def next_commands(
    place: Place, contents: FolderContents, split: Split, start: str | None = None
) -> list[str]:
    """The commands that train, test and predict, as they are typed, and what to know of them."""
    config, training = (shlex.quote(str(path)) for path in (place.config, place.training))
    begin = "" if start is None else f" --from {shlex.quote(start)}"
    lines = ["", "next:", f"cellmm train {config}{begin}"]
    if split.test:
        lines.append(f"cellmm test {config} {training}")
    name = (split.test or split.train)[0]
    image = next(image for image in contents.images if image.name == name).image
    if isinstance(image, tuple):
        lines.append("in Python, since the channels of an image are in several files:")
        lines.append(f"CellInferencer({str(place.training)!r}).predict({[str(path) for path in image]})")
        return lines
    path, results = (
        shlex.quote(str(path)) for path in (getattr(image, "path", image), place.out / "results")
    )
    lines.append(f"cellmm predict {path} --model {training} --out {results} --save {SAVE}")
    return lines


def _title(folder: Path, start: str | None) -> str:
    begin = "" if start is None else f" to start from {start}"
    return f"Written by `cellmm init {folder.name}`{begin}. Change what you like; `cellmm config` checks it."


def _from_here(folder: Path, out: Path) -> str:
    """The folder of the images as the config names it: relative where both can be moved together."""
    if folder.parent == out.parent:
        return f"{HERE}/../{folder.name}"
    return folder.as_posix()


def _write(place: Place, text: str, split: Split, say: Callable[[str], object]) -> None:
    lists = {place.out / f"{name}.txt": getattr(split, name) for name in SPLITS}
    if earlier := put_away([place.config, *lists], place.out):
        say(f"earlier: the config and splits that were here are now in {earlier}")
    for path, names in lists.items():
        with atomic_path(path) as tmp:
            tmp.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    with atomic_path(place.config) as tmp:
        tmp.write_text(text, encoding="utf-8")
    say(f"written: {place.config}")
