"""The fast path by its operations, not its seconds: what is fused stays fused.

Expected numbers are MiT-b0's: 8 blocks, 6 of them with a reduction, 4 stages, 3 projections, 3
fusions. A number that grows is a fusion that broke; a new release of a run time may also change it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from glpn import GLPNConfig, GLPNForDepthEstimation
from glpn.engines.hardware import cpu_features
from glpn.engines.openvino import compiled_models, engine, graph, int8
from glpn.export.onnx import write_graph
from tests.networks import randomise

CONVOLUTIONS = {"embedding": 4, "reduction": 6, "depthwise": 8, "fusion": 9}
BIGGEST = 2  # reductions, 8×8, which are not computed in 8 bits
POINTWISE = 2 * 8 + 3  # the feed-forwards', the projections
LINEAR = 4 * 8
NORMS = 4 + 2 * 8 + 6 + 4
RESIDUALS, GATES = 2 * 8, 3

kernels_known = pytest.mark.skipif(
    "avx512f" not in cpu_features(), reason="the counts are those of kernels for AVX-512"
)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The graph's file in a folder with a random b0."""
    folder = tmp_path_factory.mktemp("model")
    network = GLPNForDepthEstimation(GLPNConfig.preset("b0"))
    randomise(network)
    network.save_pretrained(folder)
    write_graph(folder)
    return folder / "trunk.onnx"


def operations(file: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(file, load_external_data=False).graph.node)


def running(trunk: Path, precision: str) -> list[Any]:
    """The nodes that OpenVINO makes of the graph for 480×640."""
    model = graph.read(trunk)
    if precision.startswith("int8"):
        names = int8._products(model)
        int8.quantised(model, dict.fromkeys(names, (-1.0, 1.0)))
    if precision.endswith("bfloat16"):
        model = graph.with_bfloat16_output(model)
    compiled = compiled_models.CompiledModels(
        model, precision.split("+")[-1], threads=1, capacity=1
    )
    return compiled.compile((1, 3, 480, 640)).get_runtime_model().get_ordered_ops()


def layers(trunk: Path, precision: str) -> Any:
    """OpenVINO's layers for 480×640 → how many; copies that only rename a layout do not count."""
    found: Counter[str] = Counter()
    for node in running(trunk, precision):
        kind = node.get_rt_info()["layerType"].astype(str)
        found[kind] += not node.get_friendly_name().endswith("_fake")
    return found


def test_the_graph_has_one_node_for_every_layer(trunk: Path) -> None:
    found = operations(trunk)
    assert found["Conv"] == sum(CONVOLUTIONS.values()) + POINTWISE
    assert found["Gemm"] == LINEAR
    assert found["LayerNormalization"] == NORMS
    assert found["MultiHeadAttention"] == found["Gelu"] == 8
    assert not {"MatMul", "Softmax", "Erf", "ReduceMean", "Cast", "Where"} & set(found)
    assert sum(found.values()) <= 302


@kernels_known
def test_onnxruntime_folds_norms_and_activations_into_convolutions(
    trunk: Path, tmp_path: Path
) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(trunk), options, providers=["CPUExecutionProvider"])
    found = operations(tmp_path / "optimized.onnx")
    assert found["Conv"] == sum(CONVOLUTIONS.values()) + POINTWISE
    assert not {"BatchNormalization", "Relu", "Sigmoid", "FusedMatMul"} & set(found)
    assert found["MultiHeadAttention"] == 8 and found["LayerNormalization"] == NORMS
    assert found["Transpose"] <= 4
    assert found["ReorderInput"] + found["ReorderOutput"] <= 44  # between layouts


@pytest.mark.slow
@kernels_known
@pytest.mark.parametrize(
    ("precision", "transposed", "copied"), [("float32", 10, 19), ("bfloat16", 16, 97)]
)
def test_openvino_fuses_attention_norms_and_activations(
    trunk: Path, precision: str, transposed: int, copied: int
) -> None:
    if precision == "bfloat16" and not engine.computes_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    found = layers(trunk, precision)
    assert found["Convolution"] == sum(CONVOLUTIONS.values())
    assert found["FullyConnected"] == LINEAR + POINTWISE
    assert found["MVN"] == NORMS
    assert found["Eltwise"] <= NORMS  # their weights and biases
    assert found["Subgraph"] <= 8 + RESIDUALS + GATES  # attention is one each
    assert found["Transpose"] <= transposed
    assert found["Reorder"] <= copied  # most are of weights, once
    assert not {"Convert", "MatMul", "Softmax", "Reduce", "RMS", "ShapeOf"} & set(found)


@pytest.mark.slow
@pytest.mark.skipif("avx512_vnni" not in cpu_features(), reason="the kernels are AVX-512 VNNI's")
def test_openvino_multiplies_8_bits_in_every_product_but_the_biggest_kernels(trunk: Path) -> None:
    found: Counter[str] = Counter()
    for node in running(trunk, "int8+float32"):
        facts = node.get_rt_info()
        if "i8" in facts["primitiveType"].astype(str).lower():
            found[facts["layerType"].astype(str)] += 1
    wanted = sum(CONVOLUTIONS.values()) - CONVOLUTIONS["depthwise"] - BIGGEST
    assert found["Convolution"] == wanted
    linear = [count for layer, count in found.items() if layer.startswith("FullyConnected")]
    assert sum(linear) == LINEAR + POINTWISE
