"""Engines agree with each other, are chosen as documented, and refuse what does not fit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from glpn import GLPNConfig, GLPNForDepthEstimation, native, weights
from glpn.engines.hardware import cpu_features, usable_cores
from glpn.engines.options import EngineOptions
from glpn.engines.registry import engine_names
from glpn.engines.selection import open_engine
from glpn.errors import (
    CheckpointError,
    ConfigError,
    InvalidImage,
    MissingDependency,
    MissingInput,
    UsageError,
)
from glpn.export.onnx import write_graph
from glpn.weights import read_header
from tests.networks import photograph, randomise

ALL = ("onnxruntime", "openvino", "torch")
OTHER_WEIGHTS = r".* made for other weights than .*model\.safetensors.*export onnx"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random b0, for reading only."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """The same, to be damaged; unsigned, so that checks behind the checksums are reached."""
    folder = shutil.copytree(model, tmp_path / "copy")
    (folder / "checksums.json").unlink()
    return folder


def write_model(folder: Path, seed: int = 0, **fields: Any) -> Path:
    network = GLPNForDepthEstimation(GLPNConfig(**fields))
    randomise(network, seed)
    network.save_pretrained(folder)
    write_graph(folder)
    return folder


@pytest.fixture(params=["model.onnx", "trunk.onnx"])
def graph_file(request: pytest.FixtureRequest, copy: Path) -> Path:
    """The graph that onnxruntime reads in the folder: either of the two."""
    if request.param == "model.onnx":
        (copy / "trunk.onnx").unlink()
    elif not native.available():
        pytest.skip("the native head is not compiled here")
    return copy / request.param


def open_cpu(folder: Path, engine: str, **options: Any) -> Any:
    fixed = {"engine": engine, "device": "cpu", "threads": 1, "precision": "float32"}
    return open_engine(folder, EngineOptions(**(fixed | options)))


def edit_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def edit_weights(folder: Path, **tensors: Any) -> None:
    path = folder / "model.safetensors"
    save_file({**load_file(path), **tensors}, path, metadata=dict(read_header(path).metadata))


def run_python(code: str, *arguments: Any) -> str:
    """Standard output of a fresh interpreter."""
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


# Agreement


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1), (480, 640), (31, 200)])
def test_engines_agree_at_any_size(model: Path, size: tuple[int, int]) -> None:
    pixels = photograph(*size, batch=2 if size == (64, 96) else 1).numpy()
    expected = open_cpu(model, "torch")(pixels)
    for name in ("onnxruntime", "openvino"):
        depth = open_cpu(model, name)(pixels)
        assert depth.shape == (len(pixels), *size)
        assert depth.dtype == np.float32
        assert np.max(np.abs(depth - expected) / expected) <= 1e-4, name


@pytest.mark.parametrize("name", ALL)
def test_batch_equals_single(model: Path, name: str) -> None:
    engine = open_cpu(model, name)
    pixels = photograph(64, 96, batch=3).numpy()
    singles = np.concatenate([engine(image[None]) for image in pixels])
    assert singles.std() > 0.01, "the weights are degenerate"
    assert np.max(np.abs(engine(pixels) - singles)) <= 1e-5 * 10


@pytest.mark.parametrize("name", ALL)
def test_empty_batch_gives_an_empty_result(model: Path, name: str) -> None:
    assert open_cpu(model, name)(np.zeros((0, 3, 40, 64), np.float32)).shape == (0, 40, 64)


@pytest.mark.parametrize("name", ALL)
def test_memory_layout_and_float_type_do_not_matter_and_input_is_kept(
    model: Path, name: str
) -> None:
    engine = open_cpu(model, name)
    pixels = photograph(64, 96).numpy()
    other = np.asfortranarray(pixels[:, :, ::-1].astype(np.float64))[:, :, ::-1]
    other.flags.writeable = False
    before = other.copy()
    np.testing.assert_array_equal(engine(other), engine(pixels))
    np.testing.assert_array_equal(other, before)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_calls_from_many_threads_do_not_disturb_each_other(model: Path, name: str) -> None:
    engine = open_cpu(model, name)
    batches = [photograph(64, 96, seed=seed).numpy() for seed in range(4)]
    expected = [engine(pixels) for pixels in batches]
    with ThreadPoolExecutor(4) as pool:
        for got, wanted in zip(pool.map(engine, batches), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["float32", "reduced"])
def test_calls_side_by_side_have_the_bits_of_calls_in_turn(name: str, precision: str) -> None:
    if (name, precision) == ("onnxruntime", "reduced") or not computed_here(precision):
        pytest.skip("this engine or this CPU has no reduced precision")
    options = {"engine": name, "threads": 1, "precision": precision}
    bundled = weights.bundled()["glpn-b0-indoor"]
    alone = open_engine(bundled, EngineOptions(**options))
    both = open_engine(bundled, EngineOptions(**options), concurrency=2)
    batches = [photograph(64, 96 + 32 * (seed % 2), seed=seed).numpy() for seed in range(6)]
    expected = [alone(pixels) for pixels in batches]
    with ThreadPoolExecutor(3) as pool:  # one more than there are lanes
        for got, wanted in zip(pool.map(both, batches), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def computed_here(precision: str) -> bool:
    return precision == "float32" or bool({"avx512_bf16", "amx_bf16"} & cpu_features())


# Metres


@pytest.mark.parametrize("name", ALL)
def test_max_depth_scales_the_metres(model: Path, name: str) -> None:
    pixels = photograph(64, 96).numpy()
    plain, kitti = open_cpu(model, name), open_cpu(model, name, max_depth=80)
    assert (plain.config.max_depth, kitti.config.max_depth) == (10, 80)
    np.testing.assert_allclose(kitti(pixels), plain(pixels) * 8, rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_a_corrected_config_needs_no_new_graph(model: Path, copy: Path, name: str) -> None:
    edit_config(copy, max_depth=80.0)
    pixels = photograph(64, 96).numpy()
    expected = open_cpu(model, name)(pixels) * 8
    np.testing.assert_allclose(open_cpu(copy, name)(pixels), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_impossible_max_depth_is_refused(model: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="max_depth"):
        open_cpu(model, name, max_depth=-1)


# Choice


def test_auto_takes_onnxruntime_where_the_graph_is(model: Path) -> None:
    assert (
        open_engine(model, EngineOptions(device="cpu", precision="float32")).name == "onnxruntime"
    )


def test_auto_takes_torch_where_no_graph_is(copy: Path) -> None:
    (copy / "model.onnx").unlink()
    assert open_engine(copy, EngineOptions(device="cpu", precision="float32")).name == "torch"


def test_auto_without_graph_and_torch_says_what_to_do(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "model.onnx").unlink()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"glpn export onnx.*'\.\[torch\]'"):
        open_engine(copy, EngineOptions(precision="float32"))


@pytest.mark.parametrize("name", ALL)
def test_engine_that_is_not_installed_is_named(
    model: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependency, match=rf"engine {name}.*pip install -c constraints.txt"):
        open_engine(model, EngineOptions(engine=name, precision="float32"))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_folder_without_graph_says_how_to_write_it(copy: Path, name: str) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(MissingInput, match=r"model\.onnx.*glpn export onnx"):
        open_cpu(copy, name)


def test_unknown_engine_is_refused_with_the_known_ones(model: Path) -> None:
    with pytest.raises(UsageError, match=", ".join(engine_names())):
        open_engine(model, EngineOptions(engine="tensorrt", precision="float32"))


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "cpu:0", "CUDA", ""])
def test_unknown_device_is_refused_with_the_known_ones(model: Path, device: str) -> None:
    with pytest.raises(UsageError, match="auto, cpu, cuda, cuda:N or mps"):
        open_engine(model, EngineOptions(device=device, precision="float32"))


def test_device_that_is_not_here_is_refused_with_those_that_are(model: Path) -> None:
    with pytest.raises(UsageError, match=r"torch finds cpu.* here, not 'cuda:999'"):
        open_engine(model, EngineOptions(device="cuda:999", precision="float32"))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_engines_of_the_cpu_refuse_a_gpu(model: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"engine {name} runs on the cpu"):
        open_engine(model, EngineOptions(engine=name, device="cuda", precision="float32"))


@pytest.mark.parametrize("threads", [0, -2])
def test_impossible_number_of_threads_is_refused(model: Path, threads: int) -> None:
    with pytest.raises(UsageError, match="threads"):
        open_engine(model, EngineOptions(threads=threads, precision="float32"))


def test_usable_cores_are_no_more_than_the_machine_has() -> None:
    assert 1 <= usable_cores() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_usable_cores_follow_the_affinity_of_the_process() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from glpn.engines.hardware import cpu_features, usable_cores; print(usable_cores())"
    )
    assert run_python(code) == "1\n"


# Lightness


def test_importing_the_room_loads_no_run_time() -> None:
    code = (
        "import sys, glpn.engines, glpn.engines.trunk;"
        "print([m for m in ('torch', 'onnxruntime', 'openvino', 'onnx') if m in sys.modules])"
    )
    assert run_python(code) == "[]\n"


def test_onnxruntime_predicts_quietly_where_torch_and_onnx_cannot_be_imported(
    model: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "pixels.npy", photograph(33, 47).numpy())
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['onnx'] = None\n"
        "import numpy as np; from glpn.engines.options import EngineOptions\n"
        "from glpn.engines.selection import open_engine\n"
        "engine = open_engine(sys.argv[1], EngineOptions(threads=1))\n"
        "np.save(sys.argv[3], engine(np.load(sys.argv[2]))); print(engine.name)"
    )
    printed = run_python(code, model, tmp_path / "pixels.npy", tmp_path / "depth.npy")
    assert printed == "onnxruntime\n"
    expected = open_cpu(model, "torch")(np.load(tmp_path / "pixels.npy"))
    np.testing.assert_allclose(np.load(tmp_path / "depth.npy"), expected, rtol=1e-4)


# What does not fit


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(3, 64, 96), (1, 64, 96, 3), (1, 1, 64, 96), (1, 3, 0, 96)])
def test_arrays_that_are_no_batch_of_images_are_refused(
    model: Path, name: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidImage, match=r"expected shape \[batch, 3, height, width\]"):
        open_cpu(model, name)(np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(copy: Path, name: str, value: Any) -> None:
    edit_weights(copy, **{"head.head.2.bias": torch.tensor([value])})
    with pytest.raises(CheckpointError, match=r"head\.head\.2\.bias"):
        open_cpu(copy, name)


@pytest.mark.parametrize("name", ALL)
def test_output_that_is_not_finite_is_never_returned(copy: Path, name: str) -> None:
    huge = torch.full((32, 3, 7, 7), 3e38)  # finite, but its sums are not
    edit_weights(copy, **{"glpn.encoder.patch_embeddings.0.proj.weight": huge})
    with pytest.raises(CheckpointError, match="output contains NaN or infinity"):
        open_cpu(copy, name)(photograph(64, 96).numpy())


def test_new_weights_in_the_same_layout_need_no_new_graph(model: Path, copy: Path) -> None:
    network = GLPNForDepthEstimation.from_pretrained(model)
    randomise(network, seed=7)
    network.save_pretrained(copy)
    pixels = photograph(64, 96).numpy()
    old, new = (open_cpu(folder, "onnxruntime")(pixels) for folder in (model, copy))
    assert np.abs(new - old).max() > 0.01
    np.testing.assert_allclose(new, open_cpu(copy, "torch")(pixels), rtol=1e-4)


@pytest.mark.parametrize("note", ["", "x" * 1000])
def test_moved_weights_are_refused_naming_both_files(
    copy: Path, graph_file: Path, note: str
) -> None:
    path = copy / "model.safetensors"
    save_file(load_file(path), path, metadata={"format": "pt", "note": note})
    with pytest.raises(CheckpointError, match=graph_file.name + OTHER_WEIGHTS):
        open_cpu(copy, "onnxruntime")


def test_weights_of_another_type_are_refused_naming_both_files(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    edit_weights(copy, **{name: value.half() for name, value in tensors.items() if value.ndim})
    with pytest.raises(CheckpointError, match=OTHER_WEIGHTS):
        open_cpu(copy, "onnxruntime")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_graph_of_another_network_is_refused_naming_both_files(
    name: str, copy: Path, graph_file: Path
) -> None:
    edit_config(copy, hidden_act="relu")
    with pytest.raises(CheckpointError, match=rf"{graph_file.name} was made for .*config\.json"):
        open_cpu(copy, name)


def test_truncated_weights_are_refused(copy: Path) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        open_cpu(copy, "onnxruntime")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("content", [b"", b"<html>", bytes(range(256)) * 40])
def test_damaged_graph_is_refused(name: str, copy: Path, graph_file: Path, content: Any) -> None:
    graph_file.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{graph_file.name}.*export onnx"):
        open_cpu(copy, name)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_graph_of_somebody_else_is_refused(name: str, copy: Path, graph_file: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, [1])], [value("y", 1, [1])])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, ir_version=9, opset_imports=opset), graph_file)
    with pytest.raises(CheckpointError, match=rf"{graph_file.name}: not written by glpn"):
        open_cpu(copy, name)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_folder_of_links_works_as_in_the_cache_of_the_hub(
    name: str, model: Path, tmp_path: Path
) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for i, file in enumerate(("config.json", "model.safetensors", "model.onnx", "trunk.onnx")):
        shutil.copy(model / file, blobs / f"{i}")
        (snapshot / file).symlink_to(f"../../blobs/{i}")
    pixels = photograph(64, 96).numpy()
    expected = open_cpu(model, name)(pixels)
    np.testing.assert_allclose(open_cpu(snapshot, name)(pixels), expected, rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_cuda_agrees_with_the_cpu(model: Path) -> None:
    pixels = photograph(64, 96).numpy()
    with torch.backends.cudnn.flags(allow_tf32=False):
        depth = open_engine(model, EngineOptions(device="cuda", precision="float32"))(pixels)
    np.testing.assert_allclose(depth, open_cpu(model, "torch")(pixels), rtol=1e-4)


def test_no_run_time_reports_its_use(tmp_path: Path) -> None:
    """onnxruntime would leave a device's number and a queue of events in the home folder."""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    lines = "import glpn; glpn.load(engine='onnxruntime')"
    subprocess.run([sys.executable, "-c", lines], env=environment, check=True)
    assert not [path for path in tmp_path.rglob("*") if "onnxruntime" in str(path)]
