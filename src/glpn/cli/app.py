"""The verbs of `glpn`. A new family is a module beside this one and a line at the end here."""

from __future__ import annotations

from typing import Annotated

import typer

import glpn
from glpn.cli import console
from glpn.cli.verbs import (
    batch,
    bench,
    convert,
    data,
    evaluate,
    export,
    info,
    points,
    precision,
    predict,
    reproduce,
    serve,
    synth,
    train,
    verify,
    video,
)

app = typer.Typer(
    epilog="Start with: glpn predict PHOTO.jpg. Exit codes: 0 done, 2 usage, 65 bad data, "
    "66 missing input, 73 output cannot be created, 74 reading or writing failed, 130 and 143 "
    "stopped by a signal.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.say(f"glpn {glpn.__version__}")
        raise typer.Exit


@app.callback()
def settings(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show where in glpn an internal error happened.")
    ] = False,
) -> None:
    """Metres from one photograph."""


app.command("predict", no_args_is_help=True)(predict.predict)
app.command("batch", no_args_is_help=True)(batch.batch)
app.command("info", no_args_is_help=True)(info.info)
app.command("points", no_args_is_help=True)(points.points)
app.command("convert", no_args_is_help=True)(convert.convert)
app.command("evaluate", no_args_is_help=True)(evaluate.evaluate)
app.command("bench")(bench.bench)
app.command("precision", no_args_is_help=True)(precision.precision)
app.command("reproduce", no_args_is_help=True)(reproduce.reproduce)
app.command("train", no_args_is_help=True)(train.train)
app.command("synth", no_args_is_help=True)(synth.synth)
app.command("verify", no_args_is_help=True)(verify.verify)
app.command("video", no_args_is_help=True)(video.video)
app.command("serve")(serve.serve)
app.command("models")(info.models)
app.add_typer(export.app, name="export")
app.add_typer(data.app, name="data")
