"""Photographs of every kind become upright RGB uint8, or are refused by name."""

from __future__ import annotations

import io
import os
import re
import socket
import struct
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import IFDRational

from glpn.errors import (
    GLPNError,
    ImageTooLarge,
    InvalidImage,
    MissingInput,
    UnsupportedImage,
    UsageError,
)
from glpn.image.limits import ImageLimits
from glpn.image.photo import MAX_FILE_BYTES, Photo, display_name, read_photo
from tests.corpus.bytes_of import (
    GREY,
    RGB,
    encoded,
    exif,
    jpeg_segment,
    jpeg_with,
    many_scans,
    orientation,
    png16,
    scene,
)
from tests.corpus.images import ARRAYS, FILES, Case, cmyk, ramp16


def case(id: str) -> Case:
    return next(c for c in (*FILES, *ARRAYS) if c.id == id)


def with_exif(block: bytes) -> bytes:
    return jpeg_with(jpeg_segment(0xE1, block), encoded(scene(), "JPEG"))


# --- the corpus ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("case", FILES, ids=lambda c: f"{c.row}-{c.id}")
def test_every_file_of_the_corpus_is_read_or_refused_by_name(case: Case, tmp_path: Path) -> None:
    path = case.write(tmp_path)
    if case.outcome is not None:
        with pytest.raises(GLPNError, match=re.escape(path.name)) as raised:
            read_photo(path)
        assert type(raised.value) is case.outcome
        return
    photo = read_photo(path)
    assert photo.pixels.shape == (*case.size, 3)
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.flags.c_contiguous
    assert photo.pixels.flags.writeable
    assert photo.name == str(path)


@pytest.mark.parametrize("case", ARRAYS, ids=lambda c: f"{c.row}-{c.id}")
def test_every_array_of_the_corpus_equals_its_uint8_twin_or_is_refused(case: Case) -> None:
    array = case.make()
    before = array.copy()
    if case.outcome is not None:
        with pytest.raises(case.outcome, match="kitchen"):
            read_photo(array, name="kitchen")
    else:
        photo = read_photo(array)
        np.testing.assert_array_equal(photo.pixels, scene())
        assert photo.pixels.flags.c_contiguous
        assert not np.shares_memory(photo.pixels, array)
    assert array.tobytes() == before.tobytes()


def test_animations_are_refused_with_their_number_of_frames() -> None:
    for id in ("animated-webp", "animated-png", "animated-gif", "tiff-pages"):
        with pytest.raises(InvalidImage, match=r"3 frames|pages or frames"):
            read_photo(case(id).make())


def test_a_float_image_out_of_range_is_refused_with_the_range_seen() -> None:
    with pytest.raises(InvalidImage, match=r"must lie in \[0, 1\]; got \[-2, 200\]"):
        read_photo(np.array([[-2.0, 200.0]]))


def test_an_array_of_a_wrong_shape_is_refused_with_its_shape() -> None:
    with pytest.raises(InvalidImage, match=r"\(2, 6, 5\)"):
        read_photo(np.zeros((2, 6, 5), np.uint8))


# --- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_bytes_files_streams_and_pil_images_give_the_same_pixels(
    format: str, tmp_path: Path
) -> None:
    data = encoded(scene(), format)
    path = tmp_path / "a.image"
    path.write_bytes(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    with path.open("rb") as file:
        sources: list[Any] = [
            path,
            str(path),
            data,
            bytearray(data),
            memoryview(data),
            io.BytesIO(data),
            file,
        ]
        sources.append(Image.open(path))
        for source in sources:
            np.testing.assert_array_equal(read_photo(source).pixels, expected)
    sources[-1].close()


def test_sixteen_bit_grey_is_the_rounded_257th_and_never_clipped() -> None:
    values = ramp16(1)
    expected = [round(Fraction(int(v), 257)) for v in values.ravel()]
    for source in (png16(values, GREY), values, values[:, :, 0]):
        pixels = read_photo(source).pixels
        for channel in range(3):
            np.testing.assert_array_equal(pixels[:, :, channel].ravel(), expected)


def test_sixteen_bit_colour_is_within_a_level_of_the_257th() -> None:
    values = ramp16(3)
    difference = read_photo(png16(values, RGB)).pixels - values / 257
    assert np.abs(difference).max() < 1
    ends = np.array([[[0, 65535, 0]]], np.uint16)
    np.testing.assert_array_equal(read_photo(png16(ends, RGB)).pixels, [[[0, 255, 0]]])


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_jpeg_has_the_colour_that_its_inks_make(adobe: bool) -> None:
    expected = [(255 - ink) * (255 - 30) / 255 for ink in (10, 60, 120)]
    pixels = read_photo(cmyk(adobe)).pixels
    assert np.abs(pixels - np.array(expected)).max() <= 2


def test_cmyk_tiff_has_the_colour_that_its_inks_make() -> None:
    picture = Image.new("CMYK", (32, 16), (10, 60, 120, 30))
    expected = [(255 - ink) * (255 - 30) / 255 for ink in (10, 60, 120)]
    pixels = read_photo(encoded(picture, "TIFF")).pixels
    assert np.abs(pixels - np.array(expected)).max() <= 2


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_tiff_in_which_zero_is_white_is_refused_with_a_remedy(dtype: type) -> None:
    picture = Image.fromarray(np.ones((16, 32), dtype))
    with pytest.raises(UnsupportedImage, match=r"0 is white.*save it with 0 as black"):
        read_photo(encoded(picture, "TIFF", tiffinfo={262: 0}))


def test_tiff_of_eight_bits_in_which_zero_is_white_is_read_as_it_looks() -> None:
    stored = encoded(Image.new("L", (32, 16), 40), "TIFF", tiffinfo={262: 0})
    at = stored.index(struct.pack("<HHI", 262, 3, 1))
    assert stored[at + 8 : at + 10] == b"\0\0"
    assert (read_photo(stored).pixels == 40).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_modes_become_three_equal_channels(mode: str) -> None:
    pixels = read_photo(case(f"mode-{mode}").make()).pixels
    expected = np.asarray(Image.fromarray(scene()).convert(mode).convert("L"))
    for channel in range(3):
        np.testing.assert_array_equal(pixels[:, :, channel], expected)


def test_grey_arrays_become_three_equal_channels() -> None:
    grey = scene()[:, :, 0]
    for array in (grey, grey[:, :, None], grey[None]):
        np.testing.assert_array_equal(read_photo(array).pixels, np.dstack([grey] * 3))


def test_alpha_is_dropped_and_never_blended() -> None:
    np.testing.assert_array_equal(read_photo(case("alpha-zero").make()).pixels, scene())
    palette = Image.fromarray(scene()).quantize(64)
    expected = np.asarray(palette.convert("RGB"))
    pixels = read_photo(case("palette-transparent").make()).pixels
    np.testing.assert_array_equal(pixels, expected)


def test_a_transparent_palette_image_of_the_caller_is_read_and_left_alone() -> None:
    with Image.open(io.BytesIO(case("palette-transparent").make())) as image:
        info = dict(image.info)
        pixels = read_photo(image).pixels
        assert image.info == info
        assert image.mode == "P"
    expected = np.asarray(Image.fromarray(scene()).quantize(64).convert("RGB"))
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("mode", ["I", "F", "I;16", "La"])
def test_pil_images_of_unusual_modes_follow_the_rules_for_arrays(mode: str) -> None:
    values = {
        "I": np.full((4, 5), 70_000, np.int32),
        "F": np.full((4, 5), 0.5, np.float32),
        "I;16": np.full((4, 5), 257 * 9, np.uint16),
        "La": None,
    }[mode]
    image = Image.new("La", (5, 4)) if values is None else Image.fromarray(values)
    if mode in ("I", "La"):
        with pytest.raises(InvalidImage):
            read_photo(image)
    else:
        assert (read_photo(image).pixels == {"F": 128, "I;16": 9}[mode]).all()


def test_where_both_ends_could_be_channels_arrays_are_channels_last_and_tensors_first() -> None:
    torch = pytest.importorskip("torch")
    array = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    np.testing.assert_array_equal(read_photo(array).pixels, array)
    first = read_photo(torch.from_numpy(array)).pixels
    np.testing.assert_array_equal(first, array.transpose(1, 2, 0))


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "bfloat16", "float16"])
def test_tensors_of_either_order_are_read(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    levels = (scene() > 100).astype(np.uint8) * 255  # 0 and 1 are exact in every dtype
    tensor = torch.from_numpy(levels)
    if dtype != "uint8":
        tensor = (tensor / 255).to(getattr(torch, dtype)).requires_grad_()
    for source in (tensor, tensor.permute(2, 0, 1)):
        np.testing.assert_array_equal(read_photo(source).pixels, levels)


def test_truncation_is_found_even_where_pillow_was_told_to_forgive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for id in ("jpeg-50%", "jpeg-99%", "png-25%", "png-99%", "webp-50%"):
        with pytest.raises(InvalidImage, match="truncated"):
            read_photo(case(id).make())


@given(st.integers(0, 2**32 - 1), st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_damaged_bytes_give_a_photo_or_an_invalid_image_and_nothing_else(
    seed: int, format: str
) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(scene(24, 32), format, exif=orientation(6)))
    for at in rng.integers(3, len(data), size=rng.integers(1, 6)):
        data[at] = rng.integers(256)
    with suppress(InvalidImage):
        assert read_photo(bytes(data)).pixels.ndim == 3


# --- limits --------------------------------------------------------------------------------------


def peak_growth_mb(statements: str, *arguments: object) -> float:
    """Growth of a fresh process's peak memory, in MB, while it runs `statements`."""
    program = f"""
import resource, sys
import numpy as np
from glpn.errors import GLPNError
from glpn.image.photo import read_photo
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_photo(np.zeros((8, 8, 3), np.uint8))
before = peak()
try:
{textwrap.indent(statements, "    ")}
except GLPNError:
    pass
print((peak() - before) / 1024)
"""
    command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return float(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
@pytest.mark.parametrize(
    ("id", "limit_mb"),
    [
        ("bomb-30000x30000", 50),
        ("bomb-webp", 50),
        ("81-megapixels", 50),
        ("12-megapixels", 1000),
        ("text-bomb", 100),
        ("profile-bomb", 100),
        ("data-bomb", 100),
        ("150000-chunks", 100),
        ("exif-10MB-jpeg", 100),
        ("exif-10MB-webp", 100),
        ("exif-10MB-png", 100),
    ],
)
def test_memory_stays_bounded(id: str, limit_mb: int, tmp_path: Path) -> None:
    path = case(id).write(tmp_path)
    assert peak_growth_mb("read_photo(sys.argv[1])", path) < limit_mb


@pytest.mark.parametrize("id", ["10000-scans", "10000-scans-12MP", "data-bomb", "exif-10MB-jpeg"])
def test_no_file_of_the_corpus_costs_more_than_five_seconds(id: str) -> None:
    data = case(id).make()
    started = time.process_time()
    with suppress(InvalidImage):
        read_photo(data)
    assert time.process_time() - started < 5


def test_ordinary_progressive_files_are_read() -> None:
    data = many_scans(encoded(scene(), "JPEG", progressive=True), 20)
    assert read_photo(data).size == (96, 128)


def test_the_pixel_limit_is_the_callers_to_choose() -> None:
    data = encoded(scene(10, 11), "PNG")
    assert read_photo(data, limits=ImageLimits(max_pixels=110)).size == (10, 11)
    limits = ImageLimits(max_pixels=109, max_jpeg_pixels=109)
    for source in (data, scene(10, 11), Image.fromarray(scene(10, 11))):
        with pytest.raises(ImageTooLarge, match=r"11x10.*limit"):
            read_photo(source, limits=limits)


@pytest.mark.slow
def test_a_file_over_the_byte_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ImageTooLarge, match=r"huge\.png"):
        read_photo(path)


# --- EXIF ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", range(1, 9))
def test_each_orientation_equals_the_picture_that_pillow_turns_upright(value: int) -> None:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,  # Pillow counts anticlockwise
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    image = Image.fromarray(scene())
    expected = np.asarray(image.transpose(turn[value]) if value in turn else image)
    for format in ("PNG", "WEBP"):
        data = encoded(scene(), format, exif=orientation(value), lossless=True)
        np.testing.assert_array_equal(read_photo(data).pixels, expected)
    with Image.open(io.BytesIO(data)) as opened:
        np.testing.assert_array_equal(read_photo(opened).pixels, expected)
    with Image.open(io.BytesIO(with_exif(orientation(value)))) as opened:
        stored = np.asarray(opened)
    upright = read_photo(with_exif(orientation(value))).pixels
    stored_image = Image.fromarray(stored)
    turned = stored_image.transpose(turn[value]) if value in turn else stored_image
    np.testing.assert_array_equal(upright, np.asarray(turned))


def test_pillow_s_own_exif_is_understood_in_both_byte_orders() -> None:
    for order in ("<", ">"):
        block = Image.Exif()
        block.endian = order
        block[0x0112] = 6
        block.get_ifd(0x8769)[0xA405] = 50
        photo = read_photo(encoded(scene(), "JPEG", exif=block.tobytes()))
        assert photo.size == (128, 96)
        assert photo.focal == pytest.approx(50 / (36**2 + 24**2) ** 0.5 * 160)


@pytest.mark.parametrize("id", ["exif-garbage", "exif-orientation-9", "exif-recursive"])
def test_corrupt_exif_means_upright(id: str) -> None:
    photo = read_photo(case(id).make())
    assert photo.size == (96, 128)
    assert photo.focal is None


def short(value: int) -> bytes:
    return struct.pack("<HH", value, 0)


def test_focal_length_comes_from_the_35mm_equivalent_by_diagonals() -> None:
    # A 96 x 128 picture has a diagonal of 160 pixels; 43.2666 mm is the film's.
    photo = read_photo(with_exif(exif([(0xA405, 3, 1, short(26))])))
    assert photo.focal == pytest.approx(26 / 43.2666 * 160, rel=1e-5)
    assert photo.focal_source == "EXIF FocalLengthIn35mmFilm"


def test_focal_length_comes_from_the_sensor_s_resolution_scaled_to_this_picture() -> None:
    # 5 mm lens, 10,000 pixels per cm = 1000 per mm, captured 1280 wide and now 128: 500 pixels.
    at = 8 + 2 + 4 * 12 + 4
    tail = struct.pack("<4I", 50, 10, 10_000, 1)
    block = exif(
        [
            (0x920A, 5, 1, struct.pack("<I", at)),
            (0xA20E, 5, 1, struct.pack("<I", at + 8)),
            (0xA210, 3, 1, short(3)),
            (0xA002, 4, 1, struct.pack("<I", 1280)),
        ],
        tail,
    )
    photo = read_photo(with_exif(block))
    assert photo.focal == pytest.approx(500)
    assert photo.focal_source == "EXIF FocalLength and FocalPlaneXResolution"


@pytest.mark.parametrize("is_recorded_turned", [False, True])
def test_focal_length_of_a_turned_picture_is_that_of_the_camera(is_recorded_turned: bool) -> None:
    # 25 mm lens, 4000 pixels over 24 mm: 6000 x 4000 pixels were captured. A program turned them,
    # reduced them to 200 x 300, and may have turned the recorded size or not.
    exif = Image.Exif()
    tags = exif.get_ifd(0x8769)
    tags[0x920A], tags[0xA20E], tags[0xA210] = IFDRational(25), IFDRational(4000, 24), 4
    tags[0xA002], tags[0xA003] = (4000, 6000) if is_recorded_turned else (6000, 4000)
    file = io.BytesIO()
    Image.new("RGB", (200, 300)).save(file, "JPEG", exif=exif.tobytes())
    photo = read_photo(file.getvalue())
    assert photo.focal == pytest.approx(25 * 4000 / 24 * 300 / 6000, rel=1e-4)


@pytest.mark.parametrize("film_mm", [0, 1, 65535])
def test_absurd_focal_lengths_are_ignored(film_mm: int) -> None:
    photo = read_photo(with_exif(exif([(0xA405, 3, 1, short(film_mm))])))
    assert photo.focal is None
    assert photo.focal_source is None


@given(st.binary(max_size=200))
def test_any_exif_block_leaves_the_photo_readable(block: bytes) -> None:
    photo = read_photo(with_exif(b"Exif\0\0II*\0\x08\0\0\0" + block))
    assert photo.pixels.size == 96 * 128 * 3
    assert photo.focal is None or photo.focal > 0


# --- sources that are no photograph --------------------------------------------------------------


def test_a_missing_file_is_missing_input(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path / "file" / "below.jpg", Path("a\0b")):
        (tmp_path / "file").touch()
        with pytest.raises(MissingInput):
            read_photo(path)


def test_a_folder_and_special_files_are_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "link.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
        for name in ("pipe.jpg", "loop.jpg", "link.jpg", "socket.jpg", "."):
            with pytest.raises(InvalidImage, match=name):
                read_photo(tmp_path / name)
    with pytest.raises(InvalidImage, match="/dev/zero: is a device"):
        read_photo("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_an_unreadable_file_is_missing_input(tmp_path: Path) -> None:
    path = tmp_path / "secret.jpg"
    path.write_bytes(encoded(scene(), "JPEG"))
    path.chmod(0)
    with pytest.raises(MissingInput, match=r"secret\.jpg: no permission"):
        read_photo(path)


def test_names_are_escaped_in_messages_and_kept_in_the_photo(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    for raw, shown in ((b"a\nb\x1b[1m.jpg", r"a\\nb\\x1b\[1m"), (b"\xff.jpg", r"\\udcff")):
        name = os.fsdecode(folder + b"/" + raw)
        Path(name).write_bytes(b"no image")
        with pytest.raises(InvalidImage, match=shown) as raised:
            read_photo(name)
        assert str(raised.value).isprintable()
    path = tmp_path / "küche 🍳.png"
    path.write_bytes(encoded(scene(), "PNG"))
    assert read_photo(path).name == str(path)
    assert display_name("küche 🍳") == "küche 🍳"


@pytest.mark.parametrize("source", [None, 3, {"a": 1}, [scene()]])
def test_a_source_that_never_holds_a_photograph_is_a_usage_error(source: object) -> None:
    with pytest.raises(UsageError, match=type(source).__name__):
        read_photo(source)


def test_a_text_stream_is_refused() -> None:
    with pytest.raises(InvalidImage, match="binary"):
        read_photo(io.StringIO("text"))


def test_a_stream_of_short_reads_is_read_to_its_end() -> None:
    class Dripping(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.source = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self.source.read(min(size, 1000))

    pixels = read_photo(Dripping(encoded(scene(), "PNG"))).pixels
    np.testing.assert_array_equal(pixels, scene())


def test_a_photo_is_returned_as_it_is() -> None:
    photo = Photo(scene(), "mine")
    assert read_photo(photo) is photo


def test_reading_photographs_imports_no_torch() -> None:
    program = (
        "import sys, glpn.image.photo, glpn.processing.processor; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_booleans_are_black_and_white_as_in_pillow() -> None:
    picture = np.eye(8, dtype=bool)
    expected = read_photo(Image.fromarray(picture)).pixels
    assert expected.max() == 255
    assert np.array_equal(read_photo(picture).pixels, expected)


def test_a_path_of_bytes_is_read_and_an_empty_one_refused(tmp_path: Path) -> None:
    class BytesPath:
        def __fspath__(self) -> bytes:
            return bytes(tmp_path / "a.png")

    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    assert read_photo(BytesPath()).size == (2, 3)
    with pytest.raises(MissingInput, match="'': no path"):
        read_photo("")
