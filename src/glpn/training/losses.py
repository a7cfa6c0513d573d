"""The loss of a batch, dataset by dataset, as sums that processes can add up."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from glpn.network.loss import log_difference_sums, silog_from_sums
from glpn.training.options import MixOptions

_EDGE_STRIDES = (1, 2, 4, 8)  # Ranftl et al. 2020 (MiDaS), equation 11: four scales
_EDGE_SUMS = 2 * len(_EDGE_STRIDES)
_LEAST_DEPTH = 1e-3  # metres; keeps logarithms and 1 / depth finite


def batch_sums(
    prediction: Tensor, target: Tensor, sources: Sequence[int], datasets: Sequence[MixOptions]
) -> Tensor:
    """Everything that the loss needs from some frames, as sums over pixels or frames.

    Adding the sums of two processes gives the sums of both together.

    Args:
        prediction: metres [B, H, W].
        target: metres [B, H, W], 0 = unknown.
        sources: dataset of each frame.
        datasets: options of each dataset.

    Returns:
        [D, 3 + 2 + 8]: of each dataset, the sums of SiLog, of the scale-and-shift invariant error
        and of the edge errors. Sums that the options do not need are 0.
    """
    rows = []
    for number, options in enumerate(datasets):
        own = _of_source(prediction, target, sources, number)
        rows.append(_dataset_sums(*own, options))
    return torch.stack(rows)


def loss_from_sums(sums: Tensor, datasets: Sequence[MixOptions]) -> Tensor:
    """The loss of the frames that `batch_sums` describes: each dataset counts by its share."""
    batch = sum(options.count for options in datasets)
    total: Tensor | None = None
    for row, options in zip(sums.unbind(), datasets, strict=True):
        silog, invariant, edges = row[:3], row[3:5], row[5:]
        loss = silog_from_sums(silog)
        if options.loss == "scale-shift":
            loss = invariant[0] / invariant[1].clamp_min(1)
        if options.edges:
            slopes, pairs = edges.view(2, -1)
            loss = loss + options.edges * (slopes / pairs.clamp_min(1)).sum() / len(slopes)
        loss = loss * (options.weight * options.count / batch)
        total = loss if total is None else total + loss
    if total is None:
        raise ValueError("loss_from_sums: no dataset")
    return total


def invariant_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """Sum over frames of the scale-and-shift invariant error, and the number of frames, as [2].

    1 / depth of either map is aligned by its median and its mean absolute deviation (Ranftl et al.
    2020, MiDaS, equations 5 and 6); the error is the mean absolute difference.

    Args:
        prediction: metres [B, H, W].
        target: metres [B, H, W], 0 = unknown. Frames without a known pixel do not count.
    """
    errors = []
    for own, true in zip(prediction, target, strict=True):
        known = true > 0
        if bool(known.any()):
            aligned = _aligned(own[known]) - _aligned(true[known])
            errors.append(aligned.abs().mean())
    if not errors:
        return torch.stack((prediction.sum() * 0, prediction.new_zeros(())))
    return torch.stack((torch.stack(errors).sum(), prediction.new_tensor(float(len(errors)))))


def edge_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """Sums of the slopes of log(prediction / target), and the numbers of pairs, as [8].

    Ranftl et al. 2020 (MiDaS), equation 11: the slopes should be 0 at four scales. The first four
    values are sums over neighbouring known pixels, and the last four are the numbers of pairs.

    Args:
        prediction: metres [B, H, W].
        target: metres [B, H, W], 0 = unknown.
    """
    known = target > 0
    true = torch.where(known, target, torch.ones_like(target))
    error = prediction.clamp_min(_LEAST_DEPTH).log() - true.log()
    error = torch.where(known, error, torch.zeros_like(error))
    slopes, pairs = [], []
    for stride in _EDGE_STRIDES:
        e, k = error[:, ::stride, ::stride], known[:, ::stride, ::stride]
        across, down = k[:, :, 1:] & k[:, :, :-1], k[:, 1:] & k[:, :-1]
        slopes.append((e.diff(dim=2).abs() * across).sum() + (e.diff(dim=1).abs() * down).sum())
        pairs.append((across.sum() + down.sum()).to(error.dtype) / 2)
    return torch.stack((*slopes, *pairs))


def _dataset_sums(prediction: Tensor, target: Tensor, options: MixOptions) -> Tensor:
    silog = log_difference_sums(prediction, target)
    invariant, edges = silog.new_zeros(2), silog.new_zeros(_EDGE_SUMS)
    if options.loss == "scale-shift":
        invariant = invariant_sums(prediction, target)
    if options.edges:
        edges = edge_sums(prediction, target)
    return torch.cat((silog, invariant, edges))


def _of_source(
    prediction: Tensor, target: Tensor, sources: Sequence[int], number: int
) -> tuple[Tensor, Tensor]:
    """The frames of one dataset, which are neighbours."""
    count = sources.count(number)
    if count == len(sources):
        return prediction, target
    first = sources.index(number) if count else 0
    return prediction[first : first + count], target[first : first + count]


def _aligned(depth: Tensor) -> Tensor:
    disparity = 1 / depth.clamp_min(_LEAST_DEPTH)
    centred = disparity - disparity.median()
    return centred / centred.abs().mean().clamp_min(_LEAST_DEPTH)
