"""The contract of `model.onnx` and `trunk.onnx`: their tensors, and the files they fit.

The graphs have no weights, only offsets into `model.safetensors`. They fit any file with the same
tensors at the same offsets, and record that layout in their metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn import __version__, native, weights
from glpn.engines.protocol import require_finite, require_pixels
from glpn.errors import CheckpointError
from glpn.network.config import MAX_MAX_DEPTH, MIN_MAX_DEPTH, GLPNConfig

INPUT = "pixel_values"
OUTPUT = "predicted_depth"  # model.onnx returns metres [B, H, W] under this name
FEATURES = "features"  # trunk.onnx returns the head's input [B, H/4, W/4, C]

# The configuration fields that the nodes of the graph depend on. `max_depth` is not one of them:
# it only scales the output, and an engine corrects it.
_NETWORK_FIELDS = (
    "num_channels",
    "depths",
    "sr_ratios",
    "hidden_sizes",
    "patch_sizes",
    "strides",
    "num_attention_heads",
    "mlp_ratios",
    "hidden_act",
    "decoder_hidden_size",
    "head_in_index",
    "layer_norm_convention",
)


def describe(config: GLPNConfig, header: weights.Header) -> dict[str, str]:
    """The metadata of a graph that is built from this configuration for these weights."""
    return {
        "glpn_version": __version__,
        "unit": "metres",
        "max_depth": repr(float(config.max_depth)),
        "size_divisor": str(config.size_divisor),
        "network": json.dumps(_network(config)),
        "weights_layout": layout(header),
    }


def layout(header: weights.Header) -> str:
    """SHA-256 of every tensor's name, type, shape and offsets in the file."""
    lines = (
        f"{name} {entry.dtype} {entry.shape} {entry.begin} {entry.end}\n"
        for name, entry in sorted(header.tensors.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def has_trunk(config: GLPNConfig) -> bool:
    """Whether the native head fits the network, so that a graph without head is useful.

    The kernel enlarges the last map four times, and needs whole vectors of channels.
    """
    last = config.head_in_index % config.num_encoder_blocks == config.num_encoder_blocks - 1
    return last and config.decoder_hidden_size % native.CHANNEL_MULTIPLE == 0


def require_fit(metadata: Mapping[str, str], file: Path, config: GLPNConfig) -> float:
    """Refuse a graph that was made for other weights or another configuration.

    Only the header of the weights is read.

    Args:
        metadata: the graph's metadata.
        file: the graph's path, named in messages.
        config: the configuration in the same folder.

    Returns:
        The max_depth in metres that the graph multiplies by.

    Raises:
        MissingInput: the weights are missing.
        CheckpointError: the weights are damaged, or the graph does not fit; the message names
            both files.
    """
    folder = file.parent
    weights_file = folder / weights.WEIGHTS_NAME
    advice = f"write it again with `glpn export onnx {folder}`"
    try:
        network, known_layout = json.loads(metadata["network"]), metadata["weights_layout"]
        max_depth = float(metadata["max_depth"])
        if not MIN_MAX_DEPTH <= max_depth <= MAX_MAX_DEPTH:
            raise ValueError
    except (KeyError, ValueError, RecursionError):
        raise CheckpointError(f"{file}: not written by glpn: {advice}") from None
    if known_layout != layout(weights.read_header(weights_file)):
        raise CheckpointError(f"{file} was made for other weights than {weights_file}: {advice}")
    if network != _network(config):
        config_file = folder / weights.CONFIG_NAME
        raise CheckpointError(f"{file} was made for another network than {config_file}: {advice}")
    return max_depth


def _network(config: GLPNConfig) -> dict[str, object]:
    values = config.to_dict()
    return {key: values[key] for key in _NETWORK_FIELDS}


def run_at_any_size(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    pixels: NDArray[np.float32],
    config: GLPNConfig,
    *,
    folder: Path,
) -> NDArray[np.float32]:
    """Pad a batch to sides that the graph accepts, run it, and crop the depth.

    Args:
        run: float32 [B, 3, H, W], both sides multiples of `size_divisor` → metres.
        pixels: [B, 3, H, W] of any size, padded by repeating the last row and column.
        config: the configuration of the network.
        folder: named in messages.

    Raises:
        InvalidImage, CheckpointError: as an engine's call.
    """
    require_pixels(pixels, config)
    batch, _, height, width = pixels.shape
    if batch == 0:  # run times cannot reshape an empty batch
        return np.empty((0, height, width), np.float32)
    down, right = -height % config.size_divisor, -width % config.size_divisor
    if down or right:
        pixels = np.pad(pixels, ((0, 0), (0, 0), (0, down), (0, right)), mode="edge")
    depth = run(np.ascontiguousarray(pixels, np.float32))
    reduction = pixels.shape[2] // depth.shape[1]  # 1 unless `head_in_index` picks another map
    depth = depth[:, : -(-height // reduction), : -(-width // reduction)]
    require_finite(depth, folder)
    return depth
