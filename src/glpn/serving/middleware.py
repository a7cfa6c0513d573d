"""What all requests share: host check, framing, security headers, metrics and one log line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glpn.serving.error_responses import Refusal, refused
from glpn.serving.limits import require_host

LOGGER = logging.getLogger("glpn.serving")

HEALTH = "/v2/health/"  # probes may use any host name
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MAX_HEADERS = 100
_HTTP_VERSIONS = ("1.0", "1.1")
# After a refusal, the rest of the body is read for this long. Closing at once would reset the
# connection and could destroy the response on its way (nginx: lingering_close).
_DRAIN_SECONDS = 2.0
# The rest of a body this small has usually arrived already. It is read before the response, so that
# the connection can be kept: a new one would cost more than the refusal.
_SMALL_BODY = 64 * 2**10  # bytes
_SMALL_BODY_SECONDS = 0.1


class Metrics:
    """The metrics that Prometheus collects."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "glpn_requests", "Responses by HTTP status.", ["code"], registry=self.registry
        )
        self.seconds = Histogram(
            "glpn_request_seconds", "From a request's headers to its end.", registry=self.registry
        )
        self.images = Counter("glpn_images", "Photos predicted.", registry=self.registry)
        self.queue = Gauge(
            "glpn_queue_length", "Requests that wait for a worker.", registry=self.registry
        )
        self.requests.labels("200")  # present, as 0, from the start


class ServiceMiddleware:
    """Wraps the application.

    Args:
        app: answers the requests.
        metrics: updated by every request.
        paths: that the log may contain; any other path could be a client's message to the log.
        hosts, cors: see `Limits`.
        early: a response that needs no routing, such as the refusal of an overloaded service; None
            for all other requests. It keeps the cost of refused requests low.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        *,
        paths: frozenset[str],
        hosts: frozenset[str],
        cors: frozenset[str],
        early: Callable[[Scope], Response | None],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths
        self._hosts = hosts
        self._cors = cors
        self._early = early

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; see the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._cors)
        start = time.perf_counter()
        try:
            response = self._refusal(scope) or self._early(scope)
            await (response or self._app)(scope, exchange.receive, exchange.send)
        finally:
            self._record(scope, exchange, time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> Response | None:
        try:
            _require_safe_framing(scope)
            if not scope["path"].startswith(HEALTH):
                require_host(Headers(scope=scope), self._hosts, self._cors)
        except Refusal as refusal:
            return refused(refusal)
        return None

    def _record(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        self._metrics.requests.labels(str(exchange.status)).inc()
        self._metrics.seconds.observe(seconds)
        facts = {
            "method": scope["method"] if scope["method"].isalpha() else "?",
            "path": scope["path"] if scope["path"] in self._paths else "?",
            "status": exchange.status,
            "ms": round(1000 * seconds, 1),
            "bytes_in": exchange.bytes_in,
            "bytes_out": exchange.bytes_out,
        }
        LOGGER.info("request", extra={"facts": facts})


def _require_safe_framing(scope: Scope) -> None:
    """Refuse, and close the connection of, requests that two servers could read differently."""
    closing = {"Connection": "close"}
    if scope["http_version"] not in _HTTP_VERSIONS:
        raise Refusal(400, "expected HTTP/1.1 or HTTP/1.0", closing)
    headers = scope["headers"]
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
        raise Refusal(400, "expected Content-Length or Transfer-Encoding, not both", closing)
    if len(headers) > _MAX_HEADERS:
        raise Refusal(431, f"more than {_MAX_HEADERS} headers", closing)


class _Exchange:
    """One request and its response: counts bytes, adds headers, drains a body left unread."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, cors: frozenset[str]) -> None:
        self._receive = receive
        self._send = send
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        self._vary = bool(cors)
        self._allowed_origin = origin if origin in cors else None
        self._unread = bool({b"content-length", b"transfer-encoding"} & headers.keys())
        length = int(headers.get(b"content-length", _SMALL_BODY + 1))  # h11 lets only digits pass
        self._small = length <= _SMALL_BODY and b"expect" not in headers
        self.status = 500  # until a response begins
        self.bytes_in = 0
        self.bytes_out = 0

    async def receive(self) -> Message:
        """The next message of the request."""
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """One message of the response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._unread and self._small:
                await self._drain_body(_SMALL_BODY_SECONDS)
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            self._add_cors(headers)
            if self._unread:
                headers["Connection"] = "close"
        else:
            self.bytes_out += len(message.get("body", b""))
            if self._unread and not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                await self._drain_body(_DRAIN_SECONDS)
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _add_cors(self, headers: MutableHeaders) -> None:
        """Let pages of an allowed origin read the response (fetch standard, section 3.2)."""
        if self._vary:
            headers.add_vary_header("Origin")
        if self._allowed_origin is None:
            return
        headers["Access-Control-Allow-Origin"] = self._allowed_origin
        headers["Access-Control-Expose-Headers"] = "Content-Disposition, Retry-After"
        if "allow" in headers:  # the response to OPTIONS: a browser's question before it sends
            headers["Access-Control-Allow-Methods"] = headers["allow"]
            headers["Access-Control-Allow-Headers"] = "Content-Type, X-API-Key"
            headers["Access-Control-Max-Age"] = "600"  # seconds

    async def _drain_body(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while self._unread:
                await self.receive()
