"""Photos beyond `read_photo`: collections of them, addresses, base64, rows of datasets."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from glpn.errors import GLPNError, InvalidImage, MissingInput, UsageError
from glpn.image.arrays import is_many
from glpn.image.photo import Photo, read_photo

_MAX_SHOWN = 80  # characters of a string that is no path, in a message
_MIN_BASE64 = 64  # characters; the smallest JPEG or PNG has more
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+=*")  # without white space at the end
_TIMEOUT = 30.0  # seconds


def sequence_of(source: Any) -> Iterable[Any] | None:
    """The photos of a list, an iterator or a dataset; None if the source is one photo."""
    if isinstance(source, Mapping):
        return None
    if is_many(source):
        items: Iterator[Any] = iter(source)
        return items
    indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    one_photo = isinstance(source, (str, bytes, bytearray, memoryview)) or hasattr(source, "shape")
    return _items(source) if indexed and not one_photo else None


def _items(dataset: Any) -> Iterator[Any]:
    """The items of a dataset that has positions, but no iterator."""
    return (dataset[i] for i in range(len(dataset)))


def open_source(source: Any, *, fetch_urls: bool, timeout: float | None) -> Photo:
    """Read one photo, as `read_photo` does, from these kinds of source too.

    Args:
        source: also an http(s) or `data:` address, base64, or a mapping with the key "image".
        fetch_urls: whether an address may be downloaded.
        timeout: seconds for a download.

    Raises:
        MissingInput: an address that may not be, or could not be, downloaded; no such file.
        InvalidImage: a photo cannot be read.
        UsageError: a mapping without "image".
    """
    if isinstance(source, Mapping):
        if "image" not in source:
            raise UsageError(f"pipeline: expected the key 'image', got {sorted(map(str, source))}")
        source = source["image"]
    if not isinstance(source, str):
        return read_photo(source)
    if source.startswith(("http://", "https://")):
        return _fetched(source, fetch_urls=fetch_urls, timeout=timeout)
    if source.startswith("data:"):
        return read_photo(_decoded(source.partition(",")[2]), name="data address")
    if len(source) >= _MIN_BASE64 and not _is_file(source) and _BASE64.fullmatch(source.rstrip()):
        return read_photo(_decoded(source), name="base64")
    return read_photo(source, name=source if _is_file(source) else _shortened(source))


def _fetched(address: str, *, fetch_urls: bool, timeout: float | None) -> Photo:
    shown = _shortened(address)
    if not fetch_urls:
        raise MissingInput(
            f"{shown}: glpn fetches no photos unless you pass fetch_urls=True to pipeline; "
            "or download it and give its path"
        )
    try:
        with urlopen(address, timeout=timeout or _TIMEOUT) as stream:  # noqa: S310  # http(s) only
            return read_photo(stream, name=shown)
    except GLPNError:
        raise
    except (HTTPException, OSError, ValueError) as e:  # ValueError: not a valid address
        cause = getattr(e, "reason", e)
        raise MissingInput(f"{shown}: {cause!s:.{_MAX_SHOWN}}") from None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as e:
        raise InvalidImage(f"{_shortened(text)}: not base64: {e}") from None


def _is_file(text: str) -> bool:
    try:
        return os.path.lexists(Path(text))
    except (OSError, ValueError):
        return False


def _shortened(text: str) -> str:
    rest = len(text) - _MAX_SHOWN
    return text if rest <= 0 else f"{text[:_MAX_SHOWN]}… ({rest} more characters)"
