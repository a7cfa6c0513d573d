"""int8 is written if it stays exact on photographs that it was not calibrated on, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from glpn import GLPNImageProcessor
from glpn.errors import InexactExport, MissingInput
from glpn.export import quantize, verify
from glpn.export.model_source import Source
from glpn.export.onnx_file import opened
from glpn.export.quantize import export_quantized, find_photos
from tests.export.conftest import photographs


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photographs of three sizes; two of them are held out from calibration."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(8):
        (image,) = photographs(90 + 10 * (i % 3), 120 + i)
        Image.fromarray(image).save(folder / f"{i}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("end_to_end", [False, True])
def test_the_encoder_alone_is_in_eight_bits_and_the_file_passes(
    folder: Path,
    metres: Callable[[np.ndarray], np.ndarray],
    photos: Path,
    tmp_path: Path,
    end_to_end: bool,
) -> None:
    path = tmp_path / "int8.onnx"
    report = export_quantized(Source.of(folder, end_to_end=end_to_end), path, photos=photos)
    assert len(report.rows) == 2
    assert 1e-5 < report.mean <= 0.01  # it was quantised, and not by too much
    model = onnx.load(path)
    eight_bits = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.INT8
    }
    products = [n for n in eight_bits if n.endswith("weight_quantized")]
    assert len(products) > 20
    assert all(name.startswith("glpn.encoder.") for name in products)
    codes = [numpy_helper.to_array(t) for t in model.graph.initializer if t.name in products]
    assert max(np.abs(weight.astype(int)).max() for weight in codes) == 64  # no CPU saturates
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(said["verified"])["mean"] == report.mean
    if end_to_end:
        images = photographs(100, 140)
        deviation = np.abs(opened([path.read_bytes()])(images) / metres(images) - 1)
        assert 0 < deviation.mean() <= 0.02


@pytest.mark.slow
def test_what_deviates_by_more_is_not_written_and_the_message_has_the_figures(
    folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "QUANTIZED", verify.Tolerance(mean=1e-7))
    with pytest.raises(
        InexactExport, match=r"on 2 photographs .*by 0\.\d+ % on average.*mean at most 1e-05 %"
    ):
        export_quantized(Source.of(folder), tmp_path / "int8.onnx", photos=photos)
    assert list(tmp_path.iterdir()) == []


def test_fewer_than_four_photographs_are_too_few(folder: Path, tmp_path: Path) -> None:
    for i in range(3):
        Image.new("RGB", (40, 30)).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("no photograph")
    with pytest.raises(MissingInput, match="expected four photographs or more, found 3"):
        export_quantized(Source.of(folder), tmp_path / "int8.onnx", photos=tmp_path)


def test_large_photographs_calibrate_at_the_size_of_a_prediction(
    folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(folder, model)
    GLPNImageProcessor().save_pretrained(model)  # no short side: a photo keeps its size
    Image.new("RGB", (2000, 1500)).save(tmp_path / "large.png")
    (pixels,) = quantize.read_inputs([tmp_path / "large.png"], Source.of(model))
    # sqrt(1e6 / 3e6) of both sides, down to multiples of 32
    assert pixels.shape == (1, 3, 864, 1152)


def test_many_photographs_are_thinned_out_evenly(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i:03}.jpg").touch()
        (tmp_path / f"._{i:03}.jpg").touch()
    chosen = [int(file.stem) for file in find_photos(tmp_path)]
    assert len(chosen) == quantize.MOST_PHOTOS
    assert (chosen[0], chosen[-1]) == (0, 299)
    assert set(np.diff(chosen)) <= {2, 3}


@pytest.mark.slow
def test_the_bundled_model_in_eight_bits_passes_on_real_rooms(
    real_data: Path, tmp_path: Path
) -> None:
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    for file in sorted((real_data / "nyu795/rgb").iterdir())[::40]:
        (rooms / file.name).symlink_to(file)
    path = tmp_path / "int8.onnx"
    report = export_quantized(Source.of("glpn-b0-indoor"), path, photos=rooms)
    assert report.mean <= 0.01
