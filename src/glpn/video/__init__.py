"""Films: decoded, predicted and written frame by frame, in memory that does not grow with length.

`convert` is the corridor; `reading` and `webcam` are its one end, `side_by_side`, `sequences` and
`window` the other; `smoothing` is what keeps depth from flickering.
"""

from __future__ import annotations

from glpn.video.convert import FORMATS, Look, Summary, choose_colors, convert
from glpn.video.reading import open_film

__all__ = ["FORMATS", "Look", "Summary", "choose_colors", "convert", "open_film"]
