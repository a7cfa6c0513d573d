"""All printing: results go to standard output, everything else goes to standard error.

Every line is flushed, so that the reader of a pipe receives it at once. `escaped` makes file names
and messages safe to print: no name can move the cursor or end a line.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TextIO

from glpn.concurrency import accepts_line
from glpn.errors import OutputFailed

_BROKEN_PIPE = 128 + 13  # the exit code that a shell reports after SIGPIPE


def accept_any_character() -> None:
    """Escape characters that the terminal cannot encode, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escaped(text: object) -> str:
    """Return the text as one line of printable characters."""
    from glpn.image.photo import display_name

    return display_name(str(text))


def print_line(line: str) -> None:
    """Print one line on standard output.

    Raises:
        OutputFailed: the line cannot be written, for example because the disk is full.
        SystemExit: the reader closed the pipe, as in `glpn … | head`.
    """
    with _writing():
        print(line, file=sys.stdout, flush=True)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _discard(sys.stdout)
        raise SystemExit(_BROKEN_PIPE) from None
    except OSError as e:
        _discard(sys.stdout)
        raise OutputFailed(f"standard output: cannot be written: {e.strerror}") from None


def print_bytes(data: bytes) -> None:
    """Write a whole file to standard output; raises the same errors as `print_line`."""
    with _writing():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def print_json(values: Mapping[str, object]) -> None:
    """Print one JSON object on one line of standard output, in ASCII."""
    print_line(json.dumps(values, allow_nan=False))


def print_facts(values: Mapping[str, object], *, as_json: bool) -> None:
    """Print one object as a line of JSON, or as one line per key and per list item."""
    if as_json:
        print_json(values)
        return
    width = max(map(len, values))
    for key, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            print_line(escaped(f"{key.replace('_', ' '):<{width}}  {item}"))


def note(line: str) -> None:
    """Print one line on standard error."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def note_stopped() -> None:
    """Print that a signal stopped the run, unless nobody reads standard error.

    A full pipe would make the process wait for its reader, here or when Python flushes at exit.
    """
    if sys.stderr is not None and not accepts_line(sys.stderr):
        _discard(sys.stderr)
    note("stopped")


def expect_notes(logger: str) -> None:
    """Keep Python from printing the log of `logger`, whose messages a command prints as notes."""
    logging.getLogger(logger).addHandler(logging.NullHandler())


def error(error: object) -> None:
    """Print `error: …` on standard error."""
    note(f"error: {escaped(error)}")


def warning(message: Warning | str, *_: object, **__: object) -> None:
    """`warning: …` on standard error; takes the arguments of `warnings.showwarning`."""
    note(f"warning: {escaped(message)}")


def _discard(stream: TextIO) -> None:
    """Redirect the stream to the null device, so that the flush at exit cannot fail again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def progress(count: int, *, quiet: bool, unit: str = "") -> Iterator[Callable[[], None]]:
    """Show a progress bar on standard error if it is a terminal and there are several steps.

    Args:
        count: number of steps.
        quiet: show nothing.
        unit: plural noun for the steps; if given, steps per second are shown.

    Yields:
        A function to call after each step.
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
    # On a terminal, rich prints lines above the bar. In a pipe, the output must stay unchanged.
    both = sys.stdout is not None and sys.stdout.isatty()
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, redirect_stdout=both) as bar:
        task = bar.add_task("", total=count)
        yield lambda: bar.advance(task)
