"""The example page in a real browser: onnxruntime-web says what onnxruntime says in Python.

Needs Chromium, npm and, once, the npm registry: onnxruntime-web is kept in the user's cache.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.export.model_source import Source
from glpn.export.onnx_file import onnx_format, opened
from glpn.export.writer import export
from tests.export.conftest import photographs

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "examples/web"
PACKAGE = "onnxruntime-web@1.30.0"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def runtime() -> Path:
    """The folder of onnxruntime-web's files, fetched if it was not before."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "glpn-tests" / PACKAGE
    dist = cache / "node_modules/onnxruntime-web/dist"
    if not (dist / FILES[-1]).exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed")
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]
        done = subprocess.run([*command, cache, PACKAGE], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"npm cannot fetch {PACKAGE}: {done.stderr.strip()[-300:]}")
    return dist


@pytest.fixture(scope="module")
def site(
    runtime: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, str]]:
    """The example page with its run time and a model, as its README says; served from here."""
    root = tmp_path_factory.mktemp("site")
    shutil.copytree(PAGE, root, dirs_exist_ok=True)
    for name in FILES:
        (root / name).symlink_to(runtime / name)
    source = Source.of(folder, end_to_end=True)
    export(onnx_format(portable=True), source, root / "depth.onnx", overwrite=True)
    handler = functools.partial(Quiet, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield root, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, site: tuple[Path, str]) -> Iterator[Any]:
    """The open page; fails if it asks anyone else for anything, or complains."""
    page = browser.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(site[1])
    yield page
    page.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith((site[1], "blob:", "data:"))] == []


@pytest.fixture
def photo(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A PNG, which every decoder reads alike, and what it holds."""
    images = photographs(97, 131)
    path = tmp_path / "photo.png"
    Image.fromarray(images[0]).save(path)
    return path, images


def test_the_browser_says_what_python_says(
    page: Any, site: tuple[Path, str], photo: tuple[Path, np.ndarray]
) -> None:
    path, images = photo
    page.set_input_files("#photo", path)
    found = page.evaluate(
        """async () => {
            const { metresOf } = await import("./depth.js");
            const [file] = document.querySelector("#photo").files;
            const { data, height, width } = await metresOf(file);
            return { data: Array.from(data), height, width };
        }"""
    )
    metres = np.reshape(found["data"], (found["height"], found["width"]))
    expected = opened([(site[0] / "depth.onnx").read_bytes()])(images)[0]
    assert expected.std() > 0.01, "the weights are degenerate"
    assert np.abs(metres - expected).max() <= 1e-4


def test_the_page_draws_near_dark_and_tells_the_range(
    page: Any, site: tuple[Path, str], photo: tuple[Path, np.ndarray]
) -> None:
    path, images = photo
    page.set_input_files("#photo", path)
    expected = opened([(site[0] / "depth.onnx").read_bytes()])(images)[0]
    near, far = expected.min(), expected.max()
    require_answer(page, f"{near:.2f} to {far:.2f} m")
    reds = page.evaluate(
        """() => {
            const canvas = document.querySelector("#depth");
            const { width, height } = canvas;
            const rgba = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            return Array.from(rgba).filter((_, i) => i % 4 === 0);
        }"""
    )
    # The red channel of the nine colors of inferno in depth.js.
    inferno = [0, 33, 87, 138, 188, 227, 249, 249, 252]
    wanted = np.interp((expected - near) / (far - near), np.linspace(0, 1, 9), inferno)
    assert np.abs(np.reshape(reds, expected.shape) - wanted).max() <= 1.01


def test_what_is_no_picture_is_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("no picture")
    page.set_input_files("#photo", tmp_path / "notes.png")
    require_answer(page, re.compile("^This did not work: "))


def require_answer(page: Any, text: re.Pattern[str]) -> None:
    """Wait for it: the first photograph also fetches the model."""
    from playwright.sync_api import expect

    expect(page.locator("#answer")).to_have_text(text, timeout=60_000)
