"""What a request may be and cost; everything is checked before its bytes are read."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from starlette.requests import Request

TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
MAX_BODY = 16 * 2**20  # bytes
QUEUE = 32  # requests that wait, beside those in work
DEADLINE = 15.0  # seconds


@dataclass(frozen=True)
class Limits:
    """The service's limits.

    Attributes:
        max_body: bytes of a picture.
        queue: requests that may wait; one more is answered 503.
        deadline: seconds that a request's headers, then its body, may take to arrive, and that it
            may then wait for its turn.
        api_key: what `X-API-Key` must say; None asks for none.
    """

    max_body: int = MAX_BODY
    queue: int = QUEUE
    deadline: float = DEADLINE
    api_key: str | None = None


class Refusal(Exception):
    """A request that is answered with an error: its status, its words, further headers."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


def require_key(request: Request, limits: Limits) -> None:
    """Refuse a request without the key, in a time that tells nothing about it.

    Raises:
        Refusal: 401.
    """
    if limits.api_key is None:
        return
    given = request.headers.get("x-api-key", "").encode("latin-1")  # as it came
    if not hmac.compare_digest(given, limits.api_key.encode()):
        raise Refusal(401, "X-API-Key: missing or wrong")


def require_picture(request: Request, limits: Limits) -> None:
    """Refuse by the headers alone.

    Raises:
        Refusal: 415 for another type or an encoding, 413 for a declared length over the limit.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise Refusal(415, f"Content-Type: expected one of {', '.join(TYPES)}; the body is raw")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(415, "Content-Encoding: expected none, or identity")
    length = request.headers.get("content-length")
    if length is not None and int(length) > limits.max_body:  # h11 let only digits pass
        raise _too_large(limits)


async def read_body(request: Request, limits: Limits) -> bytes:
    """The picture's bytes, of which never more than the limit are held.

    Raises:
        Refusal: 413 as soon as the limit is crossed, 408 at the deadline.
        ClientDisconnect: nobody waits for the answer any more.
    """
    body = bytearray()
    try:
        with anyio.fail_after(limits.deadline):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limits.max_body:
                    raise _too_large(limits)
                body += chunk
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {limits.deadline:g} s") from None
    return bytes(body)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"the body is larger than {limits.max_body} bytes")
