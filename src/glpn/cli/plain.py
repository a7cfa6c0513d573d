"""`glpn predict` in plain words: its common options, read without typer.

To load typer (with pydantic) and to declare every verb takes longer than to predict a photograph.
What is not plain (another option, a value that may be wrong, a call for help) is left to typer, so
that refusals and their messages have one place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from glpn.cli.predicting import Wishes


class _NotPlainError(Exception):
    """Typer has to read this."""


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    if os.path.exists(value) and not os.access(value, os.R_OK):
        raise _NotPlainError  # typer says so
    return Path(value)


def _number(value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        raise _NotPlainError
    return float(value)


def _count(value: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", value):
        raise _NotPlainError
    return int(value)


# Option → the field of `Wishes` and how its value is read; a tuple of values where it may be
# repeated.
_VALUES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "-o": ("output", _path),
    "--output": ("output", _path),
    "-m": ("model", _text),
    "--model": ("model", _text),
    "--format": ("format", _text),
    "--colormap": ("colormap", _text),
    "--scale": ("scale", _number),
    "--focal": ("focal", _number),
    "--fov": ("fov", _number),
    "--max-depth": ("max_depth", _number),
    "--threads": ("threads", _count),
    "--at": ("at", _text),
    "--between": ("between", _text),
}
_REPEATED = ("at", "between")
_FLAGS = {
    "--overwrite": "overwrite",
    "--recursive": "recursive",
    "-r": "recursive",
    "--json": "as_json",
    "--quiet": "quiet",
    "-q": "quiet",
}


def read(arguments: Sequence[str]) -> Wishes | None:
    """What a plain call of `glpn predict` wishes for, as typer would read it.

    Args:
        arguments: of `glpn`, the verb first.

    Returns:
        None where it is another verb's, or not plain.
    """
    if list(arguments[:1]) != ["predict"]:
        return None
    photos: list[str] = []
    fields: dict[str, Any] = {}
    rest = iter(arguments[1:])
    try:
        for word in rest:
            if word in _FLAGS:
                fields[_FLAGS[word]] = True
            elif word in _VALUES:
                field, convert = _VALUES[word]
                value = convert(_word(next(rest, "")))
                fields[field] = (*fields.get(field, ()), value) if field in _REPEATED else value
            else:
                photos.append(word if word == "-" else _word(word))
    except _NotPlainError:
        return None
    return Wishes(photos, **fields) if photos else None


def _word(text: str) -> str:
    """The text, if it is neither empty nor an option, and any program can print it."""
    if not text or text[0] == "-" or any("\ud800" <= c <= "\udfff" for c in text):
        raise _NotPlainError
    return text
