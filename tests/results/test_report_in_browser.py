"""The report in a real browser, driven through the DevTools protocol over a pipe."""

import itertools
import json
import os
import select
import subprocess
import time

import numpy as np
import pytest

from cellmm.results import Instances
from cellmm.results.measurements import measure
from cellmm.results.report import ReportRow, write_report
from cellmm.structures import MaskRuns
from cellmm.testing.writers import ArraySource

NAMES = ["b10.tif", "b9.tif", "<script>window.bad = 1</script>.tif", "empty.tif", "linked.tif"]
CELLS = [2, 1, 3, 0, 1]


class Browser:
    """One tab of a browser without a window.

    Attributes:
        faults: uncaught errors and error messages of the console since ``open``.
        requests: the addresses that the page has asked for since ``open``.
    """

    def __init__(self, program, folder):
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        options = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            "--no-first-run",
        ]
        options += ["--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}"]
        command = ["bash", "-c", f'exec "$@" 3<&{read} 4>&{write}', "bash", program, *options]
        log = open(folder / "browser.txt", "wb")  # noqa: SIM115
        self._process = subprocess.Popen(command, pass_fds=[read, write], stdout=log, stderr=log)
        log.close()
        os.close(read)
        os.close(write)
        self._numbers, self._rest, self._session = itertools.count(1), b"", None
        self.faults, self.requests, self._loaded = [], [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        """A method of the protocol."""
        number = next(self._numbers)
        message = dict(id=number, method=method, params=params)
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path):
        """Load a file as a user who double-clicks it."""
        self.faults, self.requests, self._loaded = [], [], False
        self.call("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._next()

    def run(self, script):
        """The value of an expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script):
        """Wait until an expression is true."""
        end = time.monotonic() + 60
        while not self.run(script):
            assert time.monotonic() < end, script

    def click(self, selector):
        """Click into the middle of an element with the mouse."""
        x, y = self.run(
            f"(() => {{ const element = document.querySelector({selector!r});"
            "element.scrollIntoView({block: 'center'});"
            "const box = element.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key, code=0):
        """Press a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def close(self):
        self._session = None
        self.call("Browser.close")
        self._process.wait(60)
        os.close(self._read)
        os.close(self._write)

    def _next(self):
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], 120)[0], "the browser does not answer"
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        text, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(text)
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.faults.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.faults.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.faults.append(params["entry"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Page.loadEventFired":
            self._loaded = True
        return message


@pytest.fixture(scope="module")
def browser(browser_program, tmp_path_factory):
    browser = Browser(browser_program, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


def row_of(name, num_cells, number):
    crops = [np.ones((8 + number, 20), bool)] * num_cells
    masks = MaskRuns.from_crops(crops, [(12 * i, 15 * i) for i in range(num_cells)], (80, 100))
    scores = np.linspace(0.9, 0.8, num_cells, dtype=np.float32)
    cells = Instances(masks, scores, np.zeros(num_cells, np.int64), pixel_size=(0.5, 0.5), name=name)
    image = np.random.default_rng(number).integers(0, 99, (80, 100, 1)).astype(np.uint8)
    return ReportRow.of_image(cells, ArraySource(image), measure(cells))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a folder #1")
    rows = [row_of(name, num, i) for i, (name, num) in enumerate(zip(NAMES, CELLS, strict=True))]
    linked = folder / "overlays" / "linked #%.jpg"
    linked.parent.mkdir()
    linked.write_bytes(rows[-1].picture)
    rows[-1] = ReportRow(**rows[-1].__dict__ | dict(picture=linked))
    rows.insert(2, ReportRow("broken.tif", error="broken.tif is cut off: copy it again"))
    path = folder / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "cellmm.results.report.page.EMBEDDED", sum(len(r.picture) for r in rows[:-1] if r.picture)
        )
        write_report(path, rows, {"Model": "DiskMask"}, ["a warning"])
    assert 'data-large="overlays/' in path.read_text(encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, page):
    """The report, just opened; at the end, nothing has gone wrong in it and nothing came from elsewhere."""
    browser.open(page)
    yield browser
    assert browser.faults == []
    assert all(url.startswith(("data:", f"{page.parent.as_uri()}/")) for url in browser.requests), (
        browser.requests
    )


def names(browser):
    """The images in sight, from top to bottom."""
    return browser.run(
        "[...document.querySelectorAll('tbody tr:not([hidden])')].map((row) => row.dataset.name)"
    )


def test_names_are_shown_as_they_are(opened):
    assert names(opened) == [*NAMES[:2], "broken.tif", *NAMES[2:]]
    assert opened.run("typeof window.bad") == "undefined"
    assert NAMES[2] in opened.run("document.querySelector('tbody').innerText")
    assert opened.run("document.title") == "7 cells in 6 images"


def test_every_picture_has_loaded_and_a_text(opened):
    opened.run("document.querySelectorAll('tbody img').forEach((image) => { image.loading = 'eager'; })")
    opened.wait(
        "[...document.querySelectorAll('tbody img')].every((image) => image.complete && image.naturalWidth)"
    )
    texts = opened.run("[...document.querySelectorAll('tbody img, svg')].map((e) => e.alt || e.ariaLabel)")
    assert len(texts) == 5 + 5 and all(texts)


def test_a_thumbnail_opens_large(opened):
    assert not opened.run("document.getElementById('large').open")
    opened.click("tr[data-name='b9.tif'] .thumb")
    opened.wait(
        "document.getElementById('large').open && document.getElementById('large-picture').naturalWidth > 300"
    )
    assert opened.run("document.getElementById('large-name').title") == "b9.tif"
    assert opened.run("document.getElementById('large-facts').textContent") == "1 cell"
    assert opened.run("document.getElementById('large-picture').alt") == "b9.tif: 1 outlined cell"
    opened.press("ArrowRight", 39)  # past the image that failed
    opened.wait(f"document.getElementById('large-name').textContent === {json.dumps(NAMES[2])}")
    opened.press("ArrowLeft", 37)
    opened.press("ArrowLeft", 37)
    opened.wait("document.getElementById('large-name').textContent === 'b10.tif'")
    assert opened.run("document.getElementById('previous').disabled")
    opened.click("#next")
    opened.wait("document.getElementById('large-name').textContent === 'b9.tif'")
    opened.click("#previous")  # which is disabled from now on
    opened.press("ArrowRight", 39)
    opened.wait("document.getElementById('large-name').textContent === 'b9.tif'")
    opened.press("Escape", 27)
    opened.wait("!document.getElementById('large').open")
    opened.wait("document.activeElement.closest('tr')?.dataset.name === 'b9.tif'")


def test_a_picture_beside_the_page_opens_large(opened):
    opened.click("tr[data-name='linked.tif'] .thumb")
    opened.wait("document.getElementById('large-picture').naturalWidth > 300")
    assert opened.run("document.getElementById('large-picture').src").endswith(
        "/overlays/linked%20%23%25.jpg"
    )
    opened.click("#close")
    opened.wait("!document.getElementById('large').open")


def test_sorting(opened):
    opened.click("button[data-key=cells]")
    assert names(opened) == ["empty.tif", "b9.tif", "linked.tif", "b10.tif", NAMES[2], "broken.tif"]
    assert opened.run("document.querySelector('th[aria-sort=ascending]').innerText").startswith("Cells")
    opened.click("button[data-key=cells]")
    assert names(opened) == [NAMES[2], "b10.tif", "b9.tif", "linked.tif", "empty.tif", "broken.tif"]
    assert opened.run("document.querySelectorAll('th[aria-sort=descending]').length") == 1
    opened.click("button[data-key=name]")
    assert names(opened) == [NAMES[2], "b9.tif", "b10.tif", "broken.tif", "empty.tif", "linked.tif"]
    opened.run("document.querySelector('button[data-key=area]').focus()")
    opened.press(" ", 32)  # by the keyboard
    assert names(opened)[:2] == ["b10.tif", "b9.tif"]


def test_filtering(opened):
    opened.click("#find")
    opened.call("Input.insertText", text="B1")
    assert names(opened) == ["b10.tif"]
    assert opened.run("document.getElementById('found').textContent") == "1 of 6 images"
    for state, expected in (("failed", ["broken.tif"]), ("empty", ["empty.tif"]), ("warned", [])):
        opened.run(
            "document.getElementById('find').value = '';"
            f"document.getElementById('show').value = '{state}';"
            "document.getElementById('show').dispatchEvent(new Event('change'))"
        )
        assert names(opened) == expected


def test_light_and_dark(opened):
    shades = []
    for scheme in ("light", "dark"):
        opened.call("Emulation.setEmulatedMedia", features=[dict(name="prefers-color-scheme", value=scheme)])
        colors = opened.run(
            "['backgroundColor', 'color'].map((key) => "
            "getComputedStyle(document.body)[key].match(/\\d+/g).map(Number).reduce((a, b) => a + b))"
        )
        shades.append(colors)
    (light_back, light_text), (dark_back, dark_text) = shades
    assert light_back > 600 > 200 > light_text
    assert dark_back < 200 < 600 < dark_text


def test_a_narrow_window_has_no_bar_below(opened):
    opened.call("Emulation.setDeviceMetricsOverride", width=380, height=800, deviceScaleFactor=1, mobile=True)
    assert opened.run("document.documentElement.scrollWidth <= 380")
    opened.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("rows", [[], [ReportRow("a.tif", error="no")], [ReportRow("a.tif")]])
def test_hardly_anything_in_it(browser, tmp_path, rows):
    write_report(tmp_path / "report.html", rows, {})
    browser.open(tmp_path / "report.html")
    assert browser.run("document.title") == f"0 cells in {len(rows)} image{'s' * (not rows)}"
    if rows:
        assert browser.run("document.getElementById('found').textContent") == "1 image"
    assert browser.faults == []


def test_five_hundred_images(browser, tmp_path):
    """Sorting and filtering answer at once: each is one event, done before the next expression is read."""
    row = row_of("x", 3, 0)
    rows = (ReportRow(**row.__dict__ | dict(name=f"image {i:03d}.tif", num_cells=i % 7)) for i in range(500))
    write_report(tmp_path / "report.html", rows, {})
    browser.open(tmp_path / "report.html")
    browser.click("button[data-key=cells]")
    browser.click("button[data-key=cells]")
    assert names(browser)[:2] == ["image 006.tif", "image 013.tif"]
    browser.click("#find")
    browser.call("Input.insertText", text="49")
    assert len(names(browser)) == 15
    assert browser.faults == []
