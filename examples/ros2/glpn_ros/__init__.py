"""A ROS 2 node that publishes the depth of a colour camera."""
