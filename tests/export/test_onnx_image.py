"""The graph from images to metres agrees with the estimator at any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from glpn import GLPNConfig, GLPNImageProcessor, weights
from glpn.errors import UsageError
from glpn.estimator import MAX_INPUT_PIXELS
from glpn.export import onnx_image
from glpn.export.model_source import Source
from glpn.export.onnx_file import onnx_format
from glpn.export.onnx_nodes import Graph
from glpn.export.writer import export
from tests.export.conftest import SIZES, photographs

# A level that rounds the other way moves the metres of a random network by so much at most.
MEAN, LARGEST = 1e-3, 1e-2


def session(content: bytes | Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=[False, True], ids=["fused", "portable"])
def runs(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> onnxruntime.InferenceSession:
    """The exported file, opened, with either kind of attention."""
    path = tmp_path_factory.mktemp("onnx") / "whole.onnx"
    export(onnx_format(portable=request.param), Source.of(folder, end_to_end=True), path)
    return session(path)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_metres_agree_with_the_estimator(
    runs: onnxruntime.InferenceSession, metres: Callable[[np.ndarray], np.ndarray], size: Any
) -> None:
    images = photographs(*size, batch=2)
    expected = metres(images)
    (found,) = runs.run(["predicted_depth"], {"images": images})
    assert found.shape == expected.shape == (2, *size)
    deviation = np.abs(found - expected) / expected
    assert deviation.mean() <= MEAN
    assert deviation.max() <= LARGEST


def test_pillows_levels_differ_by_one_at_most() -> None:
    """The filter itself, where it shrinks, enlarges and does both; Pillow is the reference."""
    for (height, width), short_side in [((240, 320), 96), ((50, 70), 160), ((333, 500), 192)]:
        processor = GLPNImageProcessor(short_side=short_side, do_rescale=False)
        (image,) = photographs(height, width)
        levels = run_nodes(processor, "pixels", image[None])[0]
        difference = np.abs(levels - processor.pixels(image))
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 0.05


@pytest.mark.parametrize(("mean", "std"), [([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]), (0.5, 0.2)])
def test_normalised_bicubic_pixels_are_the_processors(mean: Any, std: Any) -> None:
    processor = GLPNImageProcessor(resample=3, do_normalize=True, image_mean=mean, image_std=std)
    (image,) = photographs(100, 140)
    pixels = run_nodes(processor, "pixels", image[None])[0]
    one_level = 1 / 255 / 0.2
    assert np.abs(pixels - processor.pixels(image)).max() <= one_level * 1.01


@pytest.mark.slow
@given(
    st.integers(1, 9000),
    st.integers(1, 9000),
    st.sampled_from([None, 1, 32, 192, 333, 480, 2000]),
    st.sampled_from([None, 500, 1024, 76_800, 300_000]),
    st.sampled_from([32, 64]),
)
def test_the_networks_size_is_the_processors(
    height: int, width: int, short_side: int, max_pixels: int, divisor: int
) -> None:
    processor = GLPNImageProcessor(
        short_side=short_side, max_pixels=max_pixels, size_divisor=divisor
    )
    expected = processor.input_size(height, width, max_pixels=MAX_INPUT_PIXELS)
    assert tuple(run_nodes(processor, "input_size", np.array([height, width]))) == expected


def run_nodes(processor: Any, name: str, value: Any) -> np.ndarray:
    """One function of `onnx_image`, as a graph of its own."""
    g = Graph(GLPNConfig(), {}, weights_file="", portable=True)
    output = getattr(onnx_image, name)(g, "x", processor)
    whole = g.model(inputs={"x": list(value.shape)}, outputs={output: []}, metadata={}, levels=True)
    if value.ndim == 1:
        whole.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
        whole.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    whole.graph.output[0].type.tensor_type.ClearField("shape")
    return session(whole.SerializeToString()).run(None, {"x": value})[0]


def test_the_file_holds_its_weights_and_says_what_it_is(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere/whole.onnx"
    path.parent.mkdir()
    export(onnx_format(portable=True), Source.of(folder, end_to_end=True), path)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["weights_sha256"] == weights.file_hash(folder / "model.safetensors")
    assert (said["unit"], said["max_depth"], said["focal_ratio"]) == ("metres", "12.0", "1.25")
    assert said["opset"] == str(model.opset_import[0].version)
    assert said["size_divisor"] == "1"


@pytest.mark.parametrize(
    ("field", "value"), [("do_resize", False), ("size_divisor", 16), ("resample", 1)]
)
def test_a_processor_that_the_graph_cannot_say_is_refused_by_its_key(
    folder: Path, field: str, value: bool | int
) -> None:
    source = Source.of(folder)
    processor = GLPNImageProcessor(**{field: value})
    with pytest.raises(UsageError, match=rf"^{field}: an end-to-end export needs"):
        onnx_image.build_image_graph(source.config, source.header, processor)
