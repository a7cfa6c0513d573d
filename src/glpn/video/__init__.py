"""Films: decoded, predicted and written frame by frame, in memory that does not grow with length.

`convert` is the corridor; `reading`, `side_by_side` and `sequences` are its ends; `smoothing` is
what keeps depth from flickering.
"""

from __future__ import annotations

from glpn.video.convert import FORMATS, Look, Summary, convert
from glpn.video.reading import open_film

__all__ = ["FORMATS", "Look", "Summary", "convert", "open_film"]
