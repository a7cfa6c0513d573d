"""Reduced precision: which engine may compute with fewer bits, and on what evidence.

Reduced precision is available only for weights that were measured: `precision.json` in the model's
folder contains the figures of `glpn precision`. They are compared with the limits below each time a
model is opened, and no option changes these limits.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from glpn import weights
from glpn.engines.hardware import cpu_features
from glpn.engines.protocol import Ranges
from glpn.engines.registry import AUTO, FLOAT32, TABLE, EngineRow
from glpn.errors import CheckpointError, ConfigError, UsageError
from glpn.files import write_file
from glpn.records import decode, read_json

REDUCED = "reduced"
PRECISIONS = (AUTO, FLOAT32, REDUCED)

MAX_MEAN_DEVIATION = 0.01  # mean of |reduced - float32| / float32 over the pixels of real frames
MAX_SCORE_CHANGE = 0.005  # relative change of AbsRel and of δ1 on held-out frames

# Limits of the ranges of a trained network's activations; no measured range is outside them.
MIN_RANGE, MAX_RANGE = 1e-4, 1e4

_FORMAT = "glpn-precision-1"
_INT8_INSTRUCTIONS = {"avx512_vnni", "avx_vnni", "amx_int8"}  # others saturate, or are slow
_BFLOAT16_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Record:
    """Measurements of one reduced precision of one engine with one weights file.

    Attributes:
        weights_sha256: of `model.safetensors`.
        engine, precision: the measured combination.
        version: version of the engine's package.
        data: name of the folder of frames.
        deviation_frames: number of frames behind the mean deviation.
        deviation: mean of |reduced - float32| / float32.
        score_frames: number of frames behind the scores.
        abs_rel, delta1: in float32, then reduced.
        ranges: of 8-bit products: weight's name → smallest and largest value multiplied with it,
            measured on other frames than those above. The deviation and scores depend on them.
    """

    weights_sha256: str
    engine: str
    precision: str
    version: str
    data: str
    deviation_frames: int
    deviation: float
    score_frames: int
    abs_rel: tuple[float, float]
    delta1: tuple[float, float]
    ranges: Ranges | None = None

    def violations(self) -> list[str]:
        """Descriptions of the limits that the record exceeds; empty if it passes."""
        found = []
        if not 0 <= self.deviation <= MAX_MEAN_DEVIATION:
            found.append(f"mean deviation {self.deviation:.2%} (at most {MAX_MEAN_DEVIATION:.0%})")
        for name, (before, after) in (("AbsRel", self.abs_rel), ("δ1", self.delta1)):
            change = abs(after - before) / before if before > 0 else float("inf")
            if not change <= MAX_SCORE_CHANGE:
                found.append(f"{name} changed by {change:.2%} (at most {MAX_SCORE_CHANGE:.1%})")
        if not min(self.deviation_frames, self.score_frames) > 0:
            found.append("no frames")
        if self.precision.startswith("int8") and not self.ranges:
            found.append("no ranges")
        return found


def choose_precision(folder: Path, row: EngineRow, *, asked: str) -> str:
    """The precision in which an installed engine runs a model.

    Args:
        folder: the folder of the model.
        row: the engine.
        asked: one of `PRECISIONS`; "auto" is reduced wherever that is available.

    Raises:
        UsageError: reduced precision is requested and unavailable; the message says what would
            make it available.
        CheckpointError: the precision record is damaged.
    """
    if asked == FLOAT32:
        return FLOAT32
    kinds, obstacle = available_precisions(folder, row)
    if kinds:
        return kinds[0]
    if asked == REDUCED:
        raise UsageError(f"precision='reduced' is unavailable: {obstacle}")
    return FLOAT32


def available_precisions(folder: Path, row: EngineRow) -> tuple[list[str], str]:
    """The reduced precisions that these weights passed and this CPU computes, the fastest first.

    Returns:
        The precisions; or none, and the reason.

    Raises:
        CheckpointError: the precision record is damaged.
    """
    if not row.reduced:
        able = ", ".join(other.name for other in TABLE if other.reduced)
        return [], f"engine {row.name} computes float32 only; use {able} (glpn[openvino])"
    records = {r.precision: r for r in matching_records(folder, row.name)}
    if not records:
        return [], (
            f"{folder}: no measurement of {row.name} with these weights: run "
            f"`glpn precision {folder} --data FRAMES`"
        )
    ordered = _fastest_first(row)
    passed = [kind for kind in ordered if kind in records and not records[kind].violations()]
    if not passed:
        violations = "; ".join(v for record in records.values() for v in record.violations())
        return [], f"{folder}: these weights did not pass: {violations}"
    kinds = [kind for kind in passed if _computes(row, kind)]
    return kinds, "" if kinds else f"this CPU has no {' nor '.join(passed)}"


def computable_precisions(row: EngineRow) -> list[str]:
    """The reduced precisions of an engine that this CPU computes, the fastest first.

    Raises:
        UsageError: there are none.
    """
    kinds = [kind for kind in _fastest_first(row) if _computes(row, kind)]
    if not row.reduced:
        raise UsageError(f"precision: engine {row.name} computes float32 only")
    if not kinds:
        raise UsageError(f"precision: this CPU has no {' nor '.join(row.reduced)}")
    return kinds


def _fastest_first(row: EngineRow) -> list[str]:
    """An engine's reduced precisions; bfloat16 first on CPUs with AMX.

    There it is as fast as products with 8-bit factors, and closer to float32.
    """
    with_amx = "amx_bf16" in cpu_features()
    return sorted(row.reduced, key=lambda kind: with_amx and kind != "bfloat16")


def multiplies_8_bits() -> bool:
    """Whether this CPU has fast instructions for 8-bit products."""
    return bool(_INT8_INSTRUCTIONS & cpu_features())


def _computes(row: EngineRow, kind: str) -> bool:
    """Whether this machine has fast instructions for a precision."""
    rest = kind.removeprefix("int8+")
    if rest != kind and not multiplies_8_bits():
        return False
    features = cpu_features()
    if rest == FLOAT32 or _BFLOAT16_INSTRUCTIONS & features:
        return True
    if features and row.devices == ("cpu",):
        return False  # known without loading the run time, which takes 0.15 s
    return bool(row.load_module().computes_bfloat16())


def matching_records(folder: Path, engine: str) -> list[Record]:
    """The measurements of an engine with the weights that lie in the folder now.

    Raises:
        CheckpointError: the precision record is damaged.
    """
    records = [record for record in read_records(folder) if record.engine == engine]
    sha256 = weights.weights_hash(folder) if records else ""
    return [record for record in records if record.weights_sha256 == sha256]


def saved_ranges(folder: Path, engine: str, precision: str) -> Ranges | None:
    """The ranges of 8-bit products measured with the weights in the folder; None without any."""
    for record in matching_records(folder, engine):
        if record.precision == precision:
            return record.ranges
    return None


def read_records(folder: Path) -> list[Record]:
    """The measurements in a model's folder; none where `precision.json` is missing.

    Raises:
        CheckpointError: the file is damaged, or contains an impossible value.
    """
    file = folder / weights.PRECISION_NAME
    if not file.is_file():
        return []
    advice = f"run `glpn precision {folder} --data FRAMES` again, or delete it"
    try:
        values = read_json(file)
        if not isinstance(values, dict) or values.get("format") != _FORMAT:
            raise ConfigError(f"{file}: expected the format {_FORMAT!r}")
        records = decode(_File, values, prefix=f"{file}: ").records
    except ConfigError as e:
        raise CheckpointError(f"{e}: {advice}") from None
    except TypeError:  # raised by the constructor of a record
        raise CheckpointError(f"{file}: a key is missing: {advice}") from None
    for record in records:
        _require_possible_ranges(file, record.ranges or {})
    return list(records)


@dataclass(frozen=True)
class _File:
    """The contents of `precision.json`."""

    format: str
    records: tuple[Record, ...]


def _require_possible_ranges(file: Path, ranges: Ranges) -> None:
    for name, (low, high) in ranges.items():
        if not (low <= 0 < high and MIN_RANGE <= high - low <= MAX_RANGE):
            raise CheckpointError(
                f"{file}: ranges.{name}: expected a range around 0 that is {MIN_RANGE:g} to "
                f"{MAX_RANGE:g} wide, got {low:g} to {high:g}"
            )


def write_records(folder: Path, records: Iterable[Record]) -> Path:
    """Keep measurements in `precision.json`, replacing those of the same engines.

    Raises:
        CannotCreateOutput, OutputFailed: the folder cannot be written.
    """
    new = list(records)
    try:
        others = read_records(folder)
    except CheckpointError:
        others = []
    measured = {record.engine for record in new}
    kept = [other for other in others if other.engine not in measured]
    lines = ",\n".join(json.dumps(dataclasses.asdict(item)) for item in (*kept, *new))
    file = folder / weights.PRECISION_NAME
    with weights.signing(folder, file.name):
        write_file(file, f'{{"format": "{_FORMAT}", "records": [\n{lines}\n]}}\n'.encode())
    return file
