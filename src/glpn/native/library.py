"""Loads the compiled libraries beside this file: NAME.c has one kernel, `glpn_NAME`."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_SUFFIX = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")


def path(name: str) -> Path:
    """The path of the library that is built from NAME.c."""
    return Path(__file__).with_name(f"_{name}.{_SUFFIX}")


def load(file: Path, name: str, record: type[ctypes.Structure]) -> ctypes.CDLL | None:
    """The library, whose kernel takes a pointer to a record; None if it is not installed."""
    try:
        library = ctypes.CDLL(str(file))
    except OSError:  # not built, or built for another machine
        return None
    getattr(library, f"glpn_{name}_clones").restype = ctypes.c_int32
    kernel = getattr(library, f"glpn_{name}")
    kernel.argtypes = (ctypes.POINTER(record),)
    kernel.restype = None
    return library
