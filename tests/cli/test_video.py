"""`glpn video` keeps frames, time stamps and audio, and leaves no partial output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import glpn as library
from glpn.depth.legend import legend
from glpn.depth.reading import read_depth
from glpn.video.webcam import Device
from tests.cli.conftest import Run, RunGlpn, command, run_for_real
from tests.video.videos import noisy, packets, pictures, ramp, stamps, write_video


@pytest.fixture
def video(glpn: RunGlpn, model: Path) -> RunGlpn:
    """`glpn video` with the tiny model on one thread."""

    def run(*arguments: object) -> Run:
        return glpn("video", "-m", model, "--threads", 1, *arguments)

    return run


@pytest.mark.slow
def test_the_commands_of_the_page_run(
    glpn: RunGlpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs/video.md").read_text()
    lines = re.findall(r"^glpn (video .*)$", page, re.M)
    assert len(lines) == 4
    write_video(tmp_path / "walk.mp4", [ramp()] * 2)
    monkeypatch.chdir(tmp_path)
    for line in lines:
        done = glpn(*line.split(), "--threads", 1)
        assert done.code == 0, f"{line}: {done.err}"


@pytest.mark.slow
@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(25)])
def test_sixty_frames_with_a_tone_keep_count_rate_and_audio(
    video: RunGlpn, tmp_path: Path, rate: Any
) -> None:
    shown = [ramp(start=2 * index) for index in range(60)]
    source = write_video(tmp_path / "in.mp4", shown, rate=rate, tone="aac")
    done = video(source, "-o", tmp_path / "out.mp4", "--json")
    assert done.code == 0, done.err
    (record,) = done.records
    assert record["frames"] == 60 and record["audio"] == ["aac"] and record["warnings"] == []
    assert packets(tmp_path / "out.mp4") == packets(source)
    assert stamps(tmp_path / "out.mp4") == pytest.approx(stamps(source), abs=1e-3)
    with av.open(str(tmp_path / "out.mp4")) as out:
        assert out.streams.video[0].frames == 60
        assert float(out.streams.video[0].average_rate) == pytest.approx(float(rate), rel=1e-3)


@pytest.mark.slow
def test_the_picture_is_left_and_the_depth_right_in_one_range(
    video: RunGlpn, model: Path, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp(47 + 1, 64), ramp(48, 64, start=80)] * 3)
    done = video(source, "-o", tmp_path / "o.mp4", "--near", 1, "--far", 9, "--colormap", "gray")
    assert done.code == 0 and "1.00 to 9.00 m" in done.out
    for before, after in zip(pictures(source), pictures(tmp_path / "o.mp4"), strict=True):
        assert after.shape == (48, 128, 3)
        assert np.abs(after[:, :64].astype(int) - before).mean() < 6
        metres = library.load(model, threads=1)(before).metres
        wanted = ((metres - 1) / 8 * 255).clip(0, 255)
        assert np.abs(after[:, 64:].mean(axis=2) - wanted).mean() < 6


@pytest.mark.slow
def test_pictures_with_room_have_a_legend_on_their_right(video: RunGlpn, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp(96, 128)] * 2)
    assert video(source, "-o", tmp_path / "out.mp4", "--near", 1, "--far", 5).code == 0
    shown = pictures(tmp_path / "out.mp4")[1]
    strip = legend(96, "inferno", 1, 5)
    assert shown.shape[0] == 96 and 0 <= shown.shape[1] - 256 - strip.shape[1] <= 1
    found = shown[:, 256 : 256 + strip.shape[1]].astype(int)
    assert np.abs(found - strip).mean() < 12  # chroma has half the resolution


@pytest.mark.slow
def test_colours_survive(video: RunGlpn, tmp_path: Path) -> None:
    red = np.full((48, 64, 3), (200, 30, 40), np.uint8)
    source = write_video(tmp_path / "in.mp4", [red] * 3)
    assert video(source, "-o", tmp_path / "out.mp4").code == 0
    before, after = pictures(source)[1], pictures(tmp_path / "out.mp4")[1][:, 8:56]
    assert np.abs(after.mean(axis=(0, 1)) - before.mean(axis=(0, 1))).max() < 6


def test_the_output_has_a_default_name(
    video: RunGlpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_video(tmp_path / "walk.mp4", [ramp()] * 2)
    monkeypatch.chdir(tmp_path)
    assert video(source).code == 0 and video(source, "--format", "npz").code == 0
    assert (tmp_path / "walk-depth.mp4").is_file()
    assert (tmp_path / "walk-depth/walk_000001.npz").is_file()
    done = video(source, "--format", "npz")
    assert done.code == 73 and "--overwrite" in done.err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "call"),
    [([], {}), (["--focal", 80], {"focal": 80}), (["--fov", 40], {"fov": 40})],
)
def test_frames_have_the_camera_and_the_metres_of_photos(
    video: RunGlpn,
    model: Path,
    tmp_path: Path,
    arguments: list[Any] | list[str | int],
    call: dict[str, Any],
) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp()] * 2)
    assert video(source, "-o", tmp_path / "out", "--format", "png16", *arguments).code == 0
    depth = read_depth(tmp_path / "out/in_000001.png")
    photo = library.load(model, threads=1)(pictures(source)[0], **call)
    assert depth.camera == photo.camera
    assert np.abs(depth.metres - photo.metres).max() < 0.002


def test_intrinsics_are_those_of_the_file(video: RunGlpn, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp()] * 2)
    (tmp_path / "K.txt").write_text("60 0 30\n0 61 25\n0 0 1\n")
    out = tmp_path / "out"
    assert video(source, "-o", out, "--format", "npz", "--intrinsics", tmp_path / "K.txt").code == 0
    matrix = np.load(out / "in_000001.npz")["intrinsics"]
    np.testing.assert_allclose(matrix, [[60, 0, 30], [0, 61, 25], [0, 0, 1]])


def test_a_reference_in_the_first_frame_scales_all_frames(video: RunGlpn, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp(), ramp(start=90)])
    for name, arguments in (("plain", []), ("scaled", ["--ref", "20,30,4"])):
        assert video(source, "-o", tmp_path / name, "--format", "npz", *arguments).code == 0
    plain, scaled = (np.load(tmp_path / n / "in_000001.npz")["metres"] for n in ("plain", "scaled"))
    assert scaled[0, 30, 20] == pytest.approx(4, rel=1e-4)
    np.testing.assert_allclose(scaled / plain, 4 / plain[0, 30, 20], rtol=1e-3)


def test_two_sources_of_the_camera_are_refused_by_flag(video: RunGlpn, tmp_path: Path) -> None:
    done = video(tmp_path / "in.mp4", "--focal", 80, "--fov", 40)
    assert done.code == 2 and "--focal, --fov" in done.err


def test_an_odd_height_gets_one_more_row(video: RunGlpn, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mkv", [ramp(47, 33)] * 2, codec="ffv1")
    assert video(source, "-o", tmp_path / "out.mp4").code == 0
    assert pictures(tmp_path / "out.mp4")[0].shape == (48, 66, 3)


@pytest.mark.slow
def test_smoothing_halves_the_flicker_of_a_static_noisy_scene(
    video: RunGlpn, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    source = write_video(tmp_path / "in.mp4", [noisy(ramp(), rng, 5) for _ in range(30)])
    done = video(source, "-o", tmp_path / "out.mp4", "--smooth", "--json")
    (record,) = done.records
    assert record["cuts"] == 0
    assert 0 < record["flicker_smoothed"] < record["flicker"] / 2


@pytest.mark.slow
def test_smoothed_depth_has_no_lag_at_a_cut(video: RunGlpn, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    other = 255 - ramp()[:, ::-1] // 2
    scenes = [noisy(ramp() if index < 10 else other, rng, 3) for index in range(20)]
    source = write_video(tmp_path / "in.mp4", scenes)
    plain, smooth = tmp_path / "plain", tmp_path / "smooth"
    assert video(source, "-o", plain, "--format", "npz").code == 0
    done = video(source, "-o", smooth, "--format", "npz", "--smooth")
    assert done.code == 0 and "1 cut" in done.out
    before, after = (np.load(f / "in_000001.npz")["metres"] for f in (plain, smooth))
    assert np.array_equal(before[10], after[10])
    assert not np.array_equal(before[12], after[12])


def test_png_frames_are_depth_files(video: RunGlpn, model: Path, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp(), ramp(start=70)])
    assert video(source, "-o", tmp_path / "out", "--format", "png16").code == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["in_000001.png", "in_000002.png"]
    depth = read_depth(tmp_path / "out" / "in_000002.png")
    wanted = library.load(model, threads=1)(pictures(source)[1]).metres
    assert np.abs(depth.metres - wanted).max() < 0.002  # half a millimetre, and decoding
    assert depth.provenance.image == "in.mp4 frame 2"


@pytest.mark.slow
def test_npz_chunks_follow_each_other(
    video: RunGlpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glpn.video.sequences.CHUNK_FRAMES", 4)
    source = write_video(tmp_path / "in.mp4", [ramp()] * 10)
    assert video(source, "-o", tmp_path / "out", "--format", "npz").code == 0
    chunks = [np.load(tmp_path / "out" / f"in_{first:06}.npz") for first in (1, 5, 9)]
    assert [len(chunk["metres"]) for chunk in chunks] == [4, 4, 2]
    seconds = np.concatenate([chunk["seconds"] for chunk in chunks])
    assert np.allclose(seconds, np.arange(10) / 25)


def test_existing_outputs_are_kept_without_overwrite(video: RunGlpn, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp()] * 2)
    out = tmp_path / "out"
    for arguments in (["-o", out, "--format", "png16"], ["-o", tmp_path / "out.mp4"]):
        assert video(source, *arguments).code == 0
        assert video(source, *arguments).code == 73
        assert video(source, *arguments, "--overwrite").code == 0
    (out / "thesis.txt").write_text("three years")
    done = video(source, "-o", out, "--format", "png16", "--overwrite")
    assert done.code == 73 and "thesis.txt" in done.err
    assert (out / "thesis.txt").exists()


def test_the_video_itself_is_never_replaced(video: RunGlpn, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp()] * 2)
    before = source.read_bytes()
    assert video(source, "-o", source, "--overwrite").code == 2
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--format", "gif"], 2),
        (["--near", 5, "--far", 2], 2),
        (["--colormap", "rainbow"], 2),
        (["--max-depth", -1], 2),
    ],
)
def test_impossible_options_are_usage_errors(
    video: RunGlpn, tmp_path: Path, arguments: list[str] | list[str | int], code: int
) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp()] * 2)
    assert video(source, "-o", tmp_path / "out.mp4", *arguments).code == code
    assert os.listdir(tmp_path) == ["in.mp4"]


@pytest.mark.parametrize(
    ("format", "option"),
    [
        ("mp4", ("--scale", 256)),
        ("png16", ("--near", 1)),
        ("npz", ("--far", 9)),
        ("npz", ("--colormap", "gray")),
    ],
)
def test_an_option_that_the_format_does_not_use_is_refused(
    video: RunGlpn, tmp_path: Path, format: str, option: tuple[str, object]
) -> None:
    run = video(tmp_path / "in.mp4", "-o", tmp_path / "out", "--format", format, *option)
    assert run.code == 2 and f"{option[0]}: --format {format} does not use it" in run.err


@pytest.mark.parametrize("name", ["out.png", "out.npz", "out"])
def test_a_video_has_a_name_of_its_format(video: RunGlpn, tmp_path: Path, name: str) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp()] * 2)
    run = video(source, "-o", tmp_path / name)
    assert run.code == 2 and "--format mp4 needs a name that ends in .mp4" in run.err
    assert os.listdir(tmp_path) == ["in.mp4"]


def test_bad_videos_have_the_exit_codes_of_bad_photos(video: RunGlpn, tmp_path: Path) -> None:
    assert video(tmp_path / "none.mp4", "-o", tmp_path / "out.mp4").code == 66
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
    done = video(tmp_path / "bad.mp4", "-o", tmp_path / "out.mp4")
    assert done.code == 65 and "bad.mp4" in done.err
    source = write_video(tmp_path / "in.mp4", [ramp()] * 2)
    assert video(source, "-o", tmp_path / "no" / "out.mp4").code == 73


@pytest.mark.slow
def test_a_cut_off_video_is_converted_with_a_warning(video: RunGlpn, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w", options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "1"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(20):
            noise = rng.integers(0, 255, (48, 64, 3), np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        output.mux(stream.encode(None))
    source.write_bytes(source.read_bytes()[:-20_000])
    done = video(source, "-o", tmp_path / "out.mp4")
    assert done.code == 0, done.err
    count = len(pictures(tmp_path / "out.mp4"))
    assert 0 < count < 20
    assert f"{count} of 20 frames could be decoded" in done.err


@pytest.mark.slow
def test_audio_that_mp4_cannot_hold_is_left_out_with_a_warning(
    video: RunGlpn, tmp_path: Path
) -> None:
    source = write_video(tmp_path / "in.avi", [ramp()] * 5, tone="pcm_mulaw")
    done = video(source, "-o", tmp_path / "out.mp4")
    assert done.code == 0, done.err
    assert "pcm_mulaw" in done.err and not packets(tmp_path / "out.mp4")


def test_a_recorded_camera_becomes_a_video(
    video: RunGlpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_video(tmp_path / "a.mp4", [ramp(start=8 * index) for index in range(12)])
    monkeypatch.setattr("glpn.video.webcam.webcam_device", lambda _: Device("mp4", str(source)))
    monkeypatch.delenv("DISPLAY", raising=False)
    out = tmp_path / "out.mp4"
    done = video("--camera", 0, "-o", out, "--json")
    assert done.code == 0, done.err
    assert done.records[0]["frames"] >= 1
    assert [p.shape for p in pictures(out)] == [(48, 128, 3)] * done.records[0]["frames"]
    assert done.records[0]["audio"] == []


@pytest.mark.parametrize("arguments", [[], ["a.mp4", "--camera", 0], ["--camera", -1]])
def test_exactly_one_of_video_and_camera_is_required(
    glpn: RunGlpn, arguments: list[Any] | list[str | int]
) -> None:
    assert glpn("video", *arguments).code == 2


@pytest.mark.parametrize("option", [("--format", "npz"), ("--scale", 256), ("--overwrite",)])
def test_a_camera_that_writes_nothing_refuses_options_of_outputs(
    glpn: RunGlpn, option: tuple[Any, ...]
) -> None:
    run = glpn("video", "--camera", 0, *option)
    assert run.code == 2 and f"{option[0]}: a camera without -o writes nothing" in run.err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of file sizes there")
@pytest.mark.parametrize("format", ["mp4", "png16", "npz"])
def test_a_full_disk_is_reported_and_leaves_nothing(
    model: Path, tmp_path: Path, format: str
) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(40)]
    source = write_video(tmp_path / "in.mp4", noise)
    output = tmp_path / ("out.mp4" if format == "mp4" else "out")
    arguments = ["video", source, "-m", model, "-o", output, "--format", format]
    run = run_for_real(*arguments, "--threads", 1, preexec_fn=_only_small_files)
    assert run.code == 74 and "cannot be written" in run.err, run.err
    assert os.listdir(tmp_path) == ["in.mp4"]


def _only_small_files() -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_output(model: Path, tmp_path: Path, number: Any) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp(240, 320)] * 400)
    out = tmp_path / "out"
    arguments = ["video", source, "-m", model, "-o", out, "--format", "png16", "--threads", 1]
    run = subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".glpn-*/*.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(number)
    assert run.wait(30) == (143 if number == signal.SIGTERM else -signal.SIGKILL)
    assert not out.exists()
    assert bool(list(tmp_path.glob(".glpn-*"))) == (number == signal.SIGKILL)


_GROWTH = """
import os, sys, psutil
from glpn import load
from glpn.video import VideoOptions, convert
me, seen = psutil.Process(), []
convert(sys.argv[1], sys.argv[2], load(sys.argv[3], threads=1), options=VideoOptions(smooth=True),
        on_frame=lambda *_: seen.append(me.memory_info().rss))
print(max(seen[60:120]), max(seen[240:]), len(seen))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(model: Path, tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", [ramp(96, 128)] * 300, tone="aac")
    arguments = [sys.executable, "-c", _GROWTH, source, tmp_path / "out.mp4", model]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=True)
    early, late, count = map(int, done.stdout.split())
    assert count == 300
    assert late < early * 1.05


@pytest.mark.slow
def test_a_short_video_keeps_the_promises_of_the_benchmark(tmp_path: Path) -> None:
    script, figures = Path(__file__).parents[2] / "benchmarks/video.py", tmp_path / "video.json"
    command = [sys.executable, script, "--minutes", "0.34", "--json", figures]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert figures.exists(), done.stderr
    claims = json.loads(figures.read_text())["claims"]
    del claims["memory is flat"]  # twenty seconds are mostly warm-up
    assert len(claims) == 6 and all(claims.values()), done.stdout
