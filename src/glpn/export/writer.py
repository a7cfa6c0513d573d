"""Write an exported network: build it, compare it with torch, then give the file its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.errors import CannotCreateOutput, UsageError
from glpn.export.model_source import Runner, Source
from glpn.export.verify import Report
from glpn.files import atomic_file, require_writable_folder


@dataclass(frozen=True)
class Format:
    """How to write the files of one run time.

    Attributes:
        suffixes: suffixes of the files; users name the first one.
        build: builds the network for this run time.
        encode: that network and its facts → the bytes of each file.
        open: those bytes → the network, ready to run.
    """

    suffixes: tuple[str, ...]
    build: Callable[[Source], Any]
    encode: Callable[[Any, Mapping[str, str]], Sequence[bytes]]
    open: Callable[[Sequence[bytes]], Runner]


def export(
    format: Format,
    source: Source,
    path: Path,
    *,
    verify: Callable[[Runner], Report] | None = None,
    overwrite: bool = False,
) -> Report | None:
    """Write the file or files of a network.

    Args:
        format: the file format.
        source: the model.
        path: ends in the format's first suffix; other files of the format are written beside it.
        verify: compares the result with torch; the report is stored in the file.
        overwrite: replace existing files.

    Raises:
        UsageError: the path has another suffix, or the format cannot hold this model.
        CannotCreateOutput, OutputFailed: a file exists or cannot be written.
        InexactExport: the comparison failed; nothing is written.
    """
    paths = require_free(path, format.suffixes, overwrite=overwrite)
    network = format.build(source)
    facts = source.facts()
    report = None
    if verify is not None:
        report = verify(format.open(format.encode(network, facts)))
        facts["verified"] = report.to_json()
        report.require_exact(str(path))
    contents = format.encode(network, facts)
    with ExitStack() as stack:  # all are on the disk before the first gets its name
        for file, content in zip(paths, contents, strict=True):
            stack.enter_context(atomic_file(file, overwrite=overwrite)).write(content)
    return report


def require_free(path: Path, suffixes: Sequence[str], *, overwrite: bool) -> list[Path]:
    """Check that the files can be written, before minutes of work, and return their paths.

    Raises:
        UsageError: the path has another suffix.
        CannotCreateOutput: a file exists, or the folder cannot be written.
    """
    if path.suffix != suffixes[0] or not path.stem:
        raise UsageError(f"{path}: expected a name that ends in {suffixes[0]}")
    require_writable_folder(path.parent)
    paths = [path.with_suffix(suffix) for suffix in suffixes]
    for file in paths:
        if file.exists() and not overwrite:
            raise CannotCreateOutput(f"{file}: exists already; --overwrite replaces it")
    return paths
