"""ROS images to depth images, without ROS; `node.py` uses these functions in a ROS 2 node.

    python examples/ros2/glpn_ros/conversion.py examples/coffee.jpg

The records below have the fields of `std_msgs/Header`, `sensor_msgs/Image` and
`sensor_msgs/CameraInfo` (ROS 2). The functions use only these fields, so they accept the real
messages too.

Depth images follow REP 118: 32FC1 in metres, NaN where unknown, or 16UC1 in millimetres, 0 where
unknown. Depth is measured along the optical axis.
"""

from __future__ import annotations

import argparse
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import glpn
from glpn.image.photo import read_photo

LARGEST_MM = 65535  # of 16UC1
CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


@dataclass
class Time:
    """`builtin_interfaces/Time`."""

    sec: int = 0
    nanosec: int = 0


@dataclass
class Header:
    """`std_msgs/Header`."""

    stamp: Time = field(default_factory=Time)
    frame_id: str = ""


@dataclass
class Image:
    """`sensor_msgs/Image`: `step` bytes a row, first row on top."""

    header: Header = field(default_factory=Header)
    height: int = 0
    width: int = 0
    encoding: str = ""
    is_bigendian: int = 0
    step: int = 0
    data: Any = b""


@dataclass
class CameraInfo:
    """`sensor_msgs/CameraInfo`; `k` is row by row, and all 0 without a calibration."""

    header: Header = field(default_factory=Header)
    height: int = 0
    width: int = 0
    distortion_model: str = ""
    d: list[float] = field(default_factory=list)
    k: list[float] = field(default_factory=lambda: [0.0] * 9)
    r: list[float] = field(default_factory=lambda: [0.0] * 9)
    p: list[float] = field(default_factory=lambda: [0.0] * 12)


def picture_pixels(message: Any) -> NDArray[np.uint8]:
    """The RGB uint8 [H, W, 3] picture of a `sensor_msgs/Image`.

    Raises:
        ValueError: an encoding that is not 8-bit colour or grey, or too few bytes.
    """
    channels = CHANNELS.get(message.encoding)
    if channels is None:
        known = ", ".join(CHANNELS)
        raise ValueError(f"picture: expected an encoding of {known}; got {message.encoding!r}")
    raw = np.frombuffer(message.data, np.uint8)
    used = message.width * channels  # bytes of a row; the rest of `step` is padding
    if message.step < used or raw.size != message.step * message.height:
        raise ValueError(
            f"picture: {raw.size} bytes do not make {message.height} rows of step {message.step}"
        )
    rows = raw.reshape(message.height, message.step)[:, :used]
    pixels = rows.reshape(message.height, message.width, channels)
    if channels == 1:
        return np.repeat(pixels, 3, axis=2)
    return pixels[..., 2::-1] if message.encoding.startswith("bgr") else pixels[..., :3]


def camera_of(info: Any, size: tuple[int, int]) -> glpn.Camera | None:
    """The camera of a `sensor_msgs/CameraInfo`; None if it has no calibration.

    Raises:
        ValueError: it describes pictures of another size.
    """
    if info.k[0] == 0:
        return None
    if (info.height, info.width) != size:
        raise ValueError(
            f"camera_info: is of {info.height}x{info.width}, the picture {size[0]}x{size[1]}"
        )
    fx, _, cx, _, fy, cy = info.k[:6]
    return glpn.Camera(fx=fx, fy=fy, cx=cx, cy=cy, source="camera_info")


def estimate(estimator: glpn.DepthEstimator, picture: Any, info: Any) -> glpn.Depth:
    """The depth of a `sensor_msgs/Image`, with the camera of its `sensor_msgs/CameraInfo`."""
    pixels = picture_pixels(picture)
    return estimator(pixels, camera=camera_of(info, pixels.shape[:2]))


def depth_message(
    depth: glpn.Depth,
    header: Any,
    *,
    encoding: str = "32FC1",
    make: Callable[..., Any] = Image,
) -> Any:
    """A `sensor_msgs/Image` that depth_image_proc and RViz read.

    Args:
        depth: what to send.
        header: the picture's own: same time stamp, same frame.
        encoding: "32FC1" or "16UC1".
        make: the class of the message.

    Raises:
        ValueError: another encoding.
    """
    metres = depth.metres
    if encoding == "32FC1":
        values = np.where(metres > 0, metres, np.float32(np.nan)).astype("<f4")
    elif encoding == "16UC1":
        depth_mm = np.rint(metres * 1000)
        values = np.where(depth_mm <= LARGEST_MM, depth_mm, 0).astype("<u2")
    else:
        raise ValueError(f"encoding: expected 32FC1 or 16UC1; got {encoding!r}")
    height, width = depth.size
    return make(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * values.itemsize,
        data=array("B", values.tobytes()),  # rclpy copies an array without checking every byte
    )


def main() -> None:
    """Convert one photo as if a camera had sent it, and print the depth image's properties."""
    parser = argparse.ArgumentParser(description="Convert one photo to a ROS depth image.")
    parser.add_argument("photo")
    parser.add_argument("--encoding", default="32FC1", choices=["32FC1", "16UC1"])
    parser.add_argument("--focal", type=float, default=0.0, help="pixels, as camera_info's k")
    arguments = parser.parse_args()
    pixels = read_photo(arguments.photo).pixels
    height, width = pixels.shape[:2]
    header = Header(Time(1, 500), "camera_color_optical_frame")
    picture = Image(header, height, width, "rgb8", 0, width * 3, pixels.tobytes())
    focal = arguments.focal
    k = [focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1]
    depth = estimate(glpn.load(), picture, CameraInfo(header, height, width, k=k))
    message = depth_message(depth, header, encoding=arguments.encoding)
    sys.stdout.write(
        f"{message.encoding} {message.height}x{message.width}, step {message.step}, "
        f"{len(message.data)} bytes, frame {message.header.frame_id}\n"
        f"{depth}; camera: {depth.camera.source}\n"
    )


if __name__ == "__main__":
    main()
