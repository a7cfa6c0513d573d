"""`glpn evaluate`: measures a model on a dataset, compares two results, tests robustness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from glpn.cli import options
from glpn.cli.numbers import positive
from glpn.cli.verbs import evaluate_options as asked
from glpn.errors import UsageError

# Flags that are not the name of their field.
_FLAGS = {"output": "-o", "frame_list": "--list", "valid_range": "--range", "clamp": "--no-clamp"}


@options.grouped
def evaluate(
    model: options.Float32ModelGroup,
    frames: asked.Frames,
    rules: asked.Rules,
    files: asked.Files,
    study: asked.Study,
    printed: options.Printed,
) -> None:
    """Measure a model on a dataset, by the published protocol, with 95 % intervals.

    The result records every setting that affects a figure. The same command gives the same bytes.

    Examples:

      glpn evaluate -m MODEL --dataset nyu --data nyu -o results
      glpn evaluate -m MODEL --data nyu --corruptions -o results
      glpn evaluate --compare a/result.json b/result.json
    """
    from glpn.cli.verbs import evaluate_output as results
    from glpn.evaluation.measuring import Request

    if study.compare is not None:
        others = _given(model, frames, rules, files, study)
        _refuse("--compare", {flag: flag != "--compare" for flag in others})
        results.compare_files(*study.compare, as_json=printed.as_json)
        return
    selection = frames.selection(model.model)
    _require_fitting(model, rules, files, study)
    request = Request(
        selection=selection,
        protocol=rules.protocol,
        rules=rules.fields(),
        model=model.engine_options(),
        use_focal=rules.use_focal,
        output=files.output,
        report=files.report,
        write_errors=files.write_errors,
        save_pngs=files.save_pngs,
        png_scale=positive("--png-scale", files.png_scale),
        overwrite=files.overwrite,
    )
    run = results.Run(request, as_json=printed.as_json, quiet=printed.quiet)
    if study.corruptions:
        run.measure_robustness(study.severity_levels())
    elif files.from_pngs is not None:
        run.measure_pngs(files.from_pngs)
    else:
        run.measure()


def _given(*groups: object) -> list[str]:
    """Return the flags of all options that differ from their defaults."""
    names = [
        option.name
        for group in groups
        if is_dataclass(group)
        for option in fields(group)
        if getattr(group, option.name) != option.default
    ]
    return [_FLAGS.get(name, "--" + name.replace("_", "-")) for name in names]


def _refuse(option: str, others: Mapping[str, object]) -> None:
    """Refuse options that cannot be combined with `option`.

    Raises:
        UsageError: one of them is given.
    """
    for name, value in others.items():
        if value:
            raise UsageError(f"{name}: cannot be combined with {option}")


def _require_fitting(
    model: options.Float32ModelGroup, rules: asked.Rules, files: asked.Files, study: asked.Study
) -> None:
    """Refuse combinations of options that exclude each other."""
    if files.from_pngs is not None:
        others: dict[str, object] = dict.fromkeys(_given(model), True)
        others |= {
            "--save-pngs": files.save_pngs,
            "--corruptions": study.corruptions,
            "--report": files.report,
        }
        _refuse("--from-pngs", {**others, "--use-focal": rules.use_focal})
    if study.corruptions:
        _refuse("--corruptions", {"--save-pngs": files.save_pngs, "--report": files.report})
    if files.write_errors:
        others = {"--from-pngs": files.from_pngs, "--corruptions": study.corruptions}
        _refuse("--write-errors", {**others, "--max-depth": model.max_depth})
    if not study.corruptions and _given(study):
        raise UsageError("--severities: needs --corruptions")
    if files.png_scale is not None and files.from_pngs is None and files.save_pngs is None:
        raise UsageError("--png-scale: needs --from-pngs or --save-pngs")
    if files.report and files.output is None:
        raise UsageError("--report: needs -o, a folder to write into")
