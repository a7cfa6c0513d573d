"""Request bodies: read within limits, then reduced to the bytes of one photo."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from email.message import Message

import anyio
from starlette.requests import ClientDisconnect, Request

from glpn.errors import UsageError
from glpn.serving.error_responses import Refusal, too_large, too_many_uploads
from glpn.serving.limits import (
    JSON,
    MULTIPART,
    Limits,
    media_type,
)
from glpn.serving.query import OPTIONS

OVERSIZED_CHUNK = "glpn.oversized_chunk"  # key that `server` sets in a request's scope
_MAX_PARTS = 16  # Parts of a multipart body; forms may add a few text fields.
_MAX_PREAMBLE = 1024  # bytes before the first part
_MAX_PART_HEADERS = 4096  # bytes
_FIELD_NAME = re.compile(rb'[; ]name="?([a-z]+)"?(?![^;\r])', re.IGNORECASE)
_MAX_BOUNDARY = 70  # characters, RFC 2046 section 5.1.1


class BodyReader:
    """Reads bodies, and bounds the memory of all that are arriving.

    An arriving body holds no slot in the queue, so slow uploads do not block other requests.

    Args:
        limits: the limits of each body.
        capacity: maximum number of bytes of all arriving bodies together.
    """

    def __init__(self, limits: Limits, *, capacity: int) -> None:
        self._limits = limits
        self._free = capacity

    async def read(self, request: Request) -> bytes:
        """Read the whole body.

        Raises:
            Refusal: 413 as soon as the body crosses its limit, 408 at the deadline, 503 if too
                many bodies arrive at once.
            ClientDisconnect: the client left.
        """
        limits, body = self._limits, bytearray()
        try:
            with anyio.fail_after(limits.deadline):
                async for chunk in _chunks(request):
                    if len(body) + len(chunk) > limits.max_body:
                        raise too_large(limits.max_body)
                    if len(chunk) > self._free:
                        raise too_many_uploads()
                    self._free -= len(chunk)
                    body += chunk
        except TimeoutError:
            raise Refusal(408, f"the body took longer than {limits.deadline:g} s") from None
        finally:
            self._free += len(body)
        if request.scope.get(OVERSIZED_CHUNK):
            raise too_large(limits.max_body)
        return bytes(body)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it arrives, up to its end or to a chunk that is too large to wait for."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        if not message.get("more_body", False) or request.scope.get(OVERSIZED_CHUNK):
            return


def photo_bytes(request: Request, body: bytes) -> bytes:
    """The photo in a body: the body itself, the one file of a form, or base64 in JSON.

    Raises:
        UsageError: a form or a JSON object without exactly one photo.
    """
    kind = media_type(request.headers)
    if kind == MULTIPART:
        return _only_file(request.headers["content-type"], body)
    return _from_json(body) if kind == JSON else body


def _from_json(body: bytes) -> bytes:
    """The photo in `{"image": "base64"}`; a data URL is accepted too."""
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError('body: expected JSON: {"image": "base64 of the file"}') from None
    if not isinstance(values, dict) or values.keys() != {"image"}:
        raise UsageError("body: expected the one key image; options go into the query")
    text = values["image"]
    if isinstance(text, str) and text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise UsageError("body: image: expected base64") from None


def _only_file(content_type: str, body: bytes) -> bytes:
    """The content of the one file in a multipart body (RFC 7578); text fields are no options."""
    parts = _parts(content_type, body)
    if parts[-1] not in (b"--", b"--\r\n"):
        raise UsageError(f"multipart: cut off, or more than {_MAX_PARTS} parts")
    files = []
    for part in parts[:-1]:
        headers, blank, content = part.partition(b"\r\n\r\n")
        if not blank or len(headers) > _MAX_PART_HEADERS:
            raise UsageError("multipart: a part without proper headers")
        field = _FIELD_NAME.search(headers)
        if b"filename" in headers.lower():
            files.append(content)
        elif field is not None and field[1].decode() in OPTIONS:
            raise UsageError(f"multipart: {field[1].decode()}: options go into the query")
    if len(files) != 1:
        raise UsageError(f"multipart: expected one file, got {len(files)}")
    return files[0]


def _parts(content_type: str, body: bytes) -> list[bytes]:
    """What lies between the delimiters of a multipart body, and what follows the last of them."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise UsageError("multipart: Content-Type: expected a boundary")
    delimiter = b"--" + boundary.encode("utf-8", "replace")
    start = body.find(delimiter, 0, _MAX_PREAMBLE + len(delimiter))
    if start < 0 or body[start - 2 : start] not in (b"", b"\r\n"):
        raise UsageError(f"multipart: no part within the first {_MAX_PREAMBLE} bytes")
    return body[start + len(delimiter) :].split(b"\r\n" + delimiter, _MAX_PARTS)
