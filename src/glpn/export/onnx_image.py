"""The ONNX graph from images to metres: the network and the estimator's steps around it.

The functions follow `GLPNImageProcessor` and `DepthEstimator.metres` one for one. Pillow's filters
are ONNX's with `antialias` and `exclude_outside`. onnxruntime computes their weights in float32 and
Pillow in float64, so a level may differ by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from PIL import Image

from glpn import weights
from glpn.engines import graph as contract
from glpn.errors import UsageError
from glpn.estimator import MAX_INPUT_PIXELS, SMALLEST_DEPTH
from glpn.export.model_source import IMAGES
from glpn.export.onnx import network
from glpn.export.onnx_nodes import Graph
from glpn.network.config import GLPNConfig
from glpn.processing.processor import GLPNImageProcessor

if TYPE_CHECKING:
    from onnx import ModelProto


class _Filter(TypedDict, total=False):
    mode: str
    cubic_coeff_a: float


# Pillow's filters as ONNX attributes. Pillow's bicubic curve has a = -0.5, torch's -0.75.
_FILTERS: dict[int, _Filter] = {
    Image.Resampling.BILINEAR: {"mode": "linear"},
    Image.Resampling.BICUBIC: {"mode": "cubic", "cubic_coeff_a": -0.5},
}
_TORCH_CUBIC = -0.75


def build_image_graph(
    config: GLPNConfig,
    header: weights.Header,
    processor: GLPNImageProcessor,
    *,
    portable: bool = False,
) -> ModelProto:
    """Write the whole prediction: images uint8 RGB [B, H, W, 3] to predicted_depth [B, H, W].

    Batch, height and width are free and at least 1.

    Args:
        config, header, portable: see `build_graph`.
        processor: how images are scaled.

    Raises:
        UsageError: the graph cannot express this processor.
    """
    require_exportable(config, processor)
    g = Graph(config, header.tensors, weights_file=weights.WEIGHTS_NAME, portable=portable)
    depth = network(g, pixels(g, IMAGES, processor))  # [B, h, w]
    sides = g.add("Shape", IMAGES, start=1, end=3)
    g.add("Identity", enlarged(g, depth, sides), name=contract.OUTPUT)
    return g.model(
        inputs={IMAGES: ["batch", "height", "width", config.num_channels]},
        outputs={contract.OUTPUT: ["batch", "height", "width"]},
        metadata={},
        levels=True,
    )


def require_exportable(config: GLPNConfig, processor: GLPNImageProcessor) -> None:
    """Refuse a processor that standard operators cannot express.

    Raises:
        UsageError: the message names the key of `preprocessor_config.json` and its allowed values.
    """
    wanted = "an end-to-end export needs"
    if not processor.do_resize:
        raise UsageError(f"do_resize: {wanted} true, got false")
    if processor.size_divisor % config.size_divisor:
        raise UsageError(
            f"size_divisor: {wanted} a multiple of {config.size_divisor}, "
            f"got {processor.size_divisor}"
        )
    if processor.resample not in _FILTERS:
        raise UsageError(
            f"resample: {wanted} 2 (bilinear) or 3 (bicubic), got {processor.resample}"
        )


def pixels(g: Graph, images: str, processor: GLPNImageProcessor) -> str:
    """Map images uint8 [B, H, W, 3] to the network's input, float32 [B, 3, h, w]."""
    size = input_size(g, g.add("Shape", images, start=1, end=3), processor)
    x = g.channels_first(images)  # [B, 3, H, W]
    sizes = g.add("Concat", g.add("Shape", x, end=2), size, axis=0)
    x = g.add(
        "Resize",
        *(x, "", "", sizes),
        coordinate_transformation_mode="half_pixel",
        antialias=1,
        exclude_outside=1,
        **_FILTERS[processor.resample],
    )
    return normalized(g, g.add("Cast", x, to=g.FLOAT), processor)


def normalized(g: Graph, levels: str, processor: GLPNImageProcessor) -> str:
    """Levels 0..255, rescaled and normalised as configured."""
    x = levels
    if processor.do_rescale:
        x = g.add("Mul", x, g.floats(processor.rescale_factor))
    if processor.do_normalize:
        mean, std = (
            g.floats(*values.tolist(), shape=(3, 1, 1)) for values in processor.statistics(3)
        )
        x = g.add("Div", g.add("Sub", x, mean), std)
    return x


def input_size(g: Graph, size: str, processor: GLPNImageProcessor) -> str:
    """`GLPNImageProcessor.input_size` for int64 [2], in the same double precision."""
    divisor = g.integers(processor.size_divisor)
    most = min(MAX_INPUT_PIXELS, processor.max_pixels or MAX_INPUT_PIXELS)
    if processor.short_side is not None:
        scale = g.add("Div", g.doubles(processor.short_side), double(g, smallest(g, size)))
        scaled = g.add("Round", g.add("Mul", double(g, size), scale))  # halves to even, as Python
        size = g.add("Cast", scaled, to=g.INT64)
    shrink = g.add("Sqrt", g.add("Div", g.doubles(most), double(g, count(g, size))))
    shrink = g.add("Min", shrink, g.doubles(1))  # 1 if the size is within the limit
    size = g.add("Cast", g.add("Mul", double(g, size), shrink), to=g.INT64)  # rounds down
    tiles = g.add("Max", g.add("Div", size, divisor), g.integers(1))
    size = g.add("Mul", tiles, divisor)
    longest = max(most // processor.size_divisor**2, 1) * processor.size_divisor
    crowded = g.add("Greater", count(g, size), g.integers(most))
    return g.add("Where", crowded, g.add("Min", size, g.integers(longest)), size)


def double(g: Graph, x: str) -> str:
    """Integers as float64."""
    return g.add("Cast", x, to=g.DOUBLE)


def smallest(g: Graph, size: str) -> str:
    """Compute the shorter side: int64 [2] to [1]."""
    return g.add("ReduceMin", size, keepdims=1)


def count(g: Graph, size: str) -> str:
    """Compute height × width: int64 [2] to [1]."""
    return g.add("ReduceProd", size, keepdims=1)


def enlarged(g: Graph, depth: str, size: str) -> str:
    """The network's output [B, h, w], at the images' size and within the model's range."""
    low = g.add("ReduceMin", depth, g.integers(1, 2), keepdims=1)  # [B, 1, 1]
    high = g.add("ReduceMax", depth, g.integers(1, 2), keepdims=1)
    x = g.add("Unsqueeze", depth, g.integers(1))  # [B, 1, h, w]
    sizes = g.add("Concat", g.add("Shape", x, end=2), size, axis=0)
    x = g.add(
        "Resize",
        *(x, "", "", sizes),
        mode="cubic",
        cubic_coeff_a=_TORCH_CUBIC,
        coordinate_transformation_mode="half_pixel",
    )
    x = g.add("Squeeze", x, g.integers(1))  # [B, H, W]
    x = g.add("Min", g.add("Max", x, low), high)  # the curve overshoots at edges
    bounds = (g.floats(SMALLEST_DEPTH, shape=()), g.floats(g.config.max_depth, shape=()))
    return g.add("Clip", x, *bounds)
