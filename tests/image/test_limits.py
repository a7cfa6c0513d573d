"""Limits hold before decoding; odd sources are refused by name; refusals say what to do."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.errors import ImageTooLarge, InvalidImage, MissingInput, UnsupportedImage
from glpn.image.limits import DEFAULT_LIMITS, SERVICE_LIMITS, ImageLimits
from glpn.image.photo import read_photo
from tests.corpus.bytes_of import encoded, exif, jpeg_segment, jpeg_with, scene
from tests.corpus.images import FILES
from tests.image.test_photo import peak_growth_mb

PANORAMA = b'<x GPano:ProjectionType="equirectangular"/>'


def files_of(row: int) -> list[Any]:
    return [case for case in FILES if case.row == row]


@pytest.mark.slow
@pytest.mark.parametrize("case", files_of(76), ids=lambda case: case.id)
def test_a_sliver_is_refused_in_a_tenth_of_a_second(case: Any) -> None:
    data = case.make()
    began = time.process_time()
    with pytest.raises(ImageTooLarge):
        read_photo(data)
    assert time.process_time() - began < 0.1


@pytest.mark.parametrize("case", files_of(75), ids=lambda case: case.id)
def test_exif_in_an_unknown_segment_never_reaches_the_decoder(
    case: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = case.write(tmp_path)
    with pytest.raises(InvalidImage, match="impossible segment FF"):
        read_photo(path)
    assert capfd.readouterr() == ("", "")
    assert peak_growth_mb("read_photo(sys.argv[1])", path) < 50


@pytest.mark.parametrize(
    ("width", "height", "jpeg", "message"),
    [
        (9504, 6336, False, "60.2 megapixels; the limit is 50"),
        (12_000, 10_001, True, "120.0 megapixels; the limit is 120"),
        (65_536, 100, True, "a side over the limit of 65535"),
        (5_001, 1, False, "a sliver"),
    ],
)
def test_each_limit_names_itself(width: int, height: int, jpeg: bool, message: str) -> None:
    with pytest.raises(ImageTooLarge, match=message):
        DEFAULT_LIMITS.require(width, height, name="x", jpeg=jpeg)


@pytest.mark.parametrize("size", [(12_000, 9_000), (9504, 6336), (8064, 6048), (1, 5000)])
def test_photos_of_108_megapixels_are_within_the_limits_as_jpeg(size: tuple[int, int]) -> None:
    DEFAULT_LIMITS.require(*size, name="x", jpeg=True)


def test_one_number_raises_both_limits_on_pixels() -> None:
    raised = DEFAULT_LIMITS.raised_to(240_000_000)
    assert (raised.max_jpeg_pixels, raised.max_pixels) == (240_000_000, 100_000_000)
    assert SERVICE_LIMITS.max_pixels < DEFAULT_LIMITS.max_pixels


@pytest.mark.parametrize(
    ("subsampling", "passes"),  # of Pillow's ten scans: 2 with all components, 8 with one each
    [(0, 2 * 3 + 8), (1, 2 * 2 + 4 + 4 / 2), (2, 2 * 1.5 + 4 + 4 / 4)],
)
def test_the_samples_of_all_scans_are_limited(subsampling: int, passes: float) -> None:
    photo = encoded(scene(96, 128), "JPEG", progressive=True, subsampling=subsampling)
    samples = int(96 * 128 * passes)
    read_photo(photo, limits=ImageLimits(max_scan_samples=samples))
    with pytest.raises(ImageTooLarge, match=f"{passes:g} passes of .* save it as an ordinary JPEG"):
        read_photo(photo, limits=ImageLimits(max_scan_samples=samples - 1))


def test_a_jpeg_of_one_scan_is_within_any_limit_on_scans() -> None:
    read_photo(encoded(scene(), "JPEG"), limits=ImageLimits(max_scan_samples=1))


def test_the_service_reads_usual_progressive_photos_of_24_megapixels_and_no_sharper_ones() -> None:
    SERVICE_LIMITS.require(5712, 4284, name="x", jpeg=True, passes=8)
    with pytest.raises(ImageTooLarge, match="14 passes"):
        SERVICE_LIMITS.require(5712, 4284, name="x", jpeg=True, passes=14)


# --- sources that are no photo -------------------------------------------------------------------


def test_pillow_images_without_pixels_or_closed_are_refused_by_name() -> None:
    for size in ((0, 5), (5, 0)):
        with pytest.raises(InvalidImage, match="no pixels"):
            read_photo(Image.new("RGB", size), name="kitchen")
    image = Image.open(io.BytesIO(encoded(scene(), "PNG")))
    image.close()
    with pytest.raises(InvalidImage, match="kitchen"):
        read_photo(image, name="kitchen")


class Raising:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, _: int) -> bytes:
        raise self.error


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("x"), ValueError("closed")])
def test_a_stream_that_raises_is_a_missing_input(error: Any) -> None:
    with pytest.raises(MissingInput, match="kitchen: cannot be read"):
        read_photo(Raising(error), name="kitchen")
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(MissingInput, match="closed file"):
        read_photo(closed)


def test_a_mask_is_refused_and_an_empty_one_is_none() -> None:
    image = scene()
    with pytest.raises(InvalidImage, match="masked"):
        read_photo(np.ma.masked_array(image, image > 100))
    photo = read_photo(np.ma.masked_array(image, np.zeros_like(image, bool)))
    np.testing.assert_array_equal(photo.pixels, image)


# --- what the message says -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC.*pillow-heif|no picture"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a video; use `glpn video`"),
        (b"\x1aE\xdf\xa3" + bytes(40), "a video"),
        (b"%PDF-1.7", "a PDF document; save it as JPEG or PNG"),
        (b"P3 1 1 255 0 0 0", "a text PPM"),
        (b"II+\0" + bytes(40), "BigTIFF"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x93NUMPY" + bytes(40), "a NumPy array"),
        (b"dear diary", "a text file"),
        (bytes(range(256)), "not a photo in a format that glpn reads"),
    ],
)
def test_an_unsupported_file_is_named_with_a_remedy(data: Any, message: str) -> None:
    with pytest.raises((UnsupportedImage, InvalidImage), match=message):
        read_photo(data)


@pytest.mark.parametrize("id", ["dng", "tiff-jpeg", "text-ppm", "mp4"])
def test_camera_raw_files_and_odd_kinds_say_what_to_do(id: str) -> None:
    data = next(case for case in FILES if case.id == id).make()
    with pytest.raises(UnsupportedImage, match=r"develop it|save it|glpn video"):
        read_photo(data)


# --- formats that people have --------------------------------------------------------------------


@pytest.mark.parametrize("format", ["TIFF", "BMP", "PPM"])
def test_lossless_formats_have_the_pixels_that_were_saved(format: str) -> None:
    np.testing.assert_array_equal(read_photo(encoded(scene(), format)).pixels, scene())


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiffs_have_the_pixels_that_were_saved(compression: str) -> None:
    data = encoded(scene(), "TIFF", compression=compression)
    np.testing.assert_array_equal(read_photo(data).pixels, scene())


@pytest.mark.parametrize("format", ["TIFF", "PPM"])
def test_16_bit_grey_files_are_scaled(format: str) -> None:
    grey = scene()[:, :, 0]
    pixels = read_photo(encoded(grey * np.uint16(257), format)).pixels
    np.testing.assert_array_equal(pixels, np.dstack([grey] * 3))


def test_avif_turns_by_its_own_transform_and_keeps_its_exif() -> None:
    block = Image.Exif()
    block[0x0112] = 6
    block.get_ifd(0x8769).update({0xA002: 256, 0xA003: 192})
    photo = read_photo(encoded(scene(), "AVIF", exif=block.tobytes()))
    assert photo.size == (128, 96)
    assert photo.exif_size == (256, 192)


# --- EXIF dimensions and panoramas ---------------------------------------------------------------


@pytest.mark.parametrize(("orientation", "size"), [(1, (300, 400)), (6, (400, 300))])
def test_the_pixel_dimensions_of_exif_are_exposed_upright(
    orientation: int, size: tuple[int, int]
) -> None:
    entries = [
        (0x0112, 3, 1, struct.pack("<HH", orientation, 0)),
        (0xA002, 4, 1, struct.pack("<I", 400)),
        (0xA003, 4, 1, struct.pack("<I", 300)),
    ]
    photo = read_photo(jpeg_with(jpeg_segment(0xE1, exif(entries)), encoded(scene(), "JPEG")))
    assert photo.exif_size == size
    assert read_photo(encoded(scene(), "JPEG")).exif_size is None


@pytest.mark.parametrize("form", ["attribute", "element"])
def test_a_panorama_is_recognised_and_has_no_focal_length(form: str) -> None:
    text = PANORAMA
    if form == "element":
        text = b"<GPano:ProjectionType>equirectangular</GPano:ProjectionType>"
    lens = jpeg_segment(0xE1, exif([(0xA405, 3, 1, struct.pack("<HH", 26, 0))]))
    xmp = jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + text)
    photo = read_photo(jpeg_with(lens + xmp, encoded(scene(), "JPEG")))
    assert photo.projection == "equirectangular"
    assert photo.focal is None
    assert read_photo(jpeg_with(lens, encoded(scene(), "JPEG"))).focal is not None
