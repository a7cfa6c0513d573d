"""Precision: which engine may compute faster and coarser, and on what evidence.

"quick" is allowed for weights alone that were measured: `quick.json` in the model's folder holds
the figures, and they are judged here, each time a model is opened, against limits that no option
changes.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn import weights
from glpn.engines.hardware import cpu_features
from glpn.errors import CheckpointError, UsageError
from glpn.files import atomic_file

PRECISIONS = ("auto", "exact", "quick")
EXACT = "float32"
# Engine → what it computes in when it may be quick, fastest first on most CPUs. "int8+" is products
# with 8-bit factors, and behind it stands what the rest is computed in.
QUICK = {
    "openvino": ("int8+bfloat16", "int8+float32", "bfloat16"),
    "torch": ("bfloat16",),
}

MOST_DEVIATION = 0.01  # mean of |quick - exact| / exact over the pixels of real frames
MOST_CHANGE = 0.005  # of AbsRel and of δ1 on held-back frames, as a share of the exact one's

_FORMAT = "glpn-quick-1"
_INT8 = {"avx512_vnni", "avx_vnni", "amx_int8"}  # others saturate, or are slow


@dataclass(frozen=True)
class Record:
    """What was measured of one engine's quick precision with one file of weights.

    Attributes:
        weights_sha256: of `model.safetensors`.
        engine, precision: what ran.
        version: of the engine's package.
        data: the folder's name of the frames.
        deviation_frames: over which the mean deviation was taken.
        deviation: mean of |quick - exact| / exact.
        score_frames: over which the scores were taken.
        abs_rel, delta1: exact, then quick.
        ranges: of 8-bit products: weight's name → smallest and largest value multiplied with it,
            as seen on other frames than those above. They are part of what was measured.
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
    ranges: Mapping[str, tuple[float, float]] | None = None

    def faults(self) -> list[str]:
        """What exceeds the limits, in words; empty where the record passes."""
        found = []
        if not 0 <= self.deviation <= MOST_DEVIATION:
            found.append(f"mean deviation {self.deviation:.2%} (at most {MOST_DEVIATION:.0%})")
        for name, (exact, quick) in (("AbsRel", self.abs_rel), ("δ1", self.delta1)):
            change = abs(quick - exact) / exact if exact > 0 else float("inf")
            if not change <= MOST_CHANGE:
                found.append(f"{name} changed by {change:.2%} (at most {MOST_CHANGE:.1%})")
        if not min(self.deviation_frames, self.score_frames) > 0:
            found.append("no frames")
        if self.precision.startswith("int8") and not self.ranges:
            found.append("no ranges")
        return found


def allowed(folder: Path, engine: str, *, asked: str) -> str:
    """The precision in which an engine is to run.

    Args:
        folder: the model's.
        engine: installed.
        asked: one of `PRECISIONS`; "auto" is quick wherever that is allowed.

    Raises:
        UsageError: quick is asked for and not allowed; the message names what would allow it.
    """
    if asked == "exact":
        return EXACT
    kinds, obstacle = quick_kinds(folder, engine)
    if kinds:
        return kinds[0]
    if asked == "quick":
        raise UsageError(f"precision: quick is not to be had: {obstacle}")
    return EXACT


def quick_kinds(folder: Path, engine: str) -> tuple[list[str], str]:
    """Those of `QUICK` that are allowed here, the best first; or none, and why."""
    if engine not in QUICK:
        return [], f"engine {engine} has none but exact; {', '.join(QUICK)} has (glpn[openvino])"
    advice = f"measure it with `glpn gate {folder} --data FRAMES`"
    try:
        records = fitting_records(folder, engine)
    except CheckpointError as e:
        return [], f"{e}: {advice}"
    if not records:
        return [], f"{folder}: nothing was measured of {engine} with these weights: {advice}"
    passed = [kind for kind in _in_order(engine) if kind in records and not records[kind].faults()]
    if not passed:
        faults = "; ".join(f for record in records.values() for f in record.faults())
        return [], f"{folder}: these weights did not pass: {faults}"
    kinds = [kind for kind in passed if _computes(engine, kind)]
    return kinds, "" if kinds else f"this CPU has no {' nor '.join(passed)}"


def kinds_here(engine: str) -> list[str]:
    """Those of `QUICK` that this CPU computes, the best first.

    Raises:
        UsageError: there are none, or the engine has no quick precision.
    """
    if engine not in QUICK:
        raise UsageError(f"precision: engine {engine} has none but exact; {', '.join(QUICK)} has")
    kinds = [kind for kind in _in_order(engine) if _computes(engine, kind)]
    if not kinds:
        raise UsageError(f"precision: this CPU has no {' nor '.join(QUICK[engine])}")
    return kinds


def _in_order(engine: str) -> list[str]:
    """Those of `QUICK`, the best first: with AMX bfloat16, as fast there and nearer to float32."""
    with_amx = "amx_bf16" in cpu_features()
    return sorted(QUICK[engine], key=lambda kind: with_amx and kind != "bfloat16")


def multiplies_8_bits() -> bool:
    """Whether this CPU has fast instructions for 8-bit products."""
    return bool(_INT8 & cpu_features())


def _computes(engine: str, kind: str) -> bool:
    """Whether this CPU has fast instructions for it."""
    rest = kind.removeprefix("int8+")
    if rest != kind and not multiplies_8_bits():
        return False
    if rest == EXACT:
        return True
    return _openvino_computes_bfloat16() if engine == "openvino" else _torch_computes_bfloat16()


def _openvino_computes_bfloat16() -> bool:
    """What OpenVINO would say: Linux tells it without the 0.15 s that loading OpenVINO takes."""
    features = cpu_features()
    if "flags" in features:
        return bool({"avx512_bf16", "amx_bf16"} & features)
    from glpn.engines.openvino.engine import computes_bfloat16

    return computes_bfloat16()


def _torch_computes_bfloat16() -> bool:
    from glpn.engines.torch import computes_bfloat16

    return computes_bfloat16()


def fitting_records(folder: Path, engine: str) -> dict[str, Record]:
    """Precision → what was measured of it with the weights that are there now.

    Raises:
        CheckpointError: the file of records is damaged.
    """
    records = [record for record in read_records(folder) if record.engine == engine]
    sha256 = weights.file_hash(folder / weights.WEIGHTS_NAME) if records else ""
    return {r.precision: r for r in records if r.weights_sha256 == sha256}


def read_records(folder: Path) -> list[Record]:
    """What was measured of the weights in a folder; nothing where there is no file.

    Raises:
        CheckpointError: the file is damaged.
    """
    file = folder / weights.QUICK_NAME
    try:
        values = json.loads(file.read_bytes())
        if values["format"] != _FORMAT:
            raise ValueError
        return [_record(value) for value in values["records"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{file}: damaged, or not written by glpn") from None


def _record(values: dict[str, Any]) -> Record:
    scores = {key: _pair(values[key]) for key in ("abs_rel", "delta1")}
    ranges = values.get("ranges")
    if ranges is not None:
        ranges = {name: _pair(extremes) for name, extremes in ranges.items()}
        if not all(-math.inf < low <= 0 < high < math.inf for low, high in ranges.values()):
            raise ValueError
    deviation = float(values["deviation"])
    return Record(**{**values, **scores, "deviation": deviation, "ranges": ranges})


def _pair(values: Any) -> tuple[float, float]:
    first, second = map(float, values)
    return first, second


def write_records(folder: Path, records: Iterable[Record]) -> Path:
    """Keep records in `quick.json`, in the place of the same engines'; passed or not.

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
    file = folder / weights.QUICK_NAME
    with atomic_file(file, overwrite=True) as stream:
        stream.write(f'{{"format": "{_FORMAT}", "records": [\n{lines}\n]}}\n'.encode())
    return file
