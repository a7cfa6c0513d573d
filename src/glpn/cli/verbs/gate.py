"""`glpn gate`: may these weights be computed quickly? Measured on real frames, and kept."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Annotated

import typer

from glpn.cli import console, options
from glpn.cli import evaluate_options as asked
from glpn.errors import DataError, UsageError


class QuickName(str, Enum):
    """The engines that have a quick precision; keys of `glpn.engines.precision.QUICK`."""

    openvino = "openvino"
    torch = "torch"


_Model = Annotated[str, typer.Argument(help="A bundled name, a folder, or a hub id user/name.")]
_Engine = Annotated[QuickName, typer.Option(help="The engine whose quick precision is measured.")]
_ScoreSplit = Annotated[
    str | None, typer.Option(help="The frames for AbsRel and δ1: train or val; all if not given.")
]
_DeviationSplit = Annotated[
    str | None, typer.Option(help="The frames for the mean deviation: train or val.")
]
_Limit = Annotated[int, typer.Option(min=1, help="At most so many frames for each.")]


def gate(
    model: _Model,
    data: asked.Data = None,
    spec: asked.Spec = None,
    split: _ScoreSplit = None,
    deviation_split: _DeviationSplit = None,
    limit: _Limit = 100,
    engine: _Engine = QuickName.openvino,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure whether a model may be computed quickly, and keep the evidence beside its weights.

    Quick is bfloat16 and, on OpenVINO, products with 8-bit factors: all that this CPU computes
    are measured. One passes where the metres of real frames deviate by 1 % or less in the mean,
    and AbsRel and δ1 change by 0.5 % or less. New weights must pass anew.

    Example:

      glpn gate my-model --data my-frames --split val --deviation-split train
    """
    from glpn import weights
    from glpn.engines.precision import kinds_here, write_records
    from glpn.evaluation.gate import measure_quick
    from glpn.evaluation.scoring import Evaluation, Selection

    if data is None:
        raise UsageError("--data: give the folder of the frames")
    folder = weights.resolve(model)
    scored, compared = (
        Evaluation.of(Selection(data=data, spec=spec, split=part, limit=limit))
        for part in (split, deviation_split)
    )
    kinds = len(kinds_here(engine.value))
    count = len(compared.frames) + (1 + kinds) * len(scored.frames)
    with console.progress(count, quiet=quiet or as_json) as advance:
        records = measure_quick(
            folder,
            engine.value,
            deviation_frames=compared.frames,
            score_frames=scored.frames,
            protocol=scored.protocol,
            data=data.resolve().name,
            advance=advance,
        )
    path = write_records(folder, records)
    for record in records:
        facts = {**dataclasses.asdict(record), "ranges": len(record.ranges or {})}
        passed = {"passed": not record.faults(), "written": str(path)}
        console.say_facts({**facts, **passed}, as_json=as_json)
    if all(record.faults() for record in records):
        faults = ". ".join(f"{r.precision}: {'; '.join(r.faults())}" for r in records)
        raise DataError(f"{folder}: quick stays off for these weights. {faults}")
