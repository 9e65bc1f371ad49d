"""The HTML report: what it says, from images that come one after another."""

import re
import tracemalloc
from html.parser import HTMLParser

import numpy as np
import pytest

from cellmm.errors import CellMMError
from cellmm.results import Instances
from cellmm.results.measurements import measure
from cellmm.results.report import ReportRow, write_report
from cellmm.results.report.distributions import Figure, Histogram, nice_ticks
from cellmm.results.report.preview import draw_preview
from cellmm.results.writers import build_writers
from cellmm.structures import MaskRuns
from cellmm.testing.writers import ArraySource

JPEG = b"\xff\xd8\xff" + bytes(2000)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += f" {' '.join(data.split())}"

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def row_of(number, num_cells=3, pixel_size=(0.5, 0.5), **fields):
    values = dict(
        score=np.full(num_cells, 0.5), area=np.full(num_cells, 12.0), length=np.full(num_cells, 5.0)
    )
    values |= dict(width_mean=np.full(num_cells, 2.0), area_overlap=np.zeros(num_cells))
    if pixel_size:
        values |= dict(
            area_um2=values["area"] / 4, length_um=values["length"] / 2, width_mean_um=np.ones(num_cells)
        )
    fields = dict(measurements=values, shape=(30, 40), pixel_size=pixel_size, thumbnail=JPEG[:99]) | fields
    return ReportRow(f"image {number}.tif", num_cells, **fields)


def page_of(path, rows, about=None, warnings=()):
    write_report(path / "report.html", iter(rows), about or {}, warnings)
    return Page((path / "report.html").read_text(encoding="utf-8"))


def test_a_failure_names_its_image_once(tmp_path):
    rows = [
        ReportRow("a.tif", error="a.tif is cut off: copy it"),
        ReportRow("1", error="12 % is cut off: copy it"),
    ]
    page = page_of(tmp_path, rows)
    assert "Failures a.tif is cut off: copy it 1 12 % is cut off: copy it" in " ".join(page.text.split())
    assert page.all("ul")[0] == {"class": "tiles"}
    assert page_of(tmp_path, [row_of(0)]).all("ul") == []


def test_what_the_page_says(tmp_path):
    rows = [row_of(0), row_of(1, 0), ReportRow("c.czi", error="c.czi cannot be read: install bioio-czi")]
    rows.append(row_of(2, 1, warnings=("a quarter of the image is black",)))
    page = page_of(tmp_path, rows, {"Model": "DiskMask", "Config": "a.py"}, ["2 files are left out"])
    assert "4 cells in 4 images" in page.text
    for text in (
        "1 failed",
        "2 warnings",
        "1 image without cells",
        "DiskMask",
        "a.py",
        "2 files are left out",
    ):
        assert text in re.sub(r"\s+", " ", page.text), text
    assert page.text.count("install bioio-czi") == 2
    assert page.text.count("a quarter of the image is black") == 2
    assert "Pixel size 0.5 µm" in re.sub(r"\s+", " ", page.text)
    assert [row["data-state"] for row in page.all("tr")[1:]] == ["cells", "empty", "failed", "cells"]
    assert (
        page.all("tr")[1] | {"data-area": "3.0", "data-length": "2.5", "data-width": "1.0"}
        == page.all("tr")[1]
    )


def test_no_images_no_cells(tmp_path):
    assert "0 cells in 0 images" in page_of(tmp_path, []).text
    assert "There is no image in this run." in page_of(tmp_path, []).text
    page = page_of(tmp_path, [row_of(0, 0)])
    assert "0 cells in 1 image" in page.text
    assert len(page.all("svg")) == 1  # cells per image


def test_names_are_text(tmp_path):
    name = "<script>alert('x')</script>\" onload=\"&amp;.tif"
    rows = [row_of(0, picture=JPEG, warnings=(name,)), ReportRow(name, error=name)]
    rows = [ReportRow(**row.__dict__ | dict(name=name)) for row in rows]
    page = page_of(tmp_path, rows, {name: name}, [name])
    assert len(page.all("script")) == 1
    assert all("onload" not in attrs for _, attrs in page.tags)
    assert page.all("tr")[1]["data-name"] == name
    assert page.text.count("alert('x')") == 0 or name in page.text


def test_a_name_that_is_not_unicode(tmp_path):
    page = page_of(tmp_path, [ReportRow("a\udcff.tif", error="no")])
    assert "a\\udcff.tif" in page.text


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    page_of(tmp_path, [row_of(0, picture=JPEG)])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert "default-src 'none'" in text


def test_large_pictures_beyond_the_limit_lie_beside_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr("cellmm.results.report.page.EMBEDDED", 2 * len(JPEG))
    file = tmp_path / "overlays" / "a %b#.png"
    file.parent.mkdir()
    file.write_bytes(JPEG)
    pictures = [JPEG, file, file, JPEG, None]
    page = page_of(tmp_path, [row_of(i, picture=picture) for i, picture in enumerate(pictures)])
    found = [button["data-large"] for button in page.all("button") if "data-large" in button]
    assert [address[:10] for address in found[:2]] == ["data:image"] * 2
    assert found[2:] == ["overlays/a%20%25b%23.png", "report_pictures/000004.jpg"]
    assert (tmp_path / found[3]).read_bytes() == JPEG
    page_of(tmp_path, [row_of(0)])
    assert not (tmp_path / found[3]).exists()
    assert file.exists()


def test_images_without_pixel_size_among_others(tmp_path):
    page = page_of(tmp_path, [row_of(0), row_of(1, 2, pixel_size=None), row_of(2, pixel_size=(0.5, 0.25))])
    text = re.sub(r"\s+", " ", page.text)
    assert "2 of 8 cells are in images without a pixel size" in text
    assert "Median area, px²" in text
    assert page.all("tr")[1]["data-area"] == "12.0"
    assert "0.5 µm, not known in some images" in text.replace("0.5 x 0.25 µm (height x width), ", "")


def test_memory_does_not_grow_with_the_images(tmp_path):
    def peak(number):
        tracemalloc.start()
        write_report(tmp_path / "a.html", (row_of(i, picture=JPEG * 20) for i in range(number)), {})
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(10)
    few = peak(50)
    assert peak(500) < few + 1_000_000
    assert (tmp_path / "a.html").stat().st_size > 500 * 20 * len(JPEG)


def test_parts_give_the_page(odd, source, tmp_path):
    (writer,) = build_writers("report")
    part = tmp_path / "part.npz"
    writer.write(part, odd, source)
    row = ReportRow.load(part)
    direct = ReportRow.of_image(odd, source, measure(odd, source))
    assert (row.name, row.num_cells, row.shape, row.pixel_size) == (odd.name, 6, (30, 40), (0.5, 0.25))
    assert (row.thumbnail, row.picture, row.error, row.warnings) == (
        direct.thumbnail,
        direct.picture,
        None,
        (),
    )
    writer.collect(tmp_path / "a.html", [part], failures=[ReportRow("b", error="bad")], about={"Model": "M"})
    write_report(tmp_path / "b.html", [direct, ReportRow("b", error="bad")], {"Model": "M"})
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    part.write_bytes(b"no")
    with pytest.raises(CellMMError, match="part.npz is not a part of a report"):
        ReportRow.load(part)


def test_an_image_that_cannot_be_drawn(odd):
    row = ReportRow.of_image(odd, ArraySource(np.full((30, 40, 1), np.nan, np.float32)), measure(odd))
    assert row.picture is row.thumbnail is None
    assert row.warnings == (
        "there is no picture: the image holds NaN or infinite values and cannot be shown",
    )
    assert ReportRow.of_image(odd, None, measure(odd)).picture is None


def test_previews_of_large_images_are_drawn_from_strips(monkeypatch):
    monkeypatch.setattr("cellmm.results.report.preview.STRIP", 50_000)
    image = np.zeros((1003, 1501, 1), np.uint16)
    image[200:400, 300:700] = 4000
    masks = MaskRuns.from_crops(
        [np.ones((200, 400), bool), np.zeros((1, 1), bool)], [(200, 300), (0, 0)], (1003, 1501)
    )
    cells = Instances(masks, np.ones(2, np.float32), np.zeros(2, np.int64))
    rows = []

    class Strips(ArraySource):
        def read(self, *box):
            rows.append(box[2] - box[0])
            return super().read(*box)

    picture = draw_preview(Strips(image), cells, size=301)
    assert picture.shape == (201, 301, 3)
    assert max(rows) <= 40 and sum(rows) == 1003
    bright = picture.max(2) > 100
    assert bright[42:78, 62:138].all()
    assert not bright[:38].any() and not bright[82:].any()


@pytest.mark.parametrize("order", [1, -1])
def test_histograms_count_every_value_once(order):
    values = np.random.default_rng(0).lognormal(3, 1, 5000)[::order]
    histogram = Histogram()
    for part in np.array_split(values, 7):
        histogram.add(part)
    histogram.add(np.array([np.nan]))
    start, width, counts = histogram.bars()
    edges = start + width * np.arange(len(counts) + 1)
    assert counts.tolist() == np.histogram(values, edges)[0].tolist()
    assert len(counts) <= 33
    assert counts.sum() >= 0.99 * len(values)
    assert (histogram.num, histogram.most) == (5000, values.max())


def test_a_few_far_values_do_not_squeeze_the_others():
    histogram = Histogram()
    histogram.add(np.append(np.arange(1000.0), 1e6))
    start, width, counts = histogram.bars()
    assert start + width * len(counts) < 2100
    assert "1 larger, not drawn" in Figure("Area", "cells", "px²", histogram).svg
    assert "1,001 cells: 0 to 1,000,000 px²" in Figure("Area", "cells", "px²", histogram).text


@pytest.mark.parametrize("values", [[0], [5], [1], [3, 3, 3], [0, 40000], [2047, 2048, 2049]])
def test_histograms_of_few_values(values):
    histogram = Histogram()
    histogram.add(np.array(values))
    start, width, counts = histogram.bars(whole=True)
    assert counts.sum() == len(values)
    assert width == int(width) and start == int(start)
    assert Figure("Cells per image", "images", "cells", histogram, whole=True).svg.count("<rect") == len(
        counts
    )


def test_ticks_are_round():
    assert nice_ticks(0, 0.9, 4) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert nice_ticks(0, 1, 4, whole=True) == [0, 1]
    assert nice_ticks(2050, 2090, 5) == [2050, 2060, 2070, 2080, 2090]
