"""The process: its socket, the deadline of headers, the log, the end without a lost answer."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import signal
import socket
import sys
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from glpn.errors import UsageError
from glpn.serving.limits import Limits

MAX_CONNECTIONS = 900  # below the usual limit of 1024 open files
MAX_HEADERS = 16 * 2**10  # bytes; h11's own default, above every browser's
_WORK = 60  # seconds that an accepted request may be in work, at the end of the process


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections; port 0 takes a free one.

    Raises:
        UsageError: the address is impossible or taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError, UnicodeError) as e:
        raise UsageError(f"--host {host} --port {port}: cannot listen: {e}") from None
    # Connections inherit it. asyncio sets it for sockets it makes itself alone; without it the body
    # of every answer waits 40 ms for the client to acknowledge the headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def run(app: ASGIApp, listener: socket.socket, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT; then answer every accepted request, and return."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADERS,
        timeout_keep_alive=math.ceil(limits.deadline),
        timeout_graceful_shutdown=math.ceil(2 * limits.deadline) + _WORK,
    )
    server = uvicorn.Server(config)
    # uvicorn raises its signal once more at the end, for the handlers that stood before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    # What was loaded stays: a collection that walked through all of it would hold up every answer.
    gc.collect()
    gc.freeze()
    server.run([listener])


class _Protocol(H11Protocol):
    """uvicorn's, with more deadlines: connections that are idle, send their headers in drips or do
    not read their answer are closed.
    """

    _deadline: asyncio.TimerHandle | None = None
    _unread = 0  # bytes of an answer that the client had not taken at the last look

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time of the first request's headers."""
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Stop it where they are complete."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def on_response_complete(self) -> None:
        """Start it for the next request."""
        self._expect_headers()
        super().on_response_complete()
        if not self.cycle.response_complete:  # a pipelined one has begun
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop()
        super().connection_lost(exc)

    def _expect_headers(self) -> None:
        self._stop()
        self._unread = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self._expire)

    def _expire(self) -> None:
        left = self.transport.get_write_buffer_size()
        if 0 < left < self._unread:  # slow, but reading
            self._expect_headers()
        elif left:
            self.transport.abort()
        else:
            self.transport.close()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's time, level, message, facts and, of an error, its traceback."""
        values: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values)


def log_to_standard_error() -> None:
    """Send what this service and uvicorn say there, as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("glpn.serving", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
