"""Responses to good and bad photos and queries."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glpn
from glpn import weights
from glpn.depth.reading import read_depth
from glpn.errors import MissingDependency
from glpn.serving.page import ModelCard, page_files
from glpn.serving.query import MEDIA_TYPES, parse_query
from tests.corpus.bytes_of import encoded, jpeg_segment, jpeg_with, scene
from tests.corpus.images import FILES, HEIGHT, WIDTH
from tests.serving.conftest import JPEG, Service, wait_for

PHOTO = encoded(scene(), "JPEG")
ANY = {"Content-Type": "application/octet-stream"}


def test_json_equals_the_librarys_result(service: Service, model: Path) -> None:
    depth = glpn.load(model, threads=1)(PHOTO, fov=67)
    answer = service.post(PHOTO, fov="67", at=["3,4", "10.5,20"], between="0,0,100,50")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert (said["height"], said["width"]) == (HEIGHT, WIDTH)
    assert said["median"] == pytest.approx(np.median(depth.metres), abs=1e-3)
    assert said["min"] <= said["median"] <= said["max"]
    assert [place["metres"] for place in said["at"]] == pytest.approx(
        [depth.at(3, 4), depth.at(10.5, 20)], abs=1e-3
    )
    assert said["between"][0]["metres"] == pytest.approx(depth.between((0, 0), (100, 50)), abs=1e-3)
    # A horizontal field of view of 67° over 128 pixels: 64 / tan 33.5°.
    assert said["camera"]["fx"] == pytest.approx(96.6935, abs=1e-3)
    assert said["provenance"]["model"] == model.name
    assert str(model.parent) not in answer.text


@pytest.mark.parametrize(
    ("format", "kind"),
    [("png16", "image/png"), ("npz", "application/x-npz"), ("exr", "image/x-exr")],
)
def test_depth_files_equal_the_librarys_depth(
    service: Service, model: Path, tmp_path: Path, format: str, kind: str
) -> None:
    answer = service.post(PHOTO, format=format)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    path = tmp_path / "depth"
    path.write_bytes(answer.content)
    expected = glpn.load(model, threads=1)(PHOTO).metres
    np.testing.assert_allclose(read_depth(path).metres, expected, atol=1e-3)


@pytest.mark.slow
def test_a_step_keeps_metres_and_positions_in_space(service: Service, tmp_path: Path) -> None:
    whole, third = tmp_path / "whole.npz", tmp_path / "third.npz"
    whole.write_bytes(service.post(PHOTO, format="npz", fov=67).content)
    third.write_bytes(service.post(PHOTO, format="npz", fov=67, step=3).content)
    depth, fewer = read_depth(whole), read_depth(third)
    np.testing.assert_array_equal(fewer.metres, depth.metres[::3, ::3])
    np.testing.assert_allclose(fewer.points(), depth.points()[::3, ::3], rtol=1e-5, atol=1e-6)
    for format in ("png16", "exr", "vis", "glb"):
        assert service.post(PHOTO, format=format, step=200).status_code == 200  # one pixel


def test_about_describes_the_model_and_its_card(service: Service, model: Path) -> None:
    said = service.get("/v1/about").json()
    assert said["model"] == model.name and said["max_depth"] == 10
    assert list(said["formats"]) == list(MEDIA_TYPES) and said["formats"]["png16"] == ".png"
    assert said["needs_key"] is False and said["max_body"] == 16 * 2**20
    assert said["failures"] == [] and said["terms"] == "not stated"  # this model has no card


def test_about_is_small(service: Service) -> None:
    assert len(service.get("/v1/about").content) < 2000


def test_colour_maps_have_256_colours(service: Service) -> None:
    # Smith and van der Walt's viridis starts at RGB 68, 1, 84 and ends at 253, 231, 37.
    viridis = bytes.fromhex(service.get("/v1/colormaps").json()["viridis"])
    assert len(viridis) == 3 * 256
    assert {tuple(viridis[:3]), tuple(viridis[-3:])} == {(68, 1, 84), (253, 231, 37)}


@pytest.mark.parametrize(
    ("card", "items"),
    [
        ("# m\n\n## Known failures\n\n- Rain: it\n  blurs.\n- Glass.\n\n## More\n- no", 2),
        ("# m\n\n## Known failures\n\n## More\n- no\n", 0),
        ("# m\n- no\n", 0),
    ],
)
def test_failures_are_the_items_under_their_heading(tmp_path: Path, card: str, items: int) -> None:
    (tmp_path / "README.md").write_text(card)
    assert ModelCard.read(tmp_path).failures == ("Rain: it blurs.", "Glass.")[:items]


def test_the_bundled_card_lists_failures() -> None:
    assert any(
        "Mirrors" in item for item in ModelCard.read(weights.resolve("glpn-b0-indoor")).failures
    )


def test_pictures_and_scenes(service: Service) -> None:
    picture = Image.open(io.BytesIO(service.post(PHOTO, format="vis", colormap="gray").content))
    assert (picture.mode, picture.height) == ("RGB", HEIGHT)
    assert picture.width >= WIDTH  # and the legend to the right
    red, green, blue = np.asarray(picture).astype(int).transpose(2, 0, 1)
    assert (red == green).all() and (red == blue).all()
    assert service.post(PHOTO, format="glb").content.startswith(b"glTF")


def test_the_texture_of_a_mesh_has_at_most_a_megapixel_and_a_half(service: Service) -> None:
    trimesh = pytest.importorskip("trimesh")
    photo = encoded(np.zeros((1500, 2000, 3), np.uint8), "JPEG")
    data = io.BytesIO(service.post(photo, format="glb").content)
    mesh = trimesh.load(data, file_type="glb").to_geometry()
    assert mesh.visual.material.baseColorTexture.size == (1000, 750)


@pytest.mark.slow
@pytest.mark.parametrize("case", FILES, ids=lambda case: case.id)
def test_every_kind_of_picture_has_its_status(service: Service, case: Any) -> None:
    answer = service.post(case.make(), ANY)
    said = answer.json()
    if case.outcome is None:
        assert answer.status_code == 200, said
        assert (said["height"], said["width"]) == case.size
    else:
        assert answer.status_code == case.outcome.http_status, said
        assert set(said) == {"error"} and "/" not in said["error"]


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("format=exe", "json, png16, npz, exr, tiff, ply, glb, vis"),
        ("format=", "json, png16"),
        ("format=json&format=npz", "too often"),
        ("max_side=-1", "format, focal, fov, colormap, uncertainty, step, at, between, ref, known"),
        ("step=0", "from 1 to"),
        ("step=1.5", "from 1 to"),
        ("step=1,2", "from 1 to"),
        ("step=99999", "from 1 to"),
        ("focal=1e99", "above 0"),
        ("focal=nan", "above 0"),
        ("focal=-3", "above 0"),
        ("fov=180", "from 1 to 170"),
        ("fov=179.9999999", "from 1 to 170"),
        ("fov=1e-9", "from 1 to 170"),
        ("focal=0.001", "3.2 to 8000 px"),  # 0.02 and 50 diagonals of 160 pixels
        ("focal=1e-320", "expected a focal length of"),
        ("focal=8001", "3.2 to 8000 px"),
        ("focal=1_0", "above 0"),
        ("focal=%D9%A1%D9%A0", "above 0"),  # Arabic digits
        ("focal=%201", "above 0"),
        ("focal=0x10", "above 0"),
        ("focal=infinity", "above 0"),
        ("uncertainty=droppath", "flip"),
        ("uncertainty=flip&format=png16", "only format=json and format=npz hold it, not png16"),
        ("uncertainty=flip&format=vis", "only format=json and format=npz hold it, not vis"),
        ("fov=60&focal=500", "at most one"),
        ("at=1", "x,y"),
        ("at=1,1&format=npz", "format=json"),
        ("at=inf,1", "x,y"),
        ("at=1,99999", "outside"),
        ("at=1,1&" * 101, "too often"),
        ("between=1,2,3", "x0,y0,x1,y1"),
        ("known=1,2,3,4", "x0,y0,x1,y1,metres"),
        ("known=1,2,3,4,0", "above 0"),
        ("known=1,2,1,2,1", "two points of a length must be different"),
        ("known=1,2,3,4,1&known=1,2,3,9,1&focal=99", "which is given; leave focal and fov out"),
        ("known=1,2,3,4,1&known=1,2,3,9,1&fov=60", "which is given; leave focal and fov out"),
        ("ref=1,2", "x,y,metres"),
        ("ref=1,9999,2", "outside"),
        ("colormap=jet", "inferno"),
        ("colormap=gray&format=npz", "only format=vis has colours, not npz"),
        ("step=2", "only files have pixels to leave out, not format=json"),
        ("%00=%ff", "format, focal"),
    ],
)
def test_a_bad_query_is_refused_with_the_allowed_values(
    service: Service, query: str, allowed: str
) -> None:
    with service.client() as client:
        answer = client.post(f"/v1/depth?{query}", content=PHOTO, headers=JPEG)
    assert answer.status_code == 400 and allowed in answer.json()["error"]


def test_markup_is_never_echoed(service: Service) -> None:
    answer = service.post(PHOTO, format="<script>alert(1)</script>")
    assert answer.status_code == 400 and "<script>alert(1)</script>" in answer.json()["error"]
    assert not set("<>&") & set(answer.text)


def test_no_response_contains_metadata_of_the_photo(service: Service) -> None:
    canary = b"Exif\0\0II*\0secret-place-and-name"
    photo = jpeg_with(jpeg_segment(0xE1, canary), PHOTO)
    for format in ("json", "png16", "npz", "exr", "vis", "glb"):
        answer = service.post(photo, format=format)
        assert answer.status_code == 200 and b"secret" not in answer.content


def test_pages(service: Service) -> None:
    assert service.get("/v2/health/live").json() == {"live": True}
    assert service.get("/v2/health/ready").json()["ready"] is True
    for path in service.get("/v1/about").json()["links"].values():
        assert service.get(path).status_code == (405 if path == "/v1/depth" else 200)
    page = service.get("/docs")
    assert "POST /v1/depth" in page.text and "script" not in page.text
    names = [
        p["name"]
        for p in service.get("/openapi.json").json()["paths"]["/v1/depth"]["post"]["parameters"]
    ]
    assert names == [
        "format",
        "focal",
        "fov",
        "at",
        "between",
        "ref",
        "known",
        "colormap",
        "uncertainty",
        "step",
    ]


def test_metrics_count_responses_and_photos(service: Service) -> None:
    refused, images = 'glpn_requests_total{code="415"}', "glpn_images_total"
    before = service.metric(refused), service.metric(images)
    service.post(PHOTO)
    service.post(PHOTO, {"Content-Type": "text/plain"})
    wait_for(lambda: service.metric(refused) == before[0] + 1)  # counted after the answer
    assert service.metric(images) == before[1] + 1
    assert service.metric('glpn_requests_total{code="200"}') > 0
    assert service.metric("glpn_queue_length") == 0
    assert service.metric("glpn_request_seconds_count") > 0


def test_files_of_the_page_are_compressed_for_those_who_accept_it(service: Service) -> None:
    path = "/static/three.js"
    packed, plain = (
        service.get(path, headers={"Accept-Encoding": kind}) for kind in ("gzip, br", "identity")
    )
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == page_files()[path].read_bytes()
    assert int(packed.headers["content-length"]) < 0.3 * len(plain.content)
    assert packed.headers["etag"] != plain.headers["etag"]
    for answer, kind in ((packed, "gzip, br"), (plain, "identity")):
        assert answer.headers["vary"] == "Accept-Encoding"
        headers = {"Accept-Encoding": kind, "If-None-Match": answer.headers["etag"]}
        assert service.get(path, headers=headers).status_code == 304
    assert "content-encoding" not in service.get("/static/room.jpg").headers


def test_every_response_has_security_headers(service: Service) -> None:
    responses = [
        service.get(path) for path in ("/", "/static/main.js", "/docs", "/nowhere", "/v1/depth")
    ]
    for answer in [*responses, service.post(PHOTO), service.post(b"")]:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_the_log_has_one_line_per_request_and_no_names(service: Service) -> None:
    service.get("/secret-name.jpg?key=secret")
    service.post(PHOTO, at="77,66")
    wait_for(lambda: service.log[-1].get("method") == "POST")  # written after the answer
    line = service.log[-1]
    assert (line["event"], line["path"], line["status"]) == ("request", "/v1/depth", 200)
    assert line["ms"] > 0 and line["bytes_in"] == len(PHOTO) and line["bytes_out"] > 100
    assert "secret" not in json.dumps(service.log) and "77,66" not in json.dumps(service.log)


def test_measurements_calibrate_figures_and_files(
    service: Service, model: Path, tmp_path: Path
) -> None:
    from glpn.depth.measurements import Measurements

    measured = Measurements(references=[(30, 20, 2.5)], lengths=[(10, 80, 110, 15, 3)])
    depth = glpn.load(model, threads=1)(PHOTO, measurements=measured)
    query = {"ref": "30,20,2.5", "known": "10,80,110,15,3"}
    found = service.post(PHOTO, at="3,4", between="10,80,110,15", **query).json()
    assert found["between"][0]["metres"] == 3
    assert found["at"][0]["metres"] == pytest.approx(depth.at(3, 4), abs=1e-3)
    assert "1 known length" in found["provenance"]["note"]
    path = tmp_path / "depth.npz"
    path.write_bytes(service.post(PHOTO, format="npz", step=2, **query).content)
    np.testing.assert_allclose(read_depth(path).metres, depth.metres[::2, ::2], atol=1e-3)


def test_a_form_of_curl_and_the_type_image_jpg_are_read(service: Service) -> None:
    boundary = "-----9"
    form = (
        (
            f"--{boundary}\r\nContent-Disposition: form-data; name=image; filename=a.jpg\r\n"
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + PHOTO
        + f"\r\n--{boundary}--\r\n".encode()
    )
    kinds = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    plain = service.post(PHOTO).json()
    assert service.post(form, kinds).json() == plain
    assert service.post(PHOTO, {"Content-Type": "image/jpg"}).json() == plain


@pytest.mark.slow
def test_the_service_states_the_measured_error_of_the_bundled_model(
    start_bundled: Callable[..., Any],
) -> None:
    with start_bundled() as service:
        found = service.post(PHOTO, fov=60, at="30,20").json()
    depth = glpn.load(threads=1, precision="float32")(PHOTO, fov=60)
    assert found["relative_error"] == pytest.approx(depth.relative_error, abs=2e-3)
    assert found["at"][0]["sigma"] == pytest.approx(depth.sigma_at(30, 20), rel=0.02)


@pytest.mark.slow
def test_pages_of_an_allowed_origin_may_use_the_service(start: Callable[..., Any]) -> None:
    origin, other = {"Origin": "https://app.example.org"}, {"Origin": "https://evil.example"}
    with start("--cors", "https://App.example.org") as service, service.client() as client:
        asked = client.options("/v1/depth", headers=origin)
        assert asked.headers["access-control-allow-origin"] == "https://app.example.org"
        assert asked.headers["access-control-allow-methods"] == "POST, OPTIONS"
        assert "X-API-Key" in asked.headers["access-control-allow-headers"]
        answer = client.post("/v1/depth", content=PHOTO, headers={**JPEG, **origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
        assert "Origin" in answer.headers["vary"]
        for path in ("/v1/about", "/"):
            refused = client.get(path, headers=other)
            assert refused.status_code == 403
            assert "access-control-allow-origin" not in refused.headers


def test_without_the_option_no_other_origin_is_allowed(service: Service) -> None:
    with service.client() as client:
        answer = client.get("/v1/about", headers={"Origin": "https://app.example.org"})
    assert answer.status_code == 403 and "--cors" in answer.json()["error"]
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_uncertainty_is_in_json_and_npz(service: Service, model: Path, tmp_path: Path) -> None:
    depth = glpn.load(model, threads=1)(PHOTO, uncertainty="flip")
    (point,) = service.post(PHOTO, uncertainty="flip", at="30,20").json()["at"]
    assert point["sigma"] == pytest.approx(depth.sigma[20, 30], abs=1e-3)
    whole = service.post(PHOTO, uncertainty="flip").json()
    assert whole["sigma"] == pytest.approx(np.median(depth.sigma), abs=1e-3)
    assert "sigma" not in service.post(PHOTO).json()
    path = tmp_path / "depth.npz"
    path.write_bytes(service.post(PHOTO, uncertainty="flip", format="npz").content)
    np.testing.assert_allclose(read_depth(path).sigma, depth.sigma, atol=1e-3)


def test_the_interface_page_shows_the_address_it_was_asked_at(service: Service) -> None:
    page = service.get("/docs").text
    assert f"{service.url}/v1/depth" in page and "8000" not in page
    assert "static/page.css" in page


@pytest.mark.parametrize("name", ["exr", "ply", "glb"])
def test_a_format_without_its_package_names_the_install_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glpn.serving.query.installed_formats", lambda: ("json", "npz"))
    with pytest.raises(MissingDependency, match=rf"{name} needs .*'\.\[3d\]'"):
        parse_query([("format", name)])
