"""The ways in which clients send a photo, and forms that are refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.corpus.bytes_of import encoded, scene
from tests.serving.conftest import JPEG, Service

PHOTO = encoded(scene(), "JPEG")
FORM = {"Content-Type": "multipart/form-data; boundary=edge"}
JSON = {"Content-Type": "application/json"}


def part(content: bytes, *, filename: str = "a.jpg", field: str = "image") -> bytes:
    """One part of a multipart body, up to the next delimiter."""
    name = f'; filename="{filename}"' if filename else ""
    return f'\r\nContent-Disposition: form-data; name="{field}"{name}\r\n\r\n'.encode() + content


def form(*parts: bytes, end: bytes = b"\r\n--edge--\r\n") -> bytes:
    return b"--edge" + b"\r\n--edge".join(parts) + end


@pytest.fixture(scope="module")
def expected(service: Service) -> float:
    return service.post(PHOTO, JPEG).json()["median"]


@pytest.mark.parametrize(
    "kind", ["image/jpg", "image/x-anything", "application/x-www-form-urlencoded"]
)
def test_a_raw_photo_is_read_by_its_content(service: Service, expected: float, kind: str) -> None:
    assert service.post(PHOTO, {"Content-Type": kind}).json()["median"] == expected


def test_a_form_with_one_file_is_read(service: Service, expected: float) -> None:
    with service.client() as client:
        response = client.post("/v1/depth", files={"image": ("a.jpg", PHOTO, "image/jpeg")})
    assert response.json()["median"] == expected


@pytest.mark.parametrize(
    "body",
    [
        form(part(PHOTO), part(b"kitchen", filename="")),
        b"preamble\r\n" + form(part(PHOTO)),
        form(part(PHOTO), end=b"\r\n--edge--"),
    ],
    ids=["text-field", "preamble", "no-last-newline"],
)
def test_forms_may_hold_text_and_a_short_preamble(
    service: Service, expected: float, body: Any
) -> None:
    assert service.post(body, FORM).json()["median"] == expected


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (form(part(PHOTO), part(PHOTO)), "expected one file, got 2"),
        (form(part(PHOTO, filename="")), "expected one file, got 0"),
        (form(part(PHOTO), part(b"60", filename="", field="fov")), "fov: options go into the q"),
        (form(*[part(b"x", filename="")] * 10_000), "more than 16 parts"),
        (b"x" * 100_000 + form(part(PHOTO)), "first 1024 bytes"),
        (form(part(PHOTO), end=b""), "cut off"),
        (form(b"\r\nX: " + b"x" * 5000 + part(PHOTO)), "headers"),
        (form(PHOTO[:20]), "headers"),
        (b"", "first 1024 bytes"),
    ],
    ids=[
        "two",
        "none",
        "option",
        "10000-parts",
        "preamble",
        "cut",
        "big-headers",
        "no-headers",
        "empty",
    ],
)
def test_other_forms_are_refused_by_name(service: Service, body: Any, says: str) -> None:
    response = service.post(body, FORM)
    assert response.status_code == 400 and says in response.json()["error"]


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'x' * 71}"])
def test_a_form_needs_a_boundary(service: Service, boundary: str) -> None:
    response = service.post(form(part(PHOTO)), {"Content-Type": f"multipart/form-data{boundary}"})
    assert response.status_code == 400 and "boundary" in response.json()["error"]


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,"])
def test_base64_in_json_is_read(service: Service, expected: float, prefix: str) -> None:
    body = f'{{"image": "{prefix}{base64.b64encode(PHOTO).decode()}"}}'
    assert service.post(body, JSON).json()["median"] == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        '{"image": 1}',
        '{"image": "???"}',
        '{"image": "é"}',
        '{"image": "", "format": "npz"}',
        "1" * 10_000,
    ],
)
def test_other_json_is_refused(service: Service, body: str) -> None:
    response = service.post(body.encode(), JSON)
    assert response.status_code == 400 and response.json()["error"].startswith("body: ")
