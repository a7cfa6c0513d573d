"""The routes."""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import partial

import prometheus_client
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Scope

import glpn
from glpn.camera.camera import FOV_RANGE
from glpn.depth.colormaps import COLORMAPS
from glpn.engines.protocol import Engine
from glpn.errors import DataError, GLPNError, InvalidImage, MissingDependency, UsageError
from glpn.estimator import DepthEstimator
from glpn.serving import page
from glpn.serving.batcher import SharedEngine
from glpn.serving.bodies import BodyReader, photo_bytes
from glpn.serving.error_responses import Refusal, queue_full, refused
from glpn.serving.json_response import as_json
from glpn.serving.limits import (
    CONTENT_TYPES,
    Limits,
    require_key,
    require_photo_headers,
)
from glpn.serving.middleware import LOGGER, Metrics, ServiceMiddleware
from glpn.serving.query import DepthQuery, installed_formats, parse_query
from glpn.serving.request_queue import RequestQueue
from glpn.serving.responses import depth_response

_DEPTH = "/v1/depth"
_LINKS = {
    "depth": _DEPTH,
    "about": page.ABOUT,
    "colormaps": page.COLOURS,
    "models": "/v2/models",
    "live": "/v2/health/live",
    "ready": "/v2/health/ready",
    "metrics": "/metrics",
    "docs": "/docs",
    "openapi": "/openapi.json",
}
# Errors that a request can cause. Their messages speak only of the photo and the query.
_CLIENT_ERRORS = (InvalidImage, UsageError, MissingDependency, DataError)
# Threads beyond the predictions that run at once: they decode and encode meanwhile.
_EXTRA_WORKERS_ONE_NETWORK = 3
_EXTRA_WORKERS_SIDE_BY_SIDE = 1
_CLIENT_CLOSED_REQUEST = 499  # nginx's number; it appears only in the log

_Schema = Mapping[str, object]
_QUERY: dict[str, tuple[_Schema, str]] = {
    "format": (
        {"type": "string", "enum": list(installed_formats()), "default": "json"},
        "Format of the response.",
    ),
    "focal": ({"type": "number"}, "Focal length in pixels. Default: from EXIF, else assumed."),
    "fov": (
        {"type": "number", "minimum": FOV_RANGE[0], "maximum": FOV_RANGE[1]},
        "Horizontal field of view in degrees, instead of focal.",
    ),
    "at": (
        {"type": "array", "items": {"type": "string"}},
        "x,y: return the metres at this pixel. Repeatable.",
    ),
    "between": (
        {"type": "array", "items": {"type": "string"}},
        "x0,y0,x1,y1: return the metres between two pixels. Repeatable.",
    ),
    "ref": (
        {"type": "array", "items": {"type": "string"}},
        "x,y,metres: a depth measured along the optical axis. One sets the scale, several also "
        "shift the depth. Repeatable.",
    ),
    "known": (
        {"type": "array", "items": {"type": "string"}},
        "x0,y0,x1,y1,metres: a length measured with a tape. One sets the scale; two, one across "
        "the photo and one away from the camera, also set the focal length. Repeatable.",
    ),
    "colormap": ({"type": "string", "enum": list(COLORMAPS)}, "Colours of the format vis."),
    "uncertainty": (
        {"type": "string", "enum": ["flip"]},
        "Add one standard deviation in metres to json (its median, and at each at) or npz; other "
        "formats have no room for it. Takes twice the time.",
    ),
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
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "string", "format": "binary"}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"image": {"type": "string", "format": "byte"}},
                    "required": ["image"],
                    "additionalProperties": False,
                }
            },
        },
    },
}


def make_app(
    estimator: DepthEstimator,
    limits: Limits,
    *,
    concurrency: int = 1,
    card: page.ModelCard | None = None,
) -> ASGIApp:
    """The service around one model, ready for an ASGI server.

    Args:
        estimator: predicts; several threads call it from now on.
        limits: the limits of every request.
        concurrency: how many predictions the engine runs side by side; with one, photos of one
            size that wait together share a batch.
        card: what the page and `/v1/about` say about the model.
    """
    side_by_side = concurrency > 1
    engine: Engine = estimator.engine if side_by_side else SharedEngine(estimator.engine)
    shared = DepthEstimator(engine, estimator.processor, estimator.provenance, estimator.errors)
    extra = _EXTRA_WORKERS_SIDE_BY_SIDE if side_by_side else _EXTRA_WORKERS_ONE_NETWORK
    queue = RequestQueue(limits, workers=concurrency + extra)
    metrics = Metrics()
    metrics.queue.set_function(lambda: queue.waiting)
    app = FastAPI(
        title="glpn",
        version=glpn.__version__,
        docs_url=None,  # FastAPI's own pages load scripts from other sites
        redoc_url=None,
        redirect_slashes=False,
    )
    _handle_errors(app)
    _add_depth(app, shared, queue, limits, metrics)  # first: routes are tried in order
    _add_service_routes(app, shared, metrics)
    card = card or page.ModelCard()
    page.add_page(app, page.describe(shared, limits, card, _LINKS))
    paths = frozenset({*page.page_files(), *_LINKS.values()})

    def early(scope: Scope) -> Response | None:
        if scope["method"] == "POST" and scope["path"] == _DEPTH and queue.full:
            return refused(queue_full())
        if scope["method"] == "OPTIONS" and scope["path"] in paths:
            allow = "POST, OPTIONS" if scope["path"] == _DEPTH else "GET, OPTIONS"
            return Response(status_code=204, headers={"Allow": allow})
        return None

    return ServiceMiddleware(
        app, metrics, paths=paths, hosts=limits.hosts, cors=limits.cors, early=early
    )


def _add_depth(
    app: FastAPI,
    estimator: DepthEstimator,
    queue: RequestQueue,
    limits: Limits,
    metrics: Metrics,
) -> None:
    bodies = BodyReader(limits, capacity=queue.slots * limits.max_body)

    def work(request: Request, body: bytes, query: DepthQuery) -> Response:
        return depth_response(estimator, photo_bytes(request, body), query, limits)

    @app.post(_DEPTH, openapi_extra=_OPENAPI, summary="Metres from one photo")
    async def depth(request: Request) -> Response:
        require_key(request.headers, limits)
        query = parse_query(request.query_params.multi_items())
        require_photo_headers(request.headers, limits)
        body = await bodies.read(request)
        with queue.slot():
            response = await queue.run(request, partial(work, request, body, query))
        metrics.images.inc()
        return response


def _add_service_routes(app: FastAPI, estimator: DepthEstimator, metrics: Metrics) -> None:
    model = estimator.provenance.model

    @app.get("/v2/health/live", summary="Whether the process answers")
    async def live() -> Response:
        return as_json({"live": True})

    @app.get("/v2/health/ready", summary="Whether the model is loaded")
    async def ready() -> Response:
        return as_json({"ready": True, "model": model})

    @app.get("/v2/models", summary="The model that this service runs")
    async def models() -> Response:
        return as_json({"models": [{"name": model, "ready": True}]})

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        text = prometheus_client.generate_latest(metrics.registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return HTMLResponse(_docs_page(str(request.base_url)), headers=page.HEADERS)


def _docs_page(url: str) -> str:
    """The HTTP interface on one page without scripts; `url` is the service's own."""
    rows = "".join(
        f"<dt><code>{name}</code></dt><dd>{html.escape(text)} {_choices(schema)}</dd>"
        for name, (schema, text) in _QUERY.items()
    )
    links = "".join(
        f'<li><a href="{path.removeprefix("/")}">{path}</a></li>'
        for path in _LINKS.values()
        if path != _DEPTH
    )
    types = ", ".join(f"<code>{kind}</code>" for kind in CONTENT_TYPES)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>glpn: HTTP interface'
        '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="static/icon.svg" type="image/svg+xml">'
        '<link rel="stylesheet" href="static/page.css"></head><body class="docs">'
        '<header class="top"><p class="wordmark"><a href="./">glpn</a></p></header><main>'
        "<h1>HTTP interface</h1><h2><code>POST /v1/depth</code></h2>"
        f"<p>The body is one photo: {types}. JSON is <code>{{&quot;image&quot;: "
        "&quot;base64&quot;}</code>; a form has one file.</p>"
        f"<pre>curl --data-binary @photo.jpg '{html.escape(url)}v1/depth?at=320,240'\n"
        f"curl -o depth.png -F image=@photo.jpg '{html.escape(url)}v1/depth?format=png16'</pre>"
        f"<h2>Query</h2><dl>{rows}</dl><h2>More</h2><ul>{links}</ul></main></body></html>"
    )


def _choices(schema: _Schema) -> str:
    choices = schema.get("enum")
    return f"<code>{'</code> <code>'.join(choices)}</code>" if isinstance(choices, list) else ""


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def on_refusal(_request: Request, error: Refusal) -> Response:
        return refused(error)

    @app.exception_handler(GLPNError)
    async def on_glpn_error(_request: Request, error: GLPNError) -> Response:
        if isinstance(error, _CLIENT_ERRORS):
            return as_json({"error": str(error)}, error.http_status)
        LOGGER.error("prediction failed", exc_info=error)
        return as_json({"error": "the service cannot predict; see its log"}, 500)

    @app.exception_handler(HTTPException)
    async def on_http_error(_request: Request, error: HTTPException) -> Response:
        return as_json({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(ClientDisconnect)
    async def on_disconnect(_request: Request, _error: ClientDisconnect) -> Response:
        return as_json({"error": "the client left before the response"}, _CLIENT_CLOSED_REQUEST)

    @app.exception_handler(Exception)
    async def on_defect(_request: Request, _error: Exception) -> Response:
        return as_json({"error": "internal error"}, 500)  # the server logs the traceback
