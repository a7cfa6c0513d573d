"""JSON responses that no browser can mistake for HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response

from glpn.serving.query import MEDIA_TYPES

# In ASCII JSON these occur only inside strings; escaped, nothing in the body is markup.
_MARKUP = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def as_json(
    values: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response with one JSON object in ASCII, free of <, > and &."""
    text = json.dumps(values, allow_nan=False).translate(_MARKUP)
    return Response(text, status, headers, media_type=MEDIA_TYPES["json"])
