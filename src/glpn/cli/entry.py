"""`main`: runs a verb; turns errors and signals into one line and an exit code.

Exit codes: 0 all is well; 2 usage; 65 bad data; 66 missing input; 70 a defect of glpn; 73 output
cannot be created; 74 reading or writing failed; 128 + n ended by signal n. Where several
photographs failed for different reasons, `errors.worst` says which code counts.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from glpn.cli import console, plain, predicting
from glpn.errors import GLPNError

INTERNAL_ERROR = 70


class Stopped(SystemExit):
    """A signal asks for the end; unwinds everything, so that no half-written file stays."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    console.accept_any_character()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _signals_stop_the_run():
            wishes = plain.read(given)
            if wishes is not None:
                return predicting.run(wishes)
            from typer.main import get_command

            from glpn.cli.app import app

            get_command(app)(given, prog_name="glpn")
    except Stopped as e:
        console.note("stopped")
        return _code(e)
    except SystemExit as e:
        return _code(e)
    except GLPNError as e:
        console.complain(e)
        return e.exit_code
    except Exception as e:
        return _internal_error(e, debug="--debug" in given)
    return 0


def _code(end: SystemExit) -> int:
    return end.code if isinstance(end.code, int) else int(bool(end.code))


def _internal_error(error: Exception, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    hint = "" if debug else "; `glpn --debug …` shows where"
    console.complain(f"internal error, please report: {type(error).__name__}: {error}{hint}")
    return INTERNAL_ERROR


@contextmanager
def _signals_stop_the_run() -> Iterator[None]:
    """SIGINT and SIGTERM raise Stopped in the main thread, where alone Python lets us ask."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers: dict[int, Any] = {
        number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(128 + number)
