"""Which frames make up which step: a function of the seed and the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glpn.errors import ConfigError

_ORDER = 1  # keeps the order's random numbers apart from the augmentation's of the same seed

Draw = tuple[int, int]  # (epoch, index of the frame)


@dataclass(frozen=True)
class Sampler:
    """The frames of one dataset, shuffled anew in every epoch and cut into batches.

    A batch may hold the last frames of one epoch and the first of the next. No frame is left out,
    and there may be fewer frames than a batch holds.

    Attributes:
        frames: number of frames.
        batch: frames of this dataset in every batch.
        seed: of the run.
        first: index of the first frame among those of all datasets.
    """

    frames: int
    batch: int
    seed: int
    first: int = 0

    def steps(self, epochs: int) -> int:
        """Updates after which every frame has been seen `epochs` times."""
        return math.ceil(self.frames * epochs / self.batch)

    def epoch(self, step: int) -> float:
        """Passes over the frames after `step` updates."""
        return step * self.batch / self.frames

    def ends_epoch(self, step: int) -> bool:
        """Whether the last of `step` updates completed a pass."""
        return step > 0 and math.floor(self.epoch(step)) > math.floor(self.epoch(step - 1))

    def draws(self, step: int) -> list[Draw]:
        """(epoch, index of the frame) for each place in the batch of the update after `step`."""
        first = step * self.batch
        places = (divmod(place, self.frames) for place in range(first, first + self.batch))
        return [(epoch, self.first + int(_shuffled(self, epoch)[place])) for epoch, place in places]


@dataclass(frozen=True)
class Share:
    """The frames that one of several processes reads, with every batch cut into parts.

    Every part holds frames of every dataset. The processes' shares of a part, in the order of their
    ranks, are the whole part.

    Raises:
        ConfigError: a batch cannot be cut evenly.
    """

    samplers: tuple[Sampler, ...]
    accumulate: int = 1
    rank: int = 0
    processes: int = 1

    def __post_init__(self) -> None:
        pieces = self.accumulate * self.processes
        for sampler in self.samplers:
            if sampler.batch % pieces:
                raise ConfigError(
                    f"loop.batch: {sampler.batch} frames cannot be shared by {self.processes} "
                    f"processes in {self.accumulate} parts; expected a multiple of {pieces}"
                )

    def parts(self, step: int) -> list[list[Draw]]:
        """For each part, the (epoch, index) of this process's frames, dataset by dataset."""
        parts: list[list[Draw]] = [[] for _ in range(self.accumulate)]
        for sampler in self.samplers:
            draws = sampler.draws(step)
            each = len(draws) // (self.accumulate * self.processes)
            for number, part in enumerate(parts):
                first = (number * self.processes + self.rank) * each
                part.extend(draws[first : first + each])
        return parts

    def source(self, index: int) -> int:
        """The number of the dataset that a frame belongs to."""
        firsts = [sampler.first for sampler in self.samplers]
        return max(number for number, first in enumerate(firsts) if first <= index)


def consecutive(counts: Sequence[tuple[int, int]], seed: int) -> tuple[Sampler, ...]:
    """Samplers of datasets whose frames are numbered one after another.

    Args:
        counts: (frames, frames in every batch) of each dataset.
        seed: of the run.
    """
    samplers, first = [], 0
    for frames, batch in counts:
        samplers.append(Sampler(frames, batch, seed, first))
        first += frames
    return tuple(samplers)


@lru_cache(maxsize=32)
def _shuffled(sampler: Sampler, epoch: int) -> NDArray[np.int64]:
    # The first dataset's key is the shortest, so that a run on one dataset has the same order as
    # before there were mixes.
    key = (sampler.seed, epoch, _ORDER, *((sampler.first,) if sampler.first else ()))
    return np.random.default_rng(key).permutation(sampler.frames)
