"""A live window: the picture beside its depth, and the metres under the pointer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import MissingDependency, UsageError
from glpn.video.reading import Frame
from glpn.video.side_by_side import Colors
from glpn.video.webcam import Webcam

if TYPE_CHECKING:
    from PIL import ImageTk

_KEYS = ("<Escape>", "<q>")
_HISTORY = 0.9  # weight of the past in the frame rate of the title


@contextmanager
def open_window(
    colors: Colors, webcam: Webcam, *, needed: bool
) -> Iterator[Callable[[Frame, NDArray[np.float32]], None]]:
    """A window that stops the camera when it is closed; yields the function that shows a frame.

    Without a display and without `needed`, that function does nothing.

    Raises:
        MissingDependency: it is needed and this Python has no tkinter.
        UsageError: it is needed and there is no display.
    """
    try:
        window = Window(colors, on_close=webcam.stop)
    except (MissingDependency, UsageError):
        if needed:
            raise
        yield lambda frame, metres: None
        return
    try:
        yield window.show
    finally:
        window.destroy()


class Window:
    """Shows frame after frame; used only by the thread that created it.

    Args:
        colors: colour picture of the depth.
        on_close: called when the user closes it or presses q or Escape.

    Raises:
        MissingDependency: this Python has no tkinter.
        UsageError: there is no display.
    """

    def __init__(self, colors: Colors, on_close: Callable[[], None]) -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as e:
            raise MissingDependency(
                "a live window needs tkinter, which comes with Python or as the system's package "
                "python3-tk; or use --output"
            ) from e
        try:
            self._root = tkinter.Tk(className="glpn")
        except tkinter.TclError as e:
            raise UsageError(f"a live window needs a display ({e}); or use --output") from e
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._photo: ImageTk.PhotoImage | None = None
        self._make_photo = ImageTk.PhotoImage
        self._colors = colors
        self._pointer: tuple[int, int] | None = None  # row and column
        self._shown, self._between = (
            time.monotonic(),
            0.0,
        )  # time of the last frame, mean seconds between frames
        self._root.protocol("WM_DELETE_WINDOW", on_close)
        for key in _KEYS:
            self._root.bind(key, lambda _: on_close())
        self._label.bind("<Motion>", lambda event: self._point(event.y, event.x))

    def show(self, frame: Frame, metres: NDArray[np.float32]) -> None:
        """Show one frame and its metres [H, W]."""
        picture = Image.fromarray(self._colors.beside(frame.pixels, metres))
        if self._photo is None:
            self._photo = self._make_photo(picture, master=self._root)
            self._label.configure(image=self._photo)
        else:
            self._photo.paste(picture)
        self._root.title(f"glpn: {self._reading(metres)}, {self._speed():.0f} frames/s")
        self._root.update()

    def destroy(self) -> None:
        """Close the window."""
        self._root.destroy()

    def _reading(self, metres: NDArray[np.float32]) -> str:
        """The metres under the pointer, or in the middle of the picture."""
        height, width = metres.shape
        row, column = self._pointer or (height // 2, width // 2)
        where = "here" if self._pointer else "in the middle"
        return f"{metres[min(row, height - 1), column % width]:.2f} m {where}"

    def _speed(self) -> float:
        now = time.monotonic()
        between = max(now - self._shown, 1e-6)
        self._between = _HISTORY * (self._between or between) + (1 - _HISTORY) * between
        self._shown = now
        return 1 / self._between

    def _point(self, row: int, column: int) -> None:
        self._pointer = max(row, 0), max(column, 0)
