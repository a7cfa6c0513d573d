"""The page at `/`: its files, what it may load, and what it is told of the service."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

import glpn
from glpn.depth.colormaps import COLORMAPS, color_table
from glpn.estimator import DepthEstimator
from glpn.files import FORMATS as FILES
from glpn.serving.limits import Limits
from glpn.serving.query import FORMATS
from glpn.serving.responses import as_json

ABOUT = "/v1/about"
_FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
    ".txt": "text/plain; charset=utf-8",
}
# Everything comes from this service; pictures are also the visitor's own, as blobs.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cache-Control": "no-cache",
}
_CARD = "README.md"
_FAILURES = "## Known failures"
_LONGEST_CARD = 1 << 20  # characters


def paths() -> dict[str, Path]:
    """Path of a request → the file that answers it; there are no others."""
    files = {f"/static/{file.name}": file for file in sorted(_FOLDER.iterdir())}
    return {"/": files.pop("/static/index.html"), **files}


def add_page(app: FastAPI, about: Mapping[str, Any]) -> None:
    """Serve the page, its files and `about`, which it asks for."""
    for path, file in paths().items():
        _add_file(app, path, file)

    @app.get(ABOUT, summary="What the service and its model can do")
    async def said() -> Response:
        return as_json(about)


def _add_file(app: FastAPI, path: str, file: Path) -> None:
    content = file.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {**_HEADERS, "ETag": tag}

    @app.get(path, include_in_schema=False)
    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_TYPES[file.suffix])


def describe(
    estimator: DepthEstimator, limits: Limits, failures: Sequence[str], links: Mapping[str, str]
) -> dict[str, Any]:
    """What `/v1/about` says: of the model nothing but what its provenance and card tell."""
    told = estimator.provenance
    return {
        "glpn": glpn.__version__,
        "model": told.model,
        "model_hash": told.model_hash,
        "engine": told.engine,
        "max_depth": told.max_depth,
        "failures": list(failures),
        "formats": {name: FILES[name].suffix if name in FILES else ".json" for name in FORMATS},
        "colormaps": {name: color_table(name).tobytes().hex() for name in COLORMAPS},
        "max_body": limits.max_body,
        "needs_key": limits.api_key is not None,
        "links": dict(links),
    }


def known_failures(folder: Path) -> list[str]:
    """The items under "Known failures" of a model's card; none where it has no such list."""
    try:
        with (folder / _CARD).open(encoding="utf-8", errors="replace") as file:
            text = file.read(_LONGEST_CARD)
    except OSError:
        return []
    section = text.partition(f"\n{_FAILURES}\n")[2].partition("\n## ")[0]
    items = section.strip().split("\n- ") if section.strip() else []
    return [" ".join(item.removeprefix("- ").split()) for item in items]
