"""The node `depth`: subscribes to a camera's images, publishes their depth.

    ros2 run glpn_ros depth --ros-args -r image:=/camera/image_raw \\
        -r camera_info:=/camera/camera_info

Topics in: `image` (sensor_msgs/Image), `camera_info` (sensor_msgs/CameraInfo). Out: `depth/image`
and `depth/camera_info`. Parameters: `model` (name or folder), `encoding` (32FC1 or 16UC1),
`threads` (0: one per core). It was tested with records that have the messages' fields, not on a
robot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import glpn

if __package__:
    from .conversion import depth_message, estimate
else:  # run as a file, without ROS's package
    from conversion import depth_message, estimate

NEWEST_ONLY = 1  # depth of the queue: a frame that arrives during a prediction replaces the last


def answer(
    estimator: glpn.DepthEstimator,
    image: Any,
    info: Any,
    *,
    encoding: str,
    make: Callable[..., Any],
    log: Callable[[str], object],
) -> tuple[Any, Any] | None:
    """The depth image and the camera info to publish; None, with a line in the log, on bad input.

    Args:
        estimator: predicts.
        image, info: `sensor_msgs/Image` and `CameraInfo` of the same moment.
        encoding: of the depth image.
        make: the class of the depth image's message.
        log: receives the reason of a refusal.
    """
    try:
        depth = estimate(estimator, image, info)
        return depth_message(depth, image.header, encoding=encoding, make=make), info
    except (ValueError, glpn.GLPNError) as e:
        log(str(e))
        return None


def main() -> None:
    """Run the node until ROS stops it."""
    import rclpy
    from message_filters import Subscriber, TimeSynchronizer
    from rclpy.node import Node
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image

    rclpy.init()
    node = Node("glpn_depth")
    model = node.declare_parameter("model", "glpn-b0-indoor").value
    encoding = node.declare_parameter("encoding", "32FC1").value
    threads = node.declare_parameter("threads", 0).value
    estimator = glpn.load(model, threads=threads or None)
    images = node.create_publisher(Image, "depth/image", qos_profile_sensor_data)
    infos = node.create_publisher(CameraInfo, "depth/camera_info", qos_profile_sensor_data)

    def on_image(image: Any, info: Any) -> None:
        log = node.get_logger().warning
        messages = answer(estimator, image, info, encoding=encoding, make=Image, log=log)
        if messages is not None:
            images.publish(messages[0])
            infos.publish(messages[1])

    inputs = [
        Subscriber(node, kind, name, qos_profile=qos_profile_sensor_data)
        for kind, name in ((Image, "image"), (CameraInfo, "camera_info"))
    ]
    TimeSynchronizer(inputs, NEWEST_ONLY).registerCallback(on_image)
    rclpy.spin(node)


if __name__ == "__main__":
    main()
