"""The activation functions of `hidden_act`, with the formulas of transformers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TANH_SCALE = math.sqrt(2 / math.pi)  # Hendrycks and Gimpel 2016 (GELU), section 2
_TANH_CUBIC = 0.044715
_QUICK_SCALE = 1.702  # the same, the approximation by a sigmoid
_LAPLACE_MEAN, _LAPLACE_STD = 0.707107, 0.282095  # Ma et al. 2022 (Mega), section 3.2


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _gelu_by_hand(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(_TANH_SCALE * (x + _TANH_CUBIC * torch.pow(x, 3))))


def _gelu_fast(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(x * _TANH_SCALE * (1 + _TANH_CUBIC * x * x)))


def _laplace(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf((x - _LAPLACE_MEAN) / (_LAPLACE_STD * math.sqrt(2))))


_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_10": lambda x: F.gelu(x).clip(-10, 10),
    "gelu_accurate": _gelu_by_hand,
    "gelu_fast": _gelu_fast,
    "gelu_new": _gelu_tanh,
    "gelu_python": lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2))),
    "gelu_python_tanh": _gelu_by_hand,
    "gelu_pytorch_tanh": _gelu_tanh,
    "hardswish": F.hardswish,
    "laplace": _laplace,
    "leaky_relu": F.leaky_relu,
    "linear": lambda x: x,
    "mish": F.mish,
    "quick_gelu": lambda x: x * torch.sigmoid(_QUICK_SCALE * x),
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "sqrtsoftplus": lambda x: F.softplus(x).sqrt(),
    "swish": F.silu,
    "tanh": torch.tanh,
}


class Function(nn.Module):
    """An activation without weights, known by its name, so that a model can be pickled."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each value."""
        return _FUNCTIONS[self.name](x)


class XIELU(nn.Module):
    """The expanded integral of ELU, with two learned slopes (Huang and Schlag 2024, section 4)."""

    def __init__(self, *, positive: float = 0.8, negative: float = 0.8, beta: float = 0.5) -> None:
        super().__init__()
        self.alpha_p = nn.Parameter(_inverse_softplus(positive))
        self.alpha_n = nn.Parameter(_inverse_softplus(negative - beta))
        self.beta: Tensor
        self.eps: Tensor
        self.register_buffer("beta", torch.tensor(beta, dtype=torch.bfloat16))
        self.register_buffer("eps", torch.tensor(-1e-6, dtype=torch.bfloat16))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function to each value."""
        right = F.softplus(self.alpha_p)
        left = self.beta + F.softplus(self.alpha_n)
        below = (torch.expm1(torch.min(x, self.eps)) - x) * left + self.beta * x
        return torch.where(x > 0, right * x * x + self.beta * x, below)


def _inverse_softplus(value: float) -> Tensor:
    """In bfloat16, as files of transformers have it: [1]."""
    return torch.log(torch.expm1(torch.tensor([value], dtype=torch.bfloat16)))


def make_activation(name: str) -> nn.Module:
    """The activation of this name; "prelu" and "xielu" have weights of their own."""
    if name == "prelu":
        return nn.PReLU()
    return XIELU() if name == "xielu" else Function(name)
