"""Videos with non-square pixels, HDR colours, and files that only look like videos."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from glpn.errors import CannotCreateOutput, DataError
from glpn.video import hdr, open_video
from glpn.video.sequences import new_folder
from tests.video.videos import ramp, write_video

# ITU-R BT.2087, section 2: linear BT.709 RGB → linear BT.2020 RGB.
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(Fraction(4, 3), (48, 85)), (Fraction(1, 2), (96, 64)), (Fraction(1), (48, 64))],
)
def test_pixels_become_square(tmp_path: Path, aspect: Any, size: tuple[int, int]) -> None:
    path = write_video(tmp_path / "a.mp4", [ramp()] * 2, pixel_aspect=aspect)
    video = open_video(path)
    assert video.pixel_aspect == aspect and video.size == size
    assert video.first_frame().pixels.shape == (*size, 3)


def test_an_implausible_pixel_shape_is_ignored(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [ramp()] * 2, pixel_aspect=Fraction(255, 1))
    assert open_video(path).size == (48, 64)


def pq_signal(picture: np.ndarray) -> np.ndarray:
    """An SDR picture as PQ signal in BT.2020, its white at 203 nits (SMPTE ST 2084, BT.2408)."""
    light = ((picture / 255) ** 2.4) @ TO_BT2020.T * 203 / 10_000
    power = light ** (2610 / 16384)
    signal = (3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)
    return np.rint(signal ** (2523 / 32) * 65535).astype(np.uint16)


def hlg_signal(picture: np.ndarray) -> np.ndarray:
    """The same as HLG signal; its white at signal 0.75 (BT.2100, BT.2408)."""
    light = ((picture / 255) ** 2.4) @ TO_BT2020.T * 0.265
    bright = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.rint(np.where(light <= 1 / 12, np.sqrt(3 * light), bright) * 65535).astype(np.uint16)


@pytest.mark.parametrize(("encode", "transfer"), [(pq_signal, hdr.PQ), (hlg_signal, hdr.HLG)])
def test_hdr_is_mapped_to_its_sdr_twin(encode: Any, transfer: Any) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 230, (20, 30, 3), np.uint8)  # above 230, light is compressed
    mapped = hdr.tone_map(encode(picture), transfer)
    assert np.abs(mapped.astype(int) - picture).max() <= 3


def test_hdr_highlights_keep_their_order() -> None:
    grey = np.linspace(0, 65535, 256).astype(np.uint16)[None, :, None].repeat(3, axis=2)
    levels = hdr.tone_map(grey, hdr.PQ)[0, :, 0].astype(int)
    assert (np.diff(levels) >= 0).all() and levels[0] == 0 and levels[-1] == 255


def test_a_pq_video_looks_like_its_sdr_twin(tmp_path: Path) -> None:
    picture = ramp(48, 64)
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p10le"
        stream.codec_context.color_trc = hdr.PQ
        stream.codec_context.color_primaries = stream.codec_context.colorspace = 9  # BT.2020
        frame = av.VideoFrame.from_ndarray(pq_signal(picture), format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace="BT2020")
        for _ in range(3):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    video = open_video(path)
    assert video.transfer == "PQ"
    assert np.abs(video.first_frame().pixels.astype(int) - picture).mean() < 4


def test_an_animated_webp_is_refused_with_a_remedy(tmp_path: Path) -> None:
    first, second = (Image.fromarray(ramp(start=start)) for start in (10, 90))
    first.save(tmp_path / "a.webp", save_all=True, append_images=[second])
    with pytest.raises(DataError, match="animated WEBP cannot be read; convert it to GIF or MP4"):
        open_video(tmp_path / "a.webp")


def test_an_animated_gif_is_a_video(tmp_path: Path) -> None:
    first, second = (Image.fromarray(ramp(start=start)) for start in (10, 90))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert len(list(open_video(tmp_path / "a.gif").frames())) == 2


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_appear_in_the_output_folder_meanwhile_are_kept(
    tmp_path: Path, overwrite: bool
) -> None:
    out = tmp_path / "out"
    with (
        pytest.raises(CannotCreateOutput, match=r"notes|exists already"),
        new_folder(out, "walk", overwrite=overwrite) as folder,
    ):
        (folder / "walk_000001.png").write_bytes(b"")
        out.mkdir()
        (out / "notes.txt").write_text("precious")
    assert (out / "notes.txt").read_text() == "precious" and len(os.listdir(tmp_path)) == 1
