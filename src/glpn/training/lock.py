"""One writer per run: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glpn.errors import CannotCreateOutput
from glpn.files import require_writable_folder

LOCK_NAME = "lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder, made if need be, for this process alone.

    Raises:
        CannotCreateOutput: another process holds it; the message gives its number. Or the folder
            cannot be made.
    """
    require_writable_folder(folder)
    with (folder / LOCK_NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise CannotCreateOutput(f"{folder}: process {holder} is training there") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
