"""int8: an 8-bit encoder, calibrated on real photos and written only if it is accurate enough.

onnxruntime's tool does static quantisation in QDQ form. The decoder and the head, which determine
the edges, and everything that is not a matrix product stay in float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glpn.errors import MissingInput
from glpn.estimator import MAX_INPUT_PIXELS
from glpn.export import verify
from glpn.export.model_source import Runner, Source
from glpn.export.onnx_file import onnx_format
from glpn.export.writer import export
from glpn.image.photo import read_photo
from glpn.processing.processor import GLPNImageProcessor

if TYPE_CHECKING:
    from onnx import ModelProto

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MOST_PHOTOS = 128  # evenly spaced photos of a folder; more change little and take minutes
_QUANTIZED = ("Conv", "Gemm")
_ENCODER = "glpn.encoder."


def export_quantized(
    source: Source, path: Path, *, photos: Path, overwrite: bool = False
) -> verify.Report | None:
    """Write an ONNX file with an 8-bit encoder if it passes the check.

    Args:
        source, path, overwrite: see `export`.
        photos: a folder of typical photos. Three of every four are for calibration, the fourth
            for the check.

    Raises:
        MissingInput: the folder holds fewer than four photos.
        InvalidImage: a photo cannot be read.
        InexactExport: the mean deviation from torch in float32 is above 1 %; nothing is written.
        Others as `export`.
    """
    files = find_photos(photos)
    held = files[3::4]
    known = [file for file in files if file not in held]
    # onnxruntime cannot calibrate the layers behind its own attention operator.
    exact = onnx_format(portable=True)
    quantized = replace(
        exact,
        build=lambda model: quantize(exact.build(model), read_inputs(known, model), model.input),
    )

    def gate(run: Runner) -> verify.Report:
        expected, inputs = verify.reference(source), read_inputs(held, source)
        report = verify.compare(run, expected, inputs, verify.QUANTIZED)
        return replace(report, inputs=f"photographs of {photos.name}, held out from calibration")

    return export(quantized, source, path, verify=gate, overwrite=overwrite)


def find_photos(folder: Path) -> list[Path]:
    """At most `MOST_PHOTOS` photos of a folder and its subfolders, sorted and evenly spaced.

    Hidden files are left out.

    Raises:
        MissingInput: there are fewer than four photos.
    """
    found = (file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    files = sorted(file for file in found if file.name[0] != ".")
    if len(files) < 4:
        raise MissingInput(f"{folder}: expected four photographs or more, found {len(files)}")
    chosen = np.linspace(0, len(files) - 1, min(len(files), MOST_PHOTOS)).round().astype(int)
    return [files[i] for i in chosen]


def read_inputs(files: Sequence[Path], source: Source) -> Iterator[np.ndarray]:
    """Each photo as an input of the exported file, in a batch of one, at the size of predictions.

    An end-to-end file scales photos itself.
    """
    processor = GLPNImageProcessor.from_pretrained(source.folder)
    for file in files:
        image = read_photo(file).pixels
        if source.processor is None:
            yield processor.pixels(image, max_pixels=MAX_INPUT_PIXELS)[None]
        else:
            yield image[None]


def quantize(model: ModelProto, inputs: Iterator[np.ndarray], name: str) -> ModelProto:
    """Quantise the encoder's products: signed weights per channel, unsigned activations.

    Weights use 7 of their 8 bits, so the file gives the same result on CPUs with and without VNNI.

    Args:
        model: the float32 model with its weights inside.
        inputs: calibration inputs.
        name: name of the graph's input.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(inputs, None)
            return None if batch is None else {name: batch}

    with tempfile.TemporaryDirectory() as folder:
        folded, done = Path(folder) / "folded.onnx", Path(folder) / "int8.onnx"
        prepared = _folded(model, folded)
        quantization.quantize_static(
            prepared,
            done,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_quantize=_encoder_products(prepared),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            # CPUs without VNNI add two products in 16 bits, which saturates with 8-bit weights.
            reduce_range=True,
        )
        return onnx.load(done)


def _folded(model: ModelProto, file: Path) -> ModelProto:
    """The model with constants folded, because weights behind a cast cannot be quantised."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    folded = onnx.load(file)
    prepared = {"onnx.quant.pre_process": "onnxruntime.quant"}  # silences a warning of the tool
    onnx.helper.set_model_props(folded, prepared)
    return folded


def _encoder_products(model: ModelProto) -> list[str]:
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _QUANTIZED and node.name.startswith(_ENCODER)
    ]
