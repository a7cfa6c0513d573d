"""SiLog, GLPN's training loss."""

from __future__ import annotations

import torch
from torch import Tensor

SILOG_LAMBDA = 0.5  # Kim et al. 2022, section 3.5; Eigen et al. 2014, equation 4
_MIN_VARIANCE = 1e-12  # below, a line replaces sqrt and keeps its gradient finite


def silog_loss(prediction: Tensor, target: Tensor, *, weight: float = SILOG_LAMBDA) -> Tensor:
    """Scale-invariant logarithmic error: sqrt(mean d² - λ (mean d)²), d = log(target / prediction).

    Args:
        prediction: metres [B, H, W], positive.
        target: metres, same shape; pixels that are not finite or not above 0 are left out.
        weight: λ; 0.5 as published, 1 ignores the scale altogether.

    Returns:
        A scalar (float32, or float64 for float64), finite with a finite gradient for every input:
        0 at a perfect prediction and where no pixel is valid.
    """
    return silog_from_sums(log_difference_sums(prediction, target), weight=weight)


def log_difference_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """The number of valid pixels, the sum of d and the sum of d², as [3].

    Adding the sums of two sets of pixels gives the sums of both together.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"silog_loss: target has shape {tuple(target.shape)}, "
            f"prediction {tuple(prediction.shape)}"
        )
    prediction = prediction.to(torch.promote_types(prediction.dtype, torch.float32))
    valid = torch.isfinite(target) & (target > 0)
    one = torch.ones((), dtype=prediction.dtype, device=prediction.device)
    tiny = torch.finfo(prediction.dtype).tiny
    log_prediction = prediction.clamp_min(tiny).log()
    difference = torch.where(valid, target.to(prediction.dtype), one).log() - log_prediction
    difference = torch.where(valid, difference, torch.zeros_like(difference))
    count = valid.sum().to(prediction.dtype)
    return torch.stack((count, difference.sum(), difference.square().sum()))


def silog_from_sums(sums: Tensor, *, weight: float = SILOG_LAMBDA) -> Tensor:
    """SiLog from `log_difference_sums`; a scalar."""
    count, total, squares = sums.unbind()
    count = count.clamp_min(1)
    mean = total / count
    variance = squares / count - weight * mean.square()
    root = variance.clamp_min(_MIN_VARIANCE).sqrt()
    line = variance / _MIN_VARIANCE**0.5
    return torch.where(variance > _MIN_VARIANCE, root, line)
