"""A long video through `glpn video`: memory, frames, audio, flicker, cuts; exit 1 if one fails.

    python benchmarks/video.py [--minutes 10] [--rate 10] [--json video.json]

The video is made first: procedural rooms at 320×240 with a tone, SCENE seconds each, in turn from a
moving camera and from one that stands still with noise in every frame. `glpn video --smooth` runs
on it in a process of its own with the bundled model. Flicker and cuts are looked at in the video's
first EXCERPT seconds, whose metres are written with and without smoothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
from numpy.typing import NDArray

from glpn.synthetic import render

SIZE = (240, 320)
ROOM = (320, 420)  # the camera moves over pictures of this size
ROOMS = 6
SCENE = 5  # seconds
EXCERPT = 20  # seconds
NOISE = 5.0  # grey levels, one standard deviation
SAMPLES = 16_000  # of audio a second
WARM_UP = 0.25  # of the run, and at least WARM_UP_S; memory counts from there on
WARM_UP_S = 20.0  # to choose an engine where none is remembered, to open it, to fill the lanes
ENDING_S = 2.0  # in which it lets go of the network and the lanes, and its memory falls
LOOK_EVERY = 0.1  # seconds
FLAT = 0.05
HALVED = 0.5


def pictures(rate: int) -> Iterator[NDArray[np.uint8]]:
    """Frames without end; scene after scene, those with odd numbers static and noisy."""
    rooms = render(range(ROOMS), ROOM).image.numpy()
    rng = np.random.default_rng(0)
    steps = SCENE * rate
    free = np.array(ROOM) - SIZE
    index = 0
    while True:
        scene, step = divmod(index, steps)
        moves = scene % 2 == 0
        phase = 2 * np.pi * step / steps if moves else 0.0
        top, left = (free * (1 + np.sin([phase, phase + np.pi / 2])) / 2).astype(int)
        picture = rooms[scene % ROOMS][top : top + SIZE[0], left : left + SIZE[1]]
        yield picture if moves else noisy(picture, rng)
        index += 1


def noisy(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(NOISE)
    return np.asarray((picture + noise).clip(0, 255).round().astype(np.uint8))


def write_video(path: Path, seconds: int, rate: int) -> None:
    with av.open(str(path), "w") as output:
        video = output.add_stream(
            "libx264", rate=rate, options={"crf": "12", "preset": "ultrafast"}
        )
        video.height, video.width = SIZE
        video.pix_fmt = "yuv420p"
        sound = output.add_stream("aac", rate=SAMPLES, layout="mono")
        for second, start in enumerate(range(0, seconds * rate, rate)):
            if start == 0:
                frames = pictures(rate)
            for picture in islice(frames, rate):
                output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            output.mux(sound.encode(tone(second)))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))


def tone(second: int) -> av.AudioFrame:
    """One second of a tone whose pitch climbs, so that no two seconds sound alike."""
    turns = np.arange(SAMPLES) / SAMPLES * (220 + second)
    wave = (0.3 * np.sin(2 * np.pi * turns)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts = SAMPLES, second * SAMPLES
    return frame


@dataclass
class Run:
    """One run of `glpn video`: its JSON record, its duration and its memory over time."""

    record: dict[str, object]
    seconds: float
    rss_mb: list[float]


def run(video: Path, output: Path, *options: str) -> Run:
    command = [
        sys.executable,
        "-m",
        "glpn",
        "video",
        str(video),
        "-o",
        str(output),
        "--json",
        *options,
    ]
    began = time.perf_counter()
    rss: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            rss.append(watched.memory_info().rss / 1e6)
            time.sleep(LOOK_EVERY)
        output_text = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"glpn video ended with {process.returncode}")
    return Run(json.loads(output_text), time.perf_counter() - began, rss)


def stamps(path: Path) -> list[float]:
    """When each frame is shown, in seconds, without decoding."""
    with av.open(str(path)) as source:
        packets = source.demux(source.streams.video[0])
        return sorted(float(p.pts * p.time_base) for p in packets if p.size)


def audio(path: Path) -> list[bytes]:
    with av.open(str(path)) as source:
        return [bytes(p) for p in source.demux(source.streams.audio[0]) if p.size]


def metres(folder: Path) -> NDArray[np.float32]:
    """All frames [N, H, W]."""
    return np.concatenate([np.load(chunk)["metres"] for chunk in sorted(folder.glob("*.npz"))])


def flicker(depth: NDArray[np.float32], rate: int) -> float:
    """Mean absolute change of log depth from frame to frame, over the static scenes."""
    steps = SCENE * rate
    scenes = [depth[start : start + steps] for start in range(steps, len(depth), 2 * steps)]
    return float(np.mean([np.abs(np.diff(np.log(scene), axis=0)).mean() for scene in scenes]))


def whole(
    video: Path, folder: Path, seconds: int, rate: int
) -> tuple[dict[str, Any], dict[str, bool]]:
    """Figures and claims of the video from end to end."""
    output = folder / "depth.mp4"
    done = run(video, output, "--smooth")
    looks = len(done.rss_mb)
    start = max(int(looks * WARM_UP), min(round(WARM_UP_S / LOOK_EVERY), looks // 2))
    warm = done.rss_mb[start : -round(ENDING_S / LOOK_EVERY)]
    middle = float(np.median(warm))
    frames, before, after = seconds * rate, stamps(video), stamps(output)
    figures = {
        "frames": done.record["frames"],
        "seconds": done.seconds,
        "frames_per_second": frames / done.seconds,
        "rss_mb": {"median": middle, "least": min(warm), "most": max(warm)},
        "cuts": {"made": (seconds - 1) // SCENE, "found": done.record["cuts"]},
        "flicker": [done.record["flicker"], done.record["flicker_smoothed"]],
    }
    claims = {
        "memory is flat": max(warm) < middle * (1 + FLAT) and min(warm) > middle * (1 - FLAT),
        "frame count is kept": done.record["frames"] == len(before) == len(after) == frames,
        "rate is kept": len(before) == len(after) and bool(np.allclose(before, after, atol=1e-3)),
        "audio is kept": audio(video) == audio(output),
    }
    return figures, claims


def excerpt(video: Path, folder: Path, rate: int) -> tuple[dict[str, Any], dict[str, bool]]:
    """Figures and claims that need metres with and without smoothing."""
    run(video, folder / "plain", "--format", "npz")
    run(video, folder / "smooth", "--format", "npz", "--smooth")
    plain, smooth = metres(folder / "plain"), metres(folder / "smooth")
    firsts = range(SCENE * rate, len(plain), SCENE * rate)
    before, after = flicker(plain, rate), flicker(smooth, rate)
    lag = max(float(np.abs(np.log(plain[i] / smooth[i])).max()) for i in firsts)
    figures = {"static_flicker": [before, after], "lag_at_cuts": lag}
    claims = {
        "flicker is halved": after <= HALVED * before,
        "cuts have no lag": all(np.array_equal(plain[i], smooth[i]) for i in firsts),
        "static scenes are smoothed": not np.array_equal(plain, smooth),
    }
    return figures, claims


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=int, default=10, help="frames per second of the video")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    seconds, rate = round(options.minutes * 60), options.rate
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_video(folder / "video.mp4", seconds, rate)
        write_video(folder / "excerpt.mp4", min(seconds, EXCERPT), rate)
        figures, claims = whole(folder / "video.mp4", folder, seconds, rate)
        more_figures, more_claims = excerpt(folder / "excerpt.mp4", folder, rate)
    result = {"minutes": options.minutes, **figures, **more_figures, "claims": claims | more_claims}
    print(json.dumps(result, indent=2))
    for claim, held in result["claims"].items():
        print(f"{'held' if held else 'NOT HELD'}: {claim}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    if not all(result["claims"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
