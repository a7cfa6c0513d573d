"""OpenVINO IR: an .xml file with the graph and a .bin file with the weights."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glpn.errors import MissingDependency
from glpn.export import onnx_file
from glpn.export.model_source import Runner, Source
from glpn.export.writer import Format

try:
    import openvino
    from openvino import opset11
except ImportError as e:
    raise MissingDependency(
        "writing OpenVINO's files needs the package openvino", extra="torch,openvino"
    ) from e

# Pillow's filters. OpenVINO translates ONNX's `antialias` to a different filter.
_PILLOW = {"linear_onnx": "bilinear_pillow", "cubic": "bicubic_pillow"}


def openvino_format() -> Format:
    """The format of OpenVINO's two files, for OpenVINO 2025 and later."""
    return Format((".xml", ".bin"), build, encode, opened)


def build(source: Source) -> openvino.Model:
    """The portable graph as OpenVINO reads it.

    Raises:
        UsageError: as `onnx_file.build`.
    """
    model = onnx_file.build(source, portable=True)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.SerializeToString())
        converted = openvino.convert_model(file)
    for node in converted.get_ops():
        if node.get_type_name() == "Interpolate" and node.get_attributes().get("antialias"):
            _resize_like_pillow(node)
    return converted


def _resize_like_pillow(node: Any) -> None:
    """Replace a Resize with `antialias` by Pillow's filter."""
    attributes = node.get_attributes()
    image, sizes = node.input_value(0), node.input_value(1)  # [B, 3, H, W], four sides
    sides = opset11.gather(sizes, np.array([2, 3]), np.array(0))
    resized = opset11.interpolate(
        image,
        sides,
        _PILLOW[attributes["mode"]],
        "sizes",
        cube_coeff=attributes["cube_coeff"],
        axes=np.array([2, 3]),
    )
    node.output(0).replace(resized.output(0))


def encode(model: openvino.Model, facts: Mapping[str, str]) -> list[bytes]:
    """The .xml and the .bin, with float32 weights and the facts as `rt_info` under "glpn"."""
    for key, value in facts.items():
        model.set_rt_info(value, ["glpn", key])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.xml"
        openvino.save_model(model, file, compress_to_fp16=False)
        return [file.read_bytes(), file.with_suffix(".bin").read_bytes()]


def opened(contents: Sequence[bytes]) -> Runner:
    """Open the files on the CPU in float32; OpenVINO would choose bfloat16 on some CPUs."""
    core = openvino.Core()
    model = core.read_model(model=contents[0], weights=contents[1])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(batch: np.ndarray) -> NDArray[np.float32]:
        depth: NDArray[np.float32] = compiled([batch])[0]
        return depth

    return run
