"""The ROS 2 package `glpn_ros`; `colcon build` reads this file."""

from setuptools import setup

setup(
    name="glpn_ros",
    version="0.1.0",
    packages=["glpn_ros"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/glpn_ros"]),
        ("share/glpn_ros", ["package.xml"]),
    ],
    install_requires=["setuptools", "glpn"],
    license="Apache-2.0",
    entry_points={"console_scripts": ["depth = glpn_ros.node:main"]},
)
