"""Where ``cellmm predict`` writes, and what must not be there."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cellmm.apis.stream import MAPS
from cellmm.errors import CellMMError
from cellmm.io.files import check_writable, put_away
from cellmm.io.image_folders import name_images
from cellmm.results.run_folder import MARK, PARTS, RUN, InputFile, RunFolder, shortened
from cellmm.results.writers import CollectingWriter, Writer, options

CELLS = "cells.json"
EARLIER = "earlier"


@dataclass(frozen=True)
class Places:
    """The folders and files of a run in ``out`` with these writers."""

    out: Path
    writers: Sequence[Writer]

    @property
    def folders(self) -> list[Path]:
        """Those that this run writes files of images into."""
        own = [writer.folder for writer in self.writers if not isinstance(writer, CollectingWriter)]
        return [self.out / name for name in (*own, MAPS)]

    @property
    def collections(self) -> list[Path]:
        """The files of the whole run."""
        own = [writer.collection for writer in self.writers if isinstance(writer, CollectingWriter)]
        return [self.out / name for name in (RUN, *own)]

    def earlier(self) -> list[Path]:
        """What runs left here, in any format."""
        known = options().values()
        folders = {self.out / name for name in (*(cls.folder for cls in known), PARTS, MAPS)}
        files = {self.out / cls.collection for cls in known if hasattr(cls, "collection")}
        ours = (self.out / RUN).exists() or (self.out / CELLS).exists()
        return sorted(
            {path for path in folders if (path / MARK).exists() or (ours and path in self._used)}
            | ({path for path in files if path.exists()} if ours else set())
            | {path for path in (self.out / RUN, self.out / CELLS) if path.exists()}
        )

    @property
    def _used(self) -> list[Path]:
        return [*self.folders, self.out / PARTS]

    def left_out(self) -> list[Path]:
        """The folders in which no image is looked for."""
        put_away = [path for path in (self.out / EARLIER).glob("*") if re.match(r"\d{8}_\d{6}", path.name)]
        return [*self.folders, *(path for path in self.earlier() if path.is_dir()), *put_away]

    def check_writable(self) -> None:
        """Raise CellMMError where the files of the whole run could not be written."""
        for path in self.collections:
            check_writable(path)

    def refuse_other_folders(self) -> None:
        """Raise CellMMError where a folder for results holds files that no earlier run wrote."""
        ours = (self.out / RUN).exists() or (self.out / CELLS).exists()
        for folder in self._used:
            if not ours and not (folder / MARK).exists() and folder.is_dir() and any(folder.iterdir()):
                raise CellMMError(
                    f"{folder} holds files that are not of an earlier `cellmm predict`: name another folder "
                    "with --out"
                )

    def refuse_results(self, inputs: Iterable[str | Path]) -> None:
        """Raise CellMMError where an input lies in a folder that results go to."""
        folders = [(folder, folder.resolve()) for folder in self._used]
        for name in inputs:
            path = Path(name).resolve()
            for folder, resolved in folders:
                if resolved in (path, *path.parents):
                    raise CellMMError(
                        f"{name} is in {folder}, where results go: name another folder with --out"
                    )

    def remove_outdated(self) -> None:
        """Remove files of the whole run that an earlier part of it made, in formats that are not made now."""
        known = {self.out / cls.collection for cls in options().values() if hasattr(cls, "collection")}
        for path in known.difference(self.collections):
            path.unlink(missing_ok=True)

    def put_away(self) -> Path | None:
        """Move what runs left here into a folder of its own and return that."""
        return put_away(self.earlier(), self.out)


def input_files(paths: Sequence[Path]) -> tuple[list[InputFile], list[str]]:
    """The inputs with their names in the results, and the names of those whose files get shorter names."""
    names, pictures = name_images(paths)
    stems = [picture.removesuffix(".png") for picture in pictures]
    files = [
        InputFile(path, name, shortened(stem)) for path, name, stem in zip(paths, names, stems, strict=True)
    ]
    return files, [file.name for file, stem in zip(files, stems, strict=True) if file.stem != stem]


def check_resumed(folder: RunFolder, settings: dict[str, str]) -> list[Path]:
    """Refuse a run with other settings, and remove what was half written; the files removed."""
    folder.check_settings(settings)
    return folder.remove_leftovers([*{cls.folder for cls in options().values()}, MAPS])
