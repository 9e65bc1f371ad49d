"""Simulated sets on disk, in the layout that cellmm reads from users too."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tifffile
from tqdm import tqdm

from cellmm.errors import CellMMError
from cellmm.simulation.scene import SCENES, Scene, SceneConfig, simulate_scene
from cellmm.structures import rle, write_layered_tiff

MORE = ("phase", "fluorescence", "nuclei")


def make_dataset(
    root: str | Path,
    *,
    splits: Mapping[str, int],
    scene: str | SceneConfig = "default",
    seed: int = 0,
    more: bool = False,
) -> None:
    """Simulate images with their annotation into a new folder ``root``; the whole folder or nothing.

    For each split: ``images/`` (two brightfield planes, uint16 TIFF of axes CYX), ``annotations.json`` (COCO,
    RLE masks) and ``layers/`` (label TIFF, a page a layer; instance i is id i + 1). With ``more`` also
    ``phase/``, ``fluorescence/`` and ``nuclei/`` (layered; ids as in ``layers/``).

    Image i of a split depends on (seed, split, i) alone.

    Args:
        root: must not exist.
        splits: images by the name of the split.
        scene: a name in SCENES or a SceneConfig.

    Raises:
        CellMMError: ``root`` exists, cannot be written, or ``scene`` is unknown.
    """
    root = Path(root)
    if isinstance(scene, str):
        if scene not in SCENES:
            raise CellMMError(f"scene must be one of {sorted(SCENES)}, got {scene!r}")
        scene = SCENES[scene]
    if root.exists():
        raise CellMMError(f"{root} exists: simulated images go into a new folder only; move it away first")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        tmp = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=root.parent))
    except OSError as error:
        raise CellMMError(f"{root}: cannot write there ({error.strerror}); name a folder of yours") from error
    try:
        with tqdm(total=sum(splits.values()), desc=f"simulating {root}", unit="image") as progress:
            for split, number in splits.items():
                _make_split(tmp / split, number, scene, [seed, *split.encode()], more, progress)
        tmp.chmod(0o755)
        tmp.rename(root)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def _make_split(
    folder: Path, number: int, config: SceneConfig, seed: list[int], more: bool, progress: tqdm
) -> None:
    for name in ("images", "layers", *(MORE if more else ())):
        (folder / name).mkdir(parents=True)
    images, annotations = [], []
    for i in range(number):
        scene = simulate_scene(config, np.random.default_rng([*seed, i]))
        name = f"{i + 1:04d}.tif"
        _write_images(folder, name, scene, more)
        height, width = config.size
        images.append(dict(id=i + 1, file_name=name, height=height, width=width))
        for mask, box, area in zip(
            masks := scene.cells.to_rles(), rle.bbox(masks).tolist(), rle.area(masks).tolist(), strict=True
        ):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i + 1,
                    category_id=1,
                    segmentation=mask,
                    bbox=box,
                    area=area,
                    iscrowd=0,
                )
            )
        progress.update()
    content = dict(
        info=dict(description="simulated by cellmm"),
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name="cell")],
    )
    (folder / "annotations.json").write_text(json.dumps(content))


def _write_images(folder: Path, name: str, scene: Scene, more: bool) -> None:
    tifffile.imwrite(folder / "images" / name, scene.brightfield, metadata={"axes": "CYX"})
    write_layered_tiff(folder / "layers" / name, scene.cells)
    if more:
        tifffile.imwrite(folder / "phase" / name, scene.phase)
        tifffile.imwrite(folder / "fluorescence" / name, scene.fluorescence)
        write_layered_tiff(folder / "nuclei" / name, scene.nuclei)
