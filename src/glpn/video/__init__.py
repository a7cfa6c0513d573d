"""Videos: decoded, predicted and written frame by frame, in memory independent of their length.

`convert` runs the whole chain. `reading` (with `hdr`) and `webcam` are its input, `predicting` its
middle, `side_by_side`, `sequences` and `window` its output; `smoothing` reduces flicker.
"""

from __future__ import annotations

from glpn.video.convert import FORMATS, Summary, VideoOptions, choose_colors, convert
from glpn.video.predicting import FramePredictor, VideoCamera
from glpn.video.reading import open_video

__all__ = [
    "FORMATS",
    "FramePredictor",
    "Summary",
    "VideoCamera",
    "VideoOptions",
    "choose_colors",
    "convert",
    "open_video",
]
