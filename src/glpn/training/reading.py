"""Reading and augmenting frames beside the training, in a thread or in processes of their own.

No torch here: a process that reads frames starts quickly and stays small.
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
from dataclasses import dataclass
from multiprocessing.connection import wait

from glpn.data.augment import AugmentConfig, augment, sample_rng
from glpn.data.sample import Sample, Samples
from glpn.errors import DataError


@dataclass(frozen=True)
class Reader:
    """Reads and augments; a function of (seed, epoch, index) and the files."""

    frames: Samples
    augment: AugmentConfig
    seed: int

    def __call__(self, epoch: int, index: int) -> Sample:
        """One frame as the network will see it.

        Raises:
            MissingInput, InvalidImage, DataError: it cannot be read or is too small for the crop;
                the message names it.
        """
        sample = self.frames[index]
        rng = sample_rng(self.seed, epoch, index)
        try:
            image, depth = augment(sample.image, sample.depth, rng, self.augment)
        except DataError as e:
            raise DataError(f"{sample.name}: {e}") from None
        return Sample(sample.name, image, depth, sample.scene)


class ReaderPool:
    """Where frames are read: each `submit` gives a future whose order the caller decides."""

    def __init__(self, reader: Reader, executor: Executor) -> None:
        self._reader = reader
        self._executor = executor
        self._processes = isinstance(executor, ProcessPoolExecutor)

    def submit(self, epoch: int, index: int) -> Future[Sample]:
        """Begin to read one frame."""
        try:
            if self._processes:
                return self._executor.submit(_read, epoch, index)
            return self._executor.submit(self._reader, epoch, index)
        except BrokenProcessPool:
            raise self._died(index) from None

    def result(self, future: Future[Sample], index: int) -> Sample:
        """The frame, when it is there.

        Raises:
            DataError: the process that read it died. Any error of `Reader`.
        """
        try:
            return future.result()
        except BrokenProcessPool:
            raise self._died(index) from None

    def _died(self, index: int) -> DataError:
        return DataError(
            "a process that reads frames was killed, for want of memory perhaps, about when "
            f"{self._reader.frames.names[index]} was due; lower run.workers or data.short_side"
        )


@contextmanager
def open_pool(reader: Reader, *, processes: int, threads: int = 1) -> Iterator[ReaderPool]:
    """A pool of processes, or where that is 0 of threads; what is pending at the end is dropped."""
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


_reader_here: Reader  # in a reading process: what it reads with


def _begin(reader: Reader) -> None:
    global _reader_here
    _reader_here = reader
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that trains is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _read(epoch: int, index: int) -> Sample:
    return _reader_here(epoch, index)
