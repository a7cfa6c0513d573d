"""Memory between photographs: a job keeps large blocks for the next one.

The C library gives every array of a few megabytes back to the system and gets the next one page by
page, each cleared: a tenth of the time of a folder's job goes there.
"""

from __future__ import annotations

import ctypes
import functools
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST = 32 * 2**20  # bytes of a block that is kept; glibc takes no more
_KEPT = 128 * 2**20  # bytes that may lie free


@functools.cache
def keep_large_blocks() -> bool:
    """Tell glibc to keep freed blocks, for the whole process; whether that was done.

    The user's own MALLOC_TRIM_THRESHOLD_ and the like no longer count after it. Other C libraries
    are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
