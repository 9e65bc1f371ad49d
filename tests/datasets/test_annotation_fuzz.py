"""Random annotations, label images and files: what comes out is a value or one line, never another error.

Memory is limited meanwhile, so that nothing is made as large as a damaged number says.
"""

import copy
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellmm.datasets import CellCocoDataset, LabelImageDataset
from cellmm.datasets.transforms import LoadCells, LoadImage, PackCellInputs
from cellmm.errors import CellMMError
from cellmm.io.images import read_image
from cellmm.structures import rle

H, W = 12, 16
MORE_MEMORY = 2 * 2**30
PIPELINE = [LoadImage(), LoadCells(keep_original=True), PackCellInputs()]
SQUARE = [2, 2, 8, 2, 8, 8, 2, 8]
CONTENT = {
    "images": [{"id": i, "file_name": f"{i}.png", "height": H, "width": W} for i in (1, 2)],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE], "area": 36.0, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [SQUARE, SQUARE], "bbox": [2, 2, 6, 6]},
        {
            "id": 3,
            "image_id": 2,
            "category_id": 1,
            "segmentation": {"size": [H, W], "counts": [3, 9, H * W - 12]},
        },
        {
            "id": 4,
            "image_id": 2,
            "category_id": 1,
            "segmentation": rle.encode_one(np.eye(H, W, dtype=np.uint8)),
        },
    ],
    "categories": [{"id": 1, "name": "live"}, {"id": 2, "name": "dead"}],
}
NUMBERS = st.one_of(
    st.integers(-3, 40),
    st.sampled_from([10**9, -(10**9), 2**31, 2**63, -(2**63), 10**30, 10**400]),
    st.floats(),
    st.booleans(),
)
JUNK = st.recursive(
    st.one_of(st.none(), NUMBERS, st.text(max_size=8), st.sampled_from(["1.png", "../1.png", "/", "\ud800"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=7),
        st.dictionaries(st.sampled_from(["id", "size", "counts", "name", "x"]), inner, max_size=3),
    ),
    max_leaves=12,
)
PLACES = st.one_of(st.integers(-9, 25), st.floats(-9, 25), st.integers(0, 12), NUMBERS)
POLYGONS = st.lists(st.lists(PLACES, min_size=6, max_size=6) | st.lists(PLACES, max_size=12), max_size=3)
RLES = st.fixed_dictionaries(
    {
        "size": st.one_of(st.builds(list, st.sampled_from([(H, W), (W, H)])), JUNK),
        "counts": st.one_of(
            st.text("0123456789:;<=>?@ABCPQ[]`o", max_size=20), st.lists(NUMBERS, max_size=6), JUNK
        ),
    }
)


def settings_of(cases: int) -> settings:
    return settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=timedelta(seconds=10),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(autouse=True)
def little_memory():
    """Two gigabytes more than now; where the system can limit that."""
    if sys.platform != "linux":
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("fuzz")
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(root / name), np.arange(H * W, dtype=np.uint8).reshape(H, W))
    return root


def is_one_line(error: CellMMError) -> bool:
    return str(error).isprintable() and len(str(error)) < 2500


def nodes(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value below."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    return [pair for key in keys for pair in [(tree, key), *nodes(tree[key])]]


@st.composite
def contents(draw: st.DrawFn) -> dict:
    """The valid content with one to three things wrong."""
    content = copy.deepcopy(CONTENT)
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        what = draw(st.sampled_from(["value", "number", "drop", "repeat", "segmentation", "segmentation"]))
        if what == "segmentation":
            cells = [
                node for node in nodes(content) if isinstance(node[0], dict) and node[1] == "segmentation"
            ]
            if cells:
                container, key = draw(st.sampled_from(cells))
                container[key] = draw(st.one_of(POLYGONS, RLES, JUNK))
            continue
        container, key = draw(st.sampled_from(nodes(content) or [({"x": 0}, "x")]))
        if what == "value":
            container[key] = draw(JUNK)
        elif what == "number":
            numbers = [pair for pair in nodes(content) if isinstance(pair[0][pair[1]], int | float)]
            container, key = draw(st.sampled_from(numbers or [({"x": 0}, "x")]))
            container[key] = draw(st.one_of(PLACES, NUMBERS))
        elif what == "drop":
            del container[key]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[key]))
    return content


@settings_of(1200)
@given(content=contents(), cache=st.booleans(), agnostic=st.booleans())
def test_annotations(folder, content, cache, agnostic):
    (folder / "cells.json").write_text(json.dumps(content))
    (folder / ".cells.json.index.json").unlink(missing_ok=True)
    try:
        dataset = CellCocoDataset(
            data_root=folder,
            ann_file="cells.json",
            pipeline=PIPELINE,
            class_agnostic=agnostic,
            cache_index=cache,
            allow_empty=True,
        )
        samples = [dataset[i]["data_samples"] for i in range(len(dataset))]
    except CellMMError as error:
        assert is_one_line(error)
        return
    for sample in samples:
        masks = sample.eval_instances.masks
        assert len(masks) == len(sample.eval_instances.labels) <= 8
        areas = rle.area(masks)
        assert (areas <= H * W).all()
        assert len(sample.gt_instances) <= (areas > 0).sum() and sample.gt_layers.shape[1:] == (H, W)


@settings_of(100)
@given(
    data=st.one_of(
        st.binary(max_size=60), st.text(max_size=60).map(str.encode), JUNK.map(json.dumps).map(str.encode)
    )
)
def test_any_bytes_as_annotations(folder, data):
    (folder / "cells.json").write_bytes(data)
    with pytest.raises(CellMMError) as caught:
        CellCocoDataset(data_root=folder, ann_file="cells.json")
    assert is_one_line(caught.value) and "cells.json" in str(caught.value)


DTYPES = st.sampled_from(
    ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", ">u2", ">f4"]
)
SHAPES = st.one_of(
    st.just((H, W)),
    st.tuples(st.integers(1, 3), st.just(H), st.just(W)),
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
)


@st.composite
def labels(draw: st.DrawFn) -> np.ndarray:
    """A few values, often small ids, in random places."""
    dtype = np.dtype(draw(DTYPES))
    elements = st.integers(0, 9).map(dtype.type) if draw(st.booleans()) else hnp.from_dtype(dtype)
    values = np.array(draw(st.lists(elements, min_size=1, max_size=6)), dtype)
    return np.random.default_rng(draw(st.integers(0, 99))).choice(values, draw(SHAPES))


@settings_of(600)
@given(label=labels(), compressed=st.booleans())
def test_label_images(folder, label, compressed):
    for name in ("images", "labels"):
        (folder / name).mkdir(exist_ok=True)
    if not (folder / "images/1.png").exists():
        (folder / "images/1.png").write_bytes((folder / "1.png").read_bytes())
    options = {"compression": "zlib"} if compressed else {}
    tifffile.imwrite(folder / "labels/1.tif", label, photometric="minisblack", **options)
    try:
        results = LabelImageDataset(data_root=folder, pipeline=PIPELINE)[0]
    except CellMMError as error:
        assert is_one_line(error) and "labels/1.tif" in str(error)
        return
    ids, areas = np.unique(label, return_counts=True)
    assert label.shape[-2:] == (H, W) and ids.min() >= 0
    assert rle.area(results["data_samples"].eval_instances.masks).tolist() == areas[ids > 0].tolist()


def make_files() -> dict[str, bytes]:
    """A small file of each kind by its suffix."""
    grey = np.random.default_rng(0).integers(0, 255, (H, W), np.uint8)
    colour = np.dstack([grey, grey.T.reshape(H, W), 255 - grey])
    found = {}
    for suffix in (".png", ".jpg", ".bmp", ".tif"):
        found[f"grey{suffix}"] = cv2.imencode(suffix, grey)[1].tobytes()
        found[f"colour{suffix}"] = cv2.imencode(suffix, colour)[1].tobytes()
    found["deep.png"] = cv2.imencode(".png", grey.astype(np.uint16) * 200)[1].tobytes()
    return found


FILES = make_files()
TIFFS = {
    "plain.tif": {},
    "deflated.tif": {"compression": "zlib", "predictor": True},
    "tiled.tif": {"tile": (16, 16), "bigtiff": True},
    "big.tif": {"byteorder": ">"},
    "planes.ome.tif": {"ome": True, "metadata": {"axes": "CYX"}},
    "imagej.tif": {"imagej": True, "metadata": {"axes": "ZYX"}},
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("files")
    pages = np.random.default_rng(1).integers(0, 2000, (2, H, W), np.uint16)
    for name, options in TIFFS.items():
        tifffile.imwrite(root / name, pages, photometric="minisblack", **options)
    return FILES | {name: (root / name).read_bytes() for name in TIFFS}


@settings_of(600)
@given(
    name=st.sampled_from([*FILES, *TIFFS]),
    keep=st.one_of(st.just(1.0), st.just(1.0), st.floats(0, 1)),
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)), max_size=4
    ),
    early=st.booleans(),
)
def test_damaged_files(folder, damaged, name, keep, changes, early):
    data = bytearray(damaged[name])
    reach = min(len(data), 400) if early else len(data)  # most headers lie there
    for place, values in changes:
        start = int(place * reach)
        data[start : start + len(values)] = values
    read(folder / f"damaged_{name}", bytes(data[: int(keep * len(data))]))


@settings_of(100)
@given(
    suffix=st.sampled_from([".tif", ".png", ".jpg", ".bmp"]),
    start=st.sampled_from(
        [b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"]
    ),
    data=st.binary(max_size=200),
)
def test_any_bytes_as_an_image(folder, suffix, start, data):
    read(folder / f"bytes{suffix}", start + data)


def read(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        image = read_image(path)
    except CellMMError as error:
        assert is_one_line(error) and path.name in str(error)
        return
    assert image.dtype == np.float32 and image.ndim == 3 and 1 <= image.shape[2] <= 8
    assert np.isfinite(image).all()
