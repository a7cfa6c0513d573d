"""`glpn data`: checks, draws and extracts frames with depth."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options
from glpn.cli.app import Command

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from glpn.data.findings import Finding

_BUNDLED_RANGE = 10.0  # metres; max_depth of the bundled models

app = typer.Typer(no_args_is_help=True, help="Examine and show frames with depth.")

_Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Frames in any layout that glpn recognises.")
]
_HeldOut = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The validation frames; none may be among the other frames."),
]
_Limit = Annotated[
    int | None, typer.Option(min=1, help="Examine at most this many frames, evenly spread.")
]
_Sheet = Annotated[
    Path | None, typer.Option(metavar="PNG", help="Write a picture of the frames in question.")
]
_MaxDepth = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help=("Maximum depth of the model for these frames. Default: that of the dataset, or 10."),
    ),
]


@app.command("check", cls=Command, no_args_is_help=True)
def check(
    folder: _Folder,
    held_out: _HeldOut = None,
    limit: _Limit = None,
    sheet: _Sheet = None,
    max_depth: _MaxDepth = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Check frames before training: units, pairs, sizes, duplicates.

    The exit code is 65 if a problem would spoil the training.

    Example:

      glpn data check my-frames --sheet frames.png
    """
    from glpn.data import doctor
    from glpn.data.datasets import open_dataset
    from glpn.data.findings import WARNING, Finding
    from glpn.data.frames import WARNING_NOTE
    from glpn.data.probing import range_warning

    console.expect_notes("glpn.data")
    frames = open_dataset(folder, verified=False)
    others = None if held_out is None else open_dataset(held_out, verified=False)
    with console.progress(min(len(frames), limit or len(frames)), quiet=as_json) as advance:
        report = doctor.check(frames, others, limit=limit, progress=lambda _: advance())
    reach = max_depth or frames.reading.form.max_depth or _BUNDLED_RANGE
    beyond = range_warning(frames, reach)
    if beyond is not None:
        report = report.extended(Finding("range", WARNING, beyond))
    for text in frames.warnings:
        report = report.extended(Finding("reading", WARNING, text))
    # Written before anything is printed: `glpn data check … | head` loses no file.
    if sheet is not None:
        picture = doctor.report_sheet(frames, report)
        if picture is not None:
            _write(sheet, picture, overwrite=overwrite, quiet=as_json)
    if as_json:
        _print_records(report.findings)
    else:
        notes = (note for note in frames.notes if not note.startswith(WARNING_NOTE))
        for sentence in (*notes, *str(report).splitlines()):
            console.print_line(console.escaped(sentence))
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _print_records(findings: Iterable[Finding]) -> None:
    for finding in findings:
        kind, severity = finding.kind, finding.severity
        line = {"kind": kind, "severity": severity, "message": finding.message}
        console.print_json({**line, "frames": list(finding.frames)})


@app.command("show", cls=Command, no_args_is_help=True)
def show(
    folder: _Folder,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PNG", help="The picture to write.")
    ],
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="TOML",
            help=(
                "The recipe whose augmentation is shown. Default: whole frames without "
                "augmentation."
            ),
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]…", help="Settings that replace those of the recipe."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Number of frames, evenly spread.")] = 8,
    epochs: Annotated[
        int, typer.Option(min=1, help="Number of augmented versions of each frame.")
    ] = 3,
    overwrite: options.Overwrite = False,
) -> None:
    """Draw frames as training sees them: one row per frame, one column per epoch.

    Example:

      glpn data show my-frames -o seen.png --recipe finetune
    """
    from glpn.data.contact_sheet import contact_sheet
    from glpn.data.datasets import open_dataset
    from glpn.data.sample import Sample
    from glpn.training.data import MappedFrames, scaled, spread
    from glpn.training.preparation import build_processor
    from glpn.training.reading import Reader
    from glpn.training.recipe import Recipe, read_recipe

    whole = Recipe().override(["augment.crop=none"])  # a crop may exceed a frame
    chosen = (whole if recipe is None else read_recipe(recipe)).override(changes or ())
    processor = build_processor(chosen.model, short_side=chosen.data.short_side)
    scale = partial(scaled, processor=processor)
    frames = MappedFrames(spread(open_dataset(folder), count), scale)
    read = Reader(frames, chosen.augment, chosen.loop.seed)
    seen = [read(epoch, index) for index in range(len(frames)) for epoch in range(epochs)]
    labels = [f"{sample.name}, epoch {i % epochs + 1}" for i, sample in enumerate(seen)]
    samples = [Sample(sample.name, sample.image, sample.depth) for sample in seen]
    _write(output, contact_sheet(samples, columns=epochs, labels=labels), overwrite=overwrite)


@app.command("extract", cls=Command, no_args_is_help=True)
def extract(
    mat: Annotated[Path, typer.Argument(metavar="MAT", help="The file nyu_depth_v2_labeled.mat.")],
    splits: Annotated[Path, typer.Argument(metavar="SPLITS", help="The file splits.mat.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for train/ and test/.")
    ],
    overwrite: options.Overwrite = False,
) -> None:
    """Extract the frames of NYU Depth V2's labelled file, by their official split.

    Example:

      glpn data extract nyu_depth_v2_labeled.mat splits.mat -o nyu
    """
    from glpn.data.frames import plural
    from glpn.data.nyu import extract_nyu_labelled

    counts = extract_nyu_labelled(mat, splits, output, overwrite=overwrite)
    for split, count in counts.items():
        console.print_line(console.escaped(f"{output / split}: {plural(count, 'frame')}"))


def _write(path: Path, picture: NDArray[np.uint8], *, overwrite: bool, quiet: bool = False) -> None:
    from glpn.jobs.contact_sheet import save_sheet

    save_sheet(path, picture, overwrite=overwrite)
    if not quiet:
        console.print_line(console.escaped(f"wrote {path}"))
