"""The table of verbs. To add a verb, write a module in `verbs/` and add one row to `VERBS`.

A verb's module is imported only when the verb runs, so that neither `glpn predict` nor the list of
verbs loads the options of every verb.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, cast, get_args, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

import glpn
from glpn.cli import console
from glpn.cli.numbers import is_unusual_number
from glpn.errors import UsageError

if TYPE_CHECKING:
    import typer._click as click
    from typer._click import Context, HelpFormatter, Parameter

_USE, _DATA, _MODELS = "Use a model", "Train and evaluate", "Convert and measure models"


@dataclass(frozen=True)
class _Verb:
    """One row of the table.

    Attributes:
        function: "module.function" in `verbs/`; a function named "app" is a group of verbs.
        panel: heading in the list of verbs.
        summary: its line in that list, the first paragraph of its own help.
        needs_arguments: without arguments, show the help.
    """

    function: str
    panel: str
    summary: str
    needs_arguments: bool = True


VERBS = {
    "predict": _Verb(
        "predict.predict", _USE, "Estimate the distance in metres of every pixel of photos."
    ),
    "points": _Verb(
        "points.points",
        _USE,
        "Convert a depth file from glpn or a depth camera to a point cloud or a mesh.",
    ),
    "video": _Verb(
        "video.video", _USE, "Estimate the depth of every frame of a video or a camera."
    ),
    "serve": _Verb(
        "serve.serve",
        _USE,
        "Serve depth estimation over HTTP, with a page for browsers.",
        needs_arguments=False,
    ),
    "mcp": _Verb(
        "mcp.mcp",
        _USE,
        "Let an assistant measure in photos: a Model Context Protocol server over standard input.",
        needs_arguments=False,
    ),
    "explain": _Verb(
        "explain.explain",
        _USE,
        "Draw what happens to a photo inside the network, in one picture.",
    ),
    "info": _Verb("info.info", _USE, "Describe a model or a depth file."),
    "models": _Verb(
        "info.models", _USE, "List the models that come with glpn.", needs_arguments=False
    ),
    "batch": _Verb(
        "batch.batch", _USE, "Estimate the depth of a folder of photos on many machines, with Ray."
    ),
    "data": _Verb("data.app", _DATA, "Examine and show frames with depth."),
    "train": _Verb("train.train", _DATA, "Train or fine-tune a network with a recipe."),
    "evaluate": _Verb(
        "evaluate.evaluate",
        _DATA,
        "Measure a model on a dataset, by the published protocol, with 95 % intervals.",
    ),
    "reproduce": _Verb(
        "reproduce.reproduce",
        _DATA,
        "Measure the paper's figures on the available datasets and compare.",
    ),
    "synth": _Verb(
        "synth.synth",
        _DATA,
        "Render scenes with exact depth into a folder for training and evaluation.",
    ),
    "convert": _Verb(
        "convert.convert",
        _MODELS,
        "Convert a checkpoint from another project into a folder that glpn loads, or back.",
    ),
    "export": _Verb("export.app", _MODELS, "Write the network for other run times."),
    "verify": _Verb(
        "verify.verify",
        _MODELS,
        "Compare the depth of published weights with the known values for one photo.",
    ),
    "precision": _Verb(
        "precision.precision",
        _MODELS,
        "Check the accuracy of reduced precision, and store the result beside the weights.",
    ),
    "sign": _Verb(
        "sign.sign",
        _MODELS,
        "Rewrite checksums.json after you changed a model's folder on purpose.",
    ),
    "bench": _Verb(
        "bench.bench",
        _MODELS,
        "Measure every installed engine, each in its own process.",
        needs_arguments=False,
    ),
}
_PLAIN_INT = re.compile("-?[0-9]{1,9}")
_PLAIN_FLOAT = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")
_SETTINGS = {"help_option_names": ["-h", "--help"]}


def _prepared(params: list[Parameter]) -> list[Parameter]:
    """Change the parameters so that they load no pydantic and flags show no type in the help."""
    for param in params:
        if getattr(param, "is_flag", False):
            vars(param)["display_type_rich"] = lambda ctx: None
        if hasattr(param, "get_runtime_param"):
            converter = _PlainValues(param)
            vars(param)["get_runtime_param"] = lambda converter=converter: converter
    return params


class _PlainValues:
    """Converts the common values of an option; typer converts or rejects all others.

    typer validates values with pydantic, whose import takes longer than a prediction.
    """

    def __init__(self, param: Any) -> None:
        self._param = param
        self._type = param.type_descriptor.annotation

    def coerce(self, value: object, param: Any, ctx: Context) -> object:
        """Return the value, converted to the option's type."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if isinstance(value, (list, tuple)):
            if get_args(self._type) == (str,) and all(map(_is_plain_text, value)):
                return list(value)
        elif isinstance(self._type, type):
            if isinstance(value, self._type) and not isinstance(value, str):
                return value
            if self._type is float and type(value) is int:
                return float(value)
            if isinstance(value, str) and (found := self._convert(value)) is not None:
                return found
        return type(param).get_runtime_param(param).coerce(value, param=param, ctx=ctx)

    def _convert(self, text: str) -> object:
        """Return the value of a plain text, or None if typer must convert it."""
        if not _is_plain_text(text):
            return None
        if self._type is str:
            return text
        if issubclass(self._type, Path):
            return None if os.path.exists(text) and not os.access(text, os.R_OK) else Path(text)
        if issubclass(self._type, Enum):
            return next((member for member in self._type if member.value == text), None)
        pattern = {int: _PLAIN_INT, float: _PLAIN_FLOAT}.get(self._type)
        if pattern is None or not pattern.fullmatch(text):
            return None
        number, low, high = self._type(text), self._param.min, self._param.max
        inside = (low is None or number >= low) and (high is None or number <= high)
        return number if inside else None


def _is_plain_text(value: object) -> TypeGuard[str]:
    """Return whether the value is a string that contains valid Unicode only."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


class Command(TyperCommand):
    """A verb whose help shows no type beside flags and whose numbers are ASCII decimals."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """The parameters, `--help` included."""
        return _prepared(super().get_params(ctx))

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Reject numbers that `int` and `float` accept but that are not ASCII decimals."""
        for i, word in enumerate(args):
            name, equals, value = word.partition("=")
            text = value if equals else "".join(args[i + 1 : i + 2])
            if name.startswith("-") and is_unusual_number(text) and name in self._numbers():
                raise UsageError(f"{name}: expected a decimal number, got {text!r}")
        return super().parse_args(ctx, args)

    def _numbers(self) -> set[str]:
        """Return the names of the options that take a number."""
        hints = get_type_hints(inspect.unwrap(cast("Callable[..., Any]", self.callback)))
        numbers = {name for name, hint in hints.items() if {int, float} & {hint, *get_args(hint)}}
        return {option for param in self.params if param.name in numbers for option in param.opts}


class _Group(TyperGroup):
    """A group with the verbs of `VERBS`; imports each verb when it is needed."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        names: dict[str, Any] = dict.fromkeys(VERBS)  # typer suggests these after a typo
        self.commands = names
        self._listing = False

    def get_params(self, ctx: Context) -> list[Parameter]:
        """The parameters, `--help` included."""
        return _prepared(super().get_params(ctx))

    def list_commands(self, ctx: Context) -> list[str]:
        """Return the names of the verbs, the common ones first."""
        return list(VERBS)

    def get_command(self, ctx: Context, cmd_name: str) -> click.Command | None:
        """Import and build one verb; return None if there is no such verb."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=verb.summary, rich_help_panel=verb.panel)
        return _command(cmd_name, verb)

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the list of verbs from the table, without importing them."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


def _command(name: str, verb: _Verb) -> click.Command:
    module, _, attribute = verb.function.partition(".")
    found = getattr(importlib.import_module(f"glpn.cli.verbs.{module}"), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name, group.rich_help_panel = name, verb.panel
        return group
    single = typer.Typer(context_settings=_SETTINGS, rich_markup_mode="rich", add_completion=False)
    register = single.command(
        name, cls=Command, no_args_is_help=verb.needs_arguments, rich_help_panel=verb.panel
    )
    register(found)
    return typer.main.get_command(single)


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print_line(f"glpn {glpn.__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=_Group,
    epilog="Start with: glpn predict PHOTO.jpg. Exit codes: 0 success, 2 usage, 65 bad data, "
    "66 missing input, 73 cannot create output, 74 read or write error, 70 bug in "
    "glpn, 130 and 143 stopped by a signal.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
)


@app.callback()
def settings(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_show_version, is_eager=True, help="Show the version."
        ),
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show where in glpn an internal error happened.")
    ] = False,
) -> None:
    """Metres from one photo."""
