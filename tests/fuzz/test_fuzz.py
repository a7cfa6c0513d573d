"""A short run of every fuzzer; `python -m tests.fuzz.run` is the long one."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

import pytest
from PIL import Image

from glpn.errors import ImageTooLarge
from glpn.image.photo import read_photo
from tests.corpus.bytes_of import encoded, scene
from tests.fuzz.run import check, fuzz
from tests.fuzz.targets import TARGETS


def _tiff_with(tag: int, count: int, kind: int = 3) -> bytes:
    """A TIFF whose directory declares another type and number of values for a tag."""
    data = encoded(scene(8, 8), "TIFF")
    at = data.index(struct.pack("<H", tag), 8)
    return data[: at + 2] + struct.pack("<HI", kind, count) + data[at + 8 :]


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_only_our_own_errors_leave_a_reader_of_mutated_bytes(name: Any) -> None:
    assert fuzz(TARGETS[name], seconds=30, inputs=300) > 0  # the same inputs on every machine


# Inputs that a fuzzer found, made anew.
FINDINGS = {
    "an-open-quote": ("lists", b'"rgb/1.png depth/1.png 518.8\nrgb/2.png None 518.8\n'),
    "a-field-over-the-limit": ("lists", b"image,depth\n" + b"x" * 200_000 + b",y\n"),
    "a-focal-length-of-5000-letters": ("lists", b"rgb/1.png depth/1.png " + b"[" * 5000),
    "a-tiff-tag-with-too-many-values": ("image", _tiff_with(278, 152)),
    "a-result-of-5000-brackets": ("result", b"[" * 5000),
    "a-calibration-of-500-numbers": ("dataset", b"intrinsics = [" + b"32.0, " * 500 + b"]\n"),
    "a-vertex-of-20-digits": ("mesh", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999999999999\n"),
    "a-coordinate-beyond-float32": ("mesh", b"v 0 0 0\nv 1 0 0\nv 0 9e99 0\nf 1 2 3\n"),
    "vertices-of-two-numbers": ("mesh", b"v 0 0\nv 1 0\nv 0 1\nf 1 2 3\n"),
    "a-tiff-tag-of-a-wrong-type": ("image", _tiff_with(284, 1, kind=2)),
}


def _npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize("target", ["depth", "intrinsics"])
def test_the_header_of_an_array_that_ends_in_a_bracket_is_refused(target: str) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (5L, 6\n"
    if target == "intrinsics":
        check(TARGETS[target], _npy(header))
        return
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(TARGETS[target].seeds()[1])) as whole,
        zipfile.ZipFile(file, "w") as archive,
    ):
        for name in whole.namelist():
            archive.writestr(name, _npy(header) if name == "metres.npy" else whole.read(name))
    check(TARGETS[target], file.getvalue())


def test_the_frame_of_a_gif_counts_not_its_canvas() -> None:
    data = bytearray(encoded(scene(8, 8), "GIF"))
    at = data.index(b",\0\0\0\0") + 5
    data[at : at + 4] = struct.pack("<2H", 20_000, 6_000)
    check(TARGETS["image"], bytes(data))
    with pytest.raises(ImageTooLarge, match="20000x6000"):
        read_photo(bytes(data))


@pytest.mark.parametrize("side", [143_653, 2**31 - 1])
def test_a_depth_tiff_of_a_huge_size_is_refused_by_its_header(side: int) -> None:
    data = encoded(Image.new("F", (8, 8)), "TIFF")
    for tag in (256, 257):  # ImageWidth, ImageLength
        at = data.index(struct.pack("<H", tag), 8)
        data = data[: at + 2] + struct.pack("<HII", 4, 1, side) + data[at + 12 :]
    check(TARGETS["depth"], data)


@pytest.mark.parametrize("name", FINDINGS)
def test_what_a_fuzzer_found_stays_fixed(name: str) -> None:
    target, data = FINDINGS[name]
    check(TARGETS[target], data)
