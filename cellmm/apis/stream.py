"""From images to files of results: reading, the network and writing run side by side."""

import contextlib
import errno
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from cellmm.apis.in_order import in_order
from cellmm.apis.inferencer import AHEAD, CellInferencer
from cellmm.apis.prediction import Prediction, Prepared
from cellmm.errors import CellMMError
from cellmm.io.maps import write_map
from cellmm.io.sources import ImageSource
from cellmm.results.run_folder import InputFile, Record, RunFolder, failure_of, mark, stamp_of
from cellmm.results.writers import CollectingWriter, Writer

MAPS = "maps"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
WRITING = 2  # images whose files are being written while the model works on others


class DiskFull(CellMMError):
    """No other file can be written either."""


@dataclass(frozen=True)
class Job:
    """What is to be done for one image.

    Args:
        record: what is known of it before; of an earlier part of the run, what is finished.
        source: None: the file cannot be opened.
        predicts: the model has to look at it.
        keeps: what the model gives is written; else it is finished, and completes a batch.
        formats: the options of the writers whose files are missing.
        path: of the file; that of ``source`` may be a part of it.
    """

    record: Record
    source: ImageSource | None
    predicts: bool
    keeps: bool
    formats: frozenset[str] = frozenset()
    path: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one image: its record, and whether it was predicted in this run, and in tiles."""

    record: Record
    predicted: bool = False
    tiled: bool = False


@dataclass
class PredictionStream:
    """Predict files into a run folder, where whatever is finished stays finished.

    The same files give the same bytes, whatever was finished before, and in however many shares the files
    come: a batch holds images of the same ``batch_size`` files in a row, and is predicted whole.

    Args:
        begin: called before the first file is written; if the run goes on with another, at once.
        resumes: what the folder holds is of this run.
        maps: write the maps; those of a model without cells are written anyway.
    """

    inferencer: CellInferencer
    folder: RunFolder
    writers: Sequence[Writer]
    begin: Callable[[], None]
    resumes: bool = False
    maps: bool = False
    batch_size: int = 1
    _begun: bool = field(default=False, init=False)
    _early: list[Record] = field(default_factory=list, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def run(self, files: Sequence[InputFile]) -> Iterator[Outcome]:
        """Predict ``files`` and yield what became of each image, in order, when its files are written.

        Raises:
            CellMMError: the model gives nothing that can be written, or the disk is full.
        """
        if self.resumes:
            self.start()
        blocks = [files[i : i + self.batch_size] for i in range(0, len(files), self.batch_size)]
        with contextlib.ExitStack() as stack:

            def ahead(function: Callable, items: Iterable, number: int) -> Iterator:
                return stack.enter_context(contextlib.closing(in_order(function, items, ahead=number)))

            opened = ahead(self._open_block, blocks, 1)
            jobs = (job for block in opened for job in (*block, None))
            prepared = ahead(self._prepare, jobs, self.batch_size + AHEAD)
            found = self.inferencer.predict_batches(prepared, self.batch_size)
            results = ((job, result) for job, result in found if job is not None)
            yield from ahead(lambda result: self._write(*result), map(self._check, results), WRITING)

    def to_predict(self, files: Sequence[InputFile]) -> list[InputFile]:
        """Those of ``files`` that hold an image which is to be predicted, if they can be opened."""
        return [file for file in files if any(job.predicts for job in self._open(file))]

    def _open_block(self, files: Sequence[InputFile]) -> list[Job]:
        jobs = [job for file in files for job in self._open(file)]
        if self.batch_size > 1 and any(job.predicts for job in jobs):
            jobs = [job if job.source is None else replace(job, predicts=True) for job in jobs]
        return jobs

    def _open(self, file: InputFile) -> list[Job]:
        stamp = stamp_of(file.path)
        try:
            sources = self.inferencer.open(file.path, name=file.stem)
        except CellMMError as error:
            record = Record(file.name, file.stem, file.name, stamp=stamp, error=failure_of(error))
            return [Job(record, None, predicts=False, keeps=True)]
        return [self._job(file, number, len(sources), source, stamp) for number, source in enumerate(sources)]

    def _job(
        self, file: InputFile, number: int, total: int, source: ImageSource, stamp: tuple[int, int] | None
    ) -> Job:
        name = file.name
        if part := source.name.removeprefix(file.stem):  # such as _t0003
            path = PurePosixPath(name)
            name = path.with_name(f"{path.stem}{part}{path.suffix}").as_posix()
        new = Record(name, source.name, file.name, number, total, stamp)
        formats = frozenset(writer.option for writer in self.writers)
        old = self.folder.record(source.name) if self.resumes else None
        if (
            old is None
            or old.error is not None
            or replace(new, cells=0) != replace(old, cells=0, files={}, losses={}, failures={})
        ):
            return Job(new, source, True, True, formats, file.path)
        missing = frozenset(
            option for option, file in old.files.items() if not (self.folder.path / file).exists()
        )
        if old.cells is not None:
            formats = formats - old.files.keys() | formats & missing
        maps = [option for option in old.files if option.startswith(f"{MAPS}:")]
        wants_maps = (self.maps or old.cells is None) and not (maps and missing.isdisjoint(maps))
        return Job(old, source, wants_maps, wants_maps or bool(formats), formats, file.path)

    def _prepare(self, job: Job | None) -> tuple[Job | None, Prepared | CellMMError | None]:
        if job is None or not job.predicts:
            return job, None
        try:
            return job, self.inferencer.prepare(job.source)
        except CellMMError as error:
            return job, error

    def _check(
        self, result: tuple[Job, Prediction | CellMMError | None]
    ) -> tuple[Job, Prediction | CellMMError | None]:
        job, found = result
        if isinstance(found, Prediction) and not found.maps:
            if self.maps:
                raise CellMMError("--maps: the model gives no maps, it has no SemanticHead; leave --maps out")
            if found.instances is None:
                raise CellMMError(
                    f"{job.source.path}: the model gives neither cells nor maps; set model.instance_head to "
                    "the head that gives the cells"
                )
        return result

    def _write(self, job: Job, found: Prediction | CellMMError | None) -> Outcome:
        """Write the files of an image, and its record when they are there."""
        if not job.keeps:
            return Outcome(job.record)
        if isinstance(found, Prediction) and stamp_of(job.path) != job.record.stamp:
            found = CellMMError(f"{job.path} changed while it was read: predict it again, with --resume")
        if isinstance(found, CellMMError) or job.record.error is not None:
            record = job.record if found is None else replace(job.record, error=failure_of(found))
            self._write_early(record)
            return Outcome(record)
        self.start()
        tiled = found is not None and found.tiled
        try:
            record = self._write_files(job, found)
            self.folder.write_record(record)
        except DiskFull:
            raise
        except (CellMMError, OSError, MemoryError) as error:
            _end_if_full(error)
            record = replace(job.record, cells=None, files={}, error=failure_of(error))
        return Outcome(record, predicted=found is not None, tiled=tiled)

    def _write_files(self, job: Job, found: Prediction | None) -> Record:
        if found is None:
            instances = self.folder.instances(job.record.stem)
        else:
            instances = found.instances
            if instances is not None:
                instances = replace(instances, name=job.record.name)
                self.folder.write_instances(job.record.stem, instances)
        record = job.record
        files, losses, failures = dict(record.files), dict(record.losses), dict(record.failures)
        for writer in self.writers if instances is not None else ():
            if writer.option not in job.formats:
                continue
            path = file_of(self.folder, writer, record.stem)
            failures.pop(writer.option, None)
            try:
                lost = writer.write(path, instances, job.source)
            except (CellMMError, OSError, MemoryError) as error:
                _end_if_full(error)
                where = f"{path}: " if isinstance(error, MemoryError) else ""
                failures[writer.option] = f"{where}{failure_of(error)}"
                continue
            files[writer.option] = path.relative_to(self.folder.path).as_posix()
            losses[writer.option] = dict(sorted(lost.items()))
        if found is not None and (self.maps or instances is None):
            for target, probs in found.maps.items():
                path = mark(self.folder.path / MAPS) / f"{record.stem}_{target}.tif"
                write_map(path, probs)
                files[f"{MAPS}:{target}"] = path.relative_to(self.folder.path).as_posix()
        cells = None if instances is None else len(instances)
        files, losses, failures = (dict(sorted(values.items())) for values in (files, losses, failures))
        return replace(record, cells=cells, files=files, losses=losses, failures=failures)

    def start(self) -> None:
        """Begin, unless this was done before; records of images that cannot be used wait for it."""
        with self._lock:
            if not self._begun:
                self._begun = True
                self.begin()
                for record in self._early:
                    self.folder.write_record(record)

    def _write_early(self, record: Record) -> None:
        """Write the record of an image that cannot be used; before anything else is written it only waits."""
        with self._lock:
            if self._begun:
                self.folder.write_record(record)
            else:
                self._early.append(record)


def file_of(folder: RunFolder, writer: Writer, stem: str) -> Path:
    """Where ``writer`` writes what belongs to one image: what is collected later is a part of the run."""
    if isinstance(writer, CollectingWriter):
        return folder.parts / writer.folder / f"{stem}{writer.suffix}"
    return mark(folder.path / writer.folder) / f"{stem}{writer.suffix}"


def collect(folder: RunFolder, writer: CollectingWriter, stems: Iterable[str], **known: object) -> Path:
    """Make the file of the whole run from the parts of these images, one part after another.

    ``known``: what else is known about the run; a writer gets what its ``collect`` names.
    """
    path = folder.path / writer.collection
    taken = inspect.signature(writer.collect).parameters
    more = {name: value for name, value in known.items() if name in taken}
    writer.collect(path, (file_of(folder, writer, stem) for stem in stems), **more)
    return path


def _end_if_full(error: BaseException) -> None:
    """End the run if no other file can be written either."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        raise DiskFull(f"{failure_of(error)}; then go on with --resume") from error
