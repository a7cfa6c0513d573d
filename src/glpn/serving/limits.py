"""Limits of one request, and the checks that need only its headers."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from glpn.serving.error_responses import Refusal, too_large

MAX_BODY_BYTES = 16 * 2**20
MAX_QUEUED = 32
MAX_PIXELS = 25_000_000  # a 24-megapixel camera; `glpn predict` allows more
DEADLINE_SECONDS = 15.0
ANY_HOST = "*"
MULTIPART, JSON = "multipart/form-data", "application/json"
# A raw photo: `image/…`, unknown bytes, or what `curl --data-binary` sends by default.
_RAW = ("application/octet-stream", "application/x-www-form-urlencoded")
CONTENT_TYPES = ("image/*", *_RAW, MULTIPART, JSON)


@dataclass(frozen=True)
class Limits:
    """The service's limits.

    Attributes:
        max_body: maximum number of bytes in a request's body.
        max_pixels: maximum number of pixels of a photo, checked before it is decoded.
        queue: maximum number of requests that wait for a worker; further requests get status 503.
        deadline: maximum number of seconds for the headers, then for the body, to arrive, and
            for the request to wait for a worker afterwards.
        api_key: the value that `X-API-Key` must have; None requires none.
        hosts: names that `Host` and `Origin` may have besides IP addresses and localhost.
        cors: origins, such as "https://app.example.org", whose pages may read responses.
    """

    max_body: int = MAX_BODY_BYTES
    max_pixels: int = MAX_PIXELS
    queue: int = MAX_QUEUED
    deadline: float = DEADLINE_SECONDS
    api_key: str | None = None
    hosts: frozenset[str] = frozenset()
    cors: frozenset[str] = frozenset()


def require_host(
    headers: Headers, hosts: frozenset[str], cors: frozenset[str] = frozenset()
) -> None:
    """Refuse hosts and origins that are not this service's, except the origins in `cors`.

    A web page can point its own host name at 127.0.0.1 (DNS rebinding) and then talk to a service
    that listens there. It needs a name for that, so IP addresses and localhost are always allowed.

    Raises:
        Refusal: 421 for the host, 403 for the origin.
    """
    if ANY_HOST in hosts:
        return
    host = headers.get("host")
    if host is not None and not _is_ours(host, hosts):  # HTTP/1.0 may omit it
        raise Refusal(421, "Host: unknown name; allow it with --allow-host NAME")
    origin = headers.get("origin")
    if origin is None or origin in cors:
        return
    netloc = urlsplit(origin).netloc if "://" in origin else ""
    if not netloc or (netloc != host and _name(netloc) not in hosts):
        raise Refusal(
            403,
            "Origin: another site; allow its host with --allow-host NAME, or it with --cors ORIGIN",
        )


def _is_ours(host: str, hosts: frozenset[str]) -> bool:
    name = _name(host)
    if name == "localhost" or name in hosts:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """The name in "name:port", in lower case; empty where there is none."""
    try:
        parts = urlsplit(f"//{host}")
        return "" if parts.username is not None else (parts.hostname or "").rstrip(".")
    except ValueError:
        return ""


def require_key(headers: Headers, limits: Limits) -> None:
    """Refuse a request without the API key, in constant time.

    Raises:
        Refusal: 401.
    """
    if limits.api_key is None:
        return
    given = headers.get("x-api-key", "").encode("latin-1")  # undoes the decoding of the headers
    if not hmac.compare_digest(given, limits.api_key.encode()):
        raise Refusal(401, "X-API-Key: missing or wrong")


def require_photo_headers(headers: Headers, limits: Limits) -> None:
    """Refuse a body because of its headers, before it arrives.

    Raises:
        Refusal: 415 for a content type or encoding, 413 for a declared length over the limit.
    """
    kind = media_type(headers)
    if not kind.startswith("image/") and kind not in CONTENT_TYPES:
        raise Refusal(415, f"Content-Type: expected one of {', '.join(CONTENT_TYPES)}")
    encodings = headers.getlist("content-encoding")
    if any(encoding.strip().lower() != "identity" for encoding in encodings):
        raise Refusal(415, "Content-Encoding: expected none, or identity")
    length = headers.get("content-length")
    if length is not None and int(length) > limits.max_body:  # h11 lets only digits pass
        raise too_large(limits.max_body)


def media_type(headers: Headers) -> str:
    """The content type without its parameters, in lower case."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
