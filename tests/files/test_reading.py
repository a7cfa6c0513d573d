"""Reading depth maps of others, and files that are damaged, hostile or something else."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from glpn.camera.camera import Camera
from glpn.data.depthmaps import DepthFormat, depth_size
from glpn.depth.reading import read_depth
from glpn.errors import (
    DataError,
    GLPNError,
    MissingInput,
    UsageError,
)
from glpn.files import exr_writer
from tests.depths import READABLE, a_depth, save


def test_plain_png_needs_its_scale(tmp_path: Path) -> None:
    path = tmp_path / "kitti.png"
    Image.fromarray(np.array([[0, 256, 2560]], np.uint16)).save(path)
    with pytest.raises(UsageError, match=r"kitti\.png.*scale.*256: KITTI"):
        read_depth(path)
    depth = read_depth(path, scale=256)
    assert depth.metres.tolist() == [[0, 1, 10]]
    assert depth.camera == Camera.assumed((1, 3))
    assert (depth.provenance.model, depth.provenance.image) == ("unknown", "kitti.png")


@pytest.mark.parametrize("description", [7, b"{"])
def test_a_tiff_described_by_a_number_is_a_plain_depth_map(
    tmp_path: Path, description: Any
) -> None:
    path = tmp_path / "a.tiff"
    metres = np.array([[1.5, 2]], np.float32)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = description
    tags.tagtype[270] = 3 if description == 7 else 1  # TIFF 6.0: SHORT, BYTE
    Image.fromarray(metres).save(path, tiffinfo=tags)
    assert read_depth(path, scale=1).metres.tolist() == metres.tolist()


@pytest.mark.parametrize("form", ["channels", "parts"])
def test_an_exr_with_more_values_than_memory_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    zeros = np.zeros((20, 30), np.float32)
    path = tmp_path / "many.exr"
    if form == "channels":
        names = ["Z", *(f"layer{i}" for i in range(40))]
        OpenEXR.File(header, dict.fromkeys(names, zeros)).write(str(path))
    else:
        parts = [OpenEXR.Part({**header, "name": n}, {"Z": zeros}, n) for n in map(str, range(41))]
        OpenEXR.File(parts).write(str(path))
    monkeypatch.setattr(exr_writer, "MAX_VALUES", 40 * 600)
    monkeypatch.setattr(OpenEXR.Channel, "pixels", property(lambda _: pytest.fail("decoded")))
    with pytest.raises(DataError, match=r"many\.exr: .*24600 values"):
        depth_size(path, DepthFormat(scale=1))
    if form == "channels":
        with pytest.raises(DataError, match=r"many\.exr: .*24600 values"):
            read_depth(path, scale=1)


def test_a_damaged_archive_is_not_repeated_in_the_message(tmp_path: Path) -> None:
    """zipfile quotes the header's name, which damage can make as long as the file."""
    path = a_depth().save(tmp_path / "a.npz")
    data = bytearray(path.read_bytes())
    data[26:28] = (6000).to_bytes(2, "little")  # length of the first name
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.npz: damaged") as caught:
        read_depth(path)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_scale_against_the_files_own_is_refused(tmp_path: Path) -> None:
    path = a_depth().save(tmp_path / "a.png")
    assert np.array_equal(read_depth(path, scale=1000).metres, read_depth(path).metres)
    with pytest.raises(UsageError, match="states the scale 1000, not 256"):
        read_depth(path, scale=256)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_eight_bit_png_is_refused_with_file_and_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "eight.png"
    Image.new(mode, (4, 3)).save(path)
    with pytest.raises(DataError, match=rf"eight\.png: .*16-bit grey.*mode {mode}"):
        read_depth(path, scale=1000)


def test_float_files_of_others_may_mark_unknown_with_nan_infinity_or_negatives(
    tmp_path: Path,
) -> None:
    path = tmp_path / "theirs.tiff"
    Image.fromarray(np.array([[1, np.nan, np.inf, -1]], np.float32)).save(path)
    assert read_depth(path, scale=1).metres.tolist() == [[1, 0, 0, 0]]


def test_kind_is_decided_by_content_not_by_name(tmp_path: Path) -> None:
    depth = a_depth()
    path = depth.save(tmp_path / "a.npz").rename(tmp_path / "a.png")
    assert np.array_equal(read_depth(path).metres, depth.metres)


@pytest.mark.parametrize("data", [b"", b"hello, world", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04"])
def test_files_that_are_no_depth_map_are_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"odd\.bin"):
        read_depth(path)


def test_missing_folder_and_special_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"none\.png"):
        read_depth(tmp_path / "none.png")
    with pytest.raises(DataError, match="not a regular file"):
        read_depth(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="not a regular file"):
        read_depth(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(DataError, match="loop"):
        read_depth(tmp_path / "loop.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of a cut TIFF before it fails
@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("format", READABLE)
def test_truncated_file_is_refused_by_name(tmp_path: Path, format: Any, share: float) -> None:
    path = save(a_depth(), tmp_path, format)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DataError, match="depth"):
        read_depth(path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("written")
    return {format: save(a_depth((5, 6)), folder, format).read_bytes() for format in READABLE}


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["png16", "npz", "tiff"]), st.data())
def test_flipped_bytes_give_a_depth_or_a_named_error(
    written: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, format: str, data: Any
) -> None:
    damaged = bytearray(written[format])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "flipped"
    path.write_bytes(damaged)
    try:
        assert np.isfinite(read_depth(path).metres).all()
    except GLPNError as e:
        assert "flipped" in str(e)


def a_png(text: bytes | None, *, side: int = 1) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, 0, 0, 0, 0))
    words = b"" if text is None else chunk(b"tEXt", b"glpn\0" + text)
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x04\xd2"))
    return b"\x89PNG\r\n\x1a\n" + header + words + pixels + chunk(b"IEND", b"")


GOOD_CAMERA = b'"camera": {"fx": 1, "fy": 1, "cx": 0, "cy": 0, "source": "x"}'


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"[" * 5000,
        b'"text"',
        b'{"scale": "1000"}',
        b'{"scale": 0}',
        b'{"scale": NaN}',
        b'{"scale": true}',
        b'{"scale": 1000, "camera": 5}',
        b'{"scale": 1000, "camera": {"fx": 1}}',
        b'{"scale": 1000, ' + GOOD_CAMERA.replace(b'"fx": 1', b'"fx": -1') + b"}",
        b'{"scale": 1000, ' + GOOD_CAMERA.replace(b'"fx": 1', b'"fx": NaN') + b"}",
        b'{"scale": 1000, ' + GOOD_CAMERA + b', "model": 5}',
        b'{"scale": 1000, ' + GOOD_CAMERA + b', "model": "m"}',
    ],
)
def test_impossible_metadata_is_refused_by_name(tmp_path: Path, text: Any) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(a_png(text))
    with pytest.raises(GLPNError, match=r"odd\.png"):
        read_depth(path)


def test_hand_made_png_is_read(tmp_path: Path) -> None:
    path = tmp_path / "made.png"
    path.write_bytes(a_png(b'{"scale": 1000, ' + GOOD_CAMERA + b"}"))
    assert read_depth(path).at(0, 0) == pytest.approx(1.234)


def test_bombs_are_refused_from_what_they_declare(tmp_path: Path) -> None:
    png = tmp_path / "bomb.png"
    png.write_bytes(a_png(None, side=30_000))
    with pytest.raises(DataError, match=r"bomb\.png"):
        read_depth(png, scale=1000)
    npz = tmp_path / "bomb.npz"
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (100_000, 100_000)}
    np.lib.format.write_array_header_1_0(header, shape)
    text = io.BytesIO()
    np.save(text, np.array("{}"))
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("metres.npy", header.getvalue())
        archive.writestr("glpn.npy", text.getvalue())
    with pytest.raises(DataError, match=r"bomb\.npz: metres: declares .*40000000000 bytes"):
        read_depth(npz)


def test_pickles_inside_an_npz_are_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "pickle.npz"
    np.savez(path, metres=np.array([{}], object), glpn=np.array("{}"))
    with pytest.raises(DataError, match="metres: expected"):
        read_depth(path)


@pytest.mark.parametrize("scale", ["1e-320", "1e-7", "1e300", "1" + "0" * 400, "-1", "Infinity"])
def test_a_scale_that_no_unit_has_is_refused_without_a_warning(tmp_path: Path, scale: str) -> None:
    path = tmp_path / "odd.png"
    path.write_bytes(a_png(f'{{"scale": {scale}}}'.encode()))
    with pytest.raises(GLPNError, match=r"odd\.png.*scale"):
        read_depth(path)
