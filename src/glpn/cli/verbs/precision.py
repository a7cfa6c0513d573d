"""`glpn precision`: measures the accuracy of reduced precision on real frames."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options
from glpn.cli.verbs import evaluate_options as asked
from glpn.errors import DataError, UsageError

if TYPE_CHECKING:
    from glpn.engines.precision import Record

_Model = Annotated[str, typer.Argument(help="A bundled name, a folder, or a hub id user/name.")]
_Engine = Annotated[str, typer.Option(help="The engine whose reduced precisions are measured.")]
_ScoreSplit = Annotated[
    str | None, typer.Option(help="Frames for AbsRel and δ1: train or val; all by default.")
]
_DeviationSplit = Annotated[
    str | None, typer.Option(help="Frames for the mean deviation: train or val; all by default.")
]
_Limit = Annotated[int, typer.Option(min=1, help="Maximum number of frames for each.")]


@options.grouped
def precision(
    model: _Model,
    data: asked.Data = None,
    spec: asked.Spec = None,
    split: _ScoreSplit = None,
    deviation_split: _DeviationSplit = None,
    limit: _Limit = 100,
    engine: _Engine = "openvino",
    *,
    printed: options.Printed,
) -> None:
    """Check the accuracy of reduced precision, and store the result beside the weights.

    Reduced precision is bfloat16 and, on OpenVINO, products with 8-bit factors. The command
    measures every precision that this CPU supports. A precision passes if the metres of real
    frames deviate by at most 1 % on average, and AbsRel and δ1 change by at most 0.5 %. New
    weights need a new check.

    Example:

      glpn precision my-model --data my-frames --split val --deviation-split train
    """
    from glpn import weights
    from glpn.engines.precision import computable_precisions
    from glpn.engines.registry import engine_row
    from glpn.evaluation.precision_check import measure_reduced
    from glpn.evaluation.scoring import Evaluation, Selection

    if data is None:
        raise UsageError("--data: give the folder of frames")
    folder = weights.resolve(model)
    weights.require_changeable(folder)
    scored, compared = (
        Evaluation.of(Selection(data=data, spec=spec, split=part, limit=limit))
        for part in (split, deviation_split)
    )
    kinds = len(computable_precisions(engine_row(engine)))
    count = len(compared.frames) + (1 + kinds) * len(scored.frames)
    with console.progress(count, quiet=printed.quiet or printed.as_json) as advance:
        records = measure_reduced(
            folder,
            engine,
            deviation_frames=compared.frames,
            score_frames=scored.frames,
            protocol=scored.protocol,
            data=data.resolve().name,
            advance=advance,
        )
    _report(folder, records, as_json=printed.as_json)


def _report(folder: Path, records: Sequence[Record], *, as_json: bool) -> None:
    """Store the records beside the weights and print them.

    Raises:
        DataError: no precision passed.
    """
    from glpn.engines.precision import write_records

    path = write_records(folder, records)
    for record in records:
        facts = {**dataclasses.asdict(record), "ranges": len(record.ranges or {})}
        passed = {"passed": not record.violations(), "written": str(path)}
        console.print_facts({**facts, **passed}, as_json=as_json)
    if all(record.violations() for record in records):
        violations = ". ".join(f"{r.precision}: {'; '.join(r.violations())}" for r in records)
        raise DataError(
            f"{folder}: reduced precision stays unavailable for these weights. {violations}"
        )
