"""Small JSON files from anywhere, such as `config.json`: decoded strictly, or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from glpn.errors import ConfigError, MissingInput

_DEEPEST = 32  # levels of nesting


def read_json(path: str | Path) -> Any:
    """Decode a small JSON file; duplicate keys, NaN and deep nesting are refused.

    Raises:
        MissingInput: there is no such file.
        ConfigError: it is not acceptable JSON; the message names the file.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path}: not readable as UTF-8 text: {e}") from None
    if _nesting(text) > _DEEPEST:
        raise ConfigError(f"{path}: nested more than {_DEEPEST} levels deep")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except ConfigError as e:
        raise ConfigError(f"{path}: {e}") from None
    except ValueError as e:
        raise ConfigError(f"{path}: not valid JSON: {e}") from None


def _nesting(text: str) -> int:
    """Deepest bracket level; brackets inside strings only make the count larger."""
    depth = deepest = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ConfigError(f"duplicate key {key!r}")
        values[key] = value
    return values


def _no_constant(name: str) -> float:
    raise ConfigError(f"{name} is not a number that a configuration may hold")
