"""A GLB file as people see it: opened in headless Chromium by three.js and drawn.

Needs Chromium, and three.js from `npm install --no-save three@0.187.0` in the repository, or in a
folder named by GLPN_THREE; skipped where one is absent. Everything is served from this machine.
"""

from __future__ import annotations

import base64
import functools
import io
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance

THREE = Path(os.environ.get("GLPN_THREE", Path(__file__).parents[2] / "node_modules/three"))
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SIZE = (120, 160)
FLAGS = (
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
PAGE = """<!doctype html><link rel="icon" href="data:,">
<script type="importmap">{"imports": {
  "three": "/three/build/three.module.js", "three/addons/": "/three/examples/jsm/"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
window.draw = async (url, width, height, looksAt) => {
  const gltf = await new GLTFLoader().loadAsync(url);
  const renderer = new THREE.WebGLRenderer({ preserveDrawingBuffer: true, alpha: true });
  renderer.setSize(width, height, false);
  const camera = gltf.cameras[0];
  if (looksAt) {  // a step back and aside of the photograph's camera
    camera.position.set(...looksAt.from);
    camera.lookAt(...looksAt.to);
  }
  gltf.scene.updateMatrixWorld(true);
  renderer.render(gltf.scene, camera);
  const box = new THREE.Box3().setFromObject(gltf.scene);
  return { picture: renderer.domElement.toDataURL("image/png").split(",")[1],
           low: box.min.toArray(), high: box.max.toArray() };
};
window.ready = true;
</script>"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(
        not (THREE / "build/three.module.js").is_file(), reason=f"no three.js in {THREE}"
    ),
]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and three.js under /three."""

    def translate_path(self, path: str) -> str:
        if path.startswith("/three/"):
            return str(THREE / path.removeprefix("/three/").split("?")[0])
        return super().translate_path(path)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served")
    (path / "page.html").write_text(PAGE)
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Any]:
    """The page in Chromium; it fails on errors in its console and on any outside request."""
    from playwright.sync_api import sync_playwright

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page()
        local = (home, "blob:", "data:")
        page.on("request", lambda r: wrong.extend([r.url] * (not r.url.startswith(local))))
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("console", lambda m: wrong.extend([m.text] * (m.type == "error")))
        page.goto(f"{home}page.html")
        page.wait_for_function("window.ready === true")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()
    assert wrong == []


def a_room() -> Depth:
    """A floor below a far wall, a near box to the left; each corner of the photo in its colour."""
    y = np.mgrid[: SIZE[0], : SIZE[1]][0]
    camera = Camera.from_fov(70, SIZE, source="test")
    down = (y - camera.cy) / camera.fy
    metres = np.minimum(4.0, 1.2 / np.maximum(down, 1e-6))  # a wall, and a floor 1.2 m below
    metres[50:90, 20:60] = 1.5
    image = np.full((*SIZE, 3), (90, 90, 90), np.uint8)
    image[:60, 80:] = (220, 30, 30)
    image[60:, :80] = (30, 200, 30)
    image[60:, 80:] = (30, 60, 220)
    image[50:90, 20:60] = (250, 250, 120)
    return Depth(metres.astype(np.float32), camera, Provenance("m", "", "", ""), image)


def drawn(page: Any, name: str, looks_at: dict[str, list[float]] | None = None) -> dict[str, Any]:
    """The picture as RGBA [H, W, 4], and the corners of the scene's bounding box."""
    height, width = SIZE
    result = page.evaluate(
        "([url, w, h, at]) => window.draw(url, w, h, at)", [name, width, height, looks_at]
    )
    picture = Image.open(io.BytesIO(base64.b64decode(result["picture"]))).convert("RGBA")
    return {**result, "picture": np.asarray(picture).astype(int)}


def test_the_mesh_is_drawn_as_the_photograph_from_its_own_camera(page: Any, folder: Path) -> None:
    room = a_room()
    room.save(folder / "mesh.glb")
    picture = drawn(page, "mesh.glb")["picture"]
    covered = picture[..., 3] == 255
    assert covered.mean() > 0.95  # all but the cuts around the box
    off = np.abs(picture[..., :3] - room.image)[covered].mean()
    assert off < 3
    for turned in (room.image[::-1], room.image[:, ::-1], room.image[::-1, ::-1]):
        assert np.abs(picture[..., :3] - turned)[covered].mean() > 20


def test_lengths_in_the_browser_are_metres(page: Any, folder: Path) -> None:
    room = a_room()
    room.save(folder / "box.glb")
    box = drawn(page, "box.glb")
    points = room.points().reshape(-1, 3) * [1, -1, -1]
    np.testing.assert_allclose(box["low"], points.min(0), rtol=1e-5)
    np.testing.assert_allclose(box["high"], points.max(0), rtol=1e-5)
    wide = room.between((0, 0), (SIZE[1] - 1, 0))  # along the top of the wall, 4 m away
    assert box["high"][0] - box["low"][0] == pytest.approx(wide, rel=1e-5)


def test_a_bent_lens_is_drawn_straight(page: Any, folder: Path) -> None:
    room, k1 = a_room(), -0.1
    straight = room.camera
    camera = Camera(straight.fx, straight.fy, straight.cx, straight.cy, "t", (k1, 0, 0, 0))
    bent = Depth(np.full(SIZE, 2, np.float32), camera, room.provenance, room.image)
    bent.save(folder / "bent.glb")
    box = drawn(page, "bent.glb")
    # A barrel's corner pixel looks further aside than a pinhole's: r + k1 r³ is where it lies.
    x, y = camera.cx / camera.fx, camera.cy / camera.fy
    edge = np.hypot(x, y)
    roots = np.roots([k1, 0, 1, -edge])
    ray = min(r.real for r in roots if abs(r.imag) < 1e-9 and r.real > 0)
    high = [2 * ray * x / edge, 2 * ray * y / edge, -2]
    np.testing.assert_allclose(box["high"], high, rtol=1e-5)


def test_from_aside_the_near_box_moves_as_its_distance_says(page: Any, folder: Path) -> None:
    a_room().save(folder / "aside.glb")
    pictures = [
        drawn(page, "aside.glb", {"from": [x, 0, 0], "to": [x, 0, -4]})["picture"]
        for x in (0, -0.4)
    ]
    yellow = (250, 250, 120)
    before, after = (
        np.argwhere(np.abs(p[..., :3] - yellow).sum(-1) < 30)[:, 1].mean() for p in pictures
    )
    # The camera moves 0.4 m to the left: what is 1.5 m away moves f · 0.4 / 1.5 px to the right.
    assert after - before == pytest.approx(a_room().camera.fx * 0.4 / 1.5, abs=1)


def test_points_are_drawn_in_the_photographs_colours(page: Any, folder: Path) -> None:
    room = a_room()
    room.save(folder / "points.glb", mesh=False)
    picture = drawn(page, "points.glb")["picture"]
    covered = picture[..., 3] == 255
    assert covered.mean() > 0.5
    assert np.abs(picture[..., :3] - room.image)[covered].mean() < 8
