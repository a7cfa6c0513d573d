"""Session: start Ray for one job, or join a running cluster."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO, cast
from urllib.parse import urlsplit

from glpn.errors import MissingDependency, UsageError

LOCAL = "local"
_OBJECT_STORE = 200 * 2**20  # bytes; it holds names and results, never images
_PATIENCE = 10.0  # seconds to wait for an address to answer

# Ray reads these variables when it is imported. Values set by the user are kept.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_raylet_start_wait_time_s": "60",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@contextmanager
def session(address: str = LOCAL, *, cpus: int) -> Iterator[None]:
    """Connect to Ray for the duration of the block.

    Args:
        address: "local" starts Ray on this machine, without a dashboard; "auto", HOST:PORT or
            ray://HOST:PORT joins a running cluster.
        cpus: number of CPUs for a local Ray.

    Raises:
        MissingDependency: Ray is not installed.
        UsageError: no Ray answers at the address.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as e:
        raise MissingDependency("batch needs Ray", extra="cluster") from e
    if address != LOCAL:
        _require_answer(address)
    own: dict[str, Any] = {}
    if address == LOCAL:
        own = {"num_cpus": cpus, "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    with _answers_kept():
        try:
            with _silence(), _signals_kept():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as e:
            raise UsageError(f"--ray {address}: Ray does not start, or does not answer: {e}") from e
        try:
            yield
        finally:
            with redirect_stdout(sys.stderr):  # Ray prints its pending messages now
                ray.shutdown()


class _Answers:
    """Standard output for the thread that creates it, standard error for all others."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._own, self._others = sys.stdout, sys.stderr

    def __getattr__(self, name: str) -> Any:
        own = threading.get_ident() == self._thread
        return getattr(self._own if own else self._others, name)


@contextmanager
def _answers_kept() -> Iterator[None]:
    """Keep Ray's messages out of standard output.

    A thread of Ray's driver prints lost machines to it, whatever the settings are.
    """
    if sys.stdout is None:  # closed by the parent process
        yield
        return
    with redirect_stdout(cast(TextIO, _Answers())):
        yield


@contextmanager
def _silence() -> Iterator[None]:
    """Hide the startup messages of Ray's C++ core from standard error; failures still raise."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the SIGTERM handler that Ray replaces: the command line decides how a run ends."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens; Ray itself would wait for minutes."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        if parts.hostname is None or parts.port is None:
            return  # for "auto", Ray finds a cluster or fails at once
        with socket.create_connection((parts.hostname, parts.port), timeout=_PATIENCE):
            return
    except (OSError, ValueError) as e:
        raise UsageError(f"--ray {address}: nothing answers there: {e}") from e
