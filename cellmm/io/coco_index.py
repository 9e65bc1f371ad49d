"""Parsing and checking a COCO json; the result of a long parse is kept beside it."""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mmengine.logging import print_log

from cellmm.errors import CellMMError
from cellmm.io.coco_segmentations import check_segmentations, instance_rle, short
from cellmm.io.files import atomic_path
from cellmm.io.json_file import read_json
from cellmm.io.memory import MAX_VALUES
from cellmm.messages import name_some

VERSION = 4
LARGE_FILE = 16 * 2**20
MAX_SIDE = 2**17  # px; polygons are drawn at a cost that grows with it


def read_coco_index(path: Path, cache: bool | None = None) -> dict:
    """{'categories': {id: name}, 'images': [{'id', 'files', 'height', 'width', 'instances'}]}, all checked.

    ``instances`` of an image: dicts with ``segmentation``, ``category_id``, ``iscrowd``, ``area`` (or None),
    and ``score`` where the file has it.
    ``cache``: keep the index in ``.<name>.index.json`` beside the file, with polygons turned into RLE, and
    read it while size and time of the json are the same and the index's own digest fits. None: for files
    over 16 MiB. If the folder cannot be written to, a line in the log says that nothing was kept.
    """
    if not os.path.isfile(path):
        what = "a folder" if os.path.isdir(path) else "absent"
        raise CellMMError(f"{path} is {what}: check data_root and ann_file")
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
                text = json.dumps({"key": key, **index}, separators=(",", ":")).encode()
                tmp.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
        except OSError as error:
            print_log(f"{path}: the index is not kept for the next run ({error})", logger="current")
    return index


def _read_kept(path: Path, key: dict) -> dict | None:
    if not path.is_file():
        return None
    try:
        digest, _, text = path.read_bytes().partition(b"\n")
        if digest.decode() != hashlib.sha256(text).hexdigest():
            raise ValueError("its digest does not fit its content")
        index = json.loads(text)
        if index.pop("key") != key:
            return None
        categories = {int(number): name for number, name in index["categories"].items()}
        for image in index["images"]:
            for instance in image["instances"]:
                if not isinstance(instance["segmentation"]["counts"], str):
                    raise ValueError("it holds masks that are not RLEs")
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RecursionError) as error:
        print_log(
            f"{path} is damaged or old, and made anew ({error})", logger="current", level=logging.WARNING
        )
        return None
    return index | {"categories": categories}


def _parse(path: Path) -> dict:
    content = read_json(path)
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or (missing := [key for key in keys if key not in content]):
        missing = missing if isinstance(content, dict) else keys
        raise CellMMError(
            f"{path} is not a COCO annotation file: {', '.join(missing)} absent; export as COCO instances"
        )
    entries = {key: _entries(content[key]) for key in keys}
    if wrong := [key for key in keys if entries[key] is None]:
        raise CellMMError(
            f"{path}: {', '.join(wrong)} is not a list of dicts; export it again as COCO instances"
        )
    return entries


def _entries(values: object) -> list[dict] | None:
    """A list of dicts, also as the values of a dict; None where it is something else."""
    values = list(values.values()) if isinstance(values, dict) else values
    return values if isinstance(values, list) and all(isinstance(value, dict) for value in values) else None


def _check(content: dict, path: Path) -> dict:
    images, annotations, categories = content["images"], content["annotations"], content["categories"]
    if not images:
        raise CellMMError(
            f"{path} holds 0 images and {len(annotations)} annotations: annotate, or export again"
        )
    _need(path, "image", images, "id", "height", "width")
    _need(path, "annotation", annotations, "id", "image_id", "category_id", "segmentation")
    _need(path, "category", categories, "id", "name")
    if odd := [category["name"] for category in categories if not isinstance(category["name"], str)]:
        raise CellMMError(f"{path}: names of categories have to be text, not {name_some(map(short, odd))}")
    index = {image["id"]: _image(path, image) for image in images}
    files = Counter(tuple(image["files"]) for image in index.values())
    if double := [" and ".join(names) for names, count in files.items() if count > 1]:
        raise CellMMError(f"{path}: several images have the same file, {name_some(double)}; join these")
    names = {category["id"]: category["name"] for category in categories}
    if lost := [
        annotation["image_id"] for annotation in annotations if not _has(index, annotation["image_id"])
    ]:
        raise CellMMError(
            f"{path}: {len(lost)} annotations of images that are not in the file, {_kinds(lost)}; remove them"
        )
    if lost := [
        annotation["category_id"] for annotation in annotations if not _has(names, annotation["category_id"])
    ]:
        raise CellMMError(
            f"{path}: {len(lost)} annotations of unknown categories, {_kinds(lost)}; it has {short(names)}"
        )
    for annotation in annotations:
        index[annotation["image_id"]]["instances"].append(annotation)
    wrong = []
    for image in index.values():
        found, shape = image["instances"], (image["height"], image["width"])
        problems = check_segmentations([annotation["segmentation"] for annotation in found], shape)
        wrong += [f"annotation {found[i]['id']} is {text}" for i, text in problems.items()]
        image["instances"] = [_instance(annotation, wrong) for annotation in found]
    if wrong:
        raise CellMMError(f"{path}: annotations to repair or remove, {name_some(wrong)}")
    return {"categories": names, "images": list(index.values())}


def _instance(annotation: dict, wrong: list[str]) -> dict:
    """What the index keeps of an annotation; adds to ``wrong`` what cannot be used."""
    iscrowd, area = annotation.get("iscrowd") or 0, annotation.get("area")
    if iscrowd not in (0, 1):
        wrong.append(f"annotation {annotation['id']} has iscrowd {short(iscrowd)}, not 0 or 1")
    if area is not None and not (_is_number(area) and area >= 0):
        wrong.append(f"annotation {annotation['id']} has area {short(area)}, not a number of at least 0")
    kept = {key: annotation[key] for key in ("segmentation", "category_id")}
    if (score := annotation.get("score")) is not None:
        if not (_is_number(score) and 0 <= score <= 1):
            wrong.append(f"annotation {annotation['id']} has score {short(score)}, not a number from 0 to 1")
        kept["score"] = score
    return kept | {"iscrowd": iscrowd, "area": area}


def _image(path: Path, image: dict) -> dict:
    files = image["file_names"] if image.get("file_names") else [image.get("file_name")]
    if not isinstance(files, list) or not all(isinstance(name, str) and name for name in files):
        raise CellMMError(
            f"{path}: image {image['id']} has neither file_name nor a list file_names; export again"
        )
    size = image["height"], image["width"]
    if not all(_is_number(side) and side == int(side) and side > 0 for side in size):
        raise CellMMError(
            f"{path}: image {image['id']} has height {short(size[0])} and width {short(size[1])}, not two "
            "whole numbers of pixels; take them from the image file"
        )
    height, width = map(int, size)
    if max(height, width) > MAX_SIDE or height * width > MAX_VALUES:
        raise CellMMError(
            f"{path}: image {image['id']} says that it has {height}x{width} pixels, more than 2^30 or 2^17 a "
            "side; correct it, or crop or tile the image"
        )
    return {"id": image["id"], "files": files, "height": height, "width": width, "instances": []}


def _need(path: Path, kind: str, entries: list[dict], *keys: str) -> None:
    """Check that every entry has the keys and an integer id of its own."""
    for key in keys:
        if lacking := [entry.get("id", "without id") for entry in entries if key not in entry]:
            cure = "boxes alone hold no masks" if key == "segmentation" else "export again as COCO instances"
            raise CellMMError(f"{path}: no {key!r} in {kind} {name_some(map(short, lacking))}; {cure}")
    if odd := [entry["id"] for entry in entries if not _is_id(entry["id"])]:
        raise CellMMError(
            f"{path}: {kind} ids have to be integers, not {name_some(map(short, odd))}; number them 1, 2, ..."
        )
    if double := [number for number, count in Counter(entry["id"] for entry in entries).items() if count > 1]:
        raise CellMMError(
            f"{path}: several entries have the same {kind} id, {name_some(double)}; number them 1, 2, ..."
        )


def _is_id(value: object) -> bool:
    return type(value) is int and abs(value) < 2**63


def _has(table: dict, key: object) -> bool:
    return _is_id(key) and key in table


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 2**63  # neither NaN nor infinite


def _kinds(values: Iterable) -> str:
    return f"distinct ids {name_some(sorted({short(value) for value in values}))}"
