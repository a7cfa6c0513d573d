"""One writer per run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glpn.files import require_writable_folder
from glpn.files.lock import file_lock

LOCK_NAME = "lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder, created if needed, for this process.

    Raises:
        CannotCreateOutput: another process holds it; the message gives its number. Or the folder
            cannot be created.
    """
    require_writable_folder(folder)
    with file_lock(folder / LOCK_NAME, doing="training there"):
        yield
