"""Feeding the network: batches on the device, step after step, prepared ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from glpn.data.augment import AugmentConfig, draw, sample_rng
from glpn.data.augment_torch import augment_batch
from glpn.data.sample import Sample, Samples
from glpn.errors import DataError
from glpn.training.order import Share
from glpn.training.reading import Reader, ReaderPool, open_pool

_AHEAD = 3  # steps whose frames are being read while one is computed

Draws = list[tuple[int, int]]  # (epoch, index) each


class Batch(NamedTuple):
    """Frames on the device: pixels float32 [B, 3, H, W] in 0..1, depth in metres [B, H, W]."""

    names: tuple[str, ...]
    pixels: Tensor
    depth: Tensor


class Feed(Protocol):
    """Hands out the parts of every step's batch."""

    def batches(self, first: int, last: int) -> Generator[Sequence[Batch], None, None]:
        """The parts of steps `first` to `last` - 1, in order."""
        ...


class ReadingFeed:
    """Reads and augments frames on the CPU, ahead of time.

    Args:
        reader: reads one frame.
        share: which frames, when.
        device: where the batches go.
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
        """See `Feed`; any error of reading is raised when the step is reached that needs it."""
        steps = iter(range(first, last))
        with open_pool(self._reader, processes=self._processes, threads=self._threads) as pool:
            pending = deque(self._begin(pool, step) for step in islice(steps, _AHEAD))
            while pending:
                parts = [
                    [pool.result(future, index) for future, index in part]
                    for part in pending.popleft()
                ]
                pending.extend(self._begin(pool, step) for step in islice(steps, 1))
                yield [self._batch(items) for items in parts]

    def _begin(self, pool: ReaderPool, step: int) -> list[list[tuple[Future[Sample], int]]]:
        return [
            [(pool.submit(epoch, index), index) for epoch, index in draws]
            for draws in self._share.parts(step)
        ]

    def _batch(self, items: Sequence[Sample]) -> Batch:
        _require_one_size([item.name for item in items], [item.depth.shape for item in items])
        images = torch.from_numpy(np.stack([item.image for item in items]))  # [B, H, W, 3]
        depth = torch.from_numpy(np.stack([item.depth for item in items]))
        if self._device.type == "cuda":
            images, depth = images.pin_memory(), depth.pin_memory()
        pixels = images.to(self._device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        depth = depth.to(self._device, non_blocking=True)
        return Batch(tuple(item.name for item in items), pixels, depth)


class ResidentFeed:
    """Keeps all frames on the device and augments them there, a whole batch at a time.

    Args:
        frames: read once, here; all of one size.
        augment: what is done to them.
        share: which frames, when.
        device: where they are kept.

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
        """See `Feed`."""
        for step in range(first, last):
            yield [self._batch(draws) for draws in self._share.parts(step)]

    def _batch(self, draws: Draws) -> Batch:
        indices = [index for _, index in draws]
        height, width = self._depth.shape[1:]
        seed = self._share.order.seed
        fates = [
            draw(sample_rng(seed, epoch, index), self._augment, size=(height, width))
            for epoch, index in draws
        ]
        chosen = torch.tensor(indices, device=self._depth.device)
        pixels, depth = augment_batch(
            self._images[chosen], self._depth[chosen], fates, self._augment
        )
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        return Batch(tuple(self._names[index] for index in indices), pixels, depth)


def _require_one_size(names: Sequence[str], sizes: Sequence[tuple[int, ...]]) -> None:
    for name, size in zip(names, sizes, strict=True):
        if size != sizes[0]:
            raise DataError(
                f"{name}: {size} (height, width) where {names[0]} has {sizes[0]}: frames of one "
                "batch need one size; set augment.crop"
            )
