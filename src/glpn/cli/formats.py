"""What --format, --colormap and --scale ask for → what `glpn.files.FORMATS` takes."""

from __future__ import annotations

from typing import Any

from glpn.cli.numbers import positive
from glpn.errors import UsageError

_NO_FORMAT = "none"
_SIGMA = "sigma"


def names(text: str, *, uncertain: bool) -> list[str]:
    """The formats asked for, each once; an uncertainty joins a 16-bit PNG.

    Raises:
        UsageError: one is unknown, or sigma is wanted without an uncertainty.
    """
    from glpn.files import FORMATS

    if text == _NO_FORMAT:
        return []
    wanted = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in wanted:
        if name not in FORMATS:
            known = ", ".join(FORMATS)
            raise UsageError(f"--format: expected {_NO_FORMAT} or some of {known}; got {name!r}")
    if _SIGMA in wanted and not uncertain:
        raise UsageError("--format sigma: needs --uncertainty flip or droppath")
    if uncertain and "png16" in wanted and _SIGMA not in wanted:
        wanted.append(_SIGMA)
    return wanted


def encoders(*, colormap: str, scale: float) -> dict[str, dict[str, Any]]:
    """Options of the encoders.

    Raises:
        UsageError: the colour map is unknown, or the scale no number above 0.
    """
    from glpn.depth.colormaps import color_table
    from glpn.files import FORMATS

    color_table(colormap)
    given = {"scale": positive("--scale", scale), "colormap": colormap}
    return {
        name: {option: value for option, value in given.items() if option in row.options}
        for name, row in FORMATS.items()
    }
