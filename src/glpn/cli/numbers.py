"""Numbers as they stand on the command line; what is none is refused by its option's name."""

from __future__ import annotations

import math

from glpn.errors import UsageError

_PLACES = {
    2: "x,y in pixels of the photograph",
    3: "x,y in pixels of the photograph and metres",
    4: "x0,y0,x1,y1 in pixels of the photograph",
    5: "x0,y0,x1,y1 in pixels of the photograph and metres",
}


def positive(option: str, value: float | None, *, limit: float = math.inf) -> float | None:
    """The value of an option, if it lies above 0 and below the limit.

    Raises:
        UsageError: it does not.
    """
    if value is not None and not 0 < value < limit:
        up = "" if limit == math.inf else f" and below {limit:g}"
        raise UsageError(f"{option}: expected a number above 0{up}, got {value:g}")
    return value


def parse_place(option: str, text: str, *, count: int) -> tuple[float, ...]:
    """One place (x, y) or two, with a length behind them where `count` is odd.

    Raises:
        UsageError: the text is something else.
    """
    numbers = _finite(text)
    if len(numbers) != count:
        raise UsageError(f"{option}: expected {_PLACES[count]}, got {text!r}")
    return numbers


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """Finite numbers with commas between, one at least.

    Raises:
        UsageError: the text is something else.
    """
    numbers = _finite(text)
    if not numbers:
        raise UsageError(f"{option}: expected numbers with commas between, got {text!r}")
    return numbers


def _finite(text: str) -> tuple[float, ...]:
    """The numbers of a text, commas between; none if one of them is not finite."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()
