"""Every format computes what torch does, at any size, and says what it is; checked on the file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glpn import GLPNForDepthEstimation, weights
from glpn.errors import CannotCreateOutput, InexactExport, UsageError
from glpn.export.model_source import Source
from glpn.export.verify import NETWORK, Report, Tolerance, compare, verifier
from glpn.export.writer import export
from tests.export.conftest import SIZES, photographs
from tests.networks import photograph

NETWORK_SIZES = [(1, 64, 64), (3, 96, 160), (2, 160, 64)]  # batch, height, width
MEAN, LARGEST = 1e-3, 1e-2  # end to end: a level may round the other way


def onnx() -> Any:
    from glpn.export.onnx_file import onnx_format

    return onnx_format(portable=True)


def openvino() -> Any:
    pytest.importorskip("openvino", reason="openvino is not installed")
    from glpn.export.openvino import openvino_format

    return openvino_format()


def program() -> Any:
    from glpn.export.torch_export import program_format

    return program_format()


FORMATS = [onnx, openvino, pytest.param(program, marks=pytest.mark.slow)]  # tracing takes seconds


def reopened(form: Any, path: Path) -> Any:
    return form.open([path.with_suffix(suffix).read_bytes() for suffix in form.suffixes])


@pytest.mark.slow
@pytest.mark.parametrize("make", FORMATS)
def test_the_network_agrees_with_the_modules(make: Any, folder: Path, tmp_path: Path) -> None:
    form = make()
    path = tmp_path / f"network{form.suffixes[0]}"
    export(form, Source.of(folder), path)
    run, network = reopened(form, path), GLPNForDepthEstimation.from_pretrained(folder)
    for batch, height, width in NETWORK_SIZES:
        pixels = photograph(height, width, batch=batch)
        with torch.no_grad():
            expected = network(pixels).predicted_depth.numpy()
        found = run(pixels.numpy())
        assert found.shape == (batch, height, width)
        assert np.max(np.abs(found - expected) / expected) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("make", FORMATS)
def test_images_become_the_estimators_metres(
    make: Any, folder: Path, metres: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    form = make()
    path = tmp_path / f"whole{form.suffixes[0]}"
    export(form, Source.of(folder, end_to_end=True), path)
    run = reopened(form, path)
    for height, width in SIZES.values():
        images = photographs(height, width, batch=2)
        expected = metres(images)
        deviation = np.abs(run(images) - expected) / expected
        assert deviation.mean() <= MEAN and deviation.max() <= LARGEST, (height, width)


@pytest.mark.slow
@pytest.mark.parametrize("make", FORMATS[:2])
def test_files_are_never_replaced_unasked(make: Any, folder: Path, tmp_path: Path) -> None:
    form = make()
    path = tmp_path / f"here{form.suffixes[0]}"
    path.with_suffix(form.suffixes[-1]).write_text("mine")
    with pytest.raises(CannotCreateOutput, match=f"here{form.suffixes[-1]}: exists already"):
        export(form, Source.of(folder), path)
    export(form, Source.of(folder), path, overwrite=True)
    assert reopened(form, path)


def test_another_suffix_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"depth\.pt: expected a name that ends in \.onnx"):
        export(onnx(), Source.of(folder), tmp_path / "depth.pt")


# What files say


@pytest.mark.slow
def test_openvinos_file_has_the_facts_and_the_report(folder: Path, tmp_path: Path) -> None:
    form = openvino()
    import openvino as ov

    source, path = Source.of(folder), tmp_path / "depth.xml"
    report = export(form, source, path, verify=verifier(source))
    said = ov.Core().read_model(path)
    assert said.get_rt_info(["glpn", "unit"]).astype(str) == "metres"
    assert said.get_rt_info(["glpn", "weights_sha256"]).astype(str) == weights.file_hash(
        folder / "model.safetensors"
    )
    assert json.loads(said.get_rt_info(["glpn", "verified"]).astype(str)) == report.record()


@pytest.mark.slow
def test_a_program_needs_torch_alone_and_has_the_facts(
    folder: Path, metres: Callable[[np.ndarray], np.ndarray], tmp_path: Path
) -> None:
    path, image = tmp_path / "depth.pt2", tmp_path / "image.npy"
    source = Source.of(folder, end_to_end=True)
    report = export(program(), source, path, verify=verifier(source))
    images = photographs(50, 70)
    np.save(image, images)
    code = """
import sys, numpy, torch
sys.modules["glpn"] = None
facts = {"unit": "", "verified": "", "focal_ratio": ""}
program = torch.export.load(sys.argv[1], extra_files=facts).module()
metres = program(torch.from_numpy(numpy.load(sys.argv[2])))
numpy.save(sys.argv[2], metres.detach().numpy())
print(facts["unit"], facts["focal_ratio"])
print(facts["verified"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, path, image], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "metres 1.25"
    assert json.loads(second) == report.record()
    expected = metres(images)
    assert np.abs(np.load(image) / expected - 1).max() <= LARGEST


# The comparison


def shifted(by: float) -> Callable[[np.ndarray], np.ndarray]:
    """Pixels [B, 3, h, w] → a "depth" [B, h, w] that is off by this share everywhere."""
    return lambda pixels: (1 + pixels[:, 0]) * np.float32(1 + by)


def test_a_deviation_is_measured_as_a_share_of_the_depth() -> None:
    pixels = photograph(20, 30, batch=2).numpy()
    report = compare(shifted(0.25), shifted(0), [pixels, pixels[:1]], Tolerance(0.3, 0.3))
    assert [(row.batch, row.height, row.width) for row in report.rows] == [(2, 20, 30), (1, 20, 30)]
    assert report.mean == pytest.approx(0.25, rel=1e-5)
    assert report.largest == pytest.approx(0.25, rel=1e-5)
    assert report.exact


@pytest.mark.parametrize("wrong", [shifted(2e-4), lambda pixels: pixels[:, 0] * np.nan])
def test_a_file_that_deviates_too_far_is_not_written(
    folder: Path, tmp_path: Path, wrong: Any
) -> None:
    path = tmp_path / "depth.onnx"

    def verify(_run: Any) -> Report:
        pixels = photograph(20, 30).numpy()
        return compare(wrong, shifted(0), [pixels], NETWORK)

    with pytest.raises(InexactExport, match=r"depth\.onnx: not written: .* largest at most 0\.01"):
        export(onnx(), Source.of(folder), path, verify=verify)
    assert list(tmp_path.iterdir()) == []
