"""Averaged weights: an exponential moving average that is validated and exported in their place."""

from __future__ import annotations

import copy

import torch

from glpn.network.model import GLPNForDepthEstimation

_WARM_UP = 10  # the average forgets its beginning: decay is at most (1 + n) / (10 + n)


class Average:
    """The moving average of a network, as a network of its own in eval mode."""

    def __init__(self, network: GLPNForDepthEstimation, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: GLPNForDepthEstimation, step: int) -> None:
        """Move towards `network`; `step` updates came before the one just made."""
        share = 1 - min(self._decay, (1 + step) / (_WARM_UP + step))
        averaged = self.network.state_dict()
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                averaged[name].lerp_(value, share)
            else:
                averaged[name].copy_(value)
