"""Numbers on the command line: ASCII decimals only; every error names the option."""

from __future__ import annotations

import math
import re

from glpn.errors import UsageError

# float() and int() also accept "1_0", Arabic digits and spaces. Those are probably mistakes.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|nan)")
_PLACES = {
    2: "x,y in pixels of the photo",
    3: "x,y in pixels of the photo and metres",
    4: "x0,y0,x1,y1 in pixels of the photo",
    5: "x0,y0,x1,y1 in pixels of the photo and metres",
}


def is_unusual_number(text: str) -> bool:
    """Return whether Python accepts the text as a number although it is no ASCII decimal."""
    if _NUMBER.fullmatch(text):
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def positive(option: str, value: float | None, *, limit: float = math.inf) -> float | None:
    """Return the value of an option, after a check that it lies above 0 and below the limit.

    Raises:
        UsageError: the value is outside this range.
    """
    if value is not None and not 0 < value < limit:
        up = "" if limit == math.inf else f" and below {limit:g}"
        raise UsageError(f"{option}: expected a number above 0{up}, got {value:g}")
    return value


def parse_place(option: str, text: str, *, count: int) -> tuple[float, ...]:
    """Parse one or two points "x,y", followed by a length if `count` is odd.

    Raises:
        UsageError: the text has another form.
    """
    numbers = _finite(text)
    if len(numbers) != count:
        raise UsageError(f"{option}: expected {_PLACES[count]}, got {text!r}")
    return numbers


def parse_numbers(option: str, text: str) -> tuple[float, ...]:
    """Parse one or more finite numbers, separated by commas.

    Raises:
        UsageError: the text has another form.
    """
    numbers = _finite(text)
    if not numbers:
        raise UsageError(f"{option}: expected numbers separated by commas, got {text!r}")
    return numbers


def _finite(text: str) -> tuple[float, ...]:
    """Parse comma-separated numbers; return an empty tuple if one is not finite."""
    parts = text.split(",")
    if not all(map(_NUMBER.fullmatch, parts)):
        return ()
    numbers = tuple(map(float, parts))
    return numbers if all(map(math.isfinite, numbers)) else ()
