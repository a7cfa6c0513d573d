"""Muon: every matrix moves along its orthogonalised gradient; all other parameters use AdamW.

K. Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024. The length of a
step follows J. Liu et al., Muon is scalable for LLM training, 2025, section 2.2: it is that of a
typical AdamW step, so the learning rate of AdamW can stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_LENGTH = 0.2  # root mean square of a step of AdamW at rate 1
_SMALLEST = 16  # rows and columns of a matrix worth orthogonalising
_ITERATION = (3.4445, -4.7750, 2.0315)  # coefficients of x, x³ and x⁵
_ITERATIONS = 5


class Muon(torch.optim.AdamW):
    """Muon for the groups with `matrices`, AdamW for the others.

    A convolution counts as one matrix with a row for each output channel.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], **settings: Any) -> None:
        super().__init__([{"matrices": False, **group} for group in groups], **settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient. The matrices' gradients are used up."""
        for group in self.param_groups:
            if group["matrices"]:
                self._move(group)
        super().step(closure)

    def _move(self, group: dict[str, Any]) -> None:
        alike: dict[tuple[int, ...], list[tuple[nn.Parameter, Tensor]]] = {}
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            direction = self._direction(parameter, parameter.grad).flatten(1)
            alike.setdefault(tuple(direction.shape), []).append((parameter, direction))
            parameter.grad = None
        for shape, pairs in alike.items():
            moves = orthogonalised(torch.stack([direction for _, direction in pairs]))
            length = group["lr"] * _LENGTH * max(shape) ** 0.5
            for (parameter, _), move in zip(pairs, moves, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(move.reshape(parameter.shape), alpha=length)

    def _direction(self, parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        """The gradient with Nesterov's momentum."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(state["momentum"], _MOMENTUM)


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon moves it: large enough both ways, and not a depthwise convolution."""
    if parameter.ndim < 2 or (parameter.ndim > 2 and parameter.shape[1] == 1):
        return False
    return min(parameter.shape[0], parameter[0].numel()) >= _SMALLEST


def orthogonalised(matrices: Tensor) -> Tensor:
    """Replace all singular values of [K, m, n] by about 1 (between 0.7 and 1.2).

    Newton and Schulz's iteration, with coefficients that converge fast rather than exactly.
    """
    a, b, c = _ITERATION
    upright = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if upright else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if upright else x
