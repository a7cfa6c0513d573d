"""What every request meets first and every answer last: framing, headers, metrics, one log line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import anyio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from glpn.serving.responses import as_json

LOGGER = logging.getLogger("glpn.serving")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MAX_HEADERS = 100
# A refused client that still sends is read for so long after the answer: closing at once would
# reset the connection, and with it an answer that is still under way (as nginx, lingering_close).
_LINGER = 2.0  # seconds
# The rest of a body so small is with us already, or as good as: it is taken in before the answer,
# and the connection stays. A new one for each refused picture would cost more than the refusal.
_SMALL = 64 * 2**10  # bytes
_AT_HAND = 0.1  # seconds


class Metrics:
    """The figures that Prometheus collects."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "glpn_requests", "Answers by HTTP status.", ["code"], registry=self.registry
        )
        self.seconds = Histogram(
            "glpn_request_seconds", "From a request's headers to its end.", registry=self.registry
        )
        self.images = Counter("glpn_images", "Pictures predicted.", registry=self.registry)
        self.queue = Gauge(
            "glpn_queue_length", "Requests that arrive or wait for a turn.", registry=self.registry
        )
        self.requests.labels("200")  # is there, with 0, from the start


class Doorman:
    """Wraps the application.

    Args:
        app: answers the requests.
        metrics: told of every answer.
        paths: that the log may name; of others a client could write there what it likes.
        refuse: answers what need not reach the application, None the rest; asked for every request,
            so that many that are refused take little from those in work.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        *,
        paths: frozenset[str],
        refuse: Callable[[Scope], Response | None],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        visit = _Visit(scope, receive, send)
        start = time.perf_counter()
        try:
            refusal = _refusal(scope["headers"]) or self._refuse(scope)
            await (refusal or self._app)(scope, visit.receive, visit.send)
        finally:
            self._record(scope, visit, time.perf_counter() - start)

    def _record(self, scope: Scope, visit: _Visit, seconds: float) -> None:
        self._metrics.requests.labels(str(visit.status)).inc()
        self._metrics.seconds.observe(seconds)
        facts = {
            "method": scope["method"] if scope["method"].isalpha() else "?",
            "path": scope["path"] if scope["path"] in self._paths else "?",
            "status": visit.status,
            "ms": round(1000 * seconds, 1),
            "bytes_in": visit.bytes_in,
            "bytes_out": visit.bytes_out,
        }
        LOGGER.info("request", extra={"facts": facts})


def _refusal(headers: list[tuple[bytes, bytes]]) -> Response | None:
    """The answer to headers that are a danger whoever reads them; it ends the connection."""
    closing = {"Connection": "close"}
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
        message = "expected Content-Length or Transfer-Encoding, not both"
        return as_json({"error": message}, 400, closing)
    if len(headers) > _MAX_HEADERS:
        return as_json({"error": f"more than {_MAX_HEADERS} headers"}, 431, closing)
    return None


class _Visit:
    """One request: counts what passes, adds the headers, lingers where a body is left unread."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        headers = dict(scope["headers"])
        self._unread = bool({b"content-length", b"transfer-encoding"} & headers.keys())
        length = int(headers.get(b"content-length", _SMALL + 1))  # h11 let only digits pass
        self._small = length <= _SMALL and b"expect" not in headers
        self.status = 500  # unless an answer begins
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
        """One message of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._unread and self._small:
                await self._linger(_AT_HAND)
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._unread:
                headers["Connection"] = "close"
        else:
            self.bytes_out += len(message.get("body", b""))
            if self._unread and not message.get("more_body", False):
                await self._send({**message, "more_body": True})
                await self._linger(_LINGER)
                message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while self._unread:
                await self.receive()
