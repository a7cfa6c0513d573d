"""Graph: builds an ONNX graph, with the layers that read the weights file.

Every weight is an initializer with external data: the tensor of that name in `model.safetensors`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glpn.errors import MissingDependency
from glpn.network.config import GLPNConfig
from glpn.weights import TensorEntry

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as e:
    raise MissingDependency("writing an ONNX graph needs the package onnx", extra="torch") from e

# onnxruntime 1.20 reads operator sets up to 21 and IR versions up to 10; Gelu came with set 20.
OPSET = 20
IR_VERSION = 9
ONNXRUNTIME = "com.microsoft"  # the domain of onnxruntime's own operators

BATCH_NORM_EPS = 1e-5  # torch's default, which both reference implementations keep

_DTYPES = {
    "F64": TensorProto.DOUBLE,
    "F32": TensorProto.FLOAT,
    "F16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
}


class Graph:
    """Nodes and initializers in order of creation; values are referred to by name.

    A layer takes its weights and its node's name from the module's name in the weights file.

    Args:
        config: the network's configuration.
        tensors: the contents of the weights file.
        weights_file: its path, relative to the folder of the graph.
        portable: use only standard operators.
    """

    FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64

    def __init__(
        self,
        config: GLPNConfig,
        tensors: Mapping[str, TensorEntry],
        *,
        weights_file: str,
        portable: bool,
    ) -> None:
        self.config = config
        self.portable = portable
        self._tensors = tensors
        self._weights_file = weights_file
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Append a node and return its output, which has the node's name."""
        name = name or f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def weight(self, name: str, *, shape: Sequence[int] | None = None) -> str:
        """A float32 tensor of the weights file, in its own shape or reshaped."""
        entry = self._tensors[name]
        tensor = TensorProto(name=name, data_type=_DTYPES[entry.dtype], dims=shape or entry.shape)
        tensor.data_location = TensorProto.EXTERNAL
        length = entry.end - entry.begin
        place = {"location": self._weights_file, "offset": entry.begin, "length": length}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self._initializers.append(tensor)
        if entry.dtype == "F32":
            return name
        return self.add("Cast", name, name=f"{name}.float32", to=TensorProto.FLOAT)

    def integers(self, *values: int) -> str:
        """A constant int64 vector: a shape, axes, limits."""
        return self._constant(np.array(values, np.int64))

    def floats(self, *values: float, shape: Sequence[int] | None = None) -> str:
        """A constant float32 vector, or a reshaped one."""
        array = np.array(values, np.float32)
        return self._constant(array if shape is None else array.reshape(shape))

    def doubles(self, *values: float) -> str:
        """A constant float64 vector."""
        return self._constant(np.array(values, np.float64))

    def _constant(self, value: np.ndarray) -> str:
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants)}"
            self._initializers.append(numpy_helper.from_array(value, self._constants[key]))
        return self._constants[key]

    def channels_last(self, x: str) -> str:
        """Map [B, C, H, W] to [B, H, W, C]."""
        return self.add("Transpose", x, perm=[0, 2, 3, 1])

    def channels_first(self, x: str) -> str:
        """Map [B, H, W, C] to [B, C, H, W]."""
        return self.add("Transpose", x, perm=[0, 3, 1, 2])

    def convolution(
        self, x: str, name: str, *, stride: int = 1, padding: int = 0, groups: int = 1
    ) -> str:
        """Map [B, C_in, H, W] to [B, C_out, H/stride, W/stride]."""
        return self.add(
            "Conv",
            x,
            self.weight(f"{name}.weight"),
            self.weight(f"{name}.bias"),
            name=name,
            strides=[stride] * 2,
            pads=[padding] * 4,
            group=groups,
        )

    def depthwise(self, x: str, name: str) -> str:
        """A depthwise 3×3 convolution: [B, C, H, W]."""
        return self.convolution(x, name, padding=1, groups=self._tensors[f"{name}.weight"].shape[0])

    def pointwise(self, x: str, name: str) -> str:
        """Apply a linear layer to the channels of a map [B, in, H, W], as a 1×1 convolution."""
        shape = (*self._tensors[f"{name}.weight"].shape, 1, 1)  # [out, in, 1, 1]
        weight = self.weight(f"{name}.weight", shape=shape)
        return self.add("Conv", x, weight, self.weight(f"{name}.bias"), name=name)

    def linear(self, x: str, name: str) -> str:
        """Apply a linear layer to the last axis, others flattened: [..., in] to [rows, out]."""
        width = self._tensors[f"{name}.weight"].shape[1]
        rows = self.add("Reshape", x, self.integers(-1, width))
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("Gemm", rows, weight, bias, name=name, transB=1)

    def layer_norm(self, x: str, name: str, *, eps: float) -> str:
        """Layer normalisation over the last axis."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", x, weight, bias, name=name, epsilon=eps)

    def batch_norm(self, x: str, name: str) -> str:
        """Batch normalisation [B, C, H, W] with the stored statistics.

        Engines fold it into the convolution.
        """
        leaves = ("weight", "bias", "running_mean", "running_var")
        values = [self.weight(f"{name}.{leaf}") for leaf in leaves]
        return self.add("BatchNormalization", x, *values, name=name, epsilon=BATCH_NORM_EPS)

    def model(
        self,
        *,
        inputs: Mapping[str, Sequence[int | str]],
        outputs: Mapping[str, Sequence[int | str]],
        metadata: Mapping[str, str],
        levels: bool = False,
    ) -> onnx.ModelProto:
        """The finished model; an axis given by name is free.

        Outputs are float32; inputs are float32 or uint8 levels.
        """
        taken = TensorProto.UINT8 if levels else TensorProto.FLOAT
        versions = {"": OPSET} if self.portable else {"": OPSET, ONNXRUNTIME: 1}
        model = helper.make_model(
            helper.make_graph(
                self._nodes,
                "glpn",
                _described(inputs, taken),
                _described(outputs, TensorProto.FLOAT),
                self._initializers,
            ),
            producer_name="glpn",
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid(*item) for item in versions.items()],
        )
        helper.set_model_props(model, dict(metadata))
        return model


def _described(values: Mapping[str, Sequence[int | str]], kind: int) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, kind, sides) for name, sides in values.items()]
