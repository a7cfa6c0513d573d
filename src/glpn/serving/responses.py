"""Response bodies of `/v1/depth`: measurements as JSON, and the files of `Depth`."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from starlette.responses import Response

from glpn.camera.selection import choose_camera
from glpn.depth.depth import Depth
from glpn.depth.median import median
from glpn.estimator import DepthEstimator
from glpn.files import FORMATS
from glpn.image.limits import SERVICE_LIMITS
from glpn.image.photo import read_photo
from glpn.serving.json_response import as_json
from glpn.serving.limits import Limits
from glpn.serving.query import MEDIA_TYPES, DepthQuery

_PHOTO_NAME = "image"  # in messages and files: the service does not know the photo's own name
# A mesh takes some 200 bytes and two microseconds a vertex, and its texture is compressed too.
_MAX_VERTICES = 200_000
_MAX_TEXTURE_PIXELS = 1_500_000
_DECIMALS = 4  # digits of metres: a tenth of a millimetre


def depth_response(
    estimator: DepthEstimator, data: bytes, query: DepthQuery, limits: Limits
) -> Response:
    """All work on one photo: decode, predict, then measure or encode.

    Raises:
        InvalidImage: the bytes are no photo within the limits.
        UsageError: a point lies outside the photo, the focal length is impossible for it, or the
            measurements contradict each other.
        CheckpointError: the network's output is not finite.
    """
    needs_photo = query.format in FORMATS and FORMATS[query.format].needs_photo
    whole = needs_photo or query.uncertainty is not None
    photo = read_photo(
        data,
        name=_PHOTO_NAME,
        limits=SERVICE_LIMITS.raised_to(limits.max_pixels),
        min_decode_size=None if whole else estimator.min_decode_size,
    )
    depth = estimator.estimate(
        photo,
        choose_camera(photo, focal=query.focal, fov=query.fov),
        uncertainty=query.uncertainty,
    ).calibrate(query.measurements)
    if query.format == "json":
        return as_json(_record(depth, query))
    step = query.step
    if needs_photo:
        step = max(step, math.ceil(math.sqrt(depth.metres.size / _MAX_TEXTURE_PIXELS)))
    body = _encoded(_every(depth, step), query)
    name = f"depth{FORMATS[query.format].suffix}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(body, media_type=MEDIA_TYPES[query.format], headers=headers)


def _every(depth: Depth, step: int) -> Depth:
    """Every `step`-th pixel of a depth: pixel (x, y) was (step·x, step·y); metres are unchanged."""
    if step == 1:
        return depth
    camera = depth.camera
    thinned = dataclasses.replace(
        camera,
        fx=camera.fx / step,
        fy=camera.fy / step,
        cx=camera.cx / step,
        cy=camera.cy / step,
    )
    return dataclasses.replace(
        depth,
        metres=depth.metres[::step, ::step],
        camera=thinned,
        image=None if depth.image is None else depth.image[::step, ::step],
        sigma=None if depth.given_sigma is None else depth.given_sigma[::step, ::step],
    )


def _encoded(depth: Depth, query: DepthQuery) -> bytes:
    step = math.ceil(math.sqrt(depth.metres.size / _MAX_VERTICES))
    given: dict[str, object] = {"colormap": query.colormap, "step": step}
    known = FORMATS[query.format].options
    return depth.encode(query.format, **{key: given[key] for key in known if key in given})


def _record(depth: Depth, query: DepthQuery) -> dict[str, object]:
    height, width = depth.size
    asked = depth.sigma if query.uncertainty is not None else None
    return {
        "height": height,
        "width": width,
        "min": _metres(depth.metres.min()),
        "max": _metres(depth.metres.max()),
        "median": _metres(median(depth.metres)),
        "relative_error": depth.relative_error,
        **({} if asked is None else {"sigma": _metres(median(asked))}),
        "at": [_point(depth, x, y) for x, y in query.at],
        "between": [
            {
                "start": [x0, y0],
                "end": [x1, y1],
                "metres": _metres(depth.between((x0, y0), (x1, y1))),
            }
            for x0, y0, x1, y1 in query.between
        ],
        "camera": depth.camera.record(),
        "provenance": vars(depth.provenance),
    }


def _point(depth: Depth, x: float, y: float) -> dict[str, float]:
    record = {"x": x, "y": y, "metres": _metres(depth.at(x, y))}
    sigma = depth.sigma_at(x, y)
    if sigma is not None:
        record["sigma"] = _metres(sigma)
    return record


def _metres(value: float | np.floating) -> float:
    return round(float(value), _DECIMALS)
