"""Depth on disk: self-describing formats, written atomically under safe names.

`formats` has the table of formats, each of which has a file of its own; `storage` writes, reads
and recognises files; `contents` is what they all carry; `paths` contains the rules about names and
folders. Importing this package loads neither numpy nor Pillow, so that help texts can list the
formats quickly.
"""

from __future__ import annotations

from glpn.files.formats import FORMATS, Format, format_of
from glpn.files.paths import (
    atomic_file,
    output_stems,
    require_writable_folder,
    safe_join,
    write_file,
)
from glpn.files.storage import encode, fingerprint, label, read, valid_output, write

__all__ = [
    "FORMATS",
    "Format",
    "atomic_file",
    "encode",
    "fingerprint",
    "format_of",
    "label",
    "output_stems",
    "read",
    "require_writable_folder",
    "safe_join",
    "valid_output",
    "write",
    "write_file",
]
