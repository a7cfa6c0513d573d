"""The bodies of answers: JSON that no page can mistake for HTML, and the files of `Depth`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response

from glpn.depth.depth import Depth
from glpn.estimator import MAX_INPUT_PIXELS, DepthEstimator, choose_camera
from glpn.files import FORMATS as FILES
from glpn.image.photo import read_photo
from glpn.serving.query import FORMATS, Wanted

_NAME = "image"  # the photograph's, in messages and files: its own is not known
# A mesh takes some 200 bytes a pixel while it is made, and the network sees no more than these.
_MAX_VERTICES = MAX_INPUT_PIXELS
_WITH_COLORS = {"glb"}  # formats that show the photograph itself
_SAMPLED = 17  # of so many values one: no multiple of it is a usual width
_NEAR_MEDIAN = (0.47, 0.53)  # parts of a sorted sample
_DECIMALS = 4  # of metres: a tenth of a millimetre
# Inside JSON strings alone these occur; written so, nothing in the answer is markup.
_MARKUP = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def as_json(
    values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """One JSON object in ASCII, without any of <, > and &."""
    text = json.dumps(values, allow_nan=False).translate(_MARKUP)
    return Response(text, status, headers, media_type=FORMATS["json"])


def answer(estimator: DepthEstimator, body: bytes, wanted: Wanted) -> Response:
    """The whole work on one picture: decode, predict, measure or encode.

    Raises:
        InvalidImage: it is no photograph.
        UsageError: a place lies outside it.
        MissingDependency: the format needs a package that is not installed.
        CheckpointError: the network's output is not finite.
    """
    fit = None if wanted.format in _WITH_COLORS else estimator.fit
    photo = read_photo(body, name=_NAME, fit=fit)
    depth = estimator.estimate(
        photo, lambda photo: choose_camera(photo, focal=wanted.focal, fov=wanted.fov)
    )
    if wanted.format == "json":
        return as_json(_record(depth, wanted))
    depth = _every(depth, wanted.step)
    name = f"depth{FILES[wanted.format].suffix}"
    return Response(
        depth.encode(wanted.format, **_options(depth, wanted)),
        media_type=FORMATS[wanted.format],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _every(depth: Depth, step: int) -> Depth:
    """Every `step`-th pixel of a depth: (x, y) was (step x, step y) before, metres are the same."""
    if step == 1:
        return depth
    camera = depth.camera
    fewer = dataclasses.replace(
        camera,
        fx=camera.fx / step,
        fy=camera.fy / step,
        cx=camera.cx / step,
        cy=camera.cy / step,
    )
    image = None if depth.image is None else depth.image[::step, ::step]
    return dataclasses.replace(
        depth, metres=depth.metres[::step, ::step], camera=fewer, image=image
    )


def _options(depth: Depth, wanted: Wanted) -> dict[str, Any]:
    """Of the format's encoder."""
    if wanted.format == "vis":
        return {"colormap": wanted.colormap}
    if wanted.format == "glb":
        return {"step": math.ceil(math.sqrt(depth.metres.size / _MAX_VERTICES))}
    return {}


def _record(depth: Depth, wanted: Wanted) -> dict[str, Any]:
    height, width = depth.size
    return {
        "height": height,
        "width": width,
        "min": _metres(depth.metres.min()),
        "max": _metres(depth.metres.max()),
        "median": _metres(median(depth.metres)),
        "at": [{"x": x, "y": y, "metres": _metres(depth.at(x, y))} for x, y in wanted.at],
        "between": [
            {
                "start": [x0, y0],
                "end": [x1, y1],
                "metres": _metres(depth.between((x0, y0), (x1, y1))),
            }
            for x0, y0, x1, y1 in wanted.between
        ],
        "camera": depth.camera.record(),
        "provenance": vars(depth.provenance),
    }


def median(metres: NDArray[np.float32]) -> Any:
    """The median of finite values, several times as fast as by `np.median`.

    It is looked for among the values near the median of a sample, or among all if it is not there.
    """
    values = metres.ravel()
    sample = np.sort(values[::_SAMPLED])
    low, high = (sample[int(part * (sample.size - 1))] for part in _NEAR_MEDIAN)
    below = int(np.count_nonzero(values < low))
    near = values[(values >= low) & (values <= high)]
    middle = values.size // 2
    if not below < middle < below + near.size:
        near, below = values, 0
    middle -= below
    parted = np.partition(near, middle)
    return parted[middle] if values.size % 2 else (parted[middle] + parted[:middle].max()) / 2


def _metres(value: Any) -> float:
    return round(float(value), _DECIMALS)
