"""Tiles: the metres stay those of the whole photo, tiles add detail, and no seam is visible."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glpn
from glpn.errors import UsageError
from glpn.estimator import DepthEstimator
from glpn.image.photo import read_photo
from glpn.processing import tiling
from glpn.processing.processor import GLPNImageProcessor
from tests.cli.conftest import write_photo
from tests.depths import a_depth

EXAMPLES = Path(__file__).parents[2] / "examples"
INPUT = (96, 128)


class Brightness:
    """A stand-in network whose metres grow with red, and who errs in what it sees after the first.

    Its error is a power and a factor, so that the logarithm is off by an affine map.
    """

    name = "stand-in"
    config = glpn.GLPNConfig(max_depth=10)

    def __init__(self, power: float = 1.0, factor: float = 1.0) -> None:
        self.power, self.factor, self.calls = power, factor, 0

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        depth = 1 + 3 * pixels[:, 0]
        self.calls += 1
        return depth if self.calls == 1 else self.factor * depth**self.power


def made_of(network: Any) -> DepthEstimator:
    processor = GLPNImageProcessor(short_side=INPUT[0])
    return DepthEstimator(network, processor, a_depth().provenance)


@pytest.fixture
def estimator() -> DepthEstimator:
    return made_of(Brightness())


@pytest.fixture(scope="module")
def bundled() -> DepthEstimator:
    return glpn.load(engine="onnxruntime", threads=1)


PICTURES = ("photo", pytest.param("room", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def picture(request: pytest.FixtureRequest) -> np.ndarray:
    """A photograph of 768x1152, or a rendered room of 960x1280."""
    if request.param == "photo":
        photo = Image.open(EXAMPLES / "coffee.jpg").crop((0, 0, 576, 384))
        return np.asarray(photo.resize((1152, 768), Image.Resampling.BICUBIC))
    pytest.importorskip("torch")
    from glpn.synthetic import render

    return render([3], (960, 1280)).image[0].numpy()


def ramp(height: int, width: int) -> np.ndarray:
    """Red rises evenly from corner to corner, over less than the levels' range."""
    y, x = np.mgrid[:height, :width]
    red = 40 + 150 * (x / width + y / height) / 2
    return np.stack([red, np.zeros_like(red), np.zeros_like(red)], -1).round().astype(np.uint8)


def log_means(metres: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """Mean log depth over cells, for sides that the cells divide."""
    (height, width), (rows, columns) = metres.shape, cells
    blocks = np.log(metres.astype(np.float64)).reshape(
        rows, height // rows, columns, width // columns
    )
    return blocks.mean((1, 3))


soft_windows = tiling.windows


def abrupt(length: int, count: int) -> list[tuple[slice, np.ndarray]]:
    """The same tiles with equal weights up to their edges."""
    places = [place for place, _ in soft_windows(length, count)]
    total = np.zeros(length, np.float32)
    for place in places:
        total[place] += 1
    return [(place, 1 / total[place]) for place in places]


def excess(change: np.ndarray, axis: int, count: int) -> float:
    """How steep a change is within two pixels of the tiles' borders, against everywhere."""
    values = np.moveaxis(change, axis, 1)
    steps = np.abs(np.diff(values, axis=1)).mean(0)
    steepest = np.max([steps[i : len(steps) - 3 + i] for i in range(4)], axis=0)
    places = [place for place, _ in soft_windows(values.shape[1], count)]
    borders = [p.start for p in places[1:]] + [p.stop for p in places[:-1]]
    return steepest[np.array(borders) - 2].mean() / steepest.mean()


@pytest.mark.parametrize(("length", "count"), [(1280, 2), (961, 3), (37, 4), (5, 2), (4, 4)])
def test_windows_sum_to_one_and_cover_every_pixel(length: int, count: int) -> None:
    total = np.zeros(length)
    placed = tiling.windows(length, count)
    for place, weights in placed:
        assert 0 <= place.start < place.stop <= length and (weights > 0).all()
        total[place] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert len({place.stop - place.start for place, _ in placed}) == 1


def test_cell_means_are_means_of_nearly_equal_blocks() -> None:
    values = np.arange(35, dtype=np.float32).reshape(5, 7)
    means = tiling.cell_means(values, [2, 3])  # rows 0-1 and 2-4, columns 0-1, 2-4 and 5-6
    assert means == pytest.approx(
        np.array([[4.0, 6.5, 9.0], [21.5, 24.0, 26.5]], np.float32)  # centre row × 7 + column
    )


def test_a_line_is_found_in_spite_of_outliers() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 50)).astype(np.float32)
    y = (0.7 * x + 0.3).astype(np.float32)
    y[:8] += 3  # a fifth
    assert tiling.fit_line(x, y) == pytest.approx((0.7, 0.3), abs=0.01)


def test_a_slope_is_one_where_nothing_tells_it_and_none_where_it_contradicts() -> None:
    flat = np.zeros((6, 8), np.float32)
    assert tiling.fit_line(flat, flat + 2) == pytest.approx((1, 2))
    x = np.linspace(-1, 1, 48, dtype=np.float32).reshape(6, 8)
    assert tiling.fit_line(x, -x)[0] == 0


def striped() -> np.ndarray:
    """The ramp with stripes of two pixels, which are gone where it is shrunk four times."""
    photo = ramp(384, 512)
    photo[:, ::4, 0] += 30
    photo[:, 1::4, 0] += 30
    return photo


def test_stripes_that_only_tiles_can_see_come_into_the_depth(estimator: DepthEstimator) -> None:
    photo = striped()
    plain, tiled = estimator(photo).metres, estimator(photo, tiles=5).metres
    true = 1 + photo[..., 0] / np.float32(85)
    before, after = (np.abs(np.log(m / true)).mean() for m in (plain, tiled))
    assert after < before / 2


def test_tiles_that_err_in_scale_and_contrast_are_brought_to_the_whole() -> None:
    wanted = made_of(Brightness())(striped(), tiles=5).metres
    metres = made_of(Brightness(power=0.8, factor=1.2))(striped(), tiles=5).metres
    np.testing.assert_allclose(metres, wanted, rtol=0.015)


def test_a_smooth_ramp_stays_one_without_a_seam_though_tiles_err_by_a_fifth() -> None:
    photo = ramp(480, 640)
    plain = made_of(Brightness())(photo).metres
    tiled = made_of(Brightness(power=0.8, factor=1.2))(photo, tiles=3).metres
    level = 3 / 255  # metres: the photo itself has steps
    np.testing.assert_allclose(tiled, plain, rtol=0, atol=2 * level)


@pytest.mark.parametrize("tiles", [2, True])
@pytest.mark.parametrize("picture", PICTURES, indirect=True)
def test_no_seam_shows_where_tiles_begin_and_end(
    bundled: DepthEstimator, picture: str, tiles: int | bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, smooth = bundled(picture).metres, bundled(picture, tiles=tiles).metres
    count = tiling.tiles_a_side(tiles, plain.shape, bundled.processor.input_size(*plain.shape))
    assert count > 1
    for axis in (0, 1):
        assert excess(np.log(smooth / plain), axis, count) < 2
    monkeypatch.setattr(tiling, "windows", abrupt)  # what the measure says of real seams
    seamed = bundled(picture, tiles=tiles).metres
    for axis in (0, 1):
        assert excess(np.log(seamed / plain), axis, count) > 10


@pytest.mark.parametrize("picture", PICTURES, indirect=True)
def test_medians_and_what_the_whole_could_see_stay_its_own(
    bundled: DepthEstimator, picture: str
) -> None:
    plain, tiled = bundled(picture).metres, bundled(picture, tiles=True).metres
    assert not np.array_equal(plain, tiled)
    assert np.median(tiled) == pytest.approx(np.median(plain), rel=0.01)
    seen = bundled.processor.input_size(*plain.shape)
    cells = [side // 8 for side in seen]
    moved = log_means(tiled, cells) - log_means(plain, cells)
    assert np.abs(moved).max() < 0.01


def test_one_tile_is_the_ordinary_prediction(bundled: DepthEstimator) -> None:
    photo = ramp(384, 512)
    plain = bundled(photo)
    for tiles in (None, False, 1):
        depth = bundled(photo, tiles=tiles)
        assert np.array_equal(depth.metres, plain.metres) and depth.provenance.note == ""


@pytest.mark.parametrize("size", [(1, 1), (40, 31), (96, 128), (130, 170)])
def test_a_photo_that_the_network_sees_whole_is_predicted_as_ever(
    estimator: DepthEstimator, size: tuple[int, int]
) -> None:
    photo = ramp(*size)
    assert np.array_equal(estimator(photo, tiles=4).metres, estimator(photo).metres)


@pytest.mark.parametrize("size", [(487, 641), (641, 487), (300, 1111), (1201, 301)])
def test_odd_sizes(estimator: DepthEstimator, size: tuple[int, int]) -> None:
    depth = estimator(ramp(*size), tiles=True)
    assert depth.metres.shape == size and "tiles" in depth.provenance.note
    np.testing.assert_allclose(depth.metres, estimator(ramp(*size)).metres, rtol=0.02)


def test_no_tile_is_enlarged_for_the_network() -> None:
    assert tiling.tiles_a_side(9, (480, 640), (192, 256)) == 3  # 3 tiles of 192 overlap by 48
    assert tiling.tiles_a_side(9, (479, 640), (192, 256)) == 2
    assert tiling.tiles_a_side(True, (9600, 12800), (192, 256)) == tiling.MAX_AUTOMATIC


def test_the_metres_follow_a_known_focal_length_as_ever(bundled: DepthEstimator) -> None:
    photo = read_photo(ramp(768, 1024))
    ratio = bundled.processor.focal_ratio or 1.0
    processor = dataclasses.replace(bundled.processor, focal_ratio=ratio)
    estimator = DepthEstimator(bundled.engine, processor, bundled.provenance)
    tele = estimator(photo, tiles=2, focal=2 * ratio * 768)
    np.testing.assert_allclose(tele.metres, 2 * estimator(photo, tiles=2).metres, rtol=1e-5)
    assert tele.provenance.note.startswith("detail from 2x2 tiles; metres multiplied by 2 ")


@pytest.mark.parametrize("tiles", [0, -1, 2.0, "2", "auto"])
def test_what_is_no_number_of_tiles_is_refused(estimator: DepthEstimator, tiles: Any) -> None:
    with pytest.raises(UsageError, match="tiles: expected True or a whole number of at least 1"):
        estimator(ramp(8, 8), tiles=tiles)
    estimator(ramp(8, 8), tiles=np.int64(1))


def test_tiles_have_no_uncertainty_and_need_the_whole_photo(
    estimator: DepthEstimator, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="tiles: there is no uncertainty"):
        estimator(ramp(8, 8), tiles=2, uncertainty="flip")
    path = write_photo(tmp_path / "photo.jpg")
    small = read_photo(path, min_decode_size=lambda height, width: (height // 2, width // 2))
    with pytest.raises(UsageError, match="tiles need the photo at full resolution"):
        estimator(small, tiles=2)
