"""mmengine's file writing (checkpoints, results) through a temporary name."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio.io import backend_instances

from cellmm.errors import CellMMError
from cellmm.io.files import atomic_path


class AtomicBackend(LocalBackend):
    """LocalBackend whose files are complete or absent: written beside their place, flushed, then renamed."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        try:
            with atomic_path(filepath) as tmp:
                tmp.write_bytes(obj)
        except OSError as error:
            raise CellMMError(
                f"{filepath}: cannot be written ({error.strerror}); what was there before is kept; make room "
                "or give another --work-dir, then go on with --resume"
            ) from error

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        self.put(obj.encode(encoding), filepath)


def use_atomic_files() -> None:
    """Send all of mmengine's writing of local files through AtomicBackend."""
    register_backend("local", AtomicBackend, force=True, prefixes="")
    backend_instances.clear()  # mmengine keeps those that it has used
