"""`glpn evaluate`: measures a model on a dataset, compares two results, tests robustness."""

from __future__ import annotations

from pathlib import Path

from glpn.cli import options
from glpn.cli.numbers import parse_numbers, positive
from glpn.cli.verbs import evaluate_options as asked
from glpn.errors import UsageError

_NONE = "none"


def evaluate(
    model: options.Model = "",
    data: asked.Data = None,
    dataset: asked.Dataset = None,
    split: asked.Split = None,
    frame_list: asked.List = None,
    limit: asked.Limit = None,
    spec: asked.Spec = None,
    scale: asked.Scale = None,
    offset: asked.Offset = None,
    unit: asked.Unit = None,
    invalid: asked.Invalid = None,
    border: asked.Border = None,
    protocol: asked.Protocol = None,
    valid_range: asked.Range = None,
    flip: asked.Flip = False,
    align: asked.Align = "none",
    clamp: asked.Clamp = True,
    pooled: asked.Pooled = False,
    output: asked.Output = None,
    report: asked.Report = False,
    save_pngs: asked.SavePngs = None,
    from_pngs: asked.FromPngs = None,
    png_scale: asked.PngScale = None,
    overwrite: asked.Overwrite = False,
    corruptions: asked.Corruptions = False,
    severities: asked.Severities = "1,2,3,4,5",
    compare: asked.Compare = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    max_depth: options.MaxDepth = None,
    engine: options.Engine = options.EngineName.auto,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Measure a model on a dataset, by the published protocol, with 95 % intervals.

    The result records every setting that affects a figure. The same command gives the same bytes.

    Examples:

      glpn evaluate -m MODEL --dataset nyu --data nyu -o results
      glpn evaluate -m MODEL --data nyu --corruptions -o results
      glpn evaluate --compare a/result.json b/result.json
    """
    from glpn.cli.verbs import evaluate_output as results
    from glpn.engines.options import DEFAULT_MODEL
    from glpn.evaluation.measuring import Request
    from glpn.evaluation.scoring import Selection

    if compare is not None:
        _refuse("--compare", {"--model": model, "--data": data, "-o": output})
        results.compare_files(*compare, as_json=as_json)
        return
    if data is None:
        raise UsageError("--data: give the dataset's folder")
    _require_fitting(model, report=report, save=save_pngs, pngs=from_pngs, corruptions=corruptions)
    if report and output is None:
        raise UsageError("--report: needs -o, a folder to write into")
    request = Request(
        selection=Selection(
            data=data,
            dataset=None if dataset is None else dataset.value,
            spec=spec,
            changes=_changes(scale, offset, unit=unit, invalid=invalid, border=border),
            split=split,
            frame_list=frame_list,
            limit=limit,
            model=model or None,
        ),
        protocol=protocol,
        rules=_rules(flip, pooled, clamp=clamp, align=align, valid_range=valid_range),
        model={
            "model": model or DEFAULT_MODEL,
            "engine": engine.value,
            "device": device,
            "threads": threads,
            "max_depth": positive("--max-depth", max_depth),
        },
        output=output,
        report=report,
        save_pngs=save_pngs,
        png_scale=positive("--png-scale", png_scale),
        overwrite=overwrite,
    )
    run = results.Run(request, as_json=as_json, quiet=quiet)
    if corruptions:
        run.measure_robustness(_severities(severities))
    elif from_pngs is not None:
        run.measure_pngs(from_pngs)
    else:
        run.measure()


def _refuse(option: str, others: dict[str, object]) -> None:
    """Refuse options that cannot be combined with `option`.

    Raises:
        UsageError: one of them is given.
    """
    for name, value in others.items():
        if value:
            raise UsageError(f"{name}: does not go with {option}")


def _require_fitting(
    model: str, *, report: bool, save: Path | None, pngs: Path | None, corruptions: bool
) -> None:
    """Refuse combinations of options that exclude each other."""
    if pngs is not None:
        others = {"--model": model, "--save-pngs": save, "--corruptions": corruptions}
        _refuse("--from-pngs", {**others, "--report": report})
    if corruptions:
        _refuse("--corruptions", {"--save-pngs": save, "--report": report})


def _changes(
    scale: float | None,
    offset: float | None,
    *,
    unit: str | None,
    invalid: str | None,
    border: str | None,
) -> dict[str, object]:
    """Return the fields of `DatasetSpec` that the options set."""
    values: dict[str, object] = {
        "scale": positive("--scale", scale),
        "offset": offset,
        "unit": unit,
    }
    if invalid is not None:
        values["invalid"] = () if invalid == _NONE else parse_numbers("--invalid", invalid)
    if border is not None:
        widths = parse_numbers("--border", border)
        if len(widths) not in (1, 4) or any(w < 0 or w != int(w) for w in widths):
            raise UsageError(f"--border: expected 1 or 4 widths in pixels, got {border!r}")
        values["border"] = tuple(map(int, widths * (4 // len(widths))))
    return {key: value for key, value in values.items() if value is not None}


def _rules(
    flip: bool, pooled: bool, *, clamp: bool, align: str, valid_range: str | None
) -> dict[str, object]:
    """Return the fields of `Protocol` that the options set."""
    if align not in asked.ALIGNMENTS:
        raise UsageError(f"--align: expected one of {', '.join(asked.ALIGNMENTS)}; got {align!r}")
    rules: dict[str, object] = dict(asked.ALIGNMENTS[align])
    rules |= {"flip": flip, "clamp": clamp, "average": "pooled" if pooled else "per-image"}
    if valid_range is not None:
        ends = parse_numbers("--range", valid_range)
        if len(ends) != 2:
            raise UsageError(f"--range: expected NEAR,FAR in metres, got {valid_range!r}")
        rules |= {"min_depth": ends[0], "max_depth": ends[1]}
    return rules


def _severities(text: str) -> tuple[int, ...]:
    wanted = parse_numbers("--severities", text)
    if any(number not in range(1, 6) for number in wanted):
        raise UsageError(f"--severities: expected some of 1 to 5, got {text!r}")
    return tuple(sorted({int(number) for number in wanted}))
