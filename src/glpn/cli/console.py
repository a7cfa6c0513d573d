"""All printing: answers go to standard output, everything else to standard error.

Every line is flushed, so that a reader of a pipe has it at once. Names of files and messages are
printed with `escaped`: no name can move the cursor or end a line.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from glpn.errors import OutputFailed

_BROKEN_PIPE = 128 + 13  # the shell's code of a program that SIGPIPE ended


def accept_any_character() -> None:
    """Print as an escape what the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escaped(text: object) -> str:
    """One line of printable characters."""
    from glpn.image.photo import display_name

    return display_name(str(text))


def say(line: str) -> None:
    """One line on standard output.

    Raises:
        OutputFailed: it cannot be written; the disk behind it is full, for example.
        SystemExit: its reader is gone, as after `glpn … | head`.
    """
    try:
        print(line, file=sys.stdout, flush=True)
    except BrokenPipeError:
        _discard(sys.stdout)
        raise SystemExit(_BROKEN_PIPE) from None
    except OSError as e:
        _discard(sys.stdout)
        raise OutputFailed(f"standard output: cannot be written: {e.strerror}") from None


def say_json(values: Mapping[str, Any]) -> None:
    """One JSON object on one line of standard output, in ASCII."""
    say(json.dumps(values, allow_nan=False))


def say_facts(values: Mapping[str, Any], *, as_json: bool) -> None:
    """One object: a line of JSON, or a line for each key; lists have one line for each item."""
    if as_json:
        say_json(values)
        return
    width = max(map(len, values))
    for key, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            say(escaped(f"{key.replace('_', ' '):<{width}}  {item}"))


def note(line: str) -> None:
    """One line on standard error."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def complain(error: object) -> None:
    """`error: …` on standard error."""
    note(f"error: {escaped(error)}")


def _discard(stream: TextIO) -> None:
    """Let the interpreter's own last flush go nowhere instead of failing again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def progress(count: int, *, quiet: bool, unit: str = "") -> Iterator[Callable[[], None]]:
    """A progress bar on standard error, if that is a terminal and there is something to wait for.

    Args:
        count: of the steps.
        quiet: show nothing.
        unit: what a step is, in the plural, if their number a second is to be shown.

    Yields:
        To be called after each of the `count` steps.
    """
    if quiet or count < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:.1f} {unit}/s")

    speed = (Speed(),) if unit else ()
    columns = (BarColumn(), MofNCompleteColumn(), *speed, TimeRemainingColumn())
    # Lines on a terminal must go above the bar; those for a pipe must stay out of it.
    both = sys.stdout is not None and sys.stdout.isatty()
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, redirect_stdout=both) as bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)
