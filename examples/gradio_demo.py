"""A Gradio page: a photo in; its depth, its metres in words, and a mesh to turn out.

pip install gradio
python examples/gradio_demo.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import glpn


def measure(
    estimator: glpn.DepthEstimator, photo: str | None, field_of_view: float
) -> tuple[NDArray[np.uint8], str, str]:
    """The depth in colours, a sentence, and the path of a GLB file.

    Args:
        estimator: predicts.
        photo: path of the photo.
        field_of_view: horizontal, in degrees; 0 takes it from EXIF, or assumes it.

    Raises:
        ValueError: there is no photo; or a `GLPNError` that says what is wrong with it.
    """
    if photo is None:
        raise ValueError("choose a photo first")
    depth = estimator(photo, fov=field_of_view or None)
    folder = Path(tempfile.mkdtemp(prefix="glpn-gradio-"))
    mesh = depth.save(folder / "scene.glb")
    error = depth.relative_error
    doubt = "" if error is None else f" ± {error:.0%} for two thirds of the pixels;"
    return depth.colorize(), f"{depth};{doubt} camera: {depth.camera.source}", str(mesh)


def main() -> None:
    """Serve the page on this machine."""
    import gradio

    estimator = glpn.load()

    def answer(photo: str | None, field_of_view: float) -> tuple[NDArray[np.uint8], str, str]:
        try:
            return measure(estimator, photo, field_of_view)
        except ValueError as e:  # every error of glpn about a photo is one
            raise gradio.Error(str(e)) from e

    page = gradio.Interface(
        answer,
        [
            gradio.Image(type="filepath", label="Photo"),
            gradio.Slider(0, 150, 0, label="Horizontal field of view in degrees; 0: from EXIF"),
        ],
        [gradio.Image(label="Depth"), gradio.Textbox(label="Metres"), gradio.Model3D()],
        title="Metres from one photo",
        flagging_mode="never",
    )
    page.launch()


if __name__ == "__main__":
    main()
