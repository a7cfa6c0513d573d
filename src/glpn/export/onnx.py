"""The network as an ONNX graph, written node by node from the configuration: no tracing, no torch.

The functions follow encoder.py, decoder.py and head.py one for one. `model.onnx` has no weights:
it points into `model.safetensors`, so that one file of weights serves every engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glpn import weights
from glpn.engines import graph as contract
from glpn.errors import UsageError
from glpn.export.onnx_nodes import ONNXRUNTIME, Graph
from glpn.files import write_file
from glpn.network.config import PLAIN_ACTIVATIONS, GLPNConfig, Stage

if TYPE_CHECKING:
    from onnx import ModelProto


def write_graph(
    folder: str | Path, *, portable: bool = False, facts: Mapping[str, str] | None = None
) -> Path:
    """Write `model.onnx` beside a folder's `config.json` and `model.safetensors`, atomically.

    If the native kernel supports the network's head, `trunk.onnx` is written too. It contains the
    network without its head, for glpn's own engines.

    Args:
        folder: a model's folder.
        portable: see `build_graph`.
        facts: more entries for the file's metadata.

    Returns:
        The path of `model.onnx`.

    Raises:
        UsageError: it is a bundled model.
        MissingInput: the configuration or the weights are missing.
        ConfigError, CheckpointError: they are damaged or do not match.
        CannotCreateOutput, OutputFailed: the folder cannot be written.
    """
    folder = Path(folder)
    config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
    file = folder / weights.WEIGHTS_NAME
    header = weights.read_header(file)
    weights.require_match(header.tensors, weights.expected_shapes(config), source=str(file))
    metadata = {
        **contract.describe(config, header),
        "model": folder.resolve().name,
        "weights_sha256": weights.file_hash(file),
        **(facts or {}),
    }
    with weights.signing(folder, weights.TRUNK_NAME, weights.GRAPH_NAME):
        if contract.has_trunk(config):
            trunk = build_trunk(config, header, portable=portable, metadata=metadata)
            _write(folder / weights.TRUNK_NAME, trunk)
        else:
            (folder / weights.TRUNK_NAME).unlink(missing_ok=True)
        model = build_graph(config, header, portable=portable, metadata=metadata)
        return _write(folder / weights.GRAPH_NAME, model)


def _write(path: Path, model: ModelProto) -> Path:
    write_file(path, model.SerializeToString(deterministic=True))
    return path


def build_graph(
    config: GLPNConfig,
    header: weights.Header,
    *,
    weights_file: str = weights.WEIGHTS_NAME,
    portable: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """Write the whole network: pixel_values [B, 3, H, W] in 0..1 to predicted_depth [B, H, W].

    Batch, height and width are free, both sides multiples of `config.size_divisor`.

    Args:
        config: the network's configuration.
        header: names, types and offsets of the weights, which must match `config`.
        weights_file: path of the weights, relative to the graph's folder.
        portable: use only standard operators. Otherwise attention is onnxruntime's own operator,
            whose memory does not grow with the square of the number of pixels.
        metadata: the file's metadata.
    """
    g = Graph(config, header.tensors, weights_file=weights_file, portable=portable)
    depth = network(g, contract.INPUT)
    full_size = config.head_in_index in (-1, 3)
    sides = ["height", "width"] if full_size else ["depth_height", "depth_width"]
    return g.model(
        inputs={contract.INPUT: ["batch", config.num_channels, "height", "width"]},
        outputs={g.add("Identity", depth, name=contract.OUTPUT): ["batch", *sides]},
        metadata=metadata or {},
    )


def build_trunk(
    config: GLPNConfig,
    header: weights.Header,
    *,
    portable: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """Write the network without its head: pixel_values [B, 3, H, W] to features [B, H/4, W/4, C].

    Arguments as for `build_graph`; the configuration must have a trunk (`has_trunk`).
    """
    g = Graph(config, header.tensors, weights_file=weights.WEIGHTS_NAME, portable=portable)
    features = g.channels_last(fused_path(g, encoder(g, contract.INPUT)))
    shape: list[int | str] = [
        "batch",
        "quarter_height",
        "quarter_width",
        config.decoder_hidden_size,
    ]
    return g.model(
        inputs={contract.INPUT: ["batch", config.num_channels, "height", "width"]},
        outputs={g.add("Identity", features, name=contract.FEATURES): shape},
        metadata=metadata or {},
    )


def network(g: Graph, pixels: str) -> str:
    """Map pixels [B, 3, H, W] to metres [B, H, W]."""
    return head(g, decoder(g, encoder(g, pixels)))


def encoder(g: Graph, pixels: str) -> list[str]:
    """Map pixels [B, 3, H, W] to maps [B, C_i, H/4·2^-i, W/4·2^-i]."""
    maps = []
    x = pixels
    for i, stage in enumerate(g.config.stages):
        x = encoder_stage(g, x, i=i, stage=stage)
        maps.append(x)
    return maps


def encoder_stage(g: Graph, x: str, *, i: int, stage: Stage) -> str:
    """Map [B, C_in, H, W] to [B, C, H/s, W/s]."""
    x = patch_embedding(g, x, name=f"glpn.encoder.patch_embeddings.{i}", stage=stage)
    for j in range(stage.depth):
        x = block(g, x, name=f"glpn.encoder.block.{i}.{j}", stage=stage)  # [B, H/s, W/s, C]
    x = g.layer_norm(x, f"glpn.encoder.layer_norm.{i}", eps=g.config.block_norm_eps)
    return g.channels_first(x)


def patch_embedding(g: Graph, x: str, *, name: str, stage: Stage) -> str:
    """Embed overlapping patches: [B, C_in, H, W] to [B, H/s, W/s, C]."""
    x = g.convolution(x, f"{name}.proj", stride=stage.stride, padding=stage.patch_size // 2)
    return g.layer_norm(g.channels_last(x), f"{name}.layer_norm", eps=g.config.embed_norm_eps)


def block(g: Graph, x: str, *, name: str, stage: Stage) -> str:
    """x + attention(LN x), then x + feed-forward(LN x): [B, H, W, C]."""
    y = g.layer_norm(x, f"{name}.layer_norm_1", eps=g.config.block_norm_eps)
    x = g.add("Add", x, attention(g, y, name=f"{name}.attention", stage=stage))
    y = g.layer_norm(x, f"{name}.layer_norm_2", eps=g.config.block_norm_eps)
    return g.add("Add", x, feed_forward(g, y, name=f"{name}.mlp"))


def attention(g: Graph, x: str, *, name: str, stage: Stage) -> str:
    """Attention from all positions of a map [B, H, W, C] to the map reduced by `sr_ratio`."""
    context = x
    if stage.sr_ratio > 1:
        y = g.convolution(g.channels_first(x), f"{name}.self.sr", stride=stage.sr_ratio)
        y = g.channels_last(y)  # [B, H/sr, W/sr, C]
        context = g.layer_norm(y, f"{name}.self.layer_norm", eps=g.config.embed_norm_eps)
    batch = g.add("Shape", x, end=1)
    tokens = g.add("Concat", batch, g.integers(-1, stage.width), axis=0)  # the shape [B, N, C]
    query, key, value = (
        g.add("Reshape", g.linear(y, f"{name}.self.{part}"), tokens)
        for part, y in (("query", x), ("key", context), ("value", context))
    )
    mix = mix_portably if g.portable else mix_fused
    y = g.linear(mix(g, query, key, value, stage=stage), f"{name}.output.dense")  # [BN, C]
    return g.add("Reshape", y, g.add("Shape", x))  # [B, H, W, C]


def mix_fused(g: Graph, query: str, key: str, value: str, *, stage: Stage) -> str:
    """Compute softmax(Q·Kᵀ/√d)·V tile by tile: [B, N, C] and two [B, M, C] to [B, N, C]."""
    heads = stage.heads
    return g.add("MultiHeadAttention", query, key, value, domain=ONNXRUNTIME, num_heads=heads)


def mix_portably(g: Graph, query: str, key: str, value: str, *, stage: Stage) -> str:
    """The same in standard operators, which store all attention scores."""
    depth = stage.width // stage.heads
    split = g.integers(0, -1, stage.heads, depth)
    query, key, value = (g.add("Reshape", y, split) for y in (query, key, value))
    query = g.add("Transpose", query, perm=[0, 2, 1, 3])  # [B, heads, N, d]
    key = g.add("Transpose", key, perm=[0, 2, 3, 1])  # [B, heads, d, M]
    value = g.add("Transpose", value, perm=[0, 2, 1, 3])  # [B, heads, M, d]
    query = g.add("Mul", query, g.floats(depth**-0.5))
    scores = g.add("Softmax", g.add("MatMul", query, key), axis=-1)  # [B, heads, N, M]
    mixed = g.add("Transpose", g.add("MatMul", scores, value), perm=[0, 2, 1, 3])
    return g.add("Reshape", mixed, g.integers(0, -1, stage.width))  # [B, N, C]


def feed_forward(g: Graph, x: str, *, name: str) -> str:
    """Expand → depthwise 3×3 → activation → shrink: [B, H, W, C].

    All layers are convolutions, so the wide map [B, rC, H, W] is never transposed.
    """
    y = g.pointwise(g.channels_first(x), f"{name}.dense1")
    y = g.depthwise(y, f"{name}.dwconv.dwconv")
    y = g.pointwise(activation(g, y), f"{name}.dense2")  # [B, C, H, W]
    return g.channels_last(y)


def activation(g: Graph, x: str) -> str:
    """The configuration's `hidden_act`."""
    kind = g.config.hidden_act
    if kind == "relu":
        return g.add("Relu", x)
    if kind in ("silu", "swish"):
        return g.add("Mul", x, g.add("Sigmoid", x))
    if kind not in PLAIN_ACTIVATIONS:
        known = ", ".join(PLAIN_ACTIVATIONS)
        raise UsageError(f"hidden_act: the ONNX graph has {known}; this network has {kind!r}")
    return g.add("Gelu", x, approximate="none" if kind == "gelu" else "tanh")


def decoder(g: Graph, maps: Sequence[str]) -> str:
    """Fuse the encoder's maps, shallowest first, into the map that `head_in_index` selects."""
    x = upsample(g, fused_path(g, maps))
    return upsample(g, x) if g.config.head_in_index % len(maps) == len(maps) - 1 else x


def fused_path(g: Graph, maps: Sequence[str]) -> str:
    """The decoder up to the map that `head_in_index` picks, before it is enlarged."""
    config = g.config
    x = ""
    for i in range(config.head_in_index % len(maps) + 1):
        name = f"decoder.stages.{i}"
        local = maps[-1 - i]
        if config.hidden_sizes[-1 - i] != config.decoder_hidden_size:
            local = g.convolution(local, f"{name}.convolution")  # [B, C, h, w]
        x = fusion(g, local, upsample(g, x), name=f"{name}.fusion") if x else local
    return x


def fusion(g: Graph, local: str, context: str, *, name: str) -> str:
    """Combine a local and a global map, both [B, C, H, W], as configured."""
    if g.config.fusion == "sum":
        return g.add("Add", local, context)
    return selective_fusion(g, local, context, name=name)


def selective_fusion(g: Graph, local: str, context: str, *, name: str) -> str:
    """Selective fusion of a local and a global map, per position; all [B, C, H, W]."""
    x = g.add("Concat", local, context, axis=1)  # [B, 2C, H, W]
    for layer in (f"{name}.convolutional_layer1", f"{name}.convolutional_layer2"):
        x = g.convolution(x, f"{layer}.0", padding=1)  # [B, C, H, W], then [B, C/2, H, W]
        x = g.add("Relu", g.batch_norm(x, f"{layer}.1"))
    x = g.convolution(x, f"{name}.convolutional_layer3", padding=1)
    gates = g.add("Sigmoid", x)  # [B, 2, H, W]
    first, second = (
        g.add("Slice", gates, g.integers(i), g.integers(i + 1), g.integers(1)) for i in (0, 1)
    )
    return g.add("Add", g.add("Mul", local, first), g.add("Mul", context, second))


def upsample(g: Graph, x: str) -> str:
    """Bilinear resize to twice the size, corners not aligned."""
    scales = g.floats(1, 1, 2, 2)
    return g.add(
        "Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"
    )


def head(g: Graph, x: str) -> str:
    """conv3×3 → ReLU → conv3×3 → sigmoid × max_depth: [B, C, H, W] → metres [B, H, W]."""
    x = g.add("Relu", g.convolution(x, "head.head.0", padding=1))
    x = g.convolution(x, "head.head.2", padding=1)  # [B, 1, H, W]
    x = g.add("Squeeze", g.add("Sigmoid", x), g.integers(1))
    return g.add("Mul", x, g.floats(g.config.max_depth))
