"""Requests that the service refuses: the exception, the messages of 503 and 413, and the response.

| status | reason | raised in |
|---|---|---|
| 400, 431 | two servers could read the request differently; too many headers | `middleware.py` |
| 401 | the API key is missing or wrong | `limits.py` |
| 403, 421 | a foreign origin, a foreign host | `limits.py` |
| 408 | the body arrived too slowly | `bodies.py` |
| 413 | the body is too large | `limits.py`, `bodies.py` |
| 415 | the content type or encoding is unsupported | `limits.py` |
| 503 | the queue is full, or no worker became free | `request_queue.py` |
| 503 | too many uploads arrive at once | `bodies.py` |
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from glpn.serving.json_response import as_json

_RETRY = {"Retry-After": "1"}  # seconds; a slot is free after one prediction


class Refusal(Exception):
    """A request that the service refuses.

    Args:
        status: HTTP status of the response.
        message: the value of "error" in its body.
        headers: additional headers of the response.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def refused(refusal: Refusal) -> Response:
    """Return the response to a refused request."""
    return as_json({"error": str(refusal)}, refusal.status, refusal.headers)


def queue_full() -> Refusal:
    """Return the 503 refusal of a request that arrives when the queue is full."""
    return Refusal(503, "busy: the queue is full", _RETRY)


def no_free_worker(seconds: float) -> Refusal:
    """Return the 503 refusal of a request that waited `seconds` for a worker."""
    return Refusal(503, f"busy: no worker became free within {seconds:g} s", _RETRY)


def too_many_uploads() -> Refusal:
    """Return the 503 refusal of a body when the incomplete bodies already use all the memory."""
    return Refusal(503, "busy: too many uploads at once", _RETRY)


def too_large(max_bytes: int) -> Refusal:
    """Return the 413 refusal of a body above the limit."""
    return Refusal(413, f"the body is larger than {max_bytes} bytes")
