"""The routes."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from typing import Any

import prometheus_client
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Scope

import glpn
from glpn.depth.colormaps import COLORMAPS
from glpn.engines.protocol import Engine
from glpn.errors import DataError, GLPNError, InvalidImage, MissingDependency, UsageError
from glpn.estimator import DepthEstimator
from glpn.serving.batcher import SharedEngine
from glpn.serving.limits import TYPES, Limits, Refusal, read_body, require_key, require_picture
from glpn.serving.middleware import LOGGER, Doorman, Metrics
from glpn.serving.page import ABOUT, add_page, describe, paths
from glpn.serving.query import FORMATS, parse_query
from glpn.serving.request_queue import Desk, all_taken
from glpn.serving.responses import answer, as_json

_LINKS = {
    "depth": "/v1/depth",
    "about": ABOUT,
    "live": "/v2/health/live",
    "ready": "/v2/health/ready",
    "metrics": "/metrics",
    "docs": "/docs",
    "openapi": "/openapi.json",
}
# Errors that a request can cause; their messages name the picture and the query, nothing of ours.
_OF_THE_REQUEST = (InvalidImage, UsageError, MissingDependency, DataError)
_BESIDE_ONE = 3  # pictures that are decoded, encoded or wait for the batch beside the one network
_BESIDE_LANES = 1  # so that no core waits for the event loop between two pictures
_CLIENT_GONE = 499  # as nginx; for the log, nobody reads it

_QUERY: dict[str, tuple[dict[str, Any], str]] = {
    "format": ({"type": "string", "enum": list(FORMATS), "default": "json"}, "Of the answer."),
    "focal": ({"type": "number"}, "Focal length in pixels; from EXIF, or assumed, without it."),
    "fov": ({"type": "number"}, "Horizontal field of view in degrees, instead of focal."),
    "at": ({"type": "array", "items": {"type": "string"}}, "x,y: metres there; repeatable."),
    "between": (
        {"type": "array", "items": {"type": "string"}},
        "x0,y0,x1,y1: metres from one to the other; repeatable.",
    ),
    "colormap": ({"type": "string", "enum": list(COLORMAPS)}, "Colours of vis."),
    "step": (
        {"type": "integer", "minimum": 1, "default": 1},
        "Keep every step-th pixel in both directions, in files.",
    ),
}
_OPENAPI = {
    "parameters": [
        {"name": name, "in": "query", "schema": schema, "description": text}
        for name, (schema, text) in _QUERY.items()
    ],
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES},
    },
}


def make_app(
    estimator: DepthEstimator, limits: Limits, *, lanes: int = 1, failures: Sequence[str] = ()
) -> ASGIApp:
    """The service around one model, ready for an ASGI server.

    Args:
        estimator: predicts; from now on called by several threads.
        limits: of every request.
        lanes: how many predictions the engine makes side by side; with one, pictures of one size
            that wait together share a batch.
        failures: known ones of the model, which the page tells.
    """
    engine: Engine = estimator.engine if lanes > 1 else SharedEngine(estimator.engine)
    shared = DepthEstimator(engine, estimator.processor, estimator.provenance)
    metrics = Metrics()
    desk = Desk(limits, workers=lanes + (_BESIDE_LANES if lanes > 1 else _BESIDE_ONE))
    metrics.queue.set_function(lambda: desk.waiting)
    app = FastAPI(
        title="glpn",
        version=glpn.__version__,
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    _handle_errors(app)

    # The first of the routes, for they are tried in turn.
    @app.post("/v1/depth", openapi_extra=_OPENAPI, summary="Metres from one photograph")
    async def depth(request: Request) -> Response:
        require_key(request, limits)
        wanted = parse_query(request.query_params.multi_items())
        require_picture(request, limits)
        with desk.place():
            body = await read_body(request, limits)
            response = await desk.run(request, partial(answer, shared, body, wanted))
        metrics.images.inc()
        return response

    _add_pages(app, shared, metrics)
    add_page(app, describe(shared, limits, failures, _LINKS))

    def refuse(scope: Scope) -> Response | None:
        picture = (scope["method"], scope["path"]) == ("POST", _LINKS["depth"])
        return _told(all_taken()) if picture and desk.full else None

    known = frozenset({*paths(), *_LINKS.values()})
    return Doorman(app, metrics, paths=known, refuse=refuse)


def _add_pages(app: FastAPI, estimator: DepthEstimator, metrics: Metrics) -> None:
    @app.get("/v2/health/live", summary="The process answers")
    async def live() -> Response:
        return as_json({"live": True})

    @app.get("/v2/health/ready", summary="The model is loaded")
    async def ready() -> Response:
        return as_json({"ready": True, "model": estimator.provenance.model})

    @app.get("/metrics", include_in_schema=False)
    async def figures() -> Response:
        text = prometheus_client.generate_latest(metrics.registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(_docs_page())


def _docs_page() -> str:
    """The interface on one page without scripts."""
    rows = "".join(
        f"<dt>{name}</dt><dd>{html.escape(text)} {html.escape(', '.join(schema.get('enum', ())))}"
        for name, (schema, text) in _QUERY.items()
    )
    links = "".join(f'<li><a href="{path}">{path}</a>' for path in list(_LINKS.values())[1:])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>glpn</title>'
        "<h1>glpn: metres from one photograph</h1><h2>POST /v1/depth</h2>"
        f"<p>The body is the picture: {', '.join(TYPES)}. The query:<dl>{rows}</dl>"
        "<pre>curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' "
        f"'http://127.0.0.1:8000/v1/depth?at=320,240'</pre><h2>More</h2><ul>{links}</ul></html>"
    )


def _told(refusal: Refusal) -> Response:
    return as_json({"error": str(refusal)}, refusal.status, refusal.headers)


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def refused(_request: Request, error: Refusal) -> Response:
        return _told(error)

    @app.exception_handler(GLPNError)
    async def failed(_request: Request, error: GLPNError) -> Response:
        if isinstance(error, _OF_THE_REQUEST):
            return as_json({"error": str(error)}, error.http_status)
        LOGGER.error("prediction failed", exc_info=error)
        return as_json({"error": "the service cannot predict; its log says why"}, 500)

    @app.exception_handler(HTTPException)
    async def unknown(_request: Request, error: HTTPException) -> Response:
        return as_json({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return as_json({"error": "the client is gone"}, _CLIENT_GONE)

    @app.exception_handler(Exception)
    async def broken(_request: Request, _error: Exception) -> Response:
        return as_json({"error": "internal error"}, 500)  # the log gets it from the server
