"""`main`: runs a verb and turns errors and signals into one line and an exit code.

Exit codes: 0 success; 2 usage; 65 bad data; 66 missing input; 70 a bug in glpn; 73 cannot create
output; 74 read or write error; 128 + n ended by signal n. If several photos fail for different
reasons, `errors.worst` chooses the code.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from typer.main import get_command

from glpn.cli import console
from glpn.cli.app import app
from glpn.concurrency import stop_signals
from glpn.errors import EditedFileWarning, GLPNError, OutputFailed

INTERNAL_ERROR = 70
_SAME_SIGNAL_SECONDS = 0.5  # within which a second signal is the first one, sent twice


class Stopped(SystemExit):
    """A signal stopped the run. As an exception it unwinds the stack and leaves no partial file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: the arguments without the program's name; None takes those of the process.

    Returns:
        The exit code.
    """
    console.accept_any_character()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with stop_signals(_Stop()), _warnings_in_one_line():
            get_command(app)(given, prog_name="glpn")
    except Stopped as e:
        console.note_stopped()
        return _code(e)
    except SystemExit as e:
        return _code(e)
    except GLPNError as e:
        console.error(e)
        return e.exit_code
    except OSError as e:
        if e.filename is None or "--debug" in given:
            return _internal_error(e, debug="--debug" in given)
        console.error(f"{e.filename}: {e.strerror}")
        return OutputFailed.exit_code
    except Exception as e:
        return _internal_error(e, debug="--debug" in given)
    return 0


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print warnings as the other messages are, without the line of source that raised them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("default", category=EditedFileWarning)  # shown also under -W error
        warnings.showwarning = console.warning
        yield


def _code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else int(bool(end.code))


def _internal_error(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    hint = "" if debug else "; `glpn --debug …` shows where"
    console.error(f"internal error, please report: {type(error).__name__}: {error}{hint}")
    return INTERNAL_ERROR


class _Stop:
    """Raises `Stopped` at the first signal; a later one ends the process, even in a clean-up.

    Programs such as `timeout` send a signal to a process and to its group, so it arrives twice.
    """

    def __init__(self) -> None:
        self._since: float | None = None

    def __call__(self, number: int) -> None:
        if self._since is None:
            self._since = time.monotonic()
            raise Stopped(128 + number)
        if time.monotonic() - self._since > _SAME_SIGNAL_SECONDS:
            os._exit(128 + number)
