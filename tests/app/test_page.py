"""The page in a browser: load, upload, each task, downloads, a bad file, a phone."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lookharder.data.formats import write_image

gradio = pytest.importorskip("gradio", reason="gradio, the extra `app`, is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
PATIENCE = 60_000  # ms


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of the page that the command serves, and a picture."""
    picture = tmp_path_factory.mktemp("served") / "photo.png"
    noise = np.random.default_rng(0).integers(0, 256, (3, 96, 128), np.uint8)
    write_image(picture, noise)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [sys.executable, "-m", "lookharder", "app", "--port", str(port)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as server:
        said = server.stdout.readline()
        assert said.startswith(f"http://127.0.0.1:{port}"), said
        yield said.split()[0], picture
        server.terminate()  # not Ctrl-C: where these tests run in the background, that is ignored


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(served, browser):
    """The page in a tab of its own, and every address that the tab asked."""
    tab = browser.new_page(viewport={"width": 1280, "height": 1000})
    tab.set_default_timeout(PATIENCE)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(served[0])
    tab.wait_for_selector("#look-depth")
    yield tab, asked
    tab.close()


def upload(tab, path: Path, number: int = 0) -> None:
    tab.locator("input[type=file]").nth(number).set_input_files(str(path))


def price(tab, task: str) -> str:
    said = f"document.querySelector('#price-{task}').innerText"
    tab.wait_for_function(f"{said}.includes('MACs') || {said}.includes('Cannot')")
    return tab.inner_text(f"#price-{task}")


def test_a_photo_is_priced_predicted_and_downloaded_and_nobody_else_is_asked(served, opened):
    tab, asked = opened
    upload(tab, served[1])
    assert "1 step, 1 member, 1 level" in price(tab, "depth")
    members = tab.get_by_label("number input for Members; two or more give uncertainty").first
    members.fill("3")
    members.press("Tab")
    tab.wait_for_function("document.querySelector('#price-depth').innerText.includes('3 members')")
    tab.click("#look-depth")
    tab.wait_for_selector("#files-depth a")
    assert "3 members" in tab.inner_text("#words-depth")
    with tab.expect_download() as download:
        tab.locator("#files-depth a").first.click()
    assert download.value.suggested_filename == "photo.depth.npy"
    assert Path(download.value.path()).stat().st_size == 128 + 4 * 96 * 128
    hosts = {address.split("/")[2] for address in asked if address.startswith("http")}
    assert hosts == {served[0].split("/")[2]}


@pytest.mark.parametrize(
    ("task", "title"), [("flow", "Optical flow"), ("amodal", "Hidden objects")]
)
def test_an_example_fills_in_what_a_task_needs(opened, task, title):
    tab, _ = opened
    tab.get_by_role("tab", name=title).click()
    tab.locator(".gallery-item:visible, tr.tr-body:visible").first.click()
    assert "MACs" in price(tab, task)
    tab.click(f"#look-{task}")
    tab.wait_for_selector(f"#files-{task} a")
    assert f"scene-1.{task}" in tab.inner_text(f"#files-{task}")


def test_a_file_that_is_no_picture_is_said(opened, tmp_path):
    tab, _ = opened
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    upload(tab, bad)
    assert "Cannot be done" in price(tab, "depth") and "bad.png" in price(tab, "depth")
    tab.click("#look-depth")
    tab.wait_for_selector("text=bad.png >> nth=0")
    assert tab.locator("#files-depth a").count() == 0


def test_a_phone_scrolls_down_and_not_sideways(served, browser):
    tab = browser.new_page(viewport={"width": 400, "height": 800})
    tab.goto(served[0])
    tab.wait_for_selector("#look-depth")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    tab.close()
