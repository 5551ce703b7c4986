"""The page in a real browser: it opens from a file, says the verdict, fits a phone, complains of nothing."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from ganatomy.core.run import write_text
from ganatomy.core.verdict import decide
from ganatomy.report.html import render
from ganatomy.report.read import read_run

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")


def browse(folder: Path, page: Path, *flags: str) -> tuple[str, list[str]]:
    """What the browser printed, and what its console said."""
    profile = folder / "profile"
    done = subprocess.run(
        [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
    )
    shutil.rmtree(profile, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)


def test_the_console_of_a_faulty_page_is_heard(tmp_path):
    page = write_text(tmp_path / "bad.html", "<!doctype html><script>console.error('heard')</script><p>x")
    assert any("heard" in line for line in browse(tmp_path, page, "--dump-dom")[1])


def test_a_browser_shows_the_verdict_and_complains_of_nothing(six, tmp_path):
    page = write_text(tmp_path / "report.html", render(six)[0])
    dom, console = browse(tmp_path, page, "--dump-dom")
    assert console == []
    heading = re.sub(r"<[^>]+>", "", dom[dom.index("<h1>") : dom.index("</h1>")])
    assert " ".join(heading.split()) == decide(read_run(six).findings).sentence
    assert "<script" not in dom


def test_the_first_screen_is_in_the_colour_of_the_verdict(six, tmp_path):
    page = write_text(tmp_path / "report.html", render(six)[0])
    browse(tmp_path, page, "--window-size=1280,800", f"--screenshot={tmp_path / 'screen.png'}")
    screen = Image.open(tmp_path / "screen.png").convert("RGB")
    assert screen.size == (1280, 800)
    assert screen.getpixel((640, 3)) == (0xA1, 0x1D, 0x1D)  # the band on top: do not use
    dark = sum(screen.crop((100, 40, 1180, 300)).convert("L").histogram()[:128])
    assert dark > 3000  # words are drawn, not only a band


@pytest.mark.parametrize("name", ["six", "whole"])
def test_a_phone_need_not_be_scrolled_sideways(name, request, tmp_path):
    html = render(request.getfixturevalue(name))[0].replace("<details>", "<details open>")
    write_text(tmp_path / "report.html", html)
    # a frame as wide as a phone: a window cannot be made that narrow. The page's policy forbids scripts, so
    # a copy without it measures itself
    probe = (
        "<script>onload = () => parent.postMessage("
        "document.documentElement.scrollWidth + ' of ' + innerWidth, '*')</script>"
    )
    write_text(
        tmp_path / "inner.html",
        re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html).replace("</body>", probe + "</body>"),
    )
    outer = "<!doctype html><p id=told>nothing</p><script>onmessage = e => told.textContent = e.data</script>"
    page = write_text(
        tmp_path / "outer.html",
        outer + '<iframe src="inner.html" style="border:0;width:390px;height:800px"></iframe>',
    )
    dom, _ = browse(tmp_path, page, "--dump-dom", "--virtual-time-budget=3000")
    told = re.search(r"(\d+) of (\d+)", dom)
    assert told, dom[:500]
    assert (told[1], told[2]) == ("390", "390")
