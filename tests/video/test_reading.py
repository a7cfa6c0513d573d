"""Videos are read upright, completely and ahead of their reader."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from glpn.errors import DataError, MissingDependency, MissingInput
from glpn.video import open_video
from tests.video.videos import ramp, stamps, write_video


def test_frames_have_their_time_stamps_and_pictures(tmp_path: Path) -> None:
    shown = [ramp(start=10 * index) for index in range(12)]
    path = write_video(tmp_path / "a.mp4", shown)
    video = open_video(path)
    frames = list(video.frames())
    assert video.size == (48, 64) and video.rate == 25 and video.expected == 12
    assert [float(f.pts * video.time_base) for f in frames] == pytest.approx(stamps(path))
    for frame, wanted in zip(frames, shown, strict=True):
        assert np.abs(frame.pixels.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (-90, 3), (180, 2)])
def test_a_video_held_upright_is_read_upright(tmp_path: Path, degrees: int, turns: int) -> None:
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:16, :16] = 255
    video = open_video(write_video(tmp_path / "a.mp4", [corner] * 2, turned=degrees))
    wanted = np.rot90(corner, turns)  # FFmpeg counts counter-clockwise, as NumPy does
    assert video.size == wanted.shape[:2]
    assert np.abs(next(iter(video.frames())).pixels.astype(int) - wanted).mean() < 8


def test_a_cut_off_video_gives_what_can_be_decoded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = write_video(tmp_path / "a.mkv", [rng.integers(0, 255, (48, 64, 3), np.uint8)] * 30)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 3 // 4])
    assert 5 < len(list(open_video(whole).frames())) < 30


def with_reordered_frames(path: Path) -> Path:
    """40 frames in H.264, most of which the decoder holds back until it has later ones."""
    import av

    with av.open(str(path), "w") as output:
        options = {"g": "12", "bf": "3", "b-adapt": "0"}
        stream = output.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(40):
            frame = av.VideoFrame.from_ndarray(ramp(start=2 * index), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def test_frames_that_await_reordering_survive_where_the_file_ends(tmp_path: Path) -> None:
    import av

    path = with_reordered_frames(tmp_path / "a.nut")
    with av.open(str(path)) as source:
        starts = [packet.pos for packet in source.demux(video=0) if packet.size]
    data = path.read_bytes()
    for count in range(24, 40):
        path.write_bytes(data[: starts[count]])  # whole packets only
        assert len(list(open_video(path).frames())) == count


def test_frames_that_an_edit_list_hides_are_not_expected(tmp_path: Path) -> None:
    import av

    whole, trimmed = with_reordered_frames(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    with av.open(str(whole)) as source, av.open(str(trimmed), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                start = round(0.4 / packet.time_base)  # the frames before are kept but hidden
                packet.pts, packet.dts = packet.pts - start, packet.dts - start
                packet.stream = stream
                output.mux(packet)
    with av.open(str(trimmed)) as source:
        assert source.streams.video[0].frames == 40
    video = open_video(trimmed)
    assert video.expected == len(list(video.frames())) == 30 and not video.damaged


@pytest.mark.parametrize("codec", [b"xxxx", b"vvc1"])
def test_a_codec_without_a_decoder_is_reported_by_name(tmp_path: Path, codec: bytes) -> None:
    path = write_video(tmp_path / "a.mp4", [ramp()] * 2)
    path.write_bytes(path.read_bytes().replace(b"avc1", codec))
    with pytest.raises(DataError, match=r"a\.mp4: (FFmpeg has no decoder|no frame can be decoded)"):
        open_video(path)


def test_leaving_early_ends_the_thread(tmp_path: Path) -> None:
    video = open_video(write_video(tmp_path / "a.mp4", [ramp()] * 50))
    frames = video.frames()
    next(frames)
    frames.close()
    assert not [t for t in threading.enumerate() if t.name == "glpn-decode"]


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_may_hold_any_byte(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"-http:%d \xff\n.mp4")
    write_video(tmp_path / "a.mp4", [ramp()]).rename(path)
    video = open_video(path)
    assert len(list(video.frames())) == 1
    assert video.name.isprintable()


@pytest.mark.parametrize(
    ("content", "says"), [(b"no video" * 99, "cannot be read as a video"), (b"", "cannot be read")]
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a:b.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        open_video(path)
    assert "a:b.mp4" in str(caught.value)


def test_a_playlist_in_disguise_reaches_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "a.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n")
        with pytest.raises(DataError):
            open_video(tmp_path / "a.m3u8")
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_sound_file_is_refused(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.wav"), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
    with pytest.raises(DataError, match="no video stream"):
        open_video(tmp_path / "a.wav")


def test_a_missing_file_and_a_missing_library_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingInput):
        open_video(tmp_path / "none.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependency, match=r"\.\[video\]"):
        open_video(tmp_path / "none.mp4")
