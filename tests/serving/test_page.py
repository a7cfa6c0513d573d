"""The page in a headless Chromium, used as a person would: pointer, keys, a phone, a bad file."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glpn
from glpn.depth.reading import read_depth
from glpn.serving.page import page_files
from glpn.serving.query import installed_formats
from tests.corpus.bytes_of import encoded, jpeg_segment, jpeg_with, orientation, scene
from tests.serving.conftest import Service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
WIDTH, HEIGHT = 128, 96
DESKTOP = {"viewport": {"width": 1024, "height": 720}}
PHONE = {"viewport": {"width": 390, "height": 760}, "has_touch": True, "is_mobile": True}
PATIENCE = 60_000  # milliseconds; busy machines draw slowly


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any, service: Service) -> Iterator[Callable[..., Any]]:
    """Pages of the service; in the end the console is empty and nothing was asked outside."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def make(**options: Any) -> Any:
        context = browser.new_context(**{**DESKTOP, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(service.url)
        page.get_by_text("up to 16.0 MiB").wait_for()
        return page

    yield make
    for context in contexts:
        context.close()
    assert [words for words in said if "Failed to load resource" not in words] == []
    assert [url for url in asked if not url.startswith((service.url, f"blob:{service.url}"))] == []


@pytest.fixture(scope="module")
def photo() -> bytes:
    return encoded(scene(), "JPEG")


@pytest.fixture(scope="module")
def depth(model: Path, photo: bytes) -> glpn.Depth:
    """What the library says of the photo."""
    return glpn.load(model, threads=1)(photo)


def give(page: Any, data: bytes, name: str = "my room.jpg") -> None:
    """Choose a file, and wait for its depth."""
    page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": data})
    page.locator("#result").wait_for()
    settled(page)


def settled(page: Any) -> None:
    page.locator('main[aria-busy="false"]').wait_for()


def download(page: Any, format: str, folder: Path) -> Path:
    """Press the button of a format; the file that it saves."""
    with page.expect_download() as coming:
        page.locator(f"[data-format={format}]").click()
    settled(page)
    path = folder / coming.value.suggested_filename
    coming.value.save_as(path)
    return path


def spot(page: Any, x: int, y: int) -> tuple[float, float]:
    """Where pixel (x, y) of the photo lies on the screen."""
    box = page.locator("#frame").bounding_box()
    return (
        box["x"] + (x + 0.5) * box["width"] / WIDTH,
        box["y"] + (y + 0.5) * box["height"] / HEIGHT,
    )


def shown(page: Any, name: str) -> float:
    """The metres in one of the readings."""
    return float(re.fullmatch(r"([0-9.]+)\sm", page.inner_text(f"#{name}"))[1])


# [name, whether it shows that it has the focus]; a range shows it on its grip, unseen by scripts.
FOCUS = """() => {
    const e = document.activeElement;
    const style = getComputedStyle(e.name === 'view' ? e.nextElementSibling : e);
    const seen = style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2;
    return [e.name || e.id || e.textContent, seen || e.type === 'range' || e === document.body];
}"""


def test_pointing_reads_metres_and_two_clicks_measure(
    open_page: Callable[..., Any], photo: bytes, depth: glpn.Depth
) -> None:
    page = open_page()
    give(page, photo)
    page.mouse.move(*spot(page, 30, 20))
    assert page.inner_text("#here-at") == "x 30, y 20"
    assert shown(page, "here") == pytest.approx(depth.at(30, 20), abs=0.006)
    page.mouse.click(*spot(page, 10, 80))
    page.mouse.click(*spot(page, 110, 15))
    assert shown(page, "a") == pytest.approx(depth.at(10, 80), abs=0.006)
    assert shown(page, "b") == pytest.approx(depth.at(110, 15), abs=0.006)
    assert shown(page, "apart") == pytest.approx(depth.between((10, 80), (110, 15)), abs=0.006)
    page.locator("#live", has_text="from A to B").wait_for(state="attached")
    page.get_by_role("button", name="Clear A and B").click()
    assert page.inner_text("#apart") == "–"
    ends = [float(text) for text in page.locator("#ticks span:not(.metre)").all_inner_texts()]
    near, far = np.percentile(depth.metres, (2, 98))
    assert near <= ends[0] < ends[-1] <= far


def test_the_divider_separates_photo_and_depth(
    open_page: Callable[..., Any], photo: bytes, depth: glpn.Depth
) -> None:
    page = open_page()
    give(page, photo)
    slider = page.get_by_role("slider", name="Divider between photo and depth")
    grip = page.locator("#frame").bounding_box()
    middle = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - grip["width"] / 4, middle[1], steps=4)
    page.mouse.up()
    assert int(slider.input_value()) == pytest.approx(25, abs=3)
    assert page.inner_text("#a") == "–"  # the grip was pulled, nothing measured
    slider.fill("0")
    page.locator("#colormap").select_option("gray")
    canvas = page.locator("#depth").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    grey = np.array(canvas, np.uint8).reshape(HEIGHT, WIDTH, 4)
    assert (grey[..., 0] == grey[..., 2]).all() and (grey[..., 3] == 255).all()
    near, far = np.percentile(depth.metres, (2, 98))
    expected = ((depth.metres - near) / (far - near)).clip(0, 1) * 255
    assert np.abs(grey[..., 0] - expected).max() < 2


def test_a_field_of_view_changes_distances(
    open_page: Callable[..., Any], photo: bytes, model: Path
) -> None:
    page = open_page()
    give(page, photo)
    page.get_by_label("Horizontal field of view in degrees").fill("40")
    page.get_by_role("button", name="Measure again").click()
    page.locator("#lens-now", has_text="given field of view of 40°").wait_for()
    settled(page)
    page.mouse.click(*spot(page, 10, 80))
    page.mouse.click(*spot(page, 110, 15))
    expected = glpn.load(model, threads=1)(photo, fov=40)
    assert shown(page, "apart") == pytest.approx(expected.between((10, 80), (110, 15)), abs=0.006)
    # 64 px / tan 20° = 175.84 px
    assert "176 px, 40.0° across" in page.inner_text("#lens-now")
    page.get_by_label("Horizontal field of view in degrees").fill("0")
    page.get_by_role("button", name="Measure again").click()
    assert "from 1 to 170 degrees" in page.get_by_role("alert").inner_text()


def test_a_rotated_photo_is_measured_as_displayed(
    open_page: Callable[..., Any], photo: bytes, model: Path
) -> None:
    turned = jpeg_with(jpeg_segment(0xE1, orientation(6)), photo)  # to be turned by a quarter
    depth = glpn.load(model, threads=1)(turned)
    page = open_page()
    give(page, turned)
    assert depth.size == (WIDTH, HEIGHT)
    box = page.locator("#frame").bounding_box()
    page.mouse.move(
        box["x"] + 20.5 * box["width"] / HEIGHT, box["y"] + 99.5 * box["height"] / WIDTH
    )
    assert page.inner_text("#here-at") == "x 20, y 99"
    assert shown(page, "here") == pytest.approx(depth.at(20, 99), abs=0.006)


def test_a_large_photo_is_displayed_at_a_step(open_page: Callable[..., Any], model: Path) -> None:
    large = encoded(np.kron(scene(), np.ones((16, 16, 1), np.uint8)), "JPEG")  # 1536×2048
    depth = glpn.load(model, threads=1)(large)
    page = open_page()
    give(page, large)
    assert page.locator("#depth").evaluate("c => [c.width, c.height]") == [1024, 768]
    page.locator("#frame").focus()
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    x, y = map(int, re.findall(r"\d+", page.inner_text("#here-at")))
    assert shown(page, "here") == pytest.approx(depth.at(x, y), abs=0.02)


def test_everything_works_with_the_keyboard(
    open_page: Callable[..., Any], photo: bytes, depth: glpn.Depth
) -> None:
    page = open_page()
    give(page, photo)
    assert page.evaluate("document.activeElement.id") == "frame"
    x, y = map(int, re.findall(r"\d+", page.inner_text("#here-at")))
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowLeft", "Enter", "Shift+ArrowUp", "Enter"):
        page.keyboard.press(key)
    start, end = (x - 19, y + 1), (x - 19, y - 19)
    assert shown(page, "a") == pytest.approx(depth.at(*start), abs=0.006)
    assert shown(page, "apart") == pytest.approx(depth.between(start, end), abs=0.006)
    page.locator("#live", has_text=re.compile(r"[0-9.]+\sm from A to B")).wait_for(state="attached")
    page.keyboard.press("Escape")
    assert page.inner_text("#apart") == "–"
    reached = set()
    for _ in range(50):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUS)
        assert is_seen, name
        reached.add(name)
    controls = page.locator(
        "button:visible:enabled, select:visible, input:visible:enabled:not(.unseen)"
    )
    names = controls.evaluate_all("all => all.map(e => e.name || e.id || e.textContent)")
    assert set(names) <= reached


def test_the_scene_is_drawn_and_turns(open_page: Callable[..., Any], photo: bytes) -> None:
    page = open_page(viewport={"width": 700, "height": 560})
    give(page, photo)
    page.mouse.click(*spot(page, 40, 40))
    page.get_by_text("3-D", exact=True).click()
    canvas = page.locator("#scene")
    canvas.wait_for()
    page.wait_for_load_state("networkidle")

    def picture() -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"), int)

    page.get_by_role("button", name="Camera’s view").click()
    first = picture()
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 100, "nothing is drawn"
    views = [first]
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    views.append(picture())
    page.get_by_role("button", name="Turn up").click()
    views.append(picture())
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 150)
    page.mouse.down()
    page.mouse.move(box["x"] + 280, box["y"] + 150, steps=4)
    page.mouse.up()
    views.append(picture())
    for before, after in itertools.pairwise(views):
        assert (np.abs(before - after).sum(2) > 30).mean() > 0.02
    page.get_by_role("button", name="Camera’s view").click()
    assert (np.abs(picture() - first).sum(2) > 30).mean() < 0.01


def test_every_format_downloads(
    open_page: Callable[..., Any], photo: bytes, depth: glpn.Depth, tmp_path: Path
) -> None:
    page = open_page()
    give(page, photo)
    for x, y in ((10, 80), (110, 15)):
        page.mouse.click(*spot(page, x, y))
    files = {}
    for button in page.locator("#files button").all():
        with page.expect_download() as download:
            button.click()
        settled(page)
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        files[button.get_attribute("data-format")] = path
    assert set(files) == set(installed_formats())
    assert files["png16"].name == "my room.depth.png"
    for format in ("png16", "npz", "exr"):
        np.testing.assert_allclose(read_depth(files[format]).metres, depth.metres, atol=1e-3)
    figures = json.loads(files["json"].read_text())
    assert figures["between"][0]["metres"] == pytest.approx(
        depth.between((10, 80), (110, 15)), abs=1e-3
    )
    assert files["glb"].read_bytes()[:4] == b"glTF"
    with Image.open(files["vis"]) as colours:
        assert colours.height == HEIGHT
    assert colours.width > WIDTH  # the legend stands beside the colours


def test_bad_files_are_explained_and_change_nothing(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page()
    choose = page.locator("#file")
    alert = page.get_by_role("alert")
    choose.set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"not a picture"})
    alert.filter(has_text="Unsupported image format").wait_for()
    settled(page)
    give(page, photo)
    assert alert.count() == 0
    before = page.inner_text("#here")
    choose.set_input_files({"name": "b.jpg", "mimeType": "image/jpeg", "buffer": photo[:900]})
    alert.filter(has_text="damaged").wait_for()
    settled(page)
    assert page.inner_text("#here") == before
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(17 * 2 ** 20)], 'c.jpg', {type: 'image/jpeg'}));
            dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
        }"""
    )
    alert.filter(has_text="too large: 17.0 MiB").wait_for()
    page.get_by_role("button", name="New photo").click()
    page.get_by_role("button", name="Choose a photo").wait_for()


def test_photos_can_be_pasted_dropped_and_chosen_from_examples(
    open_page: Callable[..., Any], photo: bytes, depth: glpn.Depth
) -> None:
    page = open_page()
    for kind in ("paste", "drop"):
        page.evaluate(
            """([kind, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([Uint8Array.from(bytes)], 'p.jpg', {type: 'image/jpeg'}));
                dispatchEvent(kind === 'paste'
                    ? new ClipboardEvent('paste', {clipboardData: data})
                    : new DragEvent('drop', {dataTransfer: data, cancelable: true}));
            }""",
            [kind, list(photo)],
        )
        page.locator("#result").wait_for()
        settled(page)
        assert shown(page, "here") == pytest.approx(depth.at(64, 48), abs=0.02)
        page.get_by_role("button", name="New photo").click()
    page.get_by_role("button", name="A rendered room").click()
    page.locator("#lens-now", has_text="EXIF FocalLengthIn35mmFilm").wait_for()


def test_a_phone_offers_its_camera_and_does_not_scroll_sideways(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page(**PHONE)
    assert page.get_by_role("button", name="Take a photo").is_visible()
    assert page.locator("#camera").get_attribute("capture") == "environment"
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    give(page, photo)
    assert page.evaluate(wide) == 0
    page.touchscreen.tap(*spot(page, 30, 20))
    assert page.inner_text("#a-at") == "x 30, y 20"
    small = page.locator("button:visible, select:visible").evaluate_all(
        "all => all.filter(e => e.getBoundingClientRect().height < 40).map(e => e.textContent)"
    )
    assert small == []


# Words on a canvas or picture have no background of their own to compute with.
CONTRASTS = """() => {
    const parse = (c) => c.match(/[\\d.]+/g).map(Number);
    const linear = (v) => v <= 10.31 ? v / 3294.6 : ((v / 255 + .055) / 1.055) ** 2.4;
    const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
    const ground = (e) => {
        for (; e; e = e.parentElement) {
            const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length === 3) return c;
            if (c[3] === 1) return c.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const low = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!own || !e.checkVisibility() || e.closest(':disabled, .tag, noscript')) continue;
        const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
        if (ratio < 4.5) low.push([e.textContent.trim().slice(0, 30), ratio]);
    }
    return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_and_every_control_has_a_name(
    open_page: Callable[..., Any], photo: bytes, scheme: str
) -> None:
    page = open_page(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) < 200) == (scheme == "dark")
    assert page.evaluate(CONTRASTS) == []
    nameless = page.locator("button, select, input, [tabindex]").evaluate_all(
        """all => all.filter(e => e.id !== 'main' && !(
            e.ariaLabel || e.textContent.trim() ||
            [...(e.labels ?? [])].some(l => l.textContent.trim())
        )).map(e => e.outerHTML)"""
    )
    assert nameless == []
    give(page, photo)
    page.mouse.click(*spot(page, 10, 80))
    assert page.evaluate(CONTRASTS) == []
    assert page.locator("img:not([alt])").count() == 0
    assert page.locator("h1:visible").count() == 1


def test_the_page_asks_for_a_key_and_sends_it(
    browser: Any, start: Callable[..., Any], photo: bytes
) -> None:
    with start("--api-key-env", "K", env={**os.environ, "K": "sesame"}) as kept:
        page = browser.new_context(**DESKTOP).new_page()
        page.goto(kept.url)
        key = page.get_by_label("This service needs a key")
        key.wait_for()
        file = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo}
        page.set_input_files("#file", file)
        page.get_by_role("alert").filter(has_text="needs a key").wait_for()
        key.fill("sesame")
        settled(page)
        give(page, photo)
        page.context.close()


def test_a_stopped_service_is_explained(
    browser: Any, start: Callable[..., Any], photo: bytes
) -> None:
    with start() as service:
        page = browser.new_context(**DESKTOP).new_page()
        page.goto(service.url)
        page.get_by_text("up to 16.0 MiB").wait_for()
        service.process.terminate()
        service.process.wait(30)
        page.set_input_files("#file", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": photo})
        page.get_by_role("alert").filter(has_text="does not answer").wait_for()
        page.context.close()


def test_the_example_equals_the_repositorys() -> None:
    root = Path(__file__).parents[2]
    lobby = page_files()["/static/lobby.jpg"].read_bytes()
    assert lobby == (root / "examples/lobby.jpg").read_bytes()


def test_points_keep_their_letters_in_both_views(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page()
    give(page, photo)
    for x, y in ((10, 80), (110, 15)):
        page.mouse.click(*spot(page, x, y))
    length = page.inner_text("#apart")
    assert page.locator("#marks text").all_text_contents() == [length, "A", "B"]
    page.get_by_text("3-D", exact=True).click()
    page.locator("#scene-length", has_text=page.inner_text("#apart")).wait_for()
    for name, other in (("#scene-a", "#scene-b"), ("#scene-b", "#scene-a")):
        page.locator(name).wait_for()
        assert page.locator(name).bounding_box() != page.locator(other).bounding_box()
    assert not page.locator("#colormap").is_visible()


def test_the_uncertainty_is_shown_beside_the_metres(
    open_page: Callable[..., Any], photo: bytes, model: Path, tmp_path: Path
) -> None:
    page = open_page()
    give(page, photo)
    page.get_by_label("Refine the uncertainty").check()
    page.get_by_role("button", name="Measure again").click()
    page.locator("#here", has_text="±").wait_for()
    settled(page)
    page.mouse.move(*spot(page, 30, 20))
    depth = glpn.load(model, threads=1)(photo, uncertainty="flip")
    metres, sigma = map(float, re.findall(r"[0-9.]+", page.inner_text("#here")))
    assert metres == pytest.approx(depth.at(30, 20), abs=0.02)
    assert sigma == pytest.approx(depth.sigma[20, 30], abs=0.02)
    page.mouse.click(*spot(page, 30, 20))
    npz, figures = (download(page, name, tmp_path) for name in ("npz", "json"))
    np.testing.assert_allclose(read_depth(npz).sigma, depth.sigma, atol=1e-3)
    (point,) = json.loads(figures.read_text())["at"]
    assert point["sigma"] == pytest.approx(depth.sigma[20, 30], abs=1e-3)
    assert download(page, "png16", tmp_path).exists()


def test_the_model_states_its_terms(open_page: Callable[..., Any], photo: bytes) -> None:
    page = open_page()
    give(page, photo)
    assert page.inner_text("#terms") == "Terms of the model: not stated."


def test_readings_stand_above_the_fold(open_page: Callable[..., Any], photo: bytes) -> None:
    page = open_page(viewport={"width": 1280, "height": 800})
    give(page, photo)
    for name in ("#apart", "#ticks"):
        box = page.locator(name).bounding_box()
        assert box["y"] + box["height"] <= 800
    picture, scale = (page.locator(name).bounding_box() for name in ("#frame", "#bar"))
    assert picture["width"] == pytest.approx(scale["width"], abs=1)
    assert picture["x"] == pytest.approx(scale["x"], abs=1)


def test_the_files_of_the_page_are_small_and_licensed() -> None:
    files = page_files()
    assert sum(file.stat().st_size for file in files.values()) < 1_000_000
    licence = files["/static/LICENSE-three.txt"].read_text()
    assert "MIT License" in licence and "three 0.187.0" in licence
    assert "SPDX-License-Identifier: MIT" in files["/static/three.js"].read_text()


def test_one_true_length_calibrates_everything(
    open_page: Callable[..., Any], photo: bytes, model: Path, tmp_path: Path
) -> None:
    page = open_page()
    give(page, photo)
    use, metres = page.get_by_role("button", name="Use", exact=True), page.locator("#tape-metres")
    assert use.is_disabled()
    for x, y in ((10, 80), (110, 15)):
        page.mouse.click(*spot(page, x, y))
    metres.fill("-1")
    use.click()
    assert "from 0.01 to 1000 metres" in page.get_by_role("alert").inner_text()
    metres.fill("2.5")
    use.click()
    page.locator("#note", has_text="1 known length").wait_for()
    settled(page)
    assert shown(page, "apart") == 2.5
    assert page.locator("#marks .length").text_content() == "2.50\u00a0m"
    page.mouse.move(*spot(page, 30, 20))
    depth = glpn.load(model, threads=1)(photo).with_lengths([(10, 80, 110, 15, 2.5)])
    assert shown(page, "here") == pytest.approx(depth.at(30, 20), abs=0.006)
    with page.expect_download() as download:
        page.locator("[data-format=npz]").click()
    download.value.save_as(tmp_path / "depth.npz")
    settled(page)
    np.testing.assert_allclose(read_depth(tmp_path / "depth.npz").metres, depth.metres, rtol=1e-4)
    page.get_by_role("button", name="Remove tape measure 1").click()
    page.locator("#tapes li").wait_for(state="detached")
    settled(page)
    plain = glpn.load(model, threads=1)(photo)
    assert shown(page, "apart") == pytest.approx(plain.between((10, 80), (110, 15)), abs=0.006)


def set_camera_to_a(page: Any, photo: bytes) -> None:
    """State that A, at (3, 90), is 3 m from the camera."""
    give(page, photo)
    page.mouse.click(*spot(page, 3, 90))
    page.get_by_label("Camera to A is").fill("3")
    page.get_by_role("button", name="Use", exact=True).click()
    page.locator("#note", has_text="1 reference").wait_for()
    settled(page)


def test_the_distance_from_the_camera_is_a_tape_measure_too(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page()
    set_camera_to_a(page, photo)
    focal = float(page.locator("#focal").input_value())
    slant = np.hypot(np.hypot((3 - 63.5) / focal, (90 - 47.5) / focal), 1)
    assert shown(page, "a") == pytest.approx(3 / slant, abs=0.02)


def test_a_distance_from_the_camera_holds_for_another_camera(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page()
    set_camera_to_a(page, photo)
    page.get_by_label("Horizontal field of view in degrees").fill("100")
    page.get_by_role("button", name="Measure again").click()
    page.locator("#lens-now", has_text="given field of view of 100°").wait_for()
    settled(page)
    focal = 64 / np.tan(np.radians(50))
    slant = np.hypot(np.hypot((3 - 63.5) / focal, (90 - 47.5) / focal), 1)
    assert shown(page, "a") == pytest.approx(3 / slant, abs=0.006)


def test_a_camera_that_the_service_refuses_is_not_kept(
    open_page: Callable[..., Any], photo: bytes, depth: glpn.Depth, tmp_path: Path
) -> None:
    page = open_page()
    give(page, photo)
    page.get_by_label("Focal length in pixels").fill("9000")  # above 50 diagonals of 160 pixels
    page.get_by_role("button", name="Measure again").click()
    page.get_by_role("alert").filter(has_text="3.2 to 8000 px").wait_for()
    settled(page)
    read = read_depth(download(page, "npz", tmp_path))
    assert read.camera.source == depth.camera.source
    for x, y in ((10, 80), (110, 15)):
        page.mouse.click(*spot(page, x, y))
    page.get_by_label("A to B is").fill("2.5")
    page.get_by_role("button", name="Use", exact=True).click()
    page.locator("#note", has_text="1 known length").wait_for()
    settled(page)
    assert shown(page, "apart") == 2.5


def test_two_kinds_of_tape_measure_are_not_mixed(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page()
    give(page, photo)
    page.mouse.click(*spot(page, 10, 80))
    page.get_by_label("Camera to A is").fill("3")
    page.get_by_role("button", name="Use", exact=True).click()
    page.locator("#note", has_text="1 reference").wait_for()
    settled(page)
    here = page.inner_text("#a")
    page.mouse.click(*spot(page, 110, 15))
    page.get_by_label("A to B is").fill("1.2")
    page.get_by_role("button", name="Use", exact=True).click()
    assert "one kind of tape measure" in page.get_by_role("alert").inner_text()
    assert page.locator("#tapes li").count() == 1
    assert page.inner_text("#a") == here


def test_several_photos_keep_their_lengths_and_make_one_report(
    open_page: Callable[..., Any], photo: bytes, depth: glpn.Depth, tmp_path: Path
) -> None:
    page = open_page()
    other = encoded(scene()[:, ::-1].copy(), "JPEG")
    files = [
        {"name": f"{name}.jpg", "mimeType": "image/jpeg", "buffer": data}
        for name, data in (("<hall>", photo), ("kitchen", other))
    ]
    page.set_input_files("#file", files)
    page.locator("#shots > li").nth(1).wait_for()
    settled(page)
    page.get_by_role("button", name="Open <hall>").click()
    settled(page)
    for x, y in ((10, 80), (110, 15)):
        page.mouse.click(*spot(page, x, y))
    page.get_by_role("button", name="Keep this length").click()
    assert page.inner_text("#apart") == "–"
    length = f"{depth.between((10, 80), (110, 15)):.2f}\u00a0m"
    assert length in page.locator("#shots > li").first.text_content()
    page.get_by_role("button", name="Open kitchen").click()
    settled(page)
    assert page.locator("#marks .length").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    download.value.save_as(tmp_path / "report.html")
    settled(page)
    report = (tmp_path / "report.html").read_text("utf-8")
    assert length in report and report.count('src="data:image/jpeg;base64,') == 2
    assert "&#60;hall&#62;" in report and "<hall>" not in report
    assert "safety" in report and "Terms of the model: not stated." in report
    page.get_by_role("button", name="Remove kitchen").click()
    page.get_by_role("button", name="Remove <hall>").click()
    page.get_by_role("button", name="Choose a photo").wait_for()


def test_the_picture_fills_a_desktop_screen_and_nothing_is_cut_off(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page(viewport={"width": 1440, "height": 900})
    give(page, encoded(scene(), "JPEG"))
    box = page.locator("#frame").bounding_box()
    assert box["height"] > 0.75 * 900
    page.get_by_label("Refine the uncertainty").check()
    page.get_by_role("button", name="Measure again").click()
    page.locator("#here", has_text="±").wait_for()
    cut = page.locator(".readings dd").evaluate_all(
        "all => all.filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
    )
    assert cut == []


def test_the_guide_and_the_interface_are_linked(
    open_page: Callable[..., Any], service: Service
) -> None:
    page = open_page()
    page.get_by_role("link", name="How to measure").click()
    page.get_by_role("heading", name="How to measure in a photo").wait_for()
    page.get_by_role("link", name="HTTP interface").click()
    page.get_by_text(f"{service.url}/v1/depth").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_core_finds_no_violation(
    open_page: Callable[..., Any], photo: bytes, service: Service, scheme: str
) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    page = open_page(color_scheme=scheme)

    def violations() -> list[str]:
        page.evaluate(axe)
        run = (
            "axe.run().then((r) => r.violations.flatMap((v) => v.nodes.map((n) => v.id + n.html)))"
        )
        return page.evaluate(run)

    assert violations() == []
    give(page, photo)
    for key in ("Enter", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    page.locator("#keep").press("Enter")
    page.locator("#frame").press("Enter")
    page.locator("#tape-metres").fill("-1")
    page.locator("#tape-metres").press("Enter")
    page.get_by_role("alert").wait_for()
    assert violations() == []
    page.locator("input[value=scene]").check(force=True)
    page.wait_for_load_state("networkidle")
    assert violations() == []
    for path in ("/static/guide.html", "/docs"):
        page.goto(service.url + path)
        assert violations() == [], path


def test_the_focus_stays_when_its_button_disappears(
    open_page: Callable[..., Any], photo: bytes
) -> None:
    page = open_page()
    give(page, photo)
    focused = "document.activeElement.ariaLabel || document.activeElement.id"

    def set_points() -> None:
        page.locator("#frame").focus()
        for key in ("Enter", "Shift+ArrowLeft", "Enter"):
            page.keyboard.press(key)

    for button in ("#keep", "#clear"):
        set_points()
        page.locator(button).press("Enter")
        assert page.evaluate(focused) == "Picture and depth", button
    set_points()
    page.locator("#tape-metres").fill("1.5")
    page.locator("#tape-metres").press("Enter")
    remove = page.get_by_role("button", name="Remove tape measure 1")
    remove.wait_for()
    settled(page)
    remove.press("Enter")
    remove.wait_for(state="detached")
    settled(page)
    assert page.evaluate(focused) == "Picture and depth"
    page.get_by_role("button", name="Forget length 1").press("Enter")
    assert page.evaluate(focused) == "Picture and depth"
    page.get_by_role("button", name="Open my room").press("Enter")
    settled(page)
    assert page.evaluate(focused) == "Open my room"


def test_messages_stand_outside_the_busy_element(open_page: Callable[..., Any]) -> None:
    page = open_page()
    assert page.locator("main [role=alert], main [role=status]").count() == 0
    assert page.locator("[aria-busy]").evaluate_all("all => all.map(e => e.id)") == ["main"]


def test_motion_stops_where_the_user_asks_for_less(open_page: Callable[..., Any]) -> None:
    page = open_page(reduced_motion="reduce")
    page.evaluate("document.getElementById('main').ariaBusy = 'true'")
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


@pytest.mark.parametrize("size", [(320, 560), (360, 300)])
def test_nothing_scrolls_sideways_at_four_times_zoom(
    open_page: Callable[..., Any], photo: bytes, service: Service, size: tuple[int, int]
) -> None:
    page = open_page(viewport={"width": size[0], "height": size[1]})
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    give(page, photo)
    assert page.evaluate(wide) == 0
    for path in ("/static/guide.html", "/docs"):
        page.goto(service.url + path)
        assert page.evaluate(wide) == 0, path


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_colours_of_the_style_sheet_have_contrast(scheme: int) -> None:
    text = page_files()["/static/page.css"].read_text()
    block = re.findall(r":root \{(.*?)\}", text, re.S)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))

    def contrast(front: str, back: str) -> float:
        """WCAG 2.2, the definitions of contrast ratio and relative luminance."""
        light = []
        for name in (front, back):
            red, green, blue = (
                value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
                for value in (int(colours[name][k : k + 2], 16) / 255 for k in (1, 3, 5))
            )
            light.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
        return max(light) / min(light)

    grounds = {
        "ink": ("paper", "card", "tint"),
        "soft": ("paper", "card"),
        "on-accent": ("accent",),
    }
    grounds |= {"accent": ("paper", "card"), "alarm": ("alarm-tint",)}
    for front, backs in grounds.items():
        assert all(contrast(front, back) >= 4.5 for back in backs), front
    for front in ("edge", "accent"):  # borders of controls and the ring of the focus
        assert all(contrast(front, back) >= 3 for back in ("paper", "card")), front


def test_every_module_is_fetched_at_once() -> None:
    files = page_files()
    preloaded = set(re.findall(r'modulepreload" href="(.*?)"', files["/"].read_text()))
    imported: set[str] = set()
    new = {"main.js"}
    while new:
        imported |= new
        text = "".join(files[f"/static/{name}"].read_text() for name in new)
        new = set(re.findall(r'^(?:import|\} from).*"\./(.*?)";$', text, re.M)) - imported
    assert preloaded == {f"static/{name}" for name in imported - {"main.js"}}
    own = [file for path, file in files.items() if path.endswith(".js") and "three" not in path]
    assert max(len(file.read_text().splitlines()) for file in own) < 250
