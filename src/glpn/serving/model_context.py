"""Tools of the Model Context Protocol: an assistant measures in the photos of one folder.

The protocol itself is the package `mcp`; `glpn mcp` runs the server over standard input and output.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

import glpn
from glpn.camera.calibration import require_open_focal
from glpn.depth.depth import Depth
from glpn.depth.measurements import Measurements
from glpn.errors import GLPNError, MissingInput, UsageError
from glpn.estimator import DepthEstimator

INSTRUCTIONS = (
    "Distances in metres from single photos. They are estimates: relative_error is the fraction "
    "within which two thirds of the true depths are, or null if it was not measured. If the "
    "source of the camera "
    "begins with 'assumed', lengths are less certain; a known length in the photo makes "
    "them more certain. Never use them to keep people or machines safe."
)
_DECIMALS = 3  # digits after the point of metres
_MAX_ECHO = 40  # characters of a wrong name that the message repeats
_GRID = (1 / 6, 1 / 2, 5 / 6)  # fractions of the photo's width and height

_P = ParamSpec("_P")
_R = TypeVar("_R")


class PhotoTools:
    """The tools, for the photos below one folder.

    Args:
        estimator: predicts, one photo at a time.
        root: the folder; a path that leads out of it is rejected.
    """

    def __init__(self, estimator: DepthEstimator, root: Path) -> None:
        self._estimator = estimator
        self._root = root.resolve()
        self._lock = threading.Lock()

    def photo_depth(
        self,
        photo: str,
        at: list[tuple[float, float]] | None = None,
        focal_pixels: float | None = None,
        field_of_view: float | None = None,
    ) -> dict[str, object]:
        """Summarise how far away the things in a photo are, in metres along the optical axis.

        Args:
            photo: path of the file, relative to the server's folder.
            at: pixels [x, y] to read; x goes right, y goes down, both from 0.
            focal_pixels: focal length in pixels, if known. Default: from EXIF, else assumed.
            field_of_view: horizontal field of view in degrees, instead of focal_pixels.
        """
        depth = self._depth(photo, focal_pixels, field_of_view)
        height, width = depth.size
        low, middle, high = np.percentile(depth.metres[depth.metres > 0], (2, 50, 98))
        grid = [[depth.at((width - 1) * x, (height - 1) * y) for x in _GRID] for y in _GRID]
        return {
            "width": width,
            "height": height,
            "near_metres": _rounded(low),
            "median_metres": _rounded(middle),
            "far_metres": _rounded(high),
            "grid_metres": [list(map(_rounded, row)) for row in grid],
            "at": [{"x": x, "y": y, "metres": _rounded(depth.at(x, y))} for x, y in at or ()],
            **_origin(depth),
        }

    def photo_length(
        self,
        photo: str,
        start: tuple[float, float],
        end: tuple[float, float],
        known_lengths: list[tuple[float, float, float, float, float]] | None = None,
        focal_pixels: float | None = None,
        field_of_view: float | None = None,
    ) -> dict[str, object]:
        """Measure the straight line between the things seen at two pixels of a photo, in metres.

        Args:
            photo: path of the file, relative to the server's folder.
            start: pixel [x, y]; x goes right, y goes down, both from 0.
            end: pixel [x, y].
            known_lengths: lengths measured with a tape, [x0, y0, x1, y1, metres]; one sets the
                scale of the photo, two or more in different directions also its focal length.
            focal_pixels: focal length in pixels, if known. Default: from EXIF, else assumed.
            field_of_view: horizontal field of view in degrees, instead of focal_pixels.
        """
        depth = self._depth(photo, focal_pixels, field_of_view, known_lengths or ())
        return {
            "metres": _rounded(depth.between(start, end)),
            "start_depth_metres": _rounded(depth.at(*start)),
            "end_depth_metres": _rounded(depth.at(*end)),
            **_origin(depth),
        }

    def _depth(
        self,
        photo: str,
        focal: float | None,
        fov: float | None,
        lengths: Sequence[tuple[float, ...]] = (),
    ) -> Depth:
        try:
            path = (self._root / photo).resolve()
            found = path.is_file()
        except (OSError, ValueError) as e:  # too long, or a NUL in it
            raise UsageError(f"{photo[:_MAX_ECHO]!r}: no name of a file: {e.args[-1]}") from e
        if not path.is_relative_to(self._root):
            raise UsageError(f"{photo}: expected a photo below {self._root}")
        if not found:
            raise MissingInput(f"{photo}: no such file below {self._root}")
        measured = Measurements(lengths=lengths)
        if focal is not None or fov is not None:
            options = "focal_pixels and field_of_view"
            require_open_focal("known_lengths", lengths, options=options)
        with self._lock:  # engines use all threads for one photo
            return self._estimator(path, focal=focal, fov=fov, measurements=measured)


def make_server(estimator: DepthEstimator, root: Path) -> MCPServer:
    """The server with the tools `photo_depth` and `photo_length`."""
    # The answers contain the errors; some clients never read standard error.
    server = MCPServer(
        "glpn", version=glpn.__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )
    tools = PhotoTools(estimator, root)
    for tool in (tools.photo_depth, tools.photo_length):
        server.add_tool(_reporting(tool))
    return server


def _reporting(tool: Callable[_P, _R]) -> Callable[_P, _R]:
    """The tool with the errors that its caller can mend as messages to the caller."""

    @functools.wraps(tool)
    def report(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return tool(*args, **kwargs)
        except GLPNError as e:
            raise ToolError(str(e)) from e

    return report


def _origin(depth: Depth) -> dict[str, object]:
    provenance = depth.provenance
    return {
        "relative_error": depth.relative_error,
        "camera": depth.camera.source,
        "model": provenance.model,
        "note": provenance.note,
    }


def _rounded(metres: float | np.floating) -> float:
    return round(float(metres), _DECIMALS)
