"""The weights with which a training from scratch begins."""

from __future__ import annotations

import torch
from torch import nn

from glpn.network.encoder import Encoder


def initialise(model: nn.Module, std: float) -> None:
    """Weights for training from scratch, in place.

    Linear layers truncated normal; encoder convolutions normal by fan-out; LayerNorm 1 and 0. The
    decoder keeps torch's defaults, as the authors' code does.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Encoder):
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
                    _divide_by_groups(layer)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _divide_by_groups(layer: nn.Conv2d) -> None:
    """Correct the fan-out, which torch counts as if every output saw every input."""
    with torch.no_grad():
        layer.weight *= layer.groups**0.5
