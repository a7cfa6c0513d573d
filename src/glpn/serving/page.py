"""The page at `/`: its files, what it may load, and what it learns about the service."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import glpn
from glpn import weights
from glpn.camera.camera import FOV_RANGE
from glpn.depth.colormaps import COLORMAPS, color_table
from glpn.estimator import DepthEstimator
from glpn.files import FORMATS
from glpn.serving.json_response import as_json
from glpn.serving.limits import Limits
from glpn.serving.query import installed_formats

ABOUT, COLOURS = "/v1/about", "/v1/colormaps"
STATIC_FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".txt": "text/plain; charset=utf-8",
}
_COMPRESSIBLE = {".html", ".css", ".js", ".svg", ".txt"}
# Everything comes from this service; images may also be the visitor's own, as blobs.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}
_Body = tuple[bytes, dict[str, str]]
_FAILURES_TITLE = "Known failures"


@dataclass(frozen=True)
class ModelCard:
    """What a model's card says that users of the service should know.

    Attributes:
        terms: its licence; empty where the card states none.
        failures: the items under "Known failures".
    """

    terms: str = ""
    failures: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """The card in a model folder; empty where there is none."""
        text = weights.read_card(folder)
        section = weights.section(text, _FAILURES_TITLE)
        items = section.split("\n- ") if section else []
        failures = tuple(" ".join(item.removeprefix("- ").split()) for item in items)
        return cls(weights.stated_terms(text), failures)


def page_files() -> dict[str, Path]:
    """Return the files that the service delivers, by URL path."""
    files = {f"/static/{file.name}": file for file in sorted(STATIC_FOLDER.iterdir())}
    return {"/": files.pop("/static/index.html"), **files}


def add_page(app: FastAPI, about: Mapping[str, object]) -> None:
    """Serve the page, its files, and the two JSON resources that it reads."""
    for path, file in page_files().items():
        _add_file(app, path, file)
    tables = {name: color_table(name).tobytes().hex() for name in COLORMAPS}

    @app.get(ABOUT, summary="The service and its model")
    async def about_service() -> Response:
        return as_json(about)

    @app.get(COLOURS, summary="The colour maps: 256 RGB colours in hexadecimal, near to far")
    async def colormaps() -> Response:
        return as_json(tables, headers={"Cache-Control": "max-age=3600"})


def _add_file(app: FastAPI, path: str, file: Path) -> None:
    content = file.read_bytes()
    plain = _body(content)
    packed = plain
    if file.suffix in _COMPRESSIBLE:
        packed = _body(gzip.compress(content, mtime=0), {**HEADERS, "Content-Encoding": "gzip"})

    @app.get(path, include_in_schema=False)
    async def page_file(request: Request) -> Response:
        accepted = request.headers.get("accept-encoding", "")
        body, headers = packed if "gzip" in accepted else plain
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, headers=headers, media_type=_TYPES[file.suffix])


def _body(content: bytes, headers: Mapping[str, str] = HEADERS) -> _Body:
    """A body with its headers; the tag differs between encodings, as RFC 9110 (8.8.3.3) asks."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return content, {**headers, "Vary": "Accept-Encoding", "ETag": tag}


def describe(
    estimator: DepthEstimator, limits: Limits, card: ModelCard, links: Mapping[str, str]
) -> dict[str, object]:
    """The body of `/v1/about`."""
    provenance = estimator.provenance
    return {
        "glpn": glpn.__version__,
        "model": provenance.model,
        "model_hash": provenance.model_hash,
        "terms": card.terms or "not stated",
        "engine": provenance.engine,
        "max_depth": provenance.max_depth,
        "failures": list(card.failures),
        "formats": {
            name: FORMATS[name].suffix if name in FORMATS else ".json"
            for name in installed_formats()
        },
        "max_body": limits.max_body,
        "max_pixels": limits.max_pixels,
        "fov": list(FOV_RANGE),
        "needs_key": limits.api_key is not None,
        "links": dict(links),
    }
