"""Reading and augmenting frames ahead of time, in a thread or in separate processes.

This module does not import torch, so a process that reads frames starts quickly and stays small.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.data.augment import AugmentConfig, Draw, apply, draw, sample_rng
from glpn.data.sample import Sample, Samples
from glpn.errors import DataError
from glpn.processing.resize import nearest

_ASPECT = 3  # keeps the aspect's random numbers apart from the augmentation's of the same seed


class TrainingSample(NamedTuple):
    """One frame as the network gets it.

    `image` is RGB uint8 [H, W, 3]; `depth` is metres [H, W], 0 = unknown; `clean` is the same
    crop of the photo without CutDepth and colour changes, for a teacher.
    """

    name: str
    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    clean: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Reader:
    """Reads and augments one frame: a function of (seed, epoch, index) and the files.

    Attributes:
        frames: the frames of all datasets.
        augment: how they are augmented.
        seed: the run's seed.
        clean: also return the crop for the teacher.
        aspects: (index of the first frame, least and greatest widening) of each dataset whose
            photos are widened; empty if none is.
    """

    frames: Samples
    augment: AugmentConfig
    seed: int
    clean: bool = False
    aspects: tuple[tuple[int, tuple[float, float]], ...] = ()

    def __call__(self, epoch: int, index: int) -> TrainingSample:
        """Read one frame.

        Raises:
            MissingInput, InvalidImage, DataError: it cannot be read or is too small for the crop;
                the message names it.
        """
        sample = self._widened(self.frames[index], epoch, index)
        rng = sample_rng(self.seed, epoch, index)
        try:
            fate = draw(rng, self.augment, size=sample.depth.shape)
            if fate.cut is not None and not sample.depth.any():
                fate = replace(fate, cut=None)  # CutDepth of unknown depth would only be black
            image, depth = apply(sample.image, sample.depth, fate, self.augment)
        except DataError as e:
            raise DataError(f"{sample.name}: {e}") from None
        clean = None
        if self.clean:
            clean, _ = apply(sample.image, sample.depth, _geometry(fate), self.augment)
        return TrainingSample(sample.name, image, depth, clean)

    def _widened(self, sample: Sample, epoch: int, index: int) -> Sample:
        """The sample at a random aspect ratio, if its dataset asks for that."""
        least, most = next((a for first, a in reversed(self.aspects) if first <= index), (1.0, 1.0))
        if least == most == 1:
            return sample
        factor = np.random.default_rng((self.seed, epoch, index, _ASPECT)).uniform(least, most)
        height, width = sample.depth.shape
        size = (height, max(round(width * factor), 1))
        image = Image.fromarray(sample.image).resize(size[::-1], Image.Resampling.BILINEAR)
        return replace(sample, image=np.asarray(image), depth=nearest(sample.depth, size))


def _geometry(fate: Draw) -> Draw:
    """The flip, zoom and crop of a draw."""
    return Draw(flip=fate.flip, zoom=fate.zoom, corner=fate.corner, crop=fate.crop)


class ReaderPool:
    """Reads frames in the background; the caller decides in which order it collects them."""

    def __init__(self, reader: Reader, executor: Executor) -> None:
        self._reader = reader
        self._executor = executor
        self._processes = isinstance(executor, ProcessPoolExecutor)

    def submit(self, epoch: int, index: int) -> Future[TrainingSample]:
        """Begin to read one frame."""
        try:
            if self._processes:
                return self._executor.submit(_read, epoch, index)
            return self._executor.submit(self._reader, epoch, index)
        except BrokenProcessPool:
            raise self._killed(index) from None

    def result(self, future: Future[TrainingSample], index: int) -> TrainingSample:
        """Wait for a frame.

        Raises:
            DataError: the process that read it was killed. Any error of `Reader`.
        """
        try:
            return future.result()
        except BrokenProcessPool:
            raise self._killed(index) from None

    def _killed(self, index: int) -> DataError:
        return DataError(
            "a process that reads frames was killed, perhaps for lack of memory, at about "
            f"{self._reader.frames.names[index]}; lower run.workers or data.short_side"
        )


@contextmanager
def open_pool(reader: Reader, *, processes: int, threads: int = 1) -> Iterator[ReaderPool]:
    """A pool of processes or, if `processes` is 0, of threads. Pending frames are dropped."""
    executor: Executor
    if processes:
        executor = ProcessPoolExecutor(
            processes,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(reader,),
        )
    else:
        executor = ThreadPoolExecutor(threads, "glpn-reader")
    try:
        yield ReaderPool(reader, executor)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


_process_reader: Reader  # set once in each reading process


def _begin(reader: Reader) -> None:
    global _process_reader
    _process_reader = reader
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this process when the one that trains is gone, whatever ended it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _read(epoch: int, index: int) -> TrainingSample:
    return _process_reader(epoch, index)
