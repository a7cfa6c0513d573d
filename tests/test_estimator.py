"""The easy door: photo in, metres out, whatever the photo comes as."""

from __future__ import annotations

import dataclasses
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glpn
from glpn.depth.measurements import Measurements
from glpn.errors import DataError, InvalidImage, MissingInput, UsageError
from glpn.image.photo import Photo

PHOTO = Path(__file__).parents[1] / "examples/coffee.jpg"


@pytest.fixture(scope="module")
def estimator() -> glpn.DepthEstimator:
    return glpn.load(threads=1)


@pytest.fixture(scope="module")
def depth(estimator: glpn.DepthEstimator) -> glpn.Depth:
    return estimator(PHOTO)


def test_depth_has_the_photo_size_and_lies_in_range(
    estimator: glpn.DepthEstimator, depth: glpn.Depth
) -> None:
    assert depth.metres.shape == (400, 600)
    assert depth.metres.dtype == np.float32
    assert 0 < depth.metres.min() < depth.metres.max() <= estimator.engine.config.max_depth


def test_every_kind_of_source_gives_the_same_metres(
    estimator: glpn.DepthEstimator, depth: glpn.Depth
) -> None:
    torch = pytest.importorskip("torch")
    picture = Image.open(PHOTO)
    array = np.asarray(picture)
    sources = {
        "str": str(PHOTO),
        "bytes": PHOTO.read_bytes(),
        "file": io.BytesIO(PHOTO.read_bytes()),
        "PIL": picture,
        "array": array,
        "CHW": array.transpose(2, 0, 1),
        "float": array / 255,
        "tensor": torch.from_numpy(array.copy()).permute(2, 0, 1),
    }
    for kind, source in sources.items():
        assert np.array_equal(estimator(source).metres, depth.metres), kind


def test_many_photos_come_back_one_by_one(
    estimator: glpn.DepthEstimator, depth: glpn.Depth
) -> None:
    pulled = []

    def photos() -> Iterator[Path]:
        for _ in range(3):
            pulled.append(1)
            yield PHOTO

    results = estimator(photos())
    assert np.array_equal(next(results).metres, depth.metres)
    assert len(pulled) == 1, "an iterator must not be read ahead of its results"
    assert len(list(estimator([PHOTO, PHOTO]))) == 2
    assert list(estimator([])) == []


def test_mixed_sizes_equal_single_predictions(
    estimator: glpn.DepthEstimator, depth: glpn.Depth
) -> None:
    small = Image.open(PHOTO).resize((300, 200))
    first, second = estimator([PHOTO, small])
    assert np.array_equal(first.metres, depth.metres)
    assert second.metres.shape == (200, 300)


def test_camera_comes_from_what_is_known_best(
    estimator: glpn.DepthEstimator, depth: glpn.Depth
) -> None:
    assert "assumed" in depth.camera.source
    assert estimator(PHOTO, focal=700.0).camera.fx == 700
    wide = estimator(PHOTO, fov=90).camera
    assert wide.fx == pytest.approx(300)  # half of 600 pixels over tan 45°
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50  # FocalLengthIn35mmFilm
    Image.open(PHOTO).save(buffer, "JPEG", exif=exif)
    camera = estimator(buffer.getvalue()).camera
    assert "EXIF" in camera.source
    diagonal = (400**2 + 600**2) ** 0.5  # of the picture, as 43.27 mm is of the film
    assert camera.fx == pytest.approx(50 / 43.2666 * diagonal, rel=1e-4)
    with pytest.raises(UsageError, match="at most one"):
        estimator(PHOTO, focal=700, fov=60)


def test_a_known_focal_length_scales_the_metres(
    estimator: glpn.DepthEstimator, depth: glpn.Depth
) -> None:
    ratio = estimator.processor.focal_ratio
    assert depth.camera.fx == pytest.approx(ratio * 400)  # unknown: taken for the model's own
    same = estimator(PHOTO, focal=ratio * 400)
    np.testing.assert_allclose(same.metres, depth.metres, rtol=1e-6)
    tele = estimator(PHOTO, focal=2 * ratio * 400, uncertainty="flip")
    np.testing.assert_allclose(tele.metres, 2 * depth.metres, rtol=1e-6)
    assert "multiplied by 2 " in tele.provenance.note
    assert tele.provenance.max_depth == pytest.approx(20)
    plain = estimator(PHOTO, uncertainty="flip")
    # The errors that were measured with a lens this long are wider than twice those of the plain.
    assert np.all(tele.sigma >= 2 * plain.sigma - 1e-6)
    assert np.all(tele.sigma >= estimator(PHOTO, focal=2 * ratio * 400).sigma - 1e-6)
    # the same scene: twice the depth at twice the focal length leaves widths as they are
    assert tele.point(500, 300)[0] == pytest.approx(depth.point(500, 300)[0], rel=1e-5)


@pytest.mark.parametrize(
    "image",
    [
        np.full((480, 640, 3), 0.5),
        np.zeros((480, 640, 3), np.int64),
        np.zeros((480, 640), np.uint8),
        np.zeros((480, 640, 4), np.uint8),
        np.zeros((0, 640, 3), np.uint8),
    ],
)
def test_metres_refuses_arrays_that_are_not_eight_bit_rgb(
    estimator: glpn.DepthEstimator, image: Any
) -> None:
    with pytest.raises(UsageError, match=rf"uint8 \[H, W, 3\], got {image.dtype} \[{len(image)}, "):
        estimator.metres(image)
    with pytest.raises(UsageError, match=str(image.dtype)):
        estimator(Photo(pixels=image))


def test_a_processor_that_does_not_resize_keeps_the_limit_of_the_input(
    estimator: glpn.DepthEstimator,
) -> None:
    processor = dataclasses.replace(estimator.processor, do_resize=False)
    sizes: list[tuple[int, ...]] = []

    class Recording:
        config = estimator.engine.config

        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            sizes.append(pixels.shape)
            return np.ones((1, *pixels.shape[2:]), np.float32)

    engine: Any = Recording()
    other = glpn.DepthEstimator(engine, processor, estimator.provenance)
    assert other.metres(np.zeros((2400, 3000, 3), np.uint8)).shape == (2400, 3000)
    other.metres(np.zeros((333, 501, 3), np.uint8))
    assert sizes[0][2] * sizes[0][3] <= 1_000_000 and sizes[1][2:] == (333, 501)


def test_a_model_without_a_camera_of_its_own_is_never_scaled(
    estimator: glpn.DepthEstimator, depth: glpn.Depth
) -> None:
    processor = dataclasses.replace(estimator.processor, focal_ratio=None)
    other = glpn.DepthEstimator(estimator.engine, processor, estimator.provenance)
    assert np.array_equal(other(PHOTO, focal=999).metres, depth.metres)
    assert "60°" in other(PHOTO).camera.source


def test_a_nearly_black_prediction_is_never_zero(estimator: glpn.DepthEstimator) -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    assert estimator(black).metres.min() >= 1e-3


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_engines_agree_on_a_photo(engine: str) -> None:
    pytest.importorskip(engine)
    depth = glpn.load(engine="onnxruntime", precision="float32")(PHOTO)
    other = glpn.load(engine=engine, precision="float32", threads=1)(PHOTO)
    assert (other.provenance.engine, other.provenance.precision) == (engine, "float32")
    assert np.abs(other.metres / depth.metres - 1).max() <= 1e-4


def test_max_depth_can_be_told(depth: glpn.Depth) -> None:
    far = glpn.load(max_depth=80, threads=1)(PHOTO)
    assert far.provenance.max_depth == 80
    assert far.metres.max() == pytest.approx(8 * depth.metres.max(), rel=1e-3)


def test_provenance_says_what_made_it(depth: glpn.Depth) -> None:
    from hashlib import sha256

    weights = Path(glpn.__file__).parent / "models/glpn-b0-indoor/model.safetensors"
    assert depth.provenance.model == "glpn-b0-indoor"
    assert depth.provenance.model_hash == sha256(weights.read_bytes()).hexdigest()
    assert depth.provenance.image == "coffee.jpg"
    assert depth.provenance.glpn_version == glpn.__version__


def test_bad_inputs_are_named(estimator: glpn.DepthEstimator, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(PHOTO.read_bytes()[:20_000])
    with pytest.raises(InvalidImage, match=r"broken\.jpg"):
        estimator(tmp_path / "broken.jpg")
    with pytest.raises(MissingInput, match=r"absent\.jpg"):
        estimator(tmp_path / "absent.jpg")
    with pytest.raises(MissingInput, match="no-such-model"):
        glpn.load("no-such-model")


@pytest.mark.slow
def test_predicts_without_torch() -> None:
    code = f"""
import sys
sys.modules["torch"] = None
import glpn
depth = glpn.load(threads=1)({str(PHOTO)!r})
assert depth.metres.shape == (400, 600)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_12_megapixel_photo_takes_less_than_1_gb(tmp_path: Path) -> None:
    weights = Path(glpn.__file__).parent / "models/glpn-b0-indoor"
    folder = shutil.copytree(weights, tmp_path / "native")
    glpn.GLPNImageProcessor().save_pretrained(folder)  # the photo's own scale, up to the limit
    Image.open(PHOTO).resize((4032, 3024)).save(tmp_path / "phone.jpg")
    code = f"""
import resource, glpn
estimator = glpn.load({str(folder)!r}, engine="onnxruntime")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
depth = estimator({str(tmp_path / "phone.jpg")!r})
assert depth.metres.shape == (3024, 4032)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1_000_000  # kB


def test_import_is_light() -> None:
    code = """
import sys, glpn
glpn.GLPNConfig, glpn.GLPNImageProcessor, glpn.load, glpn.Depth
heavy = {"torch", "onnxruntime", "onnx", "transformers", "huggingface_hub", "scipy", "trimesh"}
loaded = heavy & set(sys.modules)
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_exists() -> None:
    for name in glpn.__all__:
        assert getattr(glpn, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        glpn.nonsense  # noqa: B018


@pytest.mark.parametrize(
    "options",
    [{"focal": 40}, {"fov": 60}, {"camera": glpn.Camera.from_fov(60, (32, 32), source="given")}],
)
def test_a_camera_is_not_given_beside_lengths_that_solve_it(
    estimator: glpn.DepthEstimator, options: dict[str, Any]
) -> None:
    two = Measurements(lengths=[(1, 1, 30, 1, 2.0), (2, 2, 2, 30, 1.5)])
    with pytest.raises(UsageError, match="known lengths: two solve the focal length, which is giv"):
        estimator(np.zeros((32, 32, 3), np.uint8), measurements=two, **options)


def test_a_camera_of_a_larger_image_is_refused_with_the_photo_s_size(
    estimator: glpn.DepthEstimator,
) -> None:
    large = glpn.Camera.from_fov(60, (96, 128), source="calibration")
    with pytest.raises(DataError, match=r"calibration: .* outside the photo of 40x30 pixels"):
        estimator(np.zeros((30, 40, 3), np.uint8), camera=large)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"focal": "100"}, "focal length: expected a finite number, got '100'"),
        ({"fov": [60]}, "field of view: expected a finite number"),
        ({"camera": (100, 100, 64, 48)}, "camera: expected Camera or Intrinsics, got"),
        ({"measurements": [(1, 1, 2.0)]}, "measurements: expected Measurements, got"),
    ],
)
def test_an_option_of_another_type_is_refused_by_name(
    estimator: glpn.DepthEstimator, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        estimator(np.zeros((32, 32, 3), np.uint8), **options)
