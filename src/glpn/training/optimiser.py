"""The optimiser: which parameters learn, how fast each, and which of them decay."""

from __future__ import annotations

import re

import torch
from torch import nn

from glpn.errors import ConfigError
from glpn.network.model import GLPNForDepthEstimation
from glpn.training.options import OptimiserOptions

_ENCODER_PART = re.compile(r"glpn\.encoder\.stages\.(\d+)\.(embed|blocks|norm)(?:\.(\d+))?")


def build_optimiser(
    network: GLPNForDepthEstimation, options: OptimiserOptions
) -> torch.optim.Optimizer:
    """The optimiser over all parameters that are not frozen; frozen ones stop needing gradients.

    Raises:
        ConfigError: a prefix to freeze fits no parameter, or all of them.
    """
    _freeze(network, options.freeze)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            scale = options.layer_decay ** _blocks_above(name, network.config.depths)
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
    if not groups:
        raise ConfigError(f"optimiser.freeze: {', '.join(options.freeze)} leaves nothing to learn")
    kind = torch.optim.AdamW if options.kind == "adamw" else torch.optim.Adam
    return kind(
        [
            {"params": parameters, "scale": scale, "weight_decay": decay}
            for (scale, decay), parameters in groups.items()
        ],
        betas=options.betas,
        eps=options.eps,
        fused=True,
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]


def _freeze(network: nn.Module, prefixes: tuple[str, ...]) -> None:
    names = [name for name, _ in network.named_parameters()]
    for prefix in prefixes:
        if not any(_under(name, prefix) for name in names):
            raise ConfigError(
                f"optimiser.freeze: no parameter is called {prefix!r}…; they are {names[0]}, …, "
                f"{names[-1]}"
            )
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(_under(name, prefix) for prefix in prefixes))


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _blocks_above(name: str, depths: tuple[int, ...]) -> int:
    """How many encoder blocks lie above this parameter's, itself counted; 0 for the decoder."""
    match = _ENCODER_PART.match(name)
    if match is None:
        return 0
    stage, part, block = int(match[1]), match[2], match[3]
    inside = {"embed": 0, "norm": depths[stage] - 1}.get(part, int(block or 0))
    return sum(depths[stage:]) - inside
