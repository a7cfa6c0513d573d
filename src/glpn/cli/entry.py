"""`main`: runs a verb; turns errors and signals into one line and an exit code.

Exit codes: 0 all is well; 2 usage; 65 bad data; 66 missing input; 70 a defect of glpn; 73 output
cannot be created; 74 reading or writing failed; 128 + n ended by signal n. Where several
photographs failed for different reasons, `errors.worst` says which code counts.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from glpn.cli import console, plain, predicting
from glpn.concurrency import stop_signals
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
        with stop_signals(_stop):
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


def _stop(number: int) -> NoReturn:
    raise Stopped(128 + number)
