"""GLPN: one photograph in, a map of distances in metres out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Public name → the room that defines it; rooms are opened at first use, so that `import glpn`
# needs neither torch nor onnxruntime.
_ROOMS = {
    "GLPNConfig": "network.config",
    "GLPNImageProcessor": "processing.processor",
    "GLPNFeatureExtractor": "processing.processor",
    "GLPNModel": "network.model",
    "GLPNForDepthEstimation": "network.model",
    "Camera": "camera.camera",
    "Depth": "depth.depth",
    "DepthEstimator": "estimator",
    "GLPNError": "errors",
    "load": "estimator",
    "pipeline": "depth_pipeline",
    "read_depth": "depth.reading",
    "read_intrinsics": "camera.intrinsics_files",
}

__all__ = ["__version__", *_ROOMS]

if TYPE_CHECKING:
    from glpn.camera.camera import Camera as Camera
    from glpn.camera.intrinsics_files import read_intrinsics as read_intrinsics
    from glpn.depth.depth import Depth as Depth
    from glpn.depth.reading import read_depth as read_depth
    from glpn.depth_pipeline import pipeline as pipeline
    from glpn.errors import GLPNError as GLPNError
    from glpn.estimator import DepthEstimator as DepthEstimator
    from glpn.estimator import load as load
    from glpn.network.config import GLPNConfig as GLPNConfig
    from glpn.network.model import GLPNForDepthEstimation as GLPNForDepthEstimation
    from glpn.network.model import GLPNModel as GLPNModel
    from glpn.processing.processor import GLPNFeatureExtractor as GLPNFeatureExtractor
    from glpn.processing.processor import GLPNImageProcessor as GLPNImageProcessor


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'glpn' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"glpn.{_ROOMS[name]}"), name)
    except ModuleNotFoundError as e:
        from glpn.errors import MissingDependency

        if e.name != "torch":
            raise
        raise MissingDependency(f"glpn.{name} needs torch", extra="torch") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names that can be used here, so that `help(glpn)` works without torch."""
    from importlib.util import find_spec

    without_torch = [name for name in __all__ if _ROOMS.get(name) != "network.model"]
    return sorted(__all__ if find_spec("torch") else without_torch)
