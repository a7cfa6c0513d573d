"""What the models return: dictionaries whose items are also attributes and positions.

The records behave like transformers' `ModelOutput`, so that `Trainer`, accelerate and
`torch.jit.trace` handle them: they are real dictionaries and contain only the fields that are not
None.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NoReturn

import torch.utils._pytree as pytree
from torch import Tensor

from glpn.errors import UsageError


class ModelOutput(OrderedDict[str, Any]):
    """A dataclass that is a dictionary: `output.depth`, `output["depth"]` and `output[0]`."""

    def __post_init__(self) -> None:
        values = [(f.name, getattr(self, f.name)) for f in fields(self)]  # type: ignore[arg-type]
        first, rest = values[0][1], values[1:]
        if isinstance(first, Mapping) and all(value is None for _, value in rest):
            # accelerate rebuilds a record from a dictionary of its items.
            values = [(name, first.get(name)) for name, _ in values]
        for name, value in values:
            self[name] = value

    def __setitem__(self, key: str, value: object) -> None:
        super().__setattr__(key, value)
        if value is not None:
            super().__setitem__(key, value)
        elif key in self:
            super().__delitem__(key)

    def __setattr__(self, key: str, value: object) -> None:
        if key in self.keys():
            self[key] = value
        else:
            super().__setattr__(key, value)

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are not None, in order."""
        return tuple(super(ModelOutput, self).__getitem__(key) for key in self)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise UsageError(f"{type(self).__name__}: its items can be set, but not removed")

    __delitem__ = pop = popitem = clear = _refuse

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]


@dataclass
class GLPNModelOutput(ModelOutput):
    """The output of the encoder.

    Attributes:
        last_hidden_state: [B, C4, H/32, W/32].
        hidden_states: four maps [B, C_i, H/4·2^-i, W/4·2^-i], on request.
        attentions: one [B, heads, N, N/sr²] per block, on request.
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class DepthEstimatorOutput(ModelOutput):
    """The output of GLPNForDepthEstimation.

    Attributes:
        loss: scalar SiLog, where labels were given.
        predicted_depth: metres [B, H, W].
        hidden_states, attentions: see GLPNModelOutput; only on request.
    """

    loss: Tensor | None = None
    predicted_depth: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


def _flatten(output: ModelOutput) -> tuple[list[object], pytree.Context]:
    return list(output.values()), list(output.keys())


def _flatten_with_keys(
    output: ModelOutput,
) -> tuple[list[tuple[pytree.KeyEntry, object]], pytree.Context]:
    return [(pytree.MappingKey(key), value) for key, value in output.items()], list(output.keys())


def _register(record: type[ModelOutput]) -> None:
    """Let torch.compile, torch.export and data parallelism see the tensors of a record."""

    def unflatten(values: Iterable[object], context: pytree.Context) -> ModelOutput:
        return record(**dict(zip(context, values, strict=True)))

    pytree.register_pytree_node(
        record,
        _flatten,
        unflatten,
        serialized_type_name=f"{record.__module__}.{record.__qualname__}",
        flatten_with_keys_fn=_flatten_with_keys,
    )


for _record in (GLPNModelOutput, DepthEstimatorOutput):
    _register(_record)
