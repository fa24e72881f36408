"""The HTML page in a real browser: drawn, silent, offline, nothing wider than a phone.

Chromium reports what its page logs and requests; the first tests show on planted pages that this is seen.
"""

import json
import re
import shutil
import subprocess

import pytest
from PIL import Image

from rgflow.report.figures import plots
from rgflow.report.layer_rows import numbered
from rgflow.report.page import to_html
from tests.report import examples

pytestmark = pytest.mark.page

EXAMPLES = examples.every_example()
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--disable-extensions",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
]

# What the browser itself asks for, with or without a page.
OWN = ("google.com", "googleapis.com", "gstatic.com", "gvt1.com", "google")

# Runs in the page after it is drawn: what is visible, and whether anything is wider than the window.
PROBE = """<script>addEventListener("load", () => setTimeout(() => {
  const seen = Array.from(document.querySelectorAll("section"), (s) => [s.id, s.getBoundingClientRect().height]);
  const outside = Array.from(document.querySelectorAll("body *")).filter((e) => !e.closest(".scroll, .plot, script")
    && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.tagName + "." + e.className);
  const plots = Array.from(document.querySelectorAll(".plot"), (p) => [p.clientWidth,
    p.querySelector(".main-svg").getBoundingClientRect().width, p.querySelectorAll("path, rect").length]);
  document.body.dataset.probe = JSON.stringify({ seen, outside, plots, width: innerWidth,
    page: document.documentElement.scrollWidth, message: !!document.getElementById("no-plots") });
}, 1500))</script></body>"""


class Visit:
    """What one visit of a page left: its document, its console lines and the addresses it asked for."""

    def __init__(self, page, folder, *, size, extra=()):
        (folder / "page.html").write_text(page, encoding="utf-8")
        log = folder / "net.json"
        width, height = size
        command = ["chromium", *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--log-net-log={log}", "--virtual-time-budget=9000"]
        result = subprocess.run(
            [*command, *(extra or ["--dump-dom"]), (folder / "page.html").as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        shutil.rmtree(folder / "profile", ignore_errors=True)
        self.document = result.stdout
        self.console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
        hosts = re.findall(r'"url":"(?:https?|wss?)://([^/"]+)', log.read_text(encoding="utf-8", errors="replace"))
        self.hosts = sorted({host for host in hosts if not host.endswith(OWN)})

    @property
    def probe(self):
        text = re.search(r'data-probe="([^"]*)"', self.document)[1]
        return json.loads(text.replace("&quot;", '"').replace("&amp;", "&"))


def probed(page):
    head, tail = page.rsplit("</body>", 1)
    return head + PROBE + tail


def test_a_planted_error_and_a_planted_request_are_seen(tmp_path):
    page = """<body><img src="http://example.invalid/x.png"><script>console.error("planted"); gone();</script></body>"""
    visit = Visit(page, tmp_path, size=(800, 600))
    assert len(visit.console) == 2
    assert visit.hosts == ["example.invalid"]


def test_a_planted_wide_element_is_seen(tmp_path):
    page = to_html(EXAMPLES["empty"]).replace("<main>", '<main><div style="width: 500px">wide</div>')
    assert Visit(probed(page), tmp_path, size=SIZES["phone"]).probe["outside"] == ["DIV."]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_report_opens_complete_silent_and_offline(name, size, tmp_path):
    visit = Visit(probed(to_html(EXAMPLES[name])), tmp_path, size=SIZES[size])
    probe, expected = visit.probe, len(plots(numbered(EXAMPLES[name])))
    assert visit.console == []
    assert visit.hosts == []
    assert [section for section, height in probe["seen"] if height > 40] == [section for section, _ in probe["seen"]]
    assert len(probe["seen"]) == 7
    assert len(probe["plots"]) == expected
    assert all(abs(box - drawn) <= 1 and shapes > 10 for box, drawn, shapes in probe["plots"])
    assert probe["width"] == SIZES[size][0]
    assert probe["page"] <= probe["width"]
    assert probe["outside"] == []
    assert probe["message"] is False or expected == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["collapsing", "transformer"])
def test_a_screenshot_shows_something(name, size, tmp_path):
    width, height = SIZES[size]
    picture = tmp_path / "shot.png"
    Visit(to_html(EXAMPLES[name]), tmp_path, size=(width, 3000), extra=[f"--screenshot={picture}"])
    image = Image.open(picture).convert("L")
    assert image.size == (width, 3000)
    shades = image.histogram()
    assert sum(shades[:100]) > 0.01 * sum(shades)  # ink on at least one pixel in a hundred
    assert sum(shades[200:]) > 0.5 * sum(shades)  # and paper on most


def test_a_report_prints_with_its_plots_and_tables(tmp_path):
    sheet = tmp_path / "page.pdf"
    visit = Visit(to_html(EXAMPLES["collapsing"]), tmp_path, size=SIZES["desktop"], extra=[f"--print-to-pdf={sheet}"])
    assert visit.console == []
    assert sheet.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", sheet.read_bytes())) in range(5, 20)
