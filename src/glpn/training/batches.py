"""Which frames make up which step, and the batches that hold them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glpn.data.augment import AugmentConfig, draw, sample_rng
from glpn.data.augment_torch import augment_batch
from glpn.data.sample import Samples
from glpn.errors import ConfigError, DataError
from glpn.training.reading import Reader, ReaderPool, TrainingSample, open_pool

_ORDER = 1  # keeps the order's random numbers apart from the augmentation's of the same seed

Draw = tuple[int, int]  # (epoch, index of the frame)


@dataclass(frozen=True)
class Sampler:
    """The frames of one dataset, shuffled anew in every epoch and cut into batches.

    A batch may have the last frames of one epoch and the first of the next. No frame is left out,
    and there may be fewer frames than a batch holds.

    Attributes:
        frames: number of frames.
        batch: frames of this dataset in every batch.
        seed: the run's seed.
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
        seed: the run's seed.
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


_STEPS_AHEAD = 3  # whose frames are read while one step is computed


class Batch(NamedTuple):
    """Frames on the device.

    Attributes:
        names: one per frame.
        pixels: float32 [B, 3, H, W] in 0..1.
        depth: metres [B, H, W], 0 = unknown.
        sources: the number of the dataset of each frame; frames of a dataset are adjacent.
        clean: the pixels without CutDepth and colour changes, where a teacher needs them.
    """

    names: tuple[str, ...]
    pixels: Tensor
    depth: Tensor
    sources: tuple[int, ...]
    clean: Tensor | None = None


class BatchLoader(Protocol):
    """Gives the parts of every step's batch."""

    def batches(self, first: int, last: int) -> Generator[Sequence[Batch], None, None]:
        """The parts of steps `first` to `last` - 1, in order."""
        ...


class ReadingLoader:
    """Reads and augments frames on the CPU, ahead of time.

    Args:
        reader: reads one frame.
        share: decides which frames, and when.
        device: device of the batches.
        processes, threads: see `open_pool`.
    """

    def __init__(
        self,
        reader: Reader,
        share: Share,
        *,
        device: torch.device,
        processes: int = 0,
        threads: int = 1,
    ) -> None:
        self._reader = reader
        self._share = share
        self._device = device
        self._processes = processes
        self._threads = threads

    def batches(self, first: int, last: int) -> Generator[Sequence[Batch], None, None]:
        """See `BatchLoader`. An error of reading is raised at the step that needs the frame."""
        steps = iter(range(first, last))
        with open_pool(self._reader, processes=self._processes, threads=self._threads) as pool:
            pending = deque(self._begin(pool, step) for step in islice(steps, _STEPS_AHEAD))
            while pending:
                parts = [
                    [(pool.result(future, index), index) for future, index in part]
                    for part in pending.popleft()
                ]
                pending.extend(self._begin(pool, step) for step in islice(steps, 1))
                yield [self._batch(items) for items in parts]

    def _begin(self, pool: ReaderPool, step: int) -> list[list[tuple[Future[TrainingSample], int]]]:
        return [
            [(pool.submit(epoch, index), index) for epoch, index in draws]
            for draws in self._share.parts(step)
        ]

    def _batch(self, items: Sequence[tuple[TrainingSample, int]]) -> Batch:
        samples = [sample for sample, _ in items]
        names = tuple(sample.name for sample in samples)
        _require_one_size(names, [sample.depth.shape for sample in samples])
        depth = self._on_device(np.stack([sample.depth for sample in samples]))
        clean = [sample.clean for sample in samples if sample.clean is not None]
        return Batch(
            names,
            self._pixels([sample.image for sample in samples]),
            depth,
            tuple(self._share.source(index) for _, index in items),
            self._pixels(clean) if clean else None,
        )

    def _pixels(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Stack images, [H, W, 3] each, into pixels [B, 3, H, W] in 0..1."""
        return self._on_device(np.stack(images)).permute(0, 3, 1, 2).float() / 255

    def _on_device(self, array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self._device, non_blocking=True)


class ResidentLoader:
    """Keeps all frames on the device and augments a whole batch at a time there.

    Args:
        frames: read once, here; all of the same size.
        augment: how they are augmented.
        share: decides which frames, and when.
        device: device that keeps the frames.

    Raises:
        DataError: the frames differ in size. Any error of reading them.
    """

    def __init__(
        self, frames: Samples, augment: AugmentConfig, share: Share, *, device: torch.device
    ) -> None:
        samples = [frames[index] for index in range(len(frames))]
        self._names = [sample.name for sample in samples]
        _require_one_size(self._names, [sample.depth.shape for sample in samples])
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        self._images = images.permute(0, 3, 1, 2).to(device)  # uint8 [N, 3, H, W]
        self._depth = torch.from_numpy(np.stack([sample.depth for sample in samples])).to(device)
        self._augment = augment
        self._share = share

    def batches(self, first: int, last: int) -> Generator[Sequence[Batch], None, None]:
        """See `BatchLoader`."""
        for step in range(first, last):
            yield [self._batch(draws) for draws in self._share.parts(step)]

    def _batch(self, draws: list[Draw]) -> Batch:
        indices = [index for _, index in draws]
        height, width = self._depth.shape[1:]
        seed = self._share.samplers[0].seed
        fates = [
            draw(sample_rng(seed, epoch, index), self._augment, size=(height, width))
            for epoch, index in draws
        ]
        chosen = torch.tensor(indices, device=self._depth.device)
        pixels, depth = augment_batch(
            self._images[chosen], self._depth[chosen], fates, self._augment
        )
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        names = tuple(self._names[index] for index in indices)
        return Batch(names, pixels, depth, (0,) * len(names))


def _require_one_size(names: Sequence[str], sizes: Sequence[tuple[int, ...]]) -> None:
    for name, size in zip(names, sizes, strict=True):
        if size != sizes[0]:
            raise DataError(
                f"{name}: {size} (height, width), but {names[0]} has {sizes[0]}: frames of one "
                "batch must have the same size; set augment.crop"
            )
