"""Depth on disk: self-describing formats, written atomically under safe names.

`formats` is the door (what can be written and read), `rasters` and `scenes` hold the formats
themselves, `contents` what every format carries, `paths` the rules about names and folders.
"""

from __future__ import annotations

from glpn.files.contents import Contents
from glpn.files.formats import FORMATS, encode, format_of, label, read, valid_output, write
from glpn.files.paths import atomic_file, output_stems, require_writable_folder, safe_join

__all__ = [
    "FORMATS",
    "Contents",
    "atomic_file",
    "encode",
    "format_of",
    "label",
    "output_stems",
    "read",
    "require_writable_folder",
    "safe_join",
    "valid_output",
    "write",
]
