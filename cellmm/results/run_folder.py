"""The folder of a run of prediction: what is finished there, image by image, so that a run can go on.

run.json               what was asked for: settings, the input files in order, the formats
parts/records/a.json   the Record of an image, written last: the files that it names are there, whole
parts/records/a.npz    its Instances
parts/coco/a.json      what a file of the whole run is made from
overlays/a.png         a folder per format
cells.json             a file of the whole run, made at the end
"""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cellmm.errors import CellMMError, explain
from cellmm.io.files import UNFINISHED, atomic_path
from cellmm.results.instances import Instances

RUN = "run.json"
PARTS = "parts"
RECORDS = "records"
MARK = ".cellmm-predict"  # an empty file that marks the folders of results
LONGEST_NAME = 200  # bytes of a file's name, which leaves room for what formats add to it


@dataclass(frozen=True)
class InputFile:
    """A file of the run.

    Args:
        path: where it is.
        name: in the results, relative to the folder that holds all inputs.
        stem: of the files of its results, relative to the folder of a format.
    """

    path: Path
    name: str
    stem: str


@dataclass(frozen=True)
class Record:
    """What became of one image.

    Args:
        name: of the image in the results: that of its file, with ``_p002`` and ``_t0003`` where needed.
        stem: of the files of its results.
        file: ``InputFile.name`` of its file.
        number, total: which image of its file it is, from 0, and how many the file holds.
        stamp: size in bytes and time of the last change (ns) of the file when it was read.
        cells: how many were found; None: the model gives no cells, or the image could not be used.
        files: {format: the file, relative to the folder of the run}.
        losses: {format: {what it could not hold: how often}}.
        failures: {format: why its file could not be written}.
        error: why the image could not be used.
    """

    name: str
    stem: str
    file: str
    number: int = 0
    total: int = 1
    stamp: tuple[int, int] | None = None
    cells: int | None = None
    files: dict[str, str] = field(default_factory=dict)
    losses: dict[str, dict[str, int]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    error: str | None = None


class RunFolder:
    """Read and write the records of a run in ``path``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.parts = self.path / PARTS
        self._records = self.parts / RECORDS

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / RUN).is_file()

    def begin(self, settings: Mapping[str, str], inputs: Sequence[InputFile], formats: Sequence[str]) -> None:
        """State what is asked for; the first thing that a run writes."""
        files = [[file.name, file.stem] for file in inputs]
        content = dict(settings=dict(settings), formats=list(formats), inputs=files)
        _write_json(self.path / RUN, content)

    def content(self) -> dict:
        """What ``begin`` wrote.

        Raises:
            CellMMError: no run was begun here, or its file is damaged.
        """
        path = self.path / RUN
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return dict(settings=content["settings"], formats=content["formats"], inputs=content["inputs"])
        except OSError as error:
            raise CellMMError(
                f"{path}: no run of `cellmm predict` is in this folder; check the path"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise CellMMError(f"{path} is damaged: predict again without --resume") from error

    def check_settings(self, settings: Mapping[str, str]) -> None:
        """Raise CellMMError where this run was begun with other settings, named as their options."""
        cure = "give the same, or leave out --resume to begin anew"
        refuse_other_settings(self.path, self.content()["settings"], settings, cure)

    def record(self, stem: str) -> Record | None:
        """The record of an image; None: it is not finished."""
        try:
            content = json.loads(self._record_path(stem).read_text(encoding="utf-8"))
            stamp = content.pop("stamp")
            return Record(**content, stamp=None if stamp is None else tuple(stamp))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise CellMMError(f"{self._record_path(stem)} is damaged: remove it, then --resume") from error

    def instances(self, stem: str) -> Instances:
        """The cells of a finished image."""
        return Instances.load(self._records / f"{stem}.npz")

    def write_instances(self, stem: str, instances: Instances) -> None:
        """Keep the cells of an image; before its record."""
        instances.save(self._records / f"{stem}.npz")

    def write_record(self, record: Record) -> None:
        """Say that an image is finished: what the record names is written."""
        _write_json(self._record_path(record.stem), asdict(record))

    def records(self) -> list[Record]:
        """Those of all images, in the order of the inputs.

        Raises:
            CellMMError: an image is not finished.
        """
        order = {name: place for place, (name, _) in enumerate(self.content()["inputs"])}
        found: dict[str, list[Record]] = {name: [] for name in order}
        for stem in self._stems():
            record = self.record(stem)
            if record.file in found:
                found[record.file].append(record)
        for name, some in found.items():
            some.sort(key=lambda record: record.number)
            if not some or [record.number for record in some] != list(range(some[-1].total)):
                raise CellMMError(
                    f"{self.path}: {name} is not finished; run the same `cellmm predict` with --resume"
                )
        return [record for name in order for record in found[name]]

    def check_size(self, most: int) -> None:
        """Raise CellMMError where the run has more than ``most`` input files."""
        number = len(self.content()["inputs"])
        if number > most:
            raise CellMMError(f"{self.path}: results of {number} files; open at most {most}, or single TIFFs")

    def remove_leftovers(self, folders: Iterable[str]) -> list[Path]:
        """Remove what a killed run left half written, here and below ``folders``."""
        places = [self.path.glob(f".*{UNFINISHED}*")]
        places += [(self.path / name).rglob(f".*{UNFINISHED}*") for name in (PARTS, *folders)]
        found = [path for place in places for path in place if path.name != MARK]
        for path in found:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return found

    def remove_others(self, stems: Collection[str]) -> list[str]:
        """Remove the results of all images but these: of inputs that an earlier part of the run had."""
        removed = []
        for stem in self._stems():
            if stem in stems:
                continue
            record = self.record(stem)
            (self._records / f"{stem}.npz").unlink(missing_ok=True)
            for name in record.files.values():
                target = self.path / name
                shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
            self._record_path(stem).unlink()
            removed.append(record.name)
        return removed

    def _stems(self) -> list[str]:
        paths = self._records.rglob("*.json") if self._records.is_dir() else ()
        return sorted(path.relative_to(self._records).as_posix().removesuffix(".json") for path in paths)

    def _record_path(self, stem: str) -> Path:
        return self._records / f"{stem}.json"


def read_run(path: str | Path) -> Iterator[Instances]:
    """The cells of each image that a finished run of ``cellmm predict`` could use, in order.

    One image is read at a time.

    Args:
        path: the folder that ``--out`` named.

    Raises:
        CellMMError: it does not hold such a run, or the run is not finished.
    """
    folder = RunFolder(path)
    for record in folder.records():
        if record.cells is not None:
            yield folder.instances(record.stem)


def refuse_other_settings(
    folder: Path, earlier: Mapping[str, str], settings: Mapping[str, str], cure: str
) -> None:
    """Raise CellMMError where ``folder`` was begun with other settings, named as their options."""
    keys = [*settings, *(key for key in earlier if key not in settings)]
    other = [key for key in keys if earlier.get(key) != settings.get(key)]
    if other:
        key, change = other[0], ""
        if max(len(str(values.get(key))) for values in (earlier, settings)) <= 40:
            change = f" ({earlier.get(key)}, now {settings.get(key)})"
        raise CellMMError(
            f"--resume: {folder} was begun with another {', another '.join(other)}{change}: {cure}"
        )


def mark(folder: Path) -> Path:
    """Make a folder for results, marked so that the next run recognises it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    return folder


def stamp_of(path: Path | None) -> tuple[int, int] | None:
    """Size in bytes and time of the last change (ns) of a file, or of a folder with the files in it."""
    if path is None:
        return None
    try:
        files = [path, *path.iterdir()] if path.is_dir() else [path]
        stats = [file.stat() for file in files]
    except OSError:
        return None
    return sum(stat.st_size for stat in stats), max(stat.st_mtime_ns for stat in stats)


def shortened(stem: str) -> str:
    """``stem`` with every part short enough for a file system: a part that is too long ends in a hash of it.

    Examples:
        >>> shortened("day2/a"), len(shortened("b" * 250))
        ('day2/a', 200)
    """
    return "/".join(part if len(part.encode()) <= LONGEST_NAME else _short(part) for part in stem.split("/"))


def _short(part: str) -> str:
    end = f"_{hashlib.sha256(part.encode()).hexdigest()[:12]}"
    return part.encode()[: LONGEST_NAME - len(end)].decode(errors="ignore") + end


def failure_of(error: BaseException) -> str:
    """The line for an error of one file."""
    return " ".join((explain(error) or str(error)).splitlines())


def _write_json(path: Path, content: dict) -> None:
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(content, ensure_ascii=True), encoding="utf-8")
