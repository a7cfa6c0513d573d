"""The uncertainty of a depth: how much the predictions of several networks or views disagree.

"flip" compares the photo with its mirror image, "droppath" networks that skip branches at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from glpn.engines.protocol import Engine, StochasticEngine
from glpn.errors import UsageError, require_choice

UNCERTAINTIES = ("flip", "droppath")
_PASSES = 8
_SEED = 0
_RATES = ("drop_path_rate", "hidden_dropout_prob", "attention_probs_dropout_prob")


def require_uncertainty(uncertainty: str | None, engine: Engine) -> None:
    """Refuse an uncertainty that an engine cannot compute.

    Raises:
        UsageError: it is unknown, needs another engine, or the model drops nothing at random.
    """
    if uncertainty is not None:
        require_choice("uncertainty", uncertainty, UNCERTAINTIES)
    if uncertainty != "droppath":
        return
    if not isinstance(engine, StochasticEngine):
        raise UsageError(
            "uncertainty: droppath needs the engine torch; "
            f"this model was opened with {engine.name}"
        )
    if not any(getattr(engine.config, rate) for rate in _RATES):
        raise UsageError(
            f"uncertainty: droppath has nothing to drop: {', '.join(_RATES)} of this model are 0"
        )


def flip_sigma(
    image: NDArray[np.uint8],
    metres: NDArray[np.float32],
    *,
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """One standard deviation in metres, at least 0, from flip disagreement: float32 [H, W].

    sigma = |d(x) - flip(d(flip x))| / sqrt 2. A mirrored room is as likely as the room, so the
    two predictions of a pixel are two samples of the same error. The standard deviation of two
    samples a and b, estimated with n - 1, is |a - b| / sqrt 2. Sigma does not include errors
    that both predictions share, so it is rather a lower bound.

    Args:
        image: RGB uint8 [H, W, 3].
        metres: the prediction for it [H, W].
        predict: image → metres.
    """
    mirrored = predict(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
    sigma: NDArray[np.float32] = np.abs(metres - mirrored) / np.float32(np.sqrt(2))
    return sigma


def stochastic_depths(engine: StochasticEngine, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Eight depths [8, h, w] of pixels [3, h, w], by networks that drop branches at random.

    In each pass the encoder skips residual branches, as in training, and drops activations if the
    configuration has dropout (Gal and Ghahramani 2016). The same photo always has the same depths.
    Their `deviation` shows how much the result depends on single branches, not the errors that all
    of them share.
    """
    return engine.stochastic(pixels[None], _PASSES, seed=_SEED)[:, 0]


def deviation(maps: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Standard deviation with n - 1 of maps [H, W], one at a time in memory (Welford 1962)."""
    mean: NDArray[np.float32] | np.float32 = np.float32(0)
    squares: NDArray[np.float32] | np.float32 = np.float32(0)
    for count, values in enumerate(maps, 1):
        step = values - mean
        mean = mean + step / np.float32(count)
        squares = squares + step * (values - mean)
    return np.asarray(np.sqrt(squares / (count - 1)), np.float32)
