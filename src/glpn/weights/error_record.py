"""`errors.json`: the errors of a model's depth on held-out frames, kept in its folder."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from glpn.depth.errors import ErrorCurve
from glpn.errors import CheckpointError, ConfigError
from glpn.files import write_file
from glpn.records import decode, read_json
from glpn.weights.integrity import require_changeable, signing
from glpn.weights.store import ERRORS_NAME, weights_hash

_FORMAT = "glpn-errors-1"


@dataclass(frozen=True)
class _File:
    """The contents of `errors.json`.

    Attributes:
        format: "glpn-errors-1".
        weights_sha256: of the weights that were measured; see `weights_hash`.
        curve: the errors.
    """

    format: str
    weights_sha256: str
    curve: ErrorCurve


def read_errors(folder: Path) -> ErrorCurve | None:
    """The errors of the weights in a model's folder; None if they were not measured.

    Raises:
        CheckpointError: the file is damaged, or contains an impossible value.
    """
    file = folder / ERRORS_NAME
    if not file.is_file():
        return None
    advice = "measure again with `glpn evaluate --write-errors`, or delete it"
    try:
        values = read_json(file)
        if not isinstance(values, dict) or values.get("format") != _FORMAT:
            raise ConfigError(f"{file}: expected the format {_FORMAT!r}")
        record = decode(_File, values, prefix=f"{file}: ")
    except ConfigError as e:
        named = str(e) if str(file) in str(e) else f"{file}: {e}"
        raise CheckpointError(f"{named}: {advice}") from None
    except TypeError:  # raised by the constructor of a record
        raise CheckpointError(f"{file}: a key is missing: {advice}") from None
    same = record.weights_sha256 == weights_hash(folder)
    return record.curve if same else None


def write_errors(folder: Path, curve: ErrorCurve) -> Path:
    """Keep measured errors in a model's folder; returns the path of the file.

    Raises:
        UsageError: the folder belongs to the installed package.
        MissingInput: it contains no weights.
        CannotCreateOutput, OutputFailed: it cannot be written.
    """
    require_changeable(folder)
    record = _File(_FORMAT, weights_hash(folder), curve)
    file = folder / ERRORS_NAME
    with signing(folder, ERRORS_NAME):
        write_file(file, (json.dumps(dataclasses.asdict(record), indent=1) + "\n").encode())
    return file
