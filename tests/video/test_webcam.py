"""A camera gives its newest picture, never an old one; FFmpeg's test picture poses as one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from glpn.depth.colormaps import colorize
from glpn.errors import DataError, MissingDependency, MissingInput, UsageError
from glpn.video.reading import Frame
from glpn.video.side_by_side import Colors
from glpn.video.webcam import Device, open_webcam, webcam_device
from glpn.video.window import Window, open_window
from tests.video.videos import pictures, ramp, write_video

ENDLESS = Device("lavfi", "testsrc=size=64x48:rate=50,realtime")
COLORS = Colors("inferno", 1.0, 5.0)


@pytest.mark.slow
def test_a_slow_reader_misses_pictures_and_gets_none_twice() -> None:
    with open_webcam(ENDLESS) as webcam:
        frames = webcam.frames()
        began, stamps = time.monotonic(), []
        for _ in range(4):
            stamps.append(next(frames).pts)
            time.sleep(0.2)  # ten pictures
        took = time.monotonic() - began
    assert webcam.size == (48, 64) and webcam.rate == 50
    assert stamps == sorted(set(stamps))
    assert took < 1.5, "pictures were queued, not dropped"


def test_frames_come_from_the_newest_picture(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", [ramp(start=8 * index) for index in range(12)])
    with open_webcam(Device("mp4", str(video))) as webcam:  # at the speed of the disk
        while not webcam.ended:
            time.sleep(0.01)
        (frame,) = webcam.frames()
    assert np.abs(frame.pixels.astype(int) - pictures(video)[-1]).max() <= 1


def test_stop_ends_the_frames_and_the_thread() -> None:
    with open_webcam(ENDLESS) as webcam:
        for frame in webcam.frames():
            if frame.index == 2:
                webcam.stop()
        assert frame.index in (2, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="cameras are files there")
def test_a_missing_camera_is_named() -> None:
    assert webcam_device(7) == Device("v4l2", "/dev/video7")
    with pytest.raises(MissingInput, match=r"/dev/video97: cannot be opened"):  # noqa: SIM117
        with open_webcam(webcam_device(97)):
            pass


def test_a_camera_without_a_picture_and_a_missing_library_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DataError, match="no picture"), open_webcam(Device("lavfi", "sine=d=1")):
        pass
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependency, match=r"\.\[video\]"), open_webcam(ENDLESS):
        pass


def test_without_a_display_a_needed_window_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter")
    monkeypatch.delenv("DISPLAY", raising=False)
    if sys.platform != "linux":
        pytest.skip("there is always a display")
    with open_webcam(ENDLESS) as webcam:
        with pytest.raises(UsageError, match="display"), open_window(COLORS, webcam, needed=True):
            pass
        with open_window(COLORS, webcam, needed=False) as show:
            show(Frame(0, 0, ramp()), np.ones((48, 64), np.float32))


def test_without_tkinter_a_needed_window_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(MissingDependency, match="python3-tk"):
        Window(COLORS, on_close=lambda: None)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A display of its own; skips where Xvfb or tkinter is absent."""
    pytest.importorskip("tkinter")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        name = f":{server.stdout.readline().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        yield name
        server.terminate()


def test_the_window_shows_picture_and_depth_and_closes_with_q(display: str) -> None:
    from PIL import ImageGrab

    closed = []
    metres = np.linspace(1, 5, 64, dtype=np.float32)[None].repeat(48, 0)
    window = Window(COLORS, on_close=lambda: closed.append(True))
    window.show(Frame(0, 0, ramp()), metres)
    window.show(Frame(1, 40, ramp()), metres)
    screen = np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB"))
    depth = colorize(metres, "inferno", near=1, far=5)
    assert _lies_in(screen, np.concatenate([ramp(), depth], axis=1))
    assert "3.03 m in the middle" in window._root.title()
    window._root.focus_force()
    window._root.update()
    window._root.event_generate("<q>")
    window._root.update()
    window.destroy()
    assert closed == [True]


def _lies_in(screen: np.ndarray, picture: np.ndarray) -> bool:
    """Whether a picture lies somewhere on the screen, pixel for pixel."""
    height, width = picture.shape[:2]
    rows, columns = np.nonzero((screen == picture[0, 0]).all(axis=2))
    places = zip(rows.tolist(), columns.tolist(), strict=True)
    return any(np.array_equal(screen[y : y + height, x : x + width], picture) for y, x in places)
