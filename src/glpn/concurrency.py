"""Threads and signals: ordered parallel maps, prefetching, and a clean reaction to SIGTERM."""

from __future__ import annotations

import queue
import select
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

S = TypeVar("S")
T = TypeVar("T")

MAX_AHEAD = 4  # items per thread that are in progress or wait for a slower one before them
POLL_SECONDS = 0.1  # how often a thread that waits checks whether its reader has left
_END = object()
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_pool = threading.local()  # `leaving`: the event of the pool that the thread belongs to


def map_ordered(
    function: Callable[[S], T], items: Iterable[S], *, threads: int, name: str = "worker"
) -> Generator[T, None, None]:
    """`map(function, items)` in a pool of threads, results in the order of the items.

    Items are taken as they are needed, at most `MAX_AHEAD` per thread before their turn. If the
    generator is closed or `function` raises, no other item starts, and items in progress finish or
    give up in `pause`.

    Args:
        function: called from several threads at a time.
        items: iterated in the caller's thread.
        threads: size of the pool; 0 calls `function` in the caller's thread.
        name: prefix of the threads' names.
    """
    if threads < 1:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor  # not loaded by the command line's help

    waiting: deque[Future[T]] = deque()
    leaving = threading.Event()
    join = partial(setattr, _pool, "leaving", leaving)
    with ThreadPoolExecutor(threads, f"glpn-{name}", join) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= MAX_AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            leaving.set()
            for future in waiting:
                future.cancel()


def pause() -> None:
    """Raise StopRequested in a thread of `map_ordered` whose results nobody awaits any more.

    For places that wait for something outside this process, such as standard input.
    """
    leaving: threading.Event | None = getattr(_pool, "leaving", None)
    if leaving is not None and leaving.is_set():
        raise StopRequested


def accepts_line(stream: TextIO) -> bool:
    """Whether `stream` takes a line without waiting, as a pipe does until it is full.

    True where the system cannot tell.
    """
    try:
        return bool(select.select([], [stream], [], 0)[1])
    except (OSError, ValueError):  # Windows; no file
        return True


def prefetch(items: Iterable[T], *, name: str) -> Generator[T, None, None]:
    """The same items, produced in another thread at most `MAX_AHEAD` before they are needed.

    Close the generator if you leave it early. It then closes `items` too.

    Args:
        items: iterated and closed in the other thread; its errors are raised here.
        name: the thread's name.
    """
    ready: queue.Queue[Any] = queue.Queue(MAX_AHEAD)
    reader_left = threading.Event()

    def put(item: tuple[object, BaseException | None]) -> None:
        while not reader_left.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=POLL_SECONDS)
                return

    def produce() -> None:
        source = iter(items)
        try:
            try:
                while not reader_left.is_set() and (item := next(source, _END)) is not _END:
                    put((item, None))
            finally:
                if isinstance(source, Generator):
                    source.close()
            put((_END, None))
        except BaseException as e:
            put((_END, e))

    thread = threading.Thread(target=produce, name=f"glpn-{name}", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        reader_left.set()
        thread.join()


@contextmanager
def stop_signals(stop: Callable[[int], None], *, once: bool = False) -> Iterator[None]:
    """Call `stop` with the number of each SIGINT or SIGTERM that arrives inside the block.

    Outside the main thread, where Python does not allow signal handlers, it does nothing.

    Args:
        stop: runs between two instructions of the main thread; may raise.
        once: restore the previous handlers after the first signal, so that a second one acts as
            it did before the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[int, Any] = {}

    def restore() -> None:
        while previous:
            signal.signal(*previous.popitem())

    def handle(number: int, _frame: FrameType | None) -> None:
        if once:
            restore()
        stop(number)

    previous.update({number: signal.signal(number, handle) for number in _STOP_SIGNALS})
    try:
        yield
    finally:
        restore()


class StopRequested(Exception):
    """Raised by `pause` and `StopSignals.pause` where work can be given up."""


class StopSignals:
    """Remembers the first SIGINT or SIGTERM inside the context; a second one acts at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._stack = ExitStack()

    def __enter__(self) -> StopSignals:
        self._stack.enter_context(stop_signals(self._remember, once=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pause(self) -> None:
        """Raise StopRequested if a signal came; for places where long work can be given up."""
        if self.received is not None:
            raise StopRequested

    def _remember(self, number: int) -> None:
        self.received = number
