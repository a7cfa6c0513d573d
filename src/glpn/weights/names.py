"""The table of tensor names: in memory, on disk (Hugging Face) and in the authors' files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple, TypeVar

from glpn.errors import CheckpointError

Form = Literal["memory", "disk", "authors"]
_T = TypeVar("_T")

# The prefix of the encoder's names within the whole network, in memory and on disk.
ENCODER_PREFIX = "glpn."


class _Rule(NamedTuple):
    """A module's name in each form: {i} stage, {n} = {i} + 1, {j} block; "" means no name."""

    memory: str
    disk: str
    authors: str


# The authors keep key and value in one matrix, `attn.kv`. The code splits it into `attn.k` and
# `attn.v` before it looks names up here.
_RULES = (
    _Rule(
        "encoder.stages.{i}.embed.proj",
        "encoder.patch_embeddings.{i}.proj",
        "encoder.patch_embed{n}.proj",
    ),
    _Rule(
        "encoder.stages.{i}.embed.norm",
        "encoder.patch_embeddings.{i}.layer_norm",
        "encoder.patch_embed{n}.norm",
    ),
    _Rule("encoder.stages.{i}.norm", "encoder.layer_norm.{i}", "encoder.norm{n}"),
    *(
        _Rule(
            f"encoder.stages.{{i}}.blocks.{{j}}.{memory}",
            f"encoder.block.{{i}}.{{j}}.{disk}",
            f"encoder.block{{n}}.{{j}}.{authors}" if authors else "",
        )
        for memory, disk, authors in (
            ("norm1", "layer_norm_1", "norm1"),
            ("attention.query", "attention.self.query", "attn.q"),
            ("attention.key", "attention.self.key", "attn.k"),
            ("attention.value", "attention.self.value", "attn.v"),
            ("attention.reduce", "attention.self.sr", "attn.sr"),
            ("attention.reduce_norm", "attention.self.layer_norm", "attn.norm"),
            ("attention.output", "attention.output.dense", "attn.proj"),
            ("norm2", "layer_norm_2", "norm2"),
            ("ffn.expand", "mlp.dense1", "mlp.fc1"),
            ("ffn.depthwise", "mlp.dwconv.dwconv", "mlp.dwconv.dwconv"),
            ("ffn.activation", "mlp.intermediate_act_fn", ""),  # only some have weights
            ("ffn.shrink", "mlp.dense2", "mlp.fc2"),
        )
    ),
    _Rule("decoder.stages.0.project", "decoder.stages.0.convolution", "decoder.bot_conv"),
    _Rule("decoder.stages.1.project", "decoder.stages.1.convolution", "decoder.skip_conv1"),
    _Rule("decoder.stages.2.project", "decoder.stages.2.convolution", "decoder.skip_conv2"),
    _Rule("decoder.stages.3.project", "decoder.stages.3.convolution", ""),
    *(
        _Rule(
            f"decoder.stages.{{i}}.fusion.{memory}",
            f"decoder.stages.{{i}}.fusion.{disk}",
            f"decoder.fusion{{i}}.{authors}",
        )
        for memory, disk, authors in (
            ("conv1", "convolutional_layer1.0", "conv1.0"),
            ("norm1", "convolutional_layer1.1", "conv1.1"),
            ("conv2", "convolutional_layer2.0", "conv2.0"),
            ("norm2", "convolutional_layer2.1", "conv2.1"),
            ("conv3", "convolutional_layer3", "conv3"),
        )
    ),
    _Rule("head.conv1", "head.head.0", "last_layer_depth.0"),
    _Rule("head.conv2", "head.head.2", "last_layer_depth.2"),
)


@cache
def _patterns(form: Form) -> tuple[tuple[re.Pattern[str], _Rule], ...]:
    """Each rule, with the expression that matches its names in one form."""
    compiled = []
    for rule in _RULES:
        template: str = getattr(rule, form)
        if template:
            expression = re.sub(r"\\\{(\w)\\\}", r"(?P<\1>[0-9]{1,4})", re.escape(template))
            compiled.append((re.compile(expression + r"\.(?P<leaf>\w+)"), rule))
    return tuple(compiled)


def rename(name: str, *, source: Form, target: Form) -> str | None:
    """A tensor's name in another form, with its prefix "glpn."; None if the table lacks it."""
    prefix = ENCODER_PREFIX if name.startswith(ENCODER_PREFIX) else ""
    for pattern, rule in _patterns(source):
        match = pattern.fullmatch(name, len(prefix))
        template: str = getattr(rule, target)
        if match and template:
            found = match.groupdict()
            n = found.get("n")
            i = int(n) - 1 if n is not None else int(found.get("i") or 0)
            return f"{prefix}{template.format(i=i, n=i + 1, j=found.get('j'))}.{found['leaf']}"
    return None


def to_memory_names(state: Mapping[str, _T], *, prefix: str) -> dict[str, _T]:
    """A file's tensors under the names in memory; names that the table lacks do not change.

    Args:
        state: tensors under the Hugging Face names.
        prefix: "" for the whole network; "glpn." for only the encoder. Names in the encoder's file
            may lack the prefix; tensors of the decoder and the head are ignored.

    Raises:
        CheckpointError: two names mean the same tensor.
    """
    renamed: dict[str, _T] = {}
    for name, tensor in state.items():
        if prefix and name.startswith(("decoder.", "head.")):
            continue
        memory = (rename(name, source="disk", target="memory") or name).removeprefix(prefix)
        if memory in renamed:
            raise CheckpointError(f"two tensors are {name!r} under different names")
        renamed[memory] = tensor
    return renamed


def to_disk_names(state: Mapping[str, _T], *, prefix: str) -> dict[str, _T]:
    """A module's tensors under the Hugging Face names of the whole network.

    Args:
        state: tensors under the names in memory.
        prefix: prefix of this module's names within the whole network ("" or "glpn.").
    """
    return {_disk_name(prefix + name): tensor for name, tensor in state.items()}


def _disk_name(name: str) -> str:
    return rename(name, source="memory", target="disk") or name


def require_match(
    state: Mapping[str, _T], expected: Mapping[str, tuple[int, ...]], *, source: str
) -> None:
    """Reject weights whose names or shapes differ from those of the model.

    Args:
        state: tensors (anything with a `shape`) under the names in memory.
        expected: shape of each tensor of the model, under the names in memory.
        source: the folder or hub id, for the message.

    Raises:
        CheckpointError: counts, and the first five of each kind under their names on disk.
    """
    shapes = {name: tuple(getattr(tensor, "shape", ())) for name, tensor in state.items()}
    misshapen = [
        f"{_disk_name(name)} {list(shapes[name])} instead of {list(wanted)}"
        for name, wanted in expected.items()
        if name in shapes and shapes[name] != tuple(wanted)
    ]
    kinds = {
        "missing": [_disk_name(name) for name in expected if name not in shapes],
        "unexpected": [_disk_name(name) for name in shapes if name not in expected],
        "wrong shape": misshapen,
    }
    problems = [f"{len(names)} {kind}: {_first(names)}" for kind, names in kinds.items() if names]
    if problems:
        raise CheckpointError(
            f"{source}: the weights do not fit the configuration: {'; '.join(problems)}"
        )


def _first(names: list[str], count: int = 5) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
