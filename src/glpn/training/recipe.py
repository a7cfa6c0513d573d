"""Recipe: one TOML file = one whole run, read into records; `key=value` overrides single keys."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glpn.data.augment import AugmentConfig
from glpn.data.dataset_spec import DatasetSpec
from glpn.errors import ConfigError, GLPNError, MissingInput
from glpn.network.config import GLPNConfig
from glpn.training.options import (
    DataOptions,
    LoopOptions,
    ModelOptions,
    OptimiserOptions,
    RunOptions,
    ScheduleOptions,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_NOTHING = "none"  # TOML has no null; optional keys take this word for it
_FREE_TABLES: Mapping[str, type] = {"model.config": GLPNConfig, "data.folder": DatasetSpec}
_SET_ELSEWHERE = {"augment.max_depth": "it is that of the network: set model.config.max_depth"}
_NO_INFLUENCE = "run"  # the section that does not decide what is learnt


@dataclass(frozen=True)
class Recipe:
    """All that defines a run; the defaults are the published settings for NYU Depth V2."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)
    run: RunOptions = field(default_factory=RunOptions)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that nested mappings describe.

        Raises:
            ConfigError: an unknown key, naming the nearest; a mistyped or impossible value.
        """
        sections = {f.name: _section_type(f.name) for f in dataclasses.fields(cls)}
        built = {}
        for name, table in values.items():
            if name not in sections:
                raise _unknown(name)
            if not isinstance(table, Mapping):
                raise ConfigError(f"{name}: expected a table, got {table!r}")
            built[name] = _section(name, sections[name], table)
        return cls(**built)

    def override(self, changes: Sequence[str]) -> Recipe:
        """A copy with `section.key=value` changes; values are TOML, or else plain text.

        Raises:
            ConfigError: as `from_dict`, or a change that is not of that form.
        """
        values = self.to_dict()
        for change in changes:
            key, equals, text = change.partition("=")
            *path, last = key.strip().split(".")
            if not equals or not path:
                raise ConfigError(f"{change!r}: expected section.key=value")
            table = values
            for name in path:
                table = table.setdefault(name, {})
                if not isinstance(table, dict):
                    raise ConfigError(f"{change!r}: {name!r} is a value, not a table")
            table[last] = _value(text.strip())
        return Recipe.from_dict(values)

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON types."""
        values = dataclasses.asdict(self)
        for key in _SET_ELSEWHERE:
            section, _, name = key.partition(".")
            del values[section][name]
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    def flat(self) -> dict[str, Any]:
        """Dotted key → value, of all settings that decide the result."""
        return {
            f"{section}.{key}": value
            for section, table in self.to_dict().items()
            if section != _NO_INFLUENCE
            for key, value in table.items()
        }

    def hash(self) -> str:
        """SHA-256 (hex) of all settings that decide the result."""
        text = json.dumps(self.flat(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe's TOML file.

    Args:
        path: the file; relative paths in it are relative to the working directory.
        overrides: `section.key=value` each, applied in order.

    Raises:
        MissingInput: there is no such file.
        ConfigError: it is not TOML, a key is unknown (the nearest is named) or a value impossible.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        recipe = Recipe.from_dict(values)
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such recipe") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise ConfigError(f"{path}: not readable as TOML: {e}") from None
    except ConfigError as e:
        raise ConfigError(f"{path}: {e}") from None
    return recipe.override(overrides)


def _section_type(name: str) -> Any:
    return typing.get_type_hints(Recipe)[name]


def _section(name: str, kind: Any, table: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    values = {}
    for key, value in table.items():
        dotted = f"{name}.{key}"
        if dotted in _SET_ELSEWHERE:
            raise ConfigError(f"{dotted}: {_SET_ELSEWHERE[dotted]}")
        if key not in hints:
            raise _unknown(dotted)
        values[key] = _typed(dotted, value, hints[key])
    try:
        return kind(**values)
    except ConfigError:
        raise
    except GLPNError as e:  # AugmentConfig is also called by hand, where it is a usage error
        raise ConfigError(f"{name}: {e}") from None


def _unknown(key: str) -> ConfigError:
    near = difflib.get_close_matches(key, _known_keys(), n=1, cutoff=0)
    return ConfigError(f"unknown key {key!r}: did you mean {near[0]!r}?")


def _known_keys() -> list[str]:
    keys = []
    for section in dataclasses.fields(Recipe):
        keys.append(section.name)
        kind = _section_type(section.name)
        keys += [f"{section.name}.{f.name}" for f in dataclasses.fields(kind)]
    for table, kind in _FREE_TABLES.items():
        keys += [f"{table}.{f.name}" for f in dataclasses.fields(kind)]
    return [key for key in keys if key not in _SET_ELSEWHERE]


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _typed(key: str, value: Any, hint: Any) -> Any:
    """`value` in the type of its field; a list becomes a tuple."""
    choices = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None or value == _NOTHING:
            return None
        return _typed(key, value, next(c for c in choices if c is not type(None)))
    if origin is tuple:
        return _tuple(key, value, choices)
    if origin is not None and issubclass(origin, Mapping):
        return _free_table(key, value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise ConfigError(f"{key}: expected {hint.__name__}, got {value!r}")
    return value


def _tuple(key: str, value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: expected a list, got {value!r}")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise ConfigError(f"{key}: expected {len(kinds)} values, got {value!r}")
    return tuple(_typed(key, item, kind) for item, kind in zip(value, kinds, strict=True))


def _free_table(key: str, value: Any) -> Mapping[str, Any]:
    """A table whose keys are the fields of another record, which the section's own builds."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key}: expected a table, got {value!r}")
    known = {f.name for f in dataclasses.fields(_FREE_TABLES[key])} - {"extra"}
    for name in value:
        if name not in known:
            raise _unknown(f"{key}.{name}")
    return dict(value)
