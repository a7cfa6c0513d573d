"""The optimiser: which parameters learn and at what rate; and the average of the weights."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping

import torch
from torch import nn

from glpn.errors import ConfigError
from glpn.network.model import GLPNForDepthEstimation
from glpn.training.muon import Muon, is_matrix
from glpn.training.options import OptimiserOptions, ScheduleOptions

_RISE = 0.3  # share of the one-cycle schedule that climbs (Smith and Topin 2018)
_AVERAGE_WARM_UP = 10  # the average forgets the first weights: decay <= (1 + step) / (10 + step)
_ENCODER_PART = re.compile(r"glpn\.encoder\.stages\.(\d+)\.(embed|blocks|norm)(?:\.(\d+))?")


def build_optimiser(
    parameters: Mapping[str, nn.Parameter], depths: tuple[int, ...], options: OptimiserOptions
) -> torch.optim.Optimizer:
    """The optimiser of all parameters that are not frozen. Frozen ones stop needing gradients.

    Args:
        parameters: the parameters by name.
        depths: encoder blocks per stage.
        options: settings.

    Raises:
        ConfigError: a prefix to freeze matches no parameter, or nothing is left to learn.
    """
    _freeze(parameters, options.freeze)
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        if parameter.requires_grad:
            scale = options.layer_decay ** _blocks_above(name, depths)
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            matrix = options.kind == "muon" and is_matrix(parameter)
            groups.setdefault((scale, decay, matrix), []).append(parameter)
    if not groups:
        raise ConfigError(
            f"optimiser.freeze: {', '.join(options.freeze)}: no parameter is left to train"
        )
    listed = [
        {"params": group, "scale": scale, "weight_decay": decay, "matrices": matrix}
        for (scale, decay, matrix), group in groups.items()
    ]
    if options.kind == "muon":
        return Muon(listed, betas=options.betas, eps=options.eps)
    kind = torch.optim.AdamW if options.kind == "adamw" else torch.optim.Adam
    return kind(listed, betas=options.betas, eps=options.eps, fused=True)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]


def learning_rate(options: ScheduleOptions, step: int, *, steps: int) -> float:
    """The rate of one update. The schedule has no state, so there is nothing to save.

    With s = step / steps and p = peak:

        published   start + (rate - start) (s / p)^power up to s = p, then
                    rate + (end - rate) ((s - p) / (1 - p))^power   (Kim et al. 2022, section 4.1)
        one-cycle   start to rate over the first 0.3, then to end, each along half a cosine
        cosine      rate to end along half a cosine
        constant    rate

    In the first `warmup` steps, the rate is multiplied by (step + 1) / warmup.

    Args:
        options: the curve.
        step: number of earlier updates, 0 to steps - 1.
        steps: updates of the whole run. The curve ends with the run, whatever the batch size and
            the number of frames.
    """
    rate = _curve(options, step / steps)
    return rate * (step + 1) / options.warmup if step < options.warmup else rate


def _curve(options: ScheduleOptions, s: float) -> float:
    start, rate, end = options.start_rate, options.rate, options.end_rate
    if options.kind == "published":
        peak = options.peak
        if s < peak:
            return start + (rate - start) * math.pow(s / peak, options.power)
        return rate + (end - rate) * math.pow((s - peak) / (1 - peak), options.power)
    if options.kind == "one-cycle":
        if s < _RISE:
            return _half_cosine(start, rate, s / _RISE)
        return _half_cosine(rate, end, (s - _RISE) / (1 - _RISE))
    if options.kind == "cosine":
        return _half_cosine(rate, end, s)
    return rate


def _half_cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


class AveragedNetwork:
    """The exponential moving average of a network's weights, as a network in eval mode."""

    def __init__(self, network: GLPNForDepthEstimation, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: GLPNForDepthEstimation, step: int) -> None:
        """Move towards `network` after its update number `step`, counted from 0."""
        share = 1 - min(self._decay, (1 + step) / (_AVERAGE_WARM_UP + step))
        averaged = self.network.state_dict()
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                averaged[name].lerp_(value, share)
            else:
                averaged[name].copy_(value)


def _freeze(parameters: Mapping[str, nn.Parameter], prefixes: tuple[str, ...]) -> None:
    names = list(parameters)
    for prefix in prefixes:
        if not any(_is_under(name, prefix) for name in names):
            raise ConfigError(
                f"optimiser.freeze: no parameter's name begins with {prefix!r}; the names are "
                f"{names[0]}, …, {names[-1]}"
            )
    for name, parameter in parameters.items():
        parameter.requires_grad_(not any(_is_under(name, prefix) for prefix in prefixes))


def _is_under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _blocks_above(name: str, depths: tuple[int, ...]) -> int:
    """Encoder blocks from this parameter's, inclusive, to the top; 0 for the decoder."""
    match = _ENCODER_PART.match(name)
    if match is None:
        return 0
    stage, part, block = int(match[1]), match[2], match[3]
    inside = {"embed": 0, "norm": depths[stage] - 1}.get(part, int(block or 0))
    return sum(depths[stage:]) - inside
