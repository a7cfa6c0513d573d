"""Hardware: the cores and the instruction sets available to this process."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path


def usable_cores() -> int:
    """CPU cores that this process may use; two hardware threads of one core count once."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text("ascii"))
        except OSError:  # not available in every container
            cores.add(str(cpu))
    return len(cores)


def cpu_features() -> set[str]:
    """The CPU's instruction sets in Linux's spelling; empty on other systems."""
    return set(processor().split())


def processor() -> str:
    """The processor's name and its features."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        return "\n".join(dict.fromkeys(s for s in lines if s.startswith(("model name", "flags"))))
    return f"{platform.machine()} {platform.processor()}"
