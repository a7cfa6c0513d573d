"""OpenCV frames in, frames with metres written over them out: a picture, a video or a camera.

    python examples/opencv_depth.py examples/coffee.jpg coffee-metres.jpg
    python examples/opencv_depth.py walk.mp4 walk-metres.avi
    python examples/opencv_depth.py 0 camera-metres.avi --frames 100

The result shows the frame beside its depth in colours, with the metres at nine places. OpenCV's
frames are BGR; `metres_of` turns them round, which is all there is to know.
(pip install opencv-python-headless, or opencv-python for `cv2.imshow`)
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import glpn

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
PLACES = (1 / 6, 1 / 2, 5 / 6)  # of width and height, where metres are written
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
USUAL_RATE = 30.0  # frames per second, where a source does not tell


def metres_of(estimator: glpn.DepthEstimator, frame: NDArray[np.uint8]) -> glpn.Depth:
    """The depth of a BGR uint8 [H, W, 3] frame."""
    return estimator(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def overlay(
    frame: NDArray[np.uint8],
    depth: glpn.Depth,
    *,
    near: float | None = None,
    far: float | None = None,
) -> NDArray[np.uint8]:
    """The frame beside its depth, metres written over both: BGR uint8 [H, 2W, 3].

    Args:
        frame: BGR uint8 [H, W, 3].
        depth: of the same size.
        near, far: metres of the first and the last colour; the depth's own range if None.
    """
    colours = cv2.cvtColor(depth.colorize(near=near, far=far), cv2.COLOR_RGB2BGR)
    both = np.hstack([frame, colours])
    height, width = depth.size
    for down, across in itertools.product(PLACES, PLACES):
        x, y = int(across * width), int(down * height)
        metres = float(depth.metres[y, x])
        for left in (x, x + width):
            label(both, f"{metres:.2f}", (left, y))
    return both


def label(picture: NDArray[np.uint8], text: str, place: tuple[int, int]) -> None:
    """A dot at (x, y) and a text below it, white with a black edge; changes the picture."""
    scale = max(0.35, picture.shape[0] / 1000)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    corner = place[0] - wide // 2, place[1] + high + 8
    for colour, thickness in ((BLACK, 3), (WHITE, 1)):
        cv2.circle(picture, place, 1 + thickness // 2, colour, -1, cv2.LINE_AA)
        cv2.putText(
            picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA
        )


def frames_of(capture: cv2.VideoCapture, limit: int | None) -> Iterator[NDArray[np.uint8]]:
    """BGR frames until the video ends, or the limit is reached."""
    for _ in itertools.count() if limit is None else range(limit):
        there, frame = capture.read()
        if not there:
            return
        yield frame


def convert_picture(estimator: glpn.DepthEstimator, source: Path, output: Path) -> int:
    """One picture; returns 1."""
    frame = cv2.imread(str(source), cv2.IMREAD_COLOR)  # upright, as EXIF says
    if frame is None:
        raise SystemExit(f"{source}: OpenCV reads no picture there")
    if not cv2.imwrite(str(output), overlay(frame, metres_of(estimator, frame))):
        raise SystemExit(f"{output}: cannot be written")
    return 1


def convert_video(
    estimator: glpn.DepthEstimator, capture: cv2.VideoCapture, output: Path, limit: int | None
) -> int:
    """A video or a camera, frame by frame; returns how many there were.

    The colours keep the range of the first frame, so that they mean the same all along.
    """
    rate = capture.get(cv2.CAP_PROP_FPS) or USUAL_RATE
    writer, span, count = None, {}, 0
    for frame in frames_of(capture, limit):
        depth = metres_of(estimator, frame)
        if writer is None:
            low, high = np.percentile(depth.metres, [2, 98])
            span = {"near": 0.8 * float(low), "far": 1.2 * float(high)}
            writer = open_writer(output, rate, (depth.size[1] * 2, depth.size[0]))
        writer.write(overlay(frame, depth, **span))
        count += 1
    if writer is not None:
        writer.release()
    return count


def open_writer(output: Path, rate: float, size: tuple[int, int]) -> cv2.VideoWriter:
    """A video to be written, of (width, height) frames."""
    code = "MJPG" if output.suffix.lower() == ".avi" else "mp4v"
    writer = cv2.VideoWriter(str(output), cv2.VideoWriter.fourcc(*code), rate, size)
    if not writer.isOpened():
        raise SystemExit(f"{output}: OpenCV cannot write this video; name it .avi or .mp4")
    return writer


def open_capture(source: str) -> cv2.VideoCapture:
    """A video, or the camera of a number."""
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise SystemExit(f"{source}: OpenCV opens no video or camera there")
    return capture


def main() -> None:
    """Read the command line, and do it."""
    parser = argparse.ArgumentParser(description="Metres over OpenCV frames.")
    parser.add_argument("source", help="a picture, a video, or the number of a camera")
    parser.add_argument("output", type=Path)
    parser.add_argument("--frames", type=int, help="stop after this many frames")
    parser.add_argument("--model", default="glpn-b0-indoor")
    arguments = parser.parse_args()
    estimator: Any = glpn.load(arguments.model)
    if arguments.source.lower().endswith(PICTURES):
        count = convert_picture(estimator, Path(arguments.source), arguments.output)
    else:
        capture = open_capture(arguments.source)
        count = convert_video(estimator, capture, arguments.output, arguments.frames)
    sys.stdout.write(f"{arguments.output}: {count} frame{'s' * (count != 1)}\n")


if __name__ == "__main__":
    main()
