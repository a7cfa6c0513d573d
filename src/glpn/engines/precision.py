"""Precision: which engine may compute faster and coarser, and on what evidence.

"quick" is allowed for weights alone that were measured: `quick.json` in the model's folder holds
the figures, and they are judged here, each time a model is opened, against limits that no option
changes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn import weights
from glpn.engines.choice import cpu_features
from glpn.errors import CheckpointError, UsageError
from glpn.files import atomic_file

PRECISIONS = ("auto", "exact", "quick")
EXACT = "float32"
QUICK = {
    "openvino": "bfloat16",
    "torch": "bfloat16",
}  # engine → what it computes in when it may be quick

MOST_DEVIATION = 0.01  # mean of |quick - exact| / exact over the pixels of real frames
MOST_CHANGE = 0.005  # of AbsRel and of δ1 on held-back frames, as a share of the exact one's

_FORMAT = "glpn-quick-1"


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
    obstacle = _obstacle(folder, engine)
    if obstacle is None:
        return QUICK[engine]
    if asked == "quick":
        raise UsageError(f"precision: quick is not to be had: {obstacle}")
    return EXACT


def require_machine(engine: str) -> None:
    """Refuse a CPU on which the engine's quick precision would be slow or is missing.

    Raises:
        UsageError: it is one, or the engine has no quick precision.
    """
    if engine not in QUICK:
        raise UsageError(f"precision: engine {engine} has none but exact; {', '.join(QUICK)} has")
    if not (_openvino_computes_bfloat16() if engine == "openvino" else _torch_computes_bfloat16()):
        raise UsageError(f"precision: this CPU has no {QUICK[engine]}")


def _openvino_computes_bfloat16() -> bool:
    """What OpenVINO would say: Linux tells it without the 0.15 s that loading OpenVINO takes."""
    features = cpu_features()
    if "flags" in features:
        return bool({"avx512_bf16", "amx_bf16"} & features)
    from glpn.engines.openvino import computes_bfloat16

    return computes_bfloat16()


def _torch_computes_bfloat16() -> bool:
    from glpn.engines.torch import computes_bfloat16

    return computes_bfloat16()


def _obstacle(folder: Path, engine: str) -> str | None:
    """Why the engine may not be quick with these weights on this machine; None if it may."""
    if engine not in QUICK:
        return f"engine {engine} has none but exact; {', '.join(QUICK)} has (glpn[openvino])"
    advice = f"measure it with `glpn gate {folder} --data FRAMES`"
    try:
        records = read_records(folder)
    except CheckpointError as e:
        return f"{e}: {advice}"
    sha256 = weights.file_hash(folder / weights.WEIGHTS_NAME) if records else ""
    fitting = [
        record
        for record in records
        if (record.weights_sha256, record.engine, record.precision)
        == (sha256, engine, QUICK[engine])
    ]
    if not fitting:
        return f"{folder}: nothing was measured of {engine} with these weights: {advice}"
    faults = fitting[-1].faults()
    if faults:
        return f"{folder}: these weights did not pass: {'; '.join(faults)}"
    try:
        require_machine(engine)
    except UsageError as e:
        return str(e)
    return None


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
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(f"{file}: damaged, or not written by glpn") from None


def _record(values: dict[str, Any]) -> Record:
    pairs = {key: tuple(map(float, values[key])) for key in ("abs_rel", "delta1")}
    if any(len(pair) != 2 for pair in pairs.values()):
        raise ValueError
    return Record(**{**values, **pairs, "deviation": float(values["deviation"])})


def write_record(folder: Path, record: Record) -> Path:
    """Keep a record in `quick.json`, in the place of the same engine's; passed or not.

    Raises:
        CannotCreateOutput, OutputFailed: the folder cannot be written.
    """
    try:
        others: Sequence[Record] = read_records(folder)
    except CheckpointError:
        others = []
    kept = [other for other in others if other.engine != record.engine]
    values = [dataclasses.asdict(item) for item in (*kept, record)]
    file = folder / weights.QUICK_NAME
    with atomic_file(file, overwrite=True) as stream:
        stream.write(f"{json.dumps({'format': _FORMAT, 'records': values}, indent=1)}\n".encode())
    return file
