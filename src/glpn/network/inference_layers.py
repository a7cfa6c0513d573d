"""Linear layers and convolutions with fused bias, activation and residual.

Where torch has oneDNN's fused operators they run as one, on weights laid out once; elsewhere (on a
GPU, or without those operators) as the plain operators one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Per activation: oneDNN's name of it and of its algorithm, and torch's function.
_ACTIVATIONS: dict[str, tuple[str, str, Callable[[Tensor], Tensor]]] = {
    "none": ("none", "", lambda x: x),
    "relu": ("relu", "", F.relu),
    "gelu": ("gelu", "none", F.gelu),
    "gelu_new": ("gelu", "tanh", lambda x: F.gelu(x, approximate="tanh")),
    "gelu_pytorch_tanh": ("gelu", "tanh", lambda x: F.gelu(x, approximate="tanh")),
    "silu": ("swish", "", F.silu),
    "swish": ("swish", "", F.silu),
}

# Made for torch.compile: they stay from version to version, but nothing promises it.
_OPERATORS = (
    "_linear_pointwise",
    "_convolution_pointwise",
    "_reorder_linear_weight",
    "_reorder_convolution_weight",
)


def can_fuse(dtype: torch.dtype) -> bool:
    """Whether torch has oneDNN's fused operators here, for this type."""
    backend: Any = torch.backends.mkldnn
    operators: Any = torch.ops.mkldnn
    if not backend.is_available() or not all(hasattr(operators, o) for o in _OPERATORS):
        return False
    if dtype == torch.bfloat16:
        return bool(operators._is_mkldnn_bf16_supported())
    return dtype == torch.float32


class Linear:
    """y = x·Wᵀ + b, plus a residual if one is given."""

    def __init__(self, weight: Tensor, bias: Tensor, *, rows: int, fused: bool) -> None:
        self.weight = weight.contiguous()  # [out, in]
        self.bias = bias.contiguous()
        self.fused = fused
        if fused:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, rows)

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map [..., in] to [..., out]."""
        if not self.fused:
            plain = F.linear(x, self.weight, self.bias)
            return plain if residual is None else plain + residual
        run: Any = torch.ops.mkldnn._linear_pointwise
        y: Tensor
        if residual is None:
            y = run(x, self.weight, self.bias, "none", [], "")
        else:
            y = run(x, residual, self.weight, self.bias, "add")
        return y


class Convolution:
    """A convolution, plus a residual if one is given, then the activation."""

    def __init__(
        self, like: nn.Conv2d, weight: Tensor, bias: Tensor, *, activation: str, fused: bool
    ) -> None:
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias = bias.contiguous()
        self.attribute, self.algorithm, self.function = _ACTIVATIONS[activation]
        self.place: list[Any] = [list(like.padding), list(like.stride), [1, 1], like.groups]
        self.fused = fused
        if fused:
            self.weight = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.place)

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Map [B, in, H, W] to [B, out, H', W'], both channels last in memory."""
        if not self.fused:
            padding, stride, dilation, groups = self.place
            plain = F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
            return self.function(plain if residual is None else plain + residual)
        run: Any = torch.ops.mkldnn._convolution_pointwise
        after: list[Any] = [self.attribute, [], self.algorithm]
        y: Tensor
        if residual is None:
            y = run(x, self.weight, self.bias, *self.place, *after)
        else:
            y = run(x, residual, self.weight, self.bias, *self.place, "add", 1.0, *after)
        return y


class Maker:
    """Makes these layers from those of a model: one type, one layout, fused or plain."""

    def __init__(self, dtype: torch.dtype, *, fused: bool) -> None:
        self.dtype = dtype
        self.fused = fused

    def linear(self, *layers: nn.Linear, rows: int) -> Linear:
        """One product for layers that read the same input; `rows` decides the memory layout."""
        weight = torch.cat([layer.weight for layer in layers]).to(self.dtype)
        bias = torch.cat([layer.bias for layer in layers]).to(self.dtype)
        return Linear(weight, bias, rows=rows, fused=self.fused)

    def convolution(
        self, layer: nn.Conv2d, *, norm: nn.BatchNorm2d | None = None, activation: str = "none"
    ) -> Convolution:
        """A convolution with the BatchNorm after it."""
        weight, bias = folded(layer, norm)
        weight, bias = self._copy(weight), self._copy(bias)
        return Convolution(layer, weight, bias, activation=activation, fused=self.fused)

    def halves(
        self, layer: nn.Conv2d, *, norm: nn.BatchNorm2d, activation: str
    ) -> tuple[Convolution, Convolution]:
        """A convolution of two concatenated maps, as one for each; the second adds the first."""
        weight, bias = folded(layer, norm)
        first, second = self._copy(weight).chunk(2, dim=1)
        bias = self._copy(bias)
        none = torch.zeros_like(bias)
        return (
            Convolution(layer, first, bias, activation="none", fused=self.fused),
            Convolution(layer, second, none, activation=activation, fused=self.fused),
        )

    def norm(self, layer: nn.LayerNorm) -> Norm:
        """A LayerNorm."""
        return Norm(self._copy(layer.weight), self._copy(layer.bias), layer.eps)

    def _copy(self, values: Tensor) -> Tensor:
        return values.detach().to(self.dtype, copy=True)


class Norm:
    """LayerNorm over the last axis."""

    def __init__(self, weight: Tensor, bias: Tensor, eps: float) -> None:
        self.weight, self.bias, self.eps = weight, bias, eps

    def __call__(self, x: Tensor) -> Tensor:
        """Map [..., C] to the same shape."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


def folded(layer: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution and the BatchNorm behind it, as in inference."""
    weight, bias = layer.weight, layer.bias
    assert bias is not None  # noqa: S101 - the network's convolutions all have one
    if norm is None:
        return weight, bias
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None and variance is not None  # noqa: S101 - and its norms statistics
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    return weight * scale[:, None, None, None], (bias - mean) * scale + norm.bias
