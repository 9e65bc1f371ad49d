"""CSV and Parquet tables of a run, read back by pandas."""

import numpy as np
import pandas
import pytest

from cellmm.errors import CellMMError
from cellmm.results.measurements import measure
from cellmm.results.writers import build_writers
from cellmm.testing.writers import ArraySource

READERS = {
    "csv": lambda path: pandas.read_csv(path, dtype={"overlap_labels": str, "overlap_areas": str}),
    "parquet": pandas.read_parquet,
}


@pytest.fixture(params=READERS)
def kind(request):
    return request.param


def test_a_run_is_one_table(kind, odd, source, tmp_path):
    """Images with two channels, with one and without a pixel size, and without cells."""
    (writer,) = build_writers(kind)
    grey = ArraySource(source.image[..., :1])
    runs = [("ä,\n=1.tif", (0.5, 0.25), source), ("b.tif", None, grey), ("none.tif", None, None)]
    parts, measured = [], []
    for number, (name, pixel_size, image) in enumerate(runs):
        fields = odd.__dict__ | dict(name=name, pixel_size=pixel_size)
        cells = type(odd)(**fields).select([] if image is None else np.arange(len(odd)))
        parts.append(tmp_path / f"{number}{writer.suffix}")
        assert not writer.write(parts[-1], cells, image)
        measured.append(measure(cells, image))
    path = tmp_path / writer.collection
    writer.collect(path, iter(parts))
    table = READERS[kind](path)
    assert table["image"].tolist() == ["ä,\n=1.tif"] * 6 + ["b.tif"] * 6
    assert list(table)[:5] == ["image", "label", "class", "score", "bbox-0"]
    assert list(table)[-2:] == ["intensity_min-1", "intensity_std-1"]
    assert set(table) == {"image"} | set(measured[0])
    for part, found in zip((table[:6], table[6:]), measured, strict=False):
        for name in set(table) - {"image"}:
            if name not in found:
                assert part[name].isna().all(), name
            elif found[name].dtype.kind in "OU":
                assert part[name].fillna("").tolist() == found[name].tolist()
            else:
                assert part[name].to_numpy(float) == pytest.approx(found[name].astype(float), rel=1e-6), name


def test_a_run_without_images(kind, tmp_path):
    (writer,) = build_writers(kind)
    writer.collect(tmp_path / writer.collection, [])
    assert list(READERS[kind](tmp_path / writer.collection)) == ["image"]


def test_the_table_of_an_image_is_that_of_the_run(kind, odd, source, tmp_path):
    (writer,) = build_writers(kind)
    part = tmp_path / f"a{writer.suffix}"
    writer.write(part, odd, source)
    writer.collect(tmp_path / writer.collection, [part])
    pandas.testing.assert_frame_equal(READERS[kind](part), READERS[kind](tmp_path / writer.collection))


def test_other_files_are_refused(kind, tmp_path):
    (writer,) = build_writers(kind)
    part = tmp_path / "a.csv"
    part.write_text("x,y\n1,2\n")
    with pytest.raises(CellMMError, match="a.csv is not a table of measurements: predict the image again"):
        writer.collect(tmp_path / "all", [part])
    assert not (tmp_path / "all").exists()


def test_an_image_is_measured_once_for_all_formats(odd, source, tmp_path, monkeypatch):
    calls = []

    def counted(*args):
        calls.append(args)
        return measure(*args)

    monkeypatch.setattr("cellmm.results.writers.measured.measure", counted)
    for cells in (odd.select(np.arange(6)), odd.select(np.arange(3))):
        for writer in build_writers("csv,parquet,report"):
            writer.write(tmp_path / f"a{writer.suffix}", cells, source)
    assert len(calls) == 2


def test_to_dataframe(odd, source):
    table = odd.to_dataframe(source.image)
    assert table["area"].tolist() == odd.masks.areas().tolist()
    assert {"length_um", "intensity_mean-1"} <= set(table)
