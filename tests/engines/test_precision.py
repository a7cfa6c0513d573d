"""Reduced precision runs with weights that passed their check, and with no others."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import glpn
from glpn import weights
from glpn.engines import precision
from glpn.engines.openvino.engine import computes_bfloat16
from glpn.engines.options import EngineOptions
from glpn.engines.precision import (
    Record,
    available_precisions,
    computable_precisions,
    read_records,
    write_records,
)
from glpn.engines.protocol import EngineSettings
from glpn.engines.registry import engine_row
from glpn.engines.selection import Candidate, open_candidate, open_engine
from glpn.errors import CheckpointError, UsageError
from tests.networks import photograph

OPENVINO = engine_row("openvino")
BUNDLED = weights.bundled()["glpn-b0-indoor"]
bfloat16_here = pytest.mark.skipif(not computes_bfloat16(), reason="this CPU has no bfloat16")
int8_here = pytest.mark.skipif(
    not precision.multiplies_8_bits(), reason="this CPU has no fast 8-bit products"
)
EIGHT_BITS = ("int8+bfloat16", "int8+float32")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The bundled model's files, with nothing measured of it."""
    copy = shutil.copytree(BUNDLED, tmp_path / "model")
    (copy / "precision.json").unlink(missing_ok=True)
    return copy


def passing(folder: Path, **changes: Any) -> Any:
    record = Record(
        weights_sha256=weights.file_hash(folder / "model.safetensors"),
        engine="openvino",
        precision="bfloat16",
        version="1",
        data="frames",
        deviation_frames=100,
        deviation=0.009,
        score_frames=100,
        abs_rel=(0.2, 0.2009),
        delta1=(0.8, 0.797),
    )
    return dataclasses.replace(record, **changes)


def test_the_bundled_models_record_passes_and_is_of_its_weights() -> None:
    records = [r for r in read_records(BUNDLED) if r.engine == "openvino"]
    assert {r.precision for r in records} == set(OPENVINO.reduced)
    for record in records:
        assert record.violations() == []
        assert record.weights_sha256 == weights.file_hash(BUNDLED / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"deviation": 0.0101}, "mean deviation 1.01%"),
        ({"abs_rel": (0.2, 0.2011)}, "AbsRel changed by 0.55%"),
        ({"abs_rel": (0.2, 0.1989)}, "AbsRel"),
        ({"abs_rel": (0.0, 0.0)}, "AbsRel"),
        ({"delta1": (0.8, 0.7959)}, "δ1 changed by 0.51%"),
        ({"deviation_frames": 0}, "no frames"),
        ({"score_frames": 0}, "no frames"),
        ({"precision": "int8+float32"}, "no ranges"),
    ],
)
def test_figures_beyond_a_limit_are_refused_by_name(
    folder: Path, change: dict[str, Any], named: str
) -> None:
    write_records(folder, [passing(folder, **change)])
    with pytest.raises(UsageError, match=f"did not pass: .*{named}"):
        open_engine(folder, EngineOptions(engine="openvino", precision="reduced"))
    assert (
        open_engine(folder, EngineOptions(engine="openvino", precision="auto")).precision
        == "float32"
    )


def test_without_a_record_the_error_names_the_command_that_makes_one(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"glpn precision .*model --data"):
        open_engine(folder, EngineOptions(engine="openvino", precision="reduced"))


def test_new_weights_need_a_new_record(folder: Path) -> None:
    write_records(folder, [passing(folder)])
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["head.head.2.bias"] = tensors["head.head.2.bias"] + 1e-3
    metadata = dict(weights.read_header(file).metadata)
    save_file({k: v.contiguous() for k, v in tensors.items()}, file, metadata=metadata)
    with pytest.raises(UsageError, match="no measurement of openvino with these weights"):
        open_engine(folder, EngineOptions(engine="openvino", precision="reduced"))


def test_a_record_of_another_engine_does_not_count(folder: Path) -> None:
    write_records(folder, [passing(folder, engine="torch")])
    with pytest.raises(UsageError, match="no measurement of openvino"):
        open_engine(folder, EngineOptions(engine="openvino", precision="reduced"))


NO_RECORDS = [
    b"",
    b"{}",
    b"[]",
    b'{"format": NaN}',
    b'{"format": "glpn-precision-1", "records": [{}]}',
]


@pytest.mark.parametrize("content", NO_RECORDS)
@pytest.mark.parametrize("asked", ["auto", "reduced"])
def test_a_damaged_record_is_an_error_with_the_remedy(
    folder: Path, content: bytes, asked: str
) -> None:
    (folder / "precision.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"precision\.json.*glpn precision"):
        open_engine(folder, EngineOptions(engine="openvino", precision=asked))


def test_an_engine_without_reduced_precision_names_those_with_it(folder: Path) -> None:
    with pytest.raises(UsageError, match="onnxruntime computes float32 only; use openvino"):
        open_engine(folder, EngineOptions(engine="onnxruntime", precision="reduced"))


def test_unknown_precision_is_refused_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(UsageError, match="auto, float32, reduced; got 'int8'"):
        open_engine(folder, EngineOptions(precision="int8"))


@pytest.mark.slow
@bfloat16_here
def test_reduced_precision_is_recorded_in_every_depth(folder: Path) -> None:
    write_records(folder, [passing(folder)])
    estimator = glpn.load(folder, engine="openvino", precision="reduced", threads=1)
    depth = estimator(np.full((64, 96, 3), 127, np.uint8))
    assert depth.provenance.precision == "bfloat16"


@pytest.mark.slow
@bfloat16_here
@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_bfloat16_stays_near_float32(engine: str, size: tuple[int, int]) -> None:
    pixels = photograph(*size, batch=2).numpy()
    full, reduced = (
        open_candidate(BUNDLED, Candidate(engine, kind), EngineSettings(threads=1))(pixels)
        for kind in ("float32", "bfloat16")
    )
    deviation = np.abs(reduced - full) / full
    assert reduced.shape == (2, *size)
    assert 0 < deviation.mean() <= 0.01
    assert torch.isfinite(torch.from_numpy(reduced)).all()


@pytest.mark.parametrize(
    "ranges",
    [
        {"w": [1, 2]},
        {"w": [0, 0]},
        {"w": [0]},
        {"w": [0, "inf"]},
        {"w": None},
        {"w": [0, 1e-30]},
        {"w": [-1e300, 1]},
        [1],
    ],
)
def test_impossible_ranges_are_refused_by_name(
    folder: Path, ranges: dict[str, Any] | list[int]
) -> None:
    write_records(folder, [passing(folder, precision=EIGHT_BITS[1])])
    file = folder / "precision.json"
    values = json.loads(file.read_text())
    values["records"][0]["ranges"] = ranges
    file.write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"precision\.json: .*ranges"):
        read_records(folder)


@pytest.mark.slow
@int8_here
def test_the_fastest_precision_that_passed_is_taken(folder: Path) -> None:
    ranges = next(r.ranges for r in read_records(BUNDLED) if r.ranges)
    records = [
        passing(folder, precision=kind, ranges=ranges if "int8" in kind else None)
        for kind in computable_precisions(OPENVINO)
    ]

    def opened() -> str:
        return open_engine(folder, EngineOptions(engine="openvino", precision="auto")).precision

    while records:
        write_records(folder, records)
        assert opened() == records[0].precision
        failed = dataclasses.replace(records[0], deviation=0.02)
        write_records(folder, [failed, *records[1:]])
        assert opened() == (records[1].precision if records[1:] else "float32")
        records = records[1:]


@pytest.mark.parametrize(
    ("features", "kinds"),
    [
        ("avx2", []),
        ("avx512_vnni", ["int8+float32"]),
        ("avx512_vnni avx512_bf16", ["int8+bfloat16", "int8+float32", "bfloat16"]),
        (
            "avx512_vnni avx512_bf16 amx_int8 amx_bf16",
            ["bfloat16", "int8+bfloat16", "int8+float32"],
        ),
    ],
)
def test_a_cpu_computes_the_fastest_precision_first(
    monkeypatch: pytest.MonkeyPatch, features: str, kinds: list[Any] | list[str]
) -> None:
    monkeypatch.setattr(precision, "cpu_features", lambda: {"flags", *features.split()})
    assert available_precisions(BUNDLED, OPENVINO)[0] == kinds


@pytest.mark.slow
@int8_here
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_8_bit_products_stay_near_float32(size: tuple[int, int]) -> None:
    pixels = photograph(*size, batch=2).numpy()
    full, reduced = (
        open_candidate(BUNDLED, Candidate("openvino", kind), EngineSettings(threads=1))(pixels)
        for kind in ("float32", "int8+float32")
    )
    deviation = np.abs(reduced - full) / full
    assert reduced.shape == (2, *size)
    assert 1e-4 < deviation.mean() <= 0.02  # noise is no photograph


def test_8_bit_products_without_ranges_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no ranges for int8\+float32; `glpn precision`"):
        open_candidate(folder, Candidate("openvino", "int8+float32"))


def test_records_are_written_as_json_that_reads_back(folder: Path) -> None:
    other = passing(folder, engine="torch")
    records = [passing(folder, precision="int8+float32", ranges={"w": (-1, 2.5)}), passing(folder)]
    write_records(folder, [other, passing(folder, deviation=0.5)])
    write_records(folder, records)
    assert read_records(folder) == [other, *records]
    assert json.loads((folder / "precision.json").read_text())["format"] == "glpn-precision-1"
