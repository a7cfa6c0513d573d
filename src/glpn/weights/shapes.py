"""The tensor shapes of a configuration, and the configuration that tensor shapes imply."""

from __future__ import annotations

import re
from collections.abc import Mapping

from glpn.errors import CheckpointError
from glpn.network.config import GLPNConfig, Stage

Shape = tuple[int, ...]

_ACTIVATION_WEIGHTS: dict[str, dict[str, Shape]] = {
    "prelu": {"weight": (1,)},
    "xielu": {"alpha_p": (1,), "alpha_n": (1,), "beta": (), "eps": ()},
}
_BLOCK = re.compile(r"glpn\.encoder\.block\.([0-3])\.([0-9]{1,4})\.")


def expected_shapes(config: GLPNConfig, *, encoder_only: bool = False) -> dict[str, Shape]:
    """The shape of every tensor of the network, by its name on disk."""
    shapes: dict[str, Shape] = {}
    for i, stage in enumerate(config.stages):
        shapes |= _stage(i, stage) | _activation(config.hidden_act, i, stage)
    if encoder_only:
        return shapes
    width = config.decoder_hidden_size
    for i, in_channels in enumerate(reversed(config.hidden_sizes)):
        if in_channels != width:
            shapes |= _layer(f"decoder.stages.{i}.convolution", width, in_channels, 1, 1)
        if i > 0 and config.fusion == "selective":
            shapes |= _fusion(f"decoder.stages.{i}.fusion.convolutional_layer", width)
    shapes |= _layer("head.head.0", width, width, 3, 3)
    shapes |= _layer("head.head.2", 1, width, 3, 3)
    return shapes


def _layer(name: str, *shape: int) -> dict[str, Shape]:
    """A convolution, a linear layer or a norm: weight and bias."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _stage(i: int, stage: Stage) -> dict[str, Shape]:
    width, patch = stage.width, stage.patch_size
    embed = f"glpn.encoder.patch_embeddings.{i}"
    shapes = _layer(f"{embed}.proj", width, stage.in_channels, patch, patch)
    shapes |= _layer(f"{embed}.layer_norm", width)
    for j in range(stage.depth):
        shapes |= _block(f"glpn.encoder.block.{i}.{j}", stage)
    return shapes | _layer(f"glpn.encoder.layer_norm.{i}", width)


def _block(name: str, stage: Stage) -> dict[str, Shape]:
    width, hidden = stage.width, int(stage.width * stage.mlp_ratio)
    shapes = _layer(f"{name}.layer_norm_1", width) | _layer(f"{name}.layer_norm_2", width)
    for layer in ("self.query", "self.key", "self.value", "output.dense"):
        shapes |= _layer(f"{name}.attention.{layer}", width, width)
    if stage.sr_ratio > 1:
        shapes |= _layer(f"{name}.attention.self.sr", width, width, *[stage.sr_ratio] * 2)
        shapes |= _layer(f"{name}.attention.self.layer_norm", width)
    shapes |= _layer(f"{name}.mlp.dense1", hidden, width)
    shapes |= _layer(f"{name}.mlp.dwconv.dwconv", hidden, 1, 3, 3)
    return shapes | _layer(f"{name}.mlp.dense2", width, hidden)


def _activation(name: str, i: int, stage: Stage) -> dict[str, Shape]:
    """The weights of an activation that has some."""
    leaves = _ACTIVATION_WEIGHTS.get(name, {})
    return {
        f"glpn.encoder.block.{i}.{j}.mlp.intermediate_act_fn.{leaf}": shape
        for j in range(stage.depth)
        for leaf, shape in leaves.items()
    }


def _fusion(name: str, width: int) -> dict[str, Shape]:
    shapes = _layer(f"{name}3", 2, width // 2, 3, 3)
    for layer, (out, into) in enumerate(((width, 2 * width), (width // 2, width)), start=1):
        shapes |= _layer(f"{name}{layer}.0", out, into, 3, 3) | _layer(f"{name}{layer}.1", out)
        shapes |= {f"{name}{layer}.1.{leaf}": (out,) for leaf in ("running_mean", "running_var")}
        shapes[f"{name}{layer}.1.num_batches_tracked"] = ()
    return shapes


def inferred_fields(shapes: Mapping[str, Shape], *, source: str) -> dict[str, object]:
    """The fields of GLPNConfig that follow from the shapes of a checkpoint's tensors.

    The number of attention heads, the activation and max_depth do not follow from shapes.

    Args:
        shapes: tensor shapes by their names on disk; the decoder may be missing.
        source: the file, for messages.

    Raises:
        CheckpointError: a required tensor is missing or has another number of axes.
    """

    def shape(name: str, axes: int) -> Shape:
        found = shapes.get(name)
        if found is None or len(found) != axes or 0 in found:
            got = "none" if found is None else list(found)
            raise CheckpointError(f"{source}: {name}: expected {axes} axes, got {got}")
        return found

    embeds = [shape(f"glpn.encoder.patch_embeddings.{i}.proj.weight", 4) for i in range(4)]
    widths = [embed[0] for embed in embeds]
    blocks = [f"glpn.encoder.block.{i}.0" for i in range(4)]
    hidden = [shape(f"{block}.mlp.dense1.weight", 2)[0] for block in blocks]
    kernels = [f"{block}.attention.self.sr.weight" for block in blocks]
    fields: dict[str, object] = {
        "num_channels": embeds[0][1],
        "patch_sizes": [embed[2] for embed in embeds],
        "hidden_sizes": widths,
        "depths": _depths(shapes),
        "mlp_ratios": [_ratio(a, b) for a, b in zip(hidden, widths, strict=True)],
        "sr_ratios": [shape(kernel, 4)[2] if kernel in shapes else 1 for kernel in kernels],
    }
    if "head.head.0.weight" in shapes:
        fields["decoder_hidden_size"] = shape("head.head.0.weight", 4)[0]
        fused = any(name.startswith("decoder.stages.1.fusion.") for name in shapes)
        fields["fusion"] = "selective" if fused else "sum"
    return fields


def _depths(shapes: Mapping[str, Shape]) -> list[int]:
    depths = [0] * 4
    for match in filter(None, map(_BLOCK.match, shapes)):
        i, j = map(int, match.groups())
        depths[i] = max(depths[i], j + 1)
    return depths


def _ratio(hidden: int, width: int) -> float:
    """A whole ratio as an int, as `config.json` files have it."""
    return hidden // width if hidden % width == 0 else hidden / width
