"""The HTML page in a real browser: drawn, silent, offline, nothing wider than a phone.

Chromium reports what its pages log and request; the first tests show on planted pages that this is seen. All reports
are opened in one visit, each in a frame of the size of a desktop and in one of the size of a phone.
"""

import json
import re
import subprocess
from dataclasses import dataclass

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
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--enable-logging=stderr", "--v=0", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=20000"),
]

# What the browser itself asks for, with or without a page.
OWN = ("google.com", "googleapis.com", "gstatic.com", "gvt1.com")

# Runs in a page when it is drawn, or after four seconds: what is visible, and what is wider than the window.
PROBE = """<script>addEventListener("load", () => { let left = 40; const timer = setInterval(() => {
  if (!document.documentElement.dataset.drawn && left-- > 0) return;
  clearInterval(timer);
  const box = (e) => e.getBoundingClientRect();
  const seen = Array.from(document.querySelectorAll("section"), (s) => [s.id, box(s).height]);
  const outside = Array.from(document.querySelectorAll("body *")).filter((e) => !e.closest(".scroll, .plot, script")
    && box(e).right > innerWidth + 1).map((e) => e.tagName + "." + e.className);
  const plots = Array.from(document.querySelectorAll(".plot"), (p) => { const svg = p.querySelector(".main-svg");
    return [p.clientWidth, svg ? box(svg).width : 0, p.querySelectorAll("path, rect").length]; });
  parent.postMessage(JSON.stringify({ seen, outside, plots, width: innerWidth,
    page: document.documentElement.scrollWidth, excuse: !!document.getElementById("no-plots") }), "*");
}, 100); })</script></body>"""

GALLERY = """<!DOCTYPE html><style>iframe { position: absolute; left: 0; top: 0; border: 0 }</style><script>
const frames = {};
addEventListener("message", (event) => {
  const name = Array.from(document.querySelectorAll("iframe")).find((f) => f.contentWindow === event.source).id;
  frames[name] = JSON.parse(event.data);
  document.body.dataset.frames = JSON.stringify(frames);
});
</script><body>FRAMES</body>"""


@dataclass(frozen=True)
class Visit:
    """What one visit left: the document, the console's lines, the addresses that were asked for."""

    document: str
    console: list[str]
    hosts: list[str]

    @property
    def frames(self):
        text = re.search(r'data-frames="([^"]*)"', self.document)[1]
        return json.loads(text.replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<"))


def visit(file, *extra, size=(1280, 900)):
    """Open a file in a fresh browser that resolves no address."""
    log, profile = file.with_suffix(".net"), file.with_suffix(".profile")
    own = [f"--user-data-dir={profile}", f"--log-net-log={log}", "--window-size={},{}".format(*size)]
    command = ["chromium", *FLAGS, *own, *(extra or ["--dump-dom"]), file.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    hosts = re.findall(r'"url":"(?:https?|wss?)://([^/"]+)', log.read_text(encoding="utf-8", errors="replace"))
    return Visit(result.stdout, console, sorted({host for host in hosts if not host.endswith(OWN)}))


def gallery(folder, pages):
    """Open pages, with the probe added, in one frame of each size."""
    frames = []
    for name, page in pages.items():
        head, tail = page.rsplit("</body>", 1)
        (folder / f"{name}.html").write_text(head + PROBE + tail, encoding="utf-8")
        for size, (width, height) in SIZES.items():
            frames.append(f'<iframe id="{name} {size}" src="{name}.html" width="{width}" height="{height}"></iframe>')
    (folder / "gallery.html").write_text(GALLERY.replace("FRAMES", "".join(frames)), encoding="utf-8")
    return visit(folder / "gallery.html")


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    return gallery(tmp_path_factory.mktemp("reports"), {name: to_html(r) for name, r in EXAMPLES.items()})


def test_a_planted_error_and_a_planted_request_are_seen(tmp_path):
    page = """<body><img src="http://example.invalid/x.png"><script>console.error("planted"); gone();</script></body>"""
    (tmp_path / "page.html").write_text(page)
    seen = visit(tmp_path / "page.html")
    assert len(seen.console) == 2
    assert seen.hosts == ["example.invalid"]


def test_planted_faults_of_a_page_are_seen(tmp_path):
    page = to_html(EXAMPLES["healthy"])
    wide = page.replace("<main>", '<main><div style="width: 500px">wide</div>')
    hidden = page.replace('<section id="glossary">', '<section id="glossary" style="display: none">')
    seen = gallery(tmp_path, {"wide": wide, "hidden": hidden, "broken": page.replace("Plotly.react", "Plotly.gone")})
    assert seen.frames["wide phone"]["outside"] == ["DIV."]
    assert ["glossary", 0] in seen.frames["hidden desktop"]["seen"]
    assert seen.frames["broken desktop"]["plots"][0][1] == 0
    assert all("broken.html" in line for line in seen.console)
    assert len(seen.console) == 2


def test_no_report_logs_or_requests_anything(reports):
    assert reports.console == []
    assert reports.hosts == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_report_shows_every_section_and_plot_and_fits(name, size, reports):
    frame, expected = reports.frames[f"{name} {size}"], len(plots(numbered(EXAMPLES[name])))
    assert frame["width"] == SIZES[size][0]
    assert len(frame["seen"]) == 7
    assert all(height > 40 for _, height in frame["seen"])
    assert len(frame["plots"]) == expected
    assert all(abs(box - drawn) <= 1 and shapes > 10 for box, drawn, shapes in frame["plots"])
    assert frame["excuse"] is False
    assert frame["page"] <= frame["width"]
    assert frame["outside"] == []


@pytest.mark.parametrize("size", SIZES)
def test_a_screenshot_shows_ink_and_paper(size, tmp_path):
    width, _ = SIZES[size]
    (tmp_path / "page.html").write_text(to_html(EXAMPLES["collapsing"]), encoding="utf-8")
    visit(tmp_path / "page.html", f"--screenshot={tmp_path / 'shot.png'}", size=(width, 3000))
    image = Image.open(tmp_path / "shot.png").convert("L")
    assert image.size == (width, 3000)
    shades = image.histogram()
    assert sum(shades[:100]) > 0.004 * sum(shades)  # text and marks cover about one pixel in a hundred
    assert sum(shades[200:]) > 0.5 * sum(shades)


def test_a_report_prints_on_a_handful_of_sheets(tmp_path):
    (tmp_path / "page.html").write_text(to_html(EXAMPLES["collapsing"]), encoding="utf-8")
    seen = visit(tmp_path / "page.html", f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert seen.console == []
    sheets = re.findall(rb"/Type\s*/Page\b", (tmp_path / "page.pdf").read_bytes())
    assert 5 <= len(sheets) <= 16
