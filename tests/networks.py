"""Random networks that are worth comparing: no statistic is left at its initial value."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from glpn import GLPNConfig, GLPNForDepthEstimation
from glpn.weights import to_memory_names


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Move every weight and BatchNorm statistic away from its initial value, in place."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if not value.is_floating_point():
            continue
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        else:
            value += 0.05 * torch.randn(value.shape, generator=generator)


def twins(
    preset: str, dtype: torch.dtype = torch.float32, **fields: object
) -> tuple[nn.Module, GLPNForDepthEstimation]:
    """The reference implementation and ours, with the same random weights, in eval mode."""
    from transformers import GLPNConfig as ReferenceConfig
    from transformers import GLPNForDepthEstimation as Reference

    config = GLPNConfig.preset(preset, **fields)
    shapes = {"depths": list(config.depths), "hidden_sizes": list(config.hidden_sizes)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = Reference(ReferenceConfig(**shapes, **fields)).eval()
    randomise(reference)
    ours = GLPNForDepthEstimation(config).eval()
    ours.load_state_dict(to_memory_names(reference.state_dict(), prefix=""))
    return reference.to(dtype), ours.to(dtype)


def photograph(
    height: int, width: int, *, batch: int = 1, dtype: torch.dtype = torch.float32, seed: int = 1
) -> Tensor:
    """Smooth structure with edges and a little noise, in 0..1: [batch, 3, height, width]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((batch, 3, 5, 7), generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    smooth[..., height // 3 : height // 2, width // 4 : width // 2] += 0.4
    noise = 0.05 * torch.randn((batch, 3, height, width), generator=generator)
    return (smooth + noise).clamp(0, 1).to(dtype)
