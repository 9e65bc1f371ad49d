"""Parse and check a COCO json, and keep the result beside it when parsing takes long."""

import json
import logging
from collections import Counter
from collections.abc import Hashable, Iterable
from pathlib import Path

from mmengine.logging import print_log

from cellmm.datasets.base import name_some
from cellmm.datasets.instances import check_segmentation, instance_rle
from cellmm.errors import CellMMError
from cellmm.utils import atomic_path

VERSION = 1
LARGE_FILE = 16 * 2**20


def read_coco_index(path: Path, cache: bool | None = None) -> dict:
    """{'categories': {id: name}, 'images': [{'id', 'files', 'height', 'width', 'instances'}]}, all checked.

    ``instances`` of an image: dicts with ``segmentation``, ``category_id``, ``iscrowd``, ``area`` (or None).
    ``cache``: keep the index in ``.<name>.index.json`` beside the file, polygons turned into RLE, and read
    that while size and time of the file are the same; None does so for files over 16 MiB. In a folder that
    cannot be written to, one log line says that nothing was kept.
    """
    if not path.is_file():
        raise CellMMError(f"{path} is absent: check data_root and ann_file")
    stat = path.stat()
    key = {"version": VERSION, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    if not (stat.st_size > LARGE_FILE if cache is None else cache):
        return _check(_parse(path), path)
    kept = path.with_name(f".{path.name}.index.json")
    index = _read_kept(kept, key)
    if index is None:
        print_log(f"{path}: indexing {stat.st_size / 2**20:.0f} MiB of annotations", logger="current")
        index = _check(_parse(path), path)
        for image in index["images"]:
            shape = (image["height"], image["width"])
            for instance in image["instances"]:
                instance["segmentation"] = instance_rle(instance["segmentation"], shape)
        try:
            with atomic_path(kept) as tmp:
                tmp.write_text(json.dumps({"key": key, **index}, separators=(",", ":")))
        except OSError as error:
            print_log(f"{path}: the index is not kept for the next run ({error})", logger="current")
    return index


def _read_kept(path: Path, key: dict) -> dict | None:
    if not path.is_file():
        return None
    try:
        index = json.loads(path.read_text())
    except ValueError as error:
        print_log(f"{path} is damaged and made anew ({error})", logger="current", level=logging.WARNING)
        return None
    if index.pop("key", None) != key:
        return None
    return index | {"categories": {int(number): name for number, name in index["categories"].items()}}


def _parse(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CellMMError(f"{path} is no valid json ({error}): copy or export it again") from error
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or (missing := [key for key in keys if key not in content]):
        missing = missing if isinstance(content, dict) else keys
        raise CellMMError(f"{path} is no COCO annotation file: {', '.join(missing)} absent")
    return {
        key: list(content[key].values() if isinstance(content[key], dict) else content[key]) for key in keys
    }


def _check(content: dict, path: Path) -> dict:
    images, annotations, categories = content["images"], content["annotations"], content["categories"]
    if not images or not annotations:
        raise CellMMError(f"{path} is empty: {len(images)} images and {len(annotations)} annotations")
    _need(path, "image", images, "id", "height", "width")
    _need(path, "annotation", annotations, "id", "image_id", "category_id", "segmentation")
    _need(path, "category", categories, "id", "name")
    if odd := [image["id"] for image in images if not isinstance(image["id"], int)]:
        raise CellMMError(f"{path}: image ids have to be integers, not {name_some(map(repr, odd))}")
    index = {}
    for image in images:
        files = image.get("file_names") or [image.get("file_name")]
        if not all(isinstance(name, str) and name for name in files):
            raise CellMMError(f"{path}: image {image['id']} has neither file_name nor a list file_names")
        shape = {"height": int(image["height"]), "width": int(image["width"])}
        index[image["id"]] = {"id": image["id"], "files": files, **shape, "instances": []}
    names = {category["id"]: category["name"] for category in categories}
    if lost := [one["image_id"] for one in annotations if one["image_id"] not in index]:
        raise CellMMError(
            f"{path}: {len(lost)} annotations of images that are not in the file, {_kinds(lost)}"
        )
    if lost := [one["category_id"] for one in annotations if one["category_id"] not in names]:
        raise CellMMError(
            f"{path}: {len(lost)} annotations of unknown categories, {_kinds(lost)}; it has {names}"
        )
    wrong = []
    for one in annotations:
        image = index[one["image_id"]]
        if problem := check_segmentation(one["segmentation"], (image["height"], image["width"])):
            wrong.append(f"annotation {one['id']} is {problem}")
        instance = {"segmentation": one["segmentation"], "category_id": one["category_id"]}
        image["instances"].append(instance | {"iscrowd": int(one.get("iscrowd", 0)), "area": one.get("area")})
    if wrong:
        raise CellMMError(f"{path}: segmentations to repair or remove, {name_some(wrong)}")
    return {"categories": names, "images": list(index.values())}


def _need(path: Path, kind: str, entries: list[dict], *keys: str) -> None:
    """Every entry has the keys, and no two the same id."""
    for key in keys:
        if lacking := [entry.get("id", "without id") for entry in entries if key not in entry]:
            raise CellMMError(f"{path}: no {key!r} in {kind} {name_some(lacking)}")
    if double := [number for number, count in Counter(entry["id"] for entry in entries).items() if count > 1]:
        raise CellMMError(f"{path}: several entries have the same {kind} id, {name_some(double)}")


def _kinds(values: Iterable[Hashable]) -> str:
    return f"distinct ids {name_some(sorted(set(values), key=str))}"
