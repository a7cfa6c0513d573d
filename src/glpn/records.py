"""Small JSON and TOML files from anywhere: parsed strictly, then decoded into typed records.

`config.json`, `preprocessor_config.json`, `dataset.toml` and recipes all pass through here, so
duplicate keys, misspelt keys and values of the wrong type are errors everywhere, in the same words.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from glpn.errors import ConfigError, MissingInput

R = TypeVar("R")

NONE = "none"  # TOML has no null; an optional field takes this word for it
_MAX_NESTING = 32  # levels

# Resolved annotations of dataclasses. Resolving takes a millisecond, and a configuration asks for
# every key.
_field_types: dict[type, Mapping[str, Any]] = {}
_MAX_TEXT_BYTES = 64 * 2**20  # the index of a model in many files has some
_MAX_INTEGER = 2**63


def read_json(path: str | Path) -> Any:
    """Decode a small JSON file.

    Refused are duplicate keys, NaN and infinity, integers beyond 64 bits, and deep nesting.

    Raises:
        MissingInput: there is no such file.
        ConfigError: it is not acceptable JSON; the message names the file.
    """
    path = Path(path)
    text = _read_text(path)
    try:
        return parse_json(text)
    except ConfigError as e:
        raise ConfigError(f"{path}: {e}") from None


def parse_json(text: str) -> Any:
    """Decode JSON; refuses what `read_json` refuses.

    Raises:
        ConfigError: it is not acceptable JSON.
    """
    if _nesting(text) > _MAX_NESTING:
        raise ConfigError(f"nested more than {_MAX_NESTING} levels deep")
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except ConfigError:
        raise
    except ValueError as e:
        raise ConfigError(f"not valid JSON: {e}") from None


def read_toml(path: str | Path) -> dict[str, object]:
    """Decode a small TOML file; integers beyond 64 bits and deep nesting are rejected.

    Raises:
        MissingInput: there is no such file.
        ConfigError: it is not acceptable TOML; the message names the file.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    path = Path(path)
    text = _read_text(path)
    try:
        _require_short_keys(text)
        values: dict[str, object] = tomllib.loads(text, parse_float=_float)
        _require_bounded(values)
    except ConfigError as e:
        raise ConfigError(f"{path}: {e}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    except ValueError as e:
        raise ConfigError(f"{path}: not valid TOML: {e}") from None
    return values


def decode(record: type[R], values: object, *, prefix: str = "") -> R:
    """Build a dataclass from a decoded JSON, TOML or YAML object.

    Keys are the names of the record's fields, and their annotations decide the types; see `typed`.

    Args:
        record: a dataclass.
        values: a mapping.
        prefix: what precedes a key in messages, such as "loop.".

    Raises:
        ConfigError: an unknown key (the message names the nearest one), or a value of a wrong type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix.rstrip('.') or 'values'}: expected a table, got {values!r}")
    hints = field_types(record)
    built = {}
    for key, value in values.items():
        if key not in hints:
            raise unknown_key(f"{prefix}{key}", [f"{prefix}{name}" for name in hints])
        built[key] = typed(f"{prefix}{key}", value, hints[key])
    return record(**built)


def field_types(record: type) -> Mapping[str, Any]:
    """Return the types of a dataclass's fields by name, in their order."""
    if record not in _field_types:
        hints = get_type_hints(record)
        known = {field.name: hints[field.name] for field in fields(record)}
        _field_types[record] = MappingProxyType(known)
    return _field_types[record]


def typed(key: str, value: object, hint: Any) -> Any:
    """A decoded value in the type of its field.

    Lists become tuples, and tables become the dataclass that the annotation names. An integer is
    accepted where a float is expected, and a whole float where an integer is expected. TOML has no
    null, so the word "none" stands for None in an optional field.

    Args:
        key: named in messages.
        value: a decoded JSON, TOML or YAML value.
        hint: a resolved annotation: bool, int, float, str, a tuple, a mapping, a dataclass, or a
            union of these and None. A union takes the first of its types that fits.

    Raises:
        ConfigError: the value does not fit.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (Any, object):
        return value
    if origin in (UnionType, Union):
        return _first_that_fits(key, value, arguments)
    if origin is tuple:
        return _tuple(key, value, arguments)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _mistyped(key, "a table", value)
        return {str(name): typed(f"{key}.{name}", v, arguments[1]) for name, v in value.items()}
    if is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value, prefix=f"{key}.")
    return _scalar(key, value, hint)


def unknown_key(key: str, known: Iterable[str]) -> ConfigError:
    """The error for a key that no record has; its message names the nearest known key."""
    return ConfigError(f"unknown key {key!r}: did you mean {nearest_word(key, known, cutoff=0)!r}?")


def nearest_word(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that is most similar to a misspelt one; None if none is similar.

    Args:
        word: the word that the user wrote.
        known: the correct words.
        cutoff: least similarity, from 0 (anything) to 1 (equal).
    """
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def _first_that_fits(key: str, value: object, choices: tuple[Any, ...]) -> Any:
    if NoneType in choices and (value is None or value == NONE):
        return None
    choices = tuple(choice for choice in choices if choice is not NoneType)
    if type(value) in choices:  # keeps 10 an integer and 10.0 a float where both are allowed
        return typed(key, value, type(value))
    for choice in choices[:-1]:
        try:
            return typed(key, value, choice)
        except ConfigError:
            continue
    return typed(key, value, choices[-1])


def _tuple(key: str, value: object, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise _mistyped(key, "a list", value)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise _mistyped(key, f"{len(kinds)} values", value)
    return tuple(typed(key, item, kind) for item, kind in zip(value, kinds, strict=True))


def _scalar(key: str, value: object, kind: type) -> Any:
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    finite = abs(number) <= sys.float_info.max  # false for NaN, too
    if kind is float:
        if not finite:
            raise _mistyped(key, "a finite number", value)
        return float(number)
    if kind is int:
        if not finite or number % 1:
            raise _mistyped(key, "a whole number", value)
        return int(number)
    if not isinstance(value, kind):
        wanted = {str: "a string", bool: "true or false"}.get(kind, kind.__name__)
        raise _mistyped(key, wanted, value)
    return value


def _mistyped(key: str, wanted: str, value: object) -> ConfigError:
    return ConfigError(f"{key}: expected {wanted}, got {reprlib.repr(value)}")


def _read_text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a named pipe could make the reader wait
            raise ConfigError(f"{path}: not a regular file")
        with path.open("rb") as file:
            data = file.read(_MAX_TEXT_BYTES + 1)
        if len(data) > _MAX_TEXT_BYTES:
            raise ConfigError(f"{path}: larger than {_MAX_TEXT_BYTES} bytes")
        return data.decode("utf-8-sig").replace("\r\n", "\n")  # Windows editors add the mark
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except OSError as e:
        raise ConfigError(f"{path}: cannot be read: {e.strerror}") from None
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path}: not readable as UTF-8 text: {e}") from None


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


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in pairs:
        if key in values:
            raise ConfigError(f"duplicate key {key!r}")
        values[key] = value
    return values


def _no_constant(name: str) -> float:
    raise ConfigError(f"{name} is not a number that a configuration may hold")


def _integer(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > _MAX_INTEGER:
        raise ConfigError(f"an integer of {len(text)} digits; the limit is 64 bits")
    return int(text)


def _finite(text: str) -> float:
    number = _float(text)
    if not math.isfinite(number):
        raise ConfigError(f"{text[:20]} is beyond the range of numbers")
    return number


def _float(text: str) -> float:
    if len(text) > 100:
        raise ConfigError(f"a number of {len(text)} digits")
    return float(text)


def _require_short_keys(text: str) -> None:
    """Refuse dotted keys of many parts: tomllib's time grows with the square of their number."""
    for word in re.split(r"[=,\s\[\]{}]+", re.sub(r"[ \t]*\.[ \t]*", ".", text)):
        if word.count(".") > _MAX_NESTING:
            raise ConfigError(f"a key has more than {_MAX_NESTING} parts")


def _require_bounded(value: object) -> None:
    """Refuse integers beyond 64 bits anywhere inside a decoded TOML value."""
    if isinstance(value, dict):
        for item in value.values():
            _require_bounded(item)
    elif isinstance(value, list):
        for item in value:
            _require_bounded(item)
    elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise ConfigError("an integer beyond the limit of 64 bits")
