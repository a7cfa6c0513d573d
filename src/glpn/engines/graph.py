"""What a `model.onnx` promises: the names of its tensors, and which weights and config it fits.

The graph holds no weights, only places in `model.safetensors`. So it fits any file with the same
tensors at the same places, and it records that layout rather than trust the file beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glpn import __version__, weights
from glpn.config import GLPNConfig
from glpn.errors import CheckpointError

INPUT = "pixel_values"
OUTPUT = "predicted_depth"

# The fields of a configuration that the nodes of the graph depend on. `max_depth` is not among
# them: it only scales the output, so an engine can correct it.
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
    """SHA-256 of every tensor's name, type, shape and place in the file."""
    lines = (
        f"{name} {entry.dtype} {entry.shape} {entry.begin} {entry.end}\n"
        for name, entry in sorted(header.tensors.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def require_fit(metadata: Mapping[str, str], folder: Path, config: GLPNConfig) -> float:
    """Refuse a graph that was not made for the weights and the configuration beside it.

    Only the header of the weights is read.

    Returns:
        The max_depth, in metres, that the graph multiplies by.

    Raises:
        MissingInput: there are no weights.
        CheckpointError: they are damaged, or the graph does not fit; the message names both files.
    """
    file = folder / weights.GRAPH_NAME
    weights_file = folder / weights.WEIGHTS_NAME
    advice = f"write it anew with `glpn export onnx {folder}`"
    try:
        network, known_layout = json.loads(metadata["network"]), metadata["weights_layout"]
        max_depth = float(metadata["max_depth"])
        if not max_depth > 0:
            raise ValueError
    except (KeyError, ValueError):
        raise CheckpointError(f"{file}: not written by glpn: {advice}") from None
    if known_layout != layout(weights.read_header(weights_file)):
        raise CheckpointError(f"{file} was made for other weights than {weights_file}: {advice}")
    if network != _network(config):
        config_file = folder / weights.CONFIG_NAME
        raise CheckpointError(f"{file} was made for another network than {config_file}: {advice}")
    return max_depth


def _network(config: GLPNConfig) -> dict[str, Any]:
    values = config.to_dict()
    return {key: values[key] for key in _NETWORK_FIELDS}
