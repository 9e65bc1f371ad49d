"""Simulated sets on disk, in the layout that cellmm reads from users too."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tifffile
from tqdm import tqdm

from cellmm import __version__
from cellmm.errors import CellMMError
from cellmm.io.layered_tiff import write_layered_tiff
from cellmm.simulation.scene import SCENES, Scene, SceneConfig, simulate_scene
from cellmm.structures import LabelLayers, rle

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

EXTRA_MODALITIES = ("phase", "fluorescence", "nuclei")
UNFINISHED = ".cellmm-simulation-"  # in the names of folders that are being made


def make_dataset(
    root: str | Path,
    *,
    splits: Mapping[str, int],
    scene: str | Mapping | SceneConfig = "default",
    seed: int = 0,
    extra_modalities: bool = False,
    workers: int = 1,
) -> None:
    """Simulate annotated images into a new folder ``root``, all of it or nothing.

    For each split: ``images/`` (two brightfield planes, uint16 TIFF), ``annotations.json`` (COCO, RLE masks)
    and ``layers/`` (label TIFF, one page per layer; instance i has id i + 1). With ``extra_modalities`` also
    ``phase/``, ``fluorescence/`` and ``nuclei/`` (layered; ids as in ``layers/``). The json's ``info`` holds
    seed and scene.

    Image i of a split depends on (seed, split, i) and the scene alone.

    Args:
        root: must not exist.
        splits: images by the name of the split.
        scene: a name in SCENES, a SceneConfig, or a dict of what differs from the default SceneConfig.
        workers: threads that simulate; they change the time only.

    Raises:
        CellMMError: ``root`` exists or cannot be written; ``scene`` is unknown, or too crowded for its cells.
    """
    scene = scene_config(scene)
    with (
        new_set(root) as folder,
        tqdm(total=sum(splits.values()), desc=f"simulating {root}", unit="image") as progress,
    ):
        for split, number in splits.items():
            content = _make_split(
                folder / split, number, scene, (seed, split), extra_modalities, workers, progress
            )
            (folder / split / "annotations.json").write_text(json.dumps(content))


@contextlib.contextmanager
def new_set(root: str | Path) -> Iterator[Path]:
    """A folder to fill that becomes ``root`` at the end, or is removed after an error.

    Raises:
        CellMMError: ``root`` exists, or cannot be written.
    """
    root = Path(root)
    if root.exists():
        raise CellMMError(f"{root} exists: simulated images go into a new folder only; move it away first")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(root.parent)
        tmp = Path(tempfile.mkdtemp(prefix=f".{root.name[:40]}{UNFINISHED}", dir=root.parent))
        lock = os.open(tmp, os.O_RDONLY) if fcntl else None
    except OSError as error:
        raise CellMMError(f"{root}: cannot write there ({error.strerror}); name a folder of yours") from error
    try:
        with contextlib.suppress(OSError):  # a disk without locks: nothing is removed there either
            if lock is not None:
                fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends, however it ends
        yield tmp
        tmp.chmod(0o755)
        tmp.rename(root)
    except OSError as error:
        raise CellMMError(
            f"{root}: cannot be written ({error.strerror}); free disk or name another folder"
        ) from error
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def remove_abandoned(folder: str | Path) -> None:
    """Remove what killed simulations left in ``folder``.

    The folders of processes that still run are locked by them, and stay. Without locks all stay.
    """
    if fcntl is None:
        return
    for path in Path(folder).glob(f".*{UNFINISHED}*"):
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(handle)


def scene_config(scene: str | Mapping | SceneConfig) -> SceneConfig:
    """A name in SCENES, or what differs from the default, as a SceneConfig; CellMMError if it is none."""
    if isinstance(scene, SceneConfig):
        return scene
    if isinstance(scene, Mapping):
        try:
            return SceneConfig(**scene)
        except TypeError as error:
            raise CellMMError(f"scene: {error}; it takes {sorted(asdict(SceneConfig()))}") from error
    if scene not in SCENES:
        raise CellMMError(f"scene must be one of {sorted(SCENES)}, got {scene!r}")
    return SCENES[scene]


def _make_split(
    folder: Path,
    number: int,
    config: SceneConfig,
    seed: tuple[int, str],
    extra_modalities: bool,
    workers: int,
    progress: tqdm,
) -> dict:
    """Write the images and layers of one split; its COCO content."""
    for name in ("images", "layers", *(EXTRA_MODALITIES if extra_modalities else ())):
        (folder / name).mkdir(parents=True)

    def simulate(i: int) -> Scene:
        return simulate_scene(config, np.random.default_rng([seed[0], *seed[1].encode(), i]))

    height, width = config.size
    images, annotations = [], []
    with ThreadPoolExecutor(workers) as pool:
        try:
            for i, scene in enumerate(pool.map(simulate, range(number)), 1):
                name = f"{i:04d}.tif"
                _write_images(folder, name, scene, extra_modalities)
                images.append(dict(id=i, file_name=name, height=height, width=width))
                annotations += coco_annotations(i, scene.cells)
                progress.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return dict(
        info=dict(
            description=f"simulated by cellmm {__version__}",
            seed=seed[0],
            split=seed[1],
            scene=asdict(config),
        ),
        images=images,
        annotations=[dict(id=i) | annotation for i, annotation in enumerate(annotations, 1)],
        categories=[dict(id=1, name="cell")],
    )


def coco_annotations(image_id: int, cells: LabelLayers) -> list[dict]:
    """The cells of an image as COCO has them, of category 1 and without ids of their own."""
    masks = cells.to_rles()
    boxes, areas = rle.bbox(masks).tolist(), rle.area(masks).tolist()
    return [
        dict(image_id=image_id, category_id=1, segmentation=mask, bbox=box, area=area, iscrowd=0)
        for mask, box, area in zip(masks, boxes, areas, strict=True)
    ]


def _write_images(folder: Path, name: str, scene: Scene, extra_modalities: bool) -> None:
    tifffile.imwrite(folder / "images" / name, scene.brightfield, metadata={"axes": "CYX"})
    write_layered_tiff(folder / "layers" / name, scene.cells)
    if extra_modalities:
        tifffile.imwrite(folder / "phase" / name, scene.phase)
        tifffile.imwrite(folder / "fluorescence" / name, scene.fluorescence)
        write_layered_tiff(folder / "nuclei" / name, scene.nuclei)
