"""Recipe: one TOML file describes one whole run; `section.key=value` changes single settings."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glpn.data.augment import AugmentConfig
from glpn.data.dataset_spec import DatasetSpec
from glpn.errors import ConfigError, GLPNError, MissingInput
from glpn.network.config import GLPNConfig
from glpn.records import decode, field_types, read_toml, unknown_key
from glpn.training.options import (
    DataOptions,
    LoopOptions,
    ModelOptions,
    OptimiserOptions,
    RunOptions,
    ScheduleOptions,
    TeacherOptions,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Tables whose keys are the fields of a record that the section itself builds.
_FREE_TABLES: Mapping[str, type] = {"model.config": GLPNConfig, "data.folder": DatasetSpec}
_DERIVED = {"augment.max_depth": "it is the network's: set model.config.max_depth"}
_NO_INFLUENCE = "run"  # the only section that does not affect what is learnt


@dataclass(frozen=True)
class Recipe:
    """Everything that defines a run. The defaults are the published settings for NYU Depth V2."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    teacher: TeacherOptions = field(default_factory=TeacherOptions)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimiser: OptimiserOptions = field(default_factory=OptimiserOptions)
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    loop: LoopOptions = field(default_factory=LoopOptions)
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        mix = self.data.mix.values()
        if mix and sum(source.count for source in mix) != self.loop.batch:
            raise ConfigError(
                f"loop.batch: {self.loop.batch} differs from the sum of data.mix.*.count, "
                f"{sum(source.count for source in mix)}"
            )
        if self.teacher.model is None:
            if self.teacher.features:
                raise ConfigError("teacher.features: needs teacher.model")
            if not all(source.labels for source in mix):
                raise ConfigError("data.mix: a dataset without labels needs teacher.model")
        elif self.data.keep == "device":
            raise ConfigError("teacher.model: data.keep=device does not support a teacher")

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Recipe:
        """The recipe that nested mappings describe.

        Raises:
            ConfigError: an unknown key (the message names the nearest one), or a mistyped or
                impossible value.
        """
        _check_keys(values)
        sections = field_types(cls)
        built: dict[str, Any] = {}
        for name, table in values.items():
            try:
                built[name] = decode(sections[name], table, prefix=f"{name}.")
            except ConfigError:
                raise
            except GLPNError as e:  # AugmentConfig serves Python callers, too: a UsageError there
                raise ConfigError(f"{name}: {e}") from None
        return cls(**built)

    def override(self, changes: Sequence[str]) -> Recipe:
        """A copy with `section.key=value` changes. Values are TOML or, failing that, plain text.

        Raises:
            ConfigError: as for `from_dict`, or a change that is not of that form.
        """
        values: dict[str, object] = {**self.to_dict()}
        for change in changes:
            key, equals, text = change.partition("=")
            *path, last = key.strip().split(".")
            if not equals or not path:
                raise ConfigError(f"{change!r}: expected section.key=value")
            table = values
            for name in path:
                inner = table.setdefault(name, {})
                if not isinstance(inner, dict):
                    raise ConfigError(f"{change!r}: {name!r} is a value, not a table")
                table = inner
            table[last] = _value(text.strip())
        return Recipe.from_dict(values)

    def to_dict(self) -> dict[str, dict[str, object]]:
        """Return the settings by section, as JSON types."""
        values = dataclasses.asdict(self)
        for key in _DERIVED:
            section, _, name = key.partition(".")
            del values[section][name]
        plain: dict[str, dict[str, object]] = json.loads(json.dumps(values))
        return plain

    def flat(self) -> dict[str, object]:
        """Return the values of all settings that decide the result, by dotted key."""
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


def read_recipe(source: str | os.PathLike[str], changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: a TOML file, or the name of a recipe that comes with glpn. Relative paths in a
            recipe are relative to the working directory.
        changes: `section.key=value` each, applied in order.

    Raises:
        MissingInput: there is no such file or recipe.
        ConfigError: it is not TOML, a key is unknown (the message names the nearest one) or a value
            is impossible.
    """
    path = find_recipe(source)
    values = read_toml(path)
    try:
        recipe = Recipe.from_dict(values)
    except ConfigError as e:
        raise ConfigError(f"{path}: {e}") from None
    return recipe.override(changes) if changes else recipe


def find_recipe(source: str | os.PathLike[str]) -> Path:
    """The file of a recipe that is given by its path or by its name.

    Raises:
        MissingInput: there is neither such a file nor such a recipe.
    """
    path = Path(source)
    known = bundled_recipes()
    if path.is_file():
        return path
    if str(source) in known:
        return known[str(source)]
    raise MissingInput(
        f"{path}: no such recipe; expected a TOML file or one of {', '.join(sorted(known))}"
    )


def bundled_recipes() -> dict[str, Path]:
    """Return the files of the recipes that come with glpn, by name."""
    folder = Path(__file__).with_name("recipes")
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _check_keys(values: Mapping[str, object]) -> None:
    """Refuse unknown keys here, where all known ones can be searched for the nearest."""
    known = _known_keys()
    for section, table in values.items():
        if section not in known:
            raise unknown_key(section, known)
        if not isinstance(table, Mapping):
            raise ConfigError(f"{section}: expected a table, got {table!r}")
        for key, value in table.items():
            dotted = f"{section}.{key}"
            if dotted in _DERIVED:
                raise ConfigError(f"{dotted}: {_DERIVED[dotted]}")
            if dotted not in known:
                raise unknown_key(dotted, known)
            if dotted in _FREE_TABLES and isinstance(value, Mapping):
                for name in value:
                    if f"{dotted}.{name}" not in known:
                        raise unknown_key(f"{dotted}.{name}", known)


def _known_keys() -> list[str]:
    keys = []
    for section, record in field_types(Recipe).items():
        keys += [section, *(f"{section}.{name}" for name in field_types(record))]
    for table, record in _FREE_TABLES.items():
        keys += [f"{table}.{name}" for name in field_types(record) if name != "extra"]
    return [key for key in keys if key not in _DERIVED]


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
