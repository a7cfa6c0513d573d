"""The hand-written graph computes what the reference implementation computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from glpn import GLPNConfig, GLPNForDepthEstimation, weights
from glpn.engines.options import EngineOptions
from glpn.engines.selection import open_engine
from glpn.errors import CheckpointError, MissingInput
from glpn.export.onnx import build_graph, write_graph
from tests.networks import photograph, randomise, twins

SMALL = {
    "depths": (1, 2, 1, 1),
    "hidden_sizes": (16, 24, 40, 48),
    "num_attention_heads": (2, 2, 5, 3),
    "sr_ratios": (4, 2, 2, 1),
    "patch_sizes": (5, 3, 5, 3),
    "mlp_ratios": (2, 3, 1.5, 2),
    "decoder_hidden_size": 24,
    "max_depth": 37.5,
}


def relative_error(depth: np.ndarray, expected: Any) -> float:
    """Largest error of a pixel as a share of its depth; both [B, H, W] in metres."""
    expected = expected.numpy()
    assert depth.shape == expected.shape
    assert expected.std() > 0.01, "the weights are degenerate"
    return np.max(np.abs(depth - expected) / expected)


def run(folder: Path, pixels: torch.Tensor) -> np.ndarray:
    return open_engine(folder, EngineOptions(engine="onnxruntime", threads=1, precision="float32"))(
        pixels.numpy()
    )


def graph_of(folder: Path) -> Any:
    return onnx.load(folder / "model.onnx", load_external_data=False).graph


@pytest.fixture(scope="module")
def b0(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """The reference with random weights, and our folder with the same and a graph."""
    reference, ours = twins("b0")
    folder = tmp_path_factory.mktemp("b0")
    ours.save_pretrained(folder)
    write_graph(folder)
    return reference, folder


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., tuple[GLPNForDepthEstimation, Path]]:
    """Save a small network of the given fields with its graph: (network, folder)."""

    def make(*, portable: bool = False, **fields: Any) -> tuple[GLPNForDepthEstimation, Path]:
        network = GLPNForDepthEstimation(GLPNConfig(**{**SMALL, **fields})).eval()
        randomise(network)
        network.save_pretrained(tmp_path)
        write_graph(tmp_path, portable=portable)
        return network, tmp_path

    return make


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width", "batch"), [(64, 96, 2), (32, 32, 1), (480, 640, 1)])
def test_depth_agrees_with_the_reference(
    b0: tuple[nn.Module, Path], height: int, width: int, batch: int
) -> None:
    reference, folder = b0
    pixels = photograph(height, width, batch=batch)
    with torch.no_grad():
        expected = reference(pixels).predicted_depth
    assert relative_error(run(folder, pixels), expected) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_types_are_computed_with_in_float32(tmp_path: Path, dtype: Any) -> None:
    reference, ours = twins("b0")
    ours.to(dtype).save_pretrained(tmp_path)
    write_graph(tmp_path)
    pixels = photograph(64, 96)
    with torch.no_grad():
        expected = reference.to(dtype).float()(pixels).predicted_depth
    assert relative_error(run(tmp_path, pixels), expected) <= 1e-4


@pytest.mark.parametrize("width", [24, 20])  # with a trunk for the compiled head, and without
def test_sum_in_place_of_selective_fusion_agrees_with_the_modules(
    small: Callable[..., tuple[GLPNForDepthEstimation, Path]], width: int
) -> None:
    network, folder = small(fusion="sum", decoder_hidden_size=width)
    pixels = photograph(64, 96)
    with torch.inference_mode():
        expected = network(pixels).predicted_depth
    assert relative_error(run(folder, pixels), expected) <= 1e-4


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("act", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"])
def test_any_configuration_agrees_with_the_modules(
    small: Callable[..., tuple[GLPNForDepthEstimation, Path]], act: str, portable: bool
) -> None:
    network, folder = small(hidden_act=act, portable=portable)
    pixels = photograph(64, 96, batch=2)
    with torch.no_grad():
        expected = network(pixels).predicted_depth
    assert relative_error(run(folder, pixels), expected) <= 1e-4


@pytest.mark.parametrize(
    ("index", "reduction"), [(0, 16), (1, 8), (2, 4), (3, 1), (-1, 1), (-4, 16)]
)
def test_head_in_index_picks_the_map(
    small: Callable[..., tuple[GLPNForDepthEstimation, Path]], index: int, reduction: int
) -> None:
    network, folder = small(head_in_index=index)
    pixels = photograph(70, 101)
    with torch.no_grad():
        expected = network(pixels).predicted_depth
    depth = run(folder, pixels)
    assert depth.shape == (1, -(-70 // reduction), -(-101 // reduction))
    assert relative_error(depth, expected) <= 1e-4


@pytest.mark.parametrize(("convention", "block_eps"), [("transformers", 1e-5), ("authors", 1e-6)])
def test_layer_norms_have_the_epsilons_of_the_convention(
    small: Callable[..., tuple[GLPNForDepthEstimation, Path]], convention: str, block_eps: float
) -> None:
    _, folder = small(layer_norm_convention=convention)
    found = {
        node.name: onnx.helper.get_node_attr_value(node, "epsilon")
        for node in graph_of(folder).node
        if node.op_type == "LayerNormalization"
    }
    for name, eps in found.items():
        embeds = "patch_embeddings" in name or "attention.self" in name
        assert eps == pytest.approx(1e-5 if embeds else block_eps), name
    blocks, reduced, stages = 5, 4, 4  # reduced: blocks in stages whose ratio is above 1
    assert len(found) == 2 * blocks + reduced + 2 * stages


def test_graph_passes_the_checker(b0: tuple[nn.Module, Path]) -> None:
    _, folder = b0
    onnx.checker.check_model(folder / "model.onnx")


def test_portable_graph_passes_the_full_checker_with_standard_operators_alone(
    small: Callable[..., tuple[GLPNForDepthEstimation, Path]],
) -> None:
    _, folder = small(portable=True)
    onnx.checker.check_model(folder / "model.onnx", full_check=True)
    assert {node.domain for node in graph_of(folder).node} == {""}


def test_graph_holds_no_weights(b0: tuple[nn.Module, Path]) -> None:
    _, folder = b0
    assert (folder / "model.onnx").stat().st_size < 200_000
    tensors = weights.read_header(folder / "model.safetensors").tensors
    used = {t.name: t for t in graph_of(folder).initializer if t.external_data}
    assert used.keys() == {name for name in tensors if "num_batches_tracked" not in name}
    for name, tensor in used.items():
        place = {entry.key: entry.value for entry in tensor.external_data}
        begin, end = tensors[name].begin, tensors[name].end
        assert place["location"] == "model.safetensors"
        assert (int(place["offset"]), int(place["length"])) == (begin, end - begin)


def test_weights_at_odd_offsets_are_read_right(b0: tuple[nn.Module, Path], tmp_path: Path) -> None:
    reference, folder = b0
    data = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    shifted = (length + 3).to_bytes(8, "little") + data[8 : 8 + length] + b"   "
    (tmp_path / "model.safetensors").write_bytes(shifted + data[8 + length :])
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    write_graph(tmp_path)
    offsets = [
        e.begin for e in weights.read_header(tmp_path / "model.safetensors").tensors.values()
    ]
    assert all(offset % 4 for offset in offsets)
    pixels = photograph(64, 96)
    with torch.no_grad():
        expected = reference(pixels).predicted_depth
    assert relative_error(run(tmp_path, pixels), expected) <= 1e-4


def test_metadata_says_what_the_graph_is(b0: tuple[nn.Module, Path]) -> None:
    _, folder = b0
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["unit"] == "metres"
    assert metadata["max_depth"] == "10.0"
    assert metadata["size_divisor"] == "32"
    assert metadata["model"] == folder.name
    assert metadata["weights_sha256"] == weights.file_hash(folder / "model.safetensors")
    (pixels,), (depth,) = session.get_inputs(), session.get_outputs()
    assert (pixels.name, pixels.shape) == ("pixel_values", ["batch", 3, "height", "width"])
    assert (depth.name, depth.shape) == ("predicted_depth", ["batch", "height", "width"])


def test_writing_twice_gives_the_same_bytes(b0: tuple[nn.Module, Path]) -> None:
    _, folder = b0
    before = (folder / "model.onnx").read_bytes()
    assert write_graph(folder).read_bytes() == before


def test_weights_file_may_have_another_name(b0: tuple[nn.Module, Path]) -> None:
    _, folder = b0
    config = GLPNConfig.from_json_file(folder / "config.json")
    header = weights.read_header(folder / "model.safetensors")
    model = build_graph(config, header, weights_file="other.safetensors")
    locations = {e.value for t in model.graph.initializer for e in t.external_data[:1]}
    assert locations == {"other.safetensors"}


def test_weights_of_another_network_are_refused(b0: tuple[nn.Module, Path], tmp_path: Path) -> None:
    _, folder = b0
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    (tmp_path / "config.json").write_text(GLPNConfig.preset("b1").to_json())
    with pytest.raises(CheckpointError, match=r"model\.safetensors: the weights do not fit"):
        write_graph(tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(GLPNConfig().to_json())
    with pytest.raises(MissingInput, match=r"model\.safetensors"):
        write_graph(tmp_path)
