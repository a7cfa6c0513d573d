"""The learning rate as a function of the step: no state, nothing to save."""

from __future__ import annotations

import math

from glpn.training.options import ScheduleOptions

_RISE = 0.3  # share of the one-cycle schedule that climbs (Smith and Topin 2018)


def learning_rate(options: ScheduleOptions, step: int, *, steps: int) -> float:
    """The rate of one update.

    With s = step / steps:

        published   start + (rate - start) (2s)^power up to s = 1/2, then
                    rate + (end - rate) (2s - 1)^power              (Kim et al. 2022, section 4.1)
        one-cycle   start to rate over the first 0.3, then to end, each by half a cosine
        cosine      rate to end by half a cosine
        constant    rate

    all times (step + 1) / warmup in the first `warmup` steps.

    Args:
        options: the curve.
        step: updates done before this one, 0 to steps - 1.
        steps: updates of the whole run, so that the curve ends where the run does whatever the
            batch and the number of frames.
    """
    rate = _curve(options, step / steps)
    return rate * (step + 1) / options.warmup if step < options.warmup else rate


def _curve(options: ScheduleOptions, s: float) -> float:
    start, peak, end = options.start_rate, options.rate, options.end_rate
    if options.kind == "published":
        if s < 0.5:
            return start + (peak - start) * math.pow(2 * s, options.power)
        return peak + (end - peak) * math.pow(2 * s - 1, options.power)
    if options.kind == "one-cycle":
        if s < _RISE:
            return _half_cosine(start, peak, s / _RISE)
        return _half_cosine(peak, end, (s - _RISE) / (1 - _RISE))
    if options.kind == "cosine":
        return _half_cosine(peak, end, s)
    return peak


def _half_cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2
