"""Which frames make up which step: a function of the seed and the step alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glpn.errors import ConfigError

_ORDER = 1  # sets the order's random numbers apart from the augmentation's of the same seed


@dataclass(frozen=True)
class Order:
    """The frames one after another, epoch after epoch, shuffled anew in each; cut into batches.

    A batch may hold the last frames of one epoch and the first of the next: no frame is ever left
    out, and fewer frames than a batch are possible.
    """

    frames: int
    batch: int
    seed: int

    def steps(self, epochs: int) -> int:
        """Updates after which every frame has been seen `epochs` times."""
        return math.ceil(self.frames * epochs / self.batch)

    def epoch(self, step: int) -> float:
        """Passes over the frames after `step` updates."""
        return step * self.batch / self.frames

    def ends_epoch(self, step: int) -> bool:
        """Whether a pass was completed by the last of `step` updates."""
        return step > 0 and math.floor(self.epoch(step)) > math.floor(self.epoch(step - 1))

    def draws(self, step: int) -> list[tuple[int, int]]:
        """(epoch, index of the frame) of each place in the batch of the update after `step`."""
        first = step * self.batch
        places = (divmod(place, self.frames) for place in range(first, first + self.batch))
        return [(epoch, int(_shuffled(self, epoch)[place])) for epoch, place in places]


@dataclass(frozen=True)
class Share:
    """What one of several processes reads of every batch, cut into `accumulate` parts.

    Part by part the processes' shares, in the order of their ranks, are the batch.

    Raises:
        ConfigError: the batch cannot be cut so.
    """

    order: Order
    accumulate: int = 1
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        pieces = self.accumulate * self.processes
        if self.order.batch % pieces:
            raise ConfigError(
                f"loop.batch: {self.order.batch} frames cannot be shared by {self.processes} "
                f"processes in {self.accumulate} parts; expected a multiple of {pieces}"
            )

    def parts(self, step: int) -> list[list[tuple[int, int]]]:
        """For each part, the (epoch, index) of this process's frames."""
        draws = self.order.draws(step)
        each = len(draws) // (self.accumulate * self.processes)
        firsts = range(self.rank * each, len(draws), self.processes * each)
        return [draws[first : first + each] for first in firsts]


@lru_cache(maxsize=4)
def _shuffled(order: Order, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng((order.seed, epoch, _ORDER)).permutation(order.frames)
