"""The process: its socket and connections, the log, and an end that loses no response."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import re
import signal
import socket
import sys
from collections.abc import Collection
from functools import partial

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from glpn.concurrency import accepts_line
from glpn.errors import UsageError
from glpn.serving.bodies import OVERSIZED_CHUNK
from glpn.serving.limits import Limits
from glpn.serving.request_queue import HALF_CLOSED

MAX_CONNECTIONS = 4000
MAX_HEADER_BYTES = 16 * 2**10  # h11's default, above what browsers send
MAX_UNREAD_BYTES = 512 * 2**20  # limit for responses that clients have not read yet
_BACKLOG = 64  # connections accepted at once, before any is closed to make room
_OTHER_FILES = 60  # that the process has open: model, libraries, log
_DEFAULT_OPEN_FILES = 1024  # assumed if the system reports no limit
_WORK_SECONDS = 60  # time that requests in progress get when the process ends
# A client that closed its half of the connection may have left, or may wait for the response. It
# gets one if the work begins within this time.
_HALF_CLOSED_SECONDS = 0.5
_REQUEST_LINE = re.compile(rb"[!-~]+ [!-~]+ HTTP/[0-9]\.[0-9]\r?")


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
    # Accepted connections inherit this. Without it the body of every response waits 40 ms for the
    # client to acknowledge the headers; asyncio sets it only on sockets that it opens itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def run(app: ASGIApp, listener: socket.socket, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT, then answer every accepted request and return."""
    config = uvicorn.Config(
        app,
        http=partial(  # type: ignore[arg-type]  # a factory is enough
            _Protocol, limits=limits, max_connections=_max_connections()
        ),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_keep_alive=math.ceil(limits.deadline),
        timeout_graceful_shutdown=math.ceil(2 * limits.deadline) + _WORK_SECONDS,
    )
    server = uvicorn.Server(config)
    # At its end uvicorn raises the signal again, for the handlers that were installed before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    # What is loaded now stays. A garbage collection that visits all of it would delay responses.
    gc.collect()
    gc.freeze()
    server.run([listener])


def _max_connections() -> int:
    """MAX_CONNECTIONS, or as many as open files allow; raises the soft limit of these."""
    try:
        import resource
    except ImportError:  # Windows
        allowed = _DEFAULT_OPEN_FILES
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_CONNECTIONS + _BACKLOG + _OTHER_FILES
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < allowed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return min(MAX_CONNECTIONS, allowed - _BACKLOG - _OTHER_FILES)


class _Protocol(H11Protocol):
    """uvicorn's protocol with more limits on what a slow or hostile connection may hold."""

    def __init__(
        self, *args: object, limits: Limits, max_connections: int, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._max_connections = max_connections
        self._max_chunk = limits.max_body
        self._deadline: asyncio.TimerHandle | None = None
        self._unread_before = 0  # bytes of a response that the client had not read
        self._half_closed: asyncio.TimerHandle | None = None
        self.waiting_since = 0.0  # event-loop time since which the client owes a request

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline of the first headers; make room where connections run out."""
        super().connection_made(transport)
        self._start_deadline()
        if len(self.connections) > self._max_connections:
            _close_oldest_waiting(self.connections)

    def data_received(self, data: bytes) -> None:
        """Stop the deadline at the end of the headers; refuse framing that could only stall."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_deadline()
            self._refuse_oversized_chunk()
        elif self.conn.their_state is h11.IDLE:
            line, newline, _ = bytes(self.conn.trailing_data[0]).partition(b"\n")
            if newline and not _REQUEST_LINE.fullmatch(line):
                self.send_400_response("expected a request line of HTTP/1.1")

    def _refuse_oversized_chunk(self) -> None:
        """Wake the request if one chunk alone is larger than a body may be."""
        reader = getattr(self.conn, "_reader", None)  # h11 has no public name for it
        if getattr(reader, "_bytes_in_chunk", 0) > self._max_chunk:
            self.cycle.scope[OVERSIZED_CHUNK] = True  # type: ignore[literal-required]
            self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, as JSON."""
        body = json.dumps({"error": msg}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep a half-closed connection open if its request is complete."""
        if not self.in_service:
            return False  # closes the connection
        self.cycle.keep_alive = False
        self._half_closed = self.loop.call_later(_HALF_CLOSED_SECONDS, self._note_half_closed)
        return True

    def _note_half_closed(self) -> None:
        self.cycle.scope[HALF_CLOSED] = True  # type: ignore[literal-required]
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Start the deadline of the next headers, and bound what clients have not read."""
        self._start_deadline()
        super().on_response_complete()
        if not self.cycle.response_complete:  # the next request was pipelined
            self._stop_deadline()
        if self.transport.get_write_buffer_size():
            _bound_unread(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._stop_deadline()
        if self._half_closed is not None:
            self._half_closed.cancel()
        super().connection_lost(exc)

    @property
    def uploading(self) -> bool:
        """Whether a request has begun and its body has not arrived completely."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and cycle.more_body

    @property
    def in_service(self) -> bool:
        """Whether a request has arrived completely and has no complete response yet."""
        cycle = self.cycle
        return cycle is not None and not cycle.response_complete and not cycle.more_body

    def _start_deadline(self) -> None:
        self._stop_deadline()
        self.waiting_since = self.loop.time()
        self._unread_before = self.transport.get_write_buffer_size()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self._expire)

    def _expire(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if 0 < unread < self._unread_before:  # a slow client that reads
            self._start_deadline()
        elif unread:
            self.transport.abort()
        else:
            self.transport.close()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _close_oldest_waiting(connections: Collection[asyncio.Protocol]) -> None:
    """Close the connection that has waited longest for its client, idle ones first."""
    waiting = [c for c in connections if isinstance(c, _Protocol) and not c.in_service]
    if waiting:
        oldest = min(waiting, key=lambda c: (c.uploading, c.waiting_since))
        oldest.transport.abort()


def _bound_unread(connections: Collection[asyncio.Protocol]) -> None:
    """Cut off the slowest readers until the responses left in memory are within their limit."""
    reading = [c for c in connections if isinstance(c, _Protocol)]
    unread = {c: c.transport.get_write_buffer_size() for c in reading}
    total = sum(unread.values())
    for connection in sorted(unread, key=lambda c: c.waiting_since):
        if total <= MAX_UNREAD_BYTES:
            return
        total -= unread[connection]
        if unread[connection]:
            connection.transport.abort()


class JsonLines(logging.Formatter):
    """Formats each log record as one JSON object on a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's time, level, message, facts and, for an error, its traceback."""
        values: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values)


class _DroppingHandler(logging.StreamHandler):  # type: ignore[type-arg]  # Python 3.10 lacks it
    """Drops records while nobody reads the stream; the event loop must not wait for a reader."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, if that needs no waiting."""
        if accepts_line(self.stream):
            super().emit(record)


def log_to_standard_error() -> None:
    """Send the log of this service and of uvicorn to standard error, as JSON."""
    handler = _DroppingHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("glpn.serving", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
