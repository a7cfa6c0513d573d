"""Small videos made with PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

RATE = 25
SAMPLES = 16_000  # a second


def write_video(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    rate: Fraction | int = RATE,
    tone: str | None = None,
    turned: int = 0,
    codec: str = "libx264",
    pixel_aspect: Fraction = Fraction(1),
) -> Path:
    """A video of these RGB frames; `tone`: the codec of one tone as long as the video."""
    frames = list(frames)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        if codec == "libx264":
            stream.options = {"crf": "10", "preset": "ultrafast"}
        if turned:
            stream.set_display_rotation(turned)
        sound = output.add_stream(tone, rate=SAMPLES, layout="mono") if tone else None
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
        if sound is not None:
            _write_tone(output, sound, float(len(frames) / rate))
    return path


def _write_tone(output: Any, stream: Any, seconds: float) -> None:
    wave = np.sin(np.arange(int(SAMPLES * seconds)) * (2 * np.pi * 440 / SAMPLES))
    resampler = av.AudioResampler(stream.format, stream.layout, stream.rate)
    for start in range(0, len(wave), 1024):
        block = (wave[start : start + 1024] * 8000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLES, start
        for resampled in resampler.resample(frame):
            output.mux(stream.encode(resampled))
    output.mux(stream.encode(None))


def ramp(height: int = 48, width: int = 64, *, start: int = 40) -> NDArray[np.uint8]:
    """A picture that gets brighter to the right."""
    row = np.linspace(start, start + 120, width).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def noisy(picture: NDArray[np.uint8], rng: np.random.Generator, sigma: float) -> NDArray[np.uint8]:
    """The picture with noise of its own in every pixel."""
    noise = rng.normal(0, sigma, picture.shape)
    return (picture + noise).clip(0, 255).round().astype(np.uint8)


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """Every frame of a video, decoded."""
    with av.open(str(path)) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


def packets(path: Path) -> list[bytes]:
    """The audio of a video, not decoded."""
    with av.open(str(path)) as source:
        sound = source.streams.audio
        return [bytes(p) for p in source.demux(sound) if p.size] if sound else []


def stamps(path: Path) -> list[float]:
    """When each frame is shown, in seconds."""
    with av.open(str(path)) as source:
        return [float(frame.pts * frame.time_base) for frame in source.decode(video=0)]
