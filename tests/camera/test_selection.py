"""Which camera a photo gets: EXIF counts only if it describes this very image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.camera.camera import Camera
from glpn.camera.selection import assumed_camera, choose_camera, rejected_exif
from glpn.errors import UsageError
from glpn.image.photo import Photo, read_photo

_FOCAL_35MM, _WIDTH, _HEIGHT = 0xA405, 0xA002, 0xA003


def a_photo(width: int, height: int, *, exif_size: tuple[int, int] | None) -> Photo:
    """A JPEG with a 26 mm lens in EXIF, whose EXIF states (width, height)."""
    exif = Image.Exif()
    tags = exif.get_ifd(0x8769)
    tags[_FOCAL_35MM] = 26
    if exif_size:
        tags[_WIDTH], tags[_HEIGHT] = exif_size
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "JPEG", exif=exif.tobytes())
    return read_photo(file.getvalue())


def exif_camera(photo: Photo) -> Camera | None:
    return choose_camera(photo, focal=None, fov=None)


@pytest.mark.parametrize("exif_size", [None, (400, 300), (300, 400)])
def test_exif_of_this_image_gives_the_camera(exif_size: tuple[int, int] | None) -> None:
    camera = exif_camera(a_photo(400, 300, exif_size=exif_size))
    assert camera.fx == pytest.approx(26 / 43.2666 * 500, rel=1e-5)
    assert camera.source == "EXIF FocalLengthIn35mmFilm"


def test_exif_of_a_resized_photo_is_scaled_and_says_so() -> None:
    camera = exif_camera(a_photo(400, 300, exif_size=(4000, 3000)))
    assert camera.fx == pytest.approx(26 / 43.2666 * 500, rel=1e-5)
    assert camera.source == "EXIF FocalLengthIn35mmFilm, scaled from 4000x3000"


def test_exif_of_a_cropped_photo_is_ignored_and_says_so() -> None:
    photo = a_photo(400, 400, exif_size=(4000, 3000))
    assert exif_camera(photo) is None
    assert rejected_exif(photo).startswith("EXIF is ignored: it describes 4000x3000 pixels")
    assert "400x400 is cropped" in assumed_camera(photo, 1.1).source
    assert choose_camera(photo, focal=350, fov=None).fx == 350


@pytest.mark.parametrize("shape", [(1, 5000, 3), (5000, 1, 3)])
def test_a_sliver_still_gets_an_assumed_camera(shape: tuple[int, int, int]) -> None:
    photo = Photo(np.zeros(shape, np.uint8))
    assert assumed_camera(photo, 1.1).fx == pytest.approx(1.1)
    assert assumed_camera(photo, None).fx > 1000


def test_a_panorama_has_no_pinhole_camera() -> None:
    photo = Photo(np.zeros((100, 200, 3), np.uint8), projection="equirectangular")
    assert exif_camera(photo) is None
    assert "panorama (equirectangular)" in assumed_camera(photo, None).source


@pytest.mark.parametrize("options", [{"focal": 0.001}, {"focal": 1e-320}, {"focal": 1e9}])
def test_focal_length_that_no_lens_has_is_refused_with_the_range(options: dict[str, Any]) -> None:
    photo = a_photo(400, 300, exif_size=None)
    with pytest.raises(UsageError, match=r"camera fx|expected 10 to 25000 px for 400x300 pixels"):
        choose_camera(photo, **options, fov=None)


@pytest.mark.parametrize("fov", [1e-9, 1e-300, 179.9999999])
def test_field_of_view_that_no_lens_has_is_refused_with_the_range(fov: float) -> None:
    photo = a_photo(400, 300, exif_size=None)
    with pytest.raises(UsageError, match="expected 1 to 170 degrees"):
        choose_camera(photo, focal=None, fov=fov)


def test_a_pillow_image_rotated_by_hand_is_not_rotated_again() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6) * 10).save(file, "PNG", exif=exif)
    with Image.open(file) as opened:
        turned = opened.transpose(Image.Transpose.ROTATE_270)
        converted = opened.convert("RGB")  # still as stored: its orientation counts
        upright = read_photo(opened).pixels
    assert upright.shape == (6, 4, 3)
    assert np.array_equal(read_photo(turned).pixels, upright)
    assert np.array_equal(read_photo(converted).pixels, upright)
