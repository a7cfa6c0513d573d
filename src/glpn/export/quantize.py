"""int8: the encoder in 8 bits, calibrated on real photographs, written only if it stays exact.

Static quantisation in QDQ form by onnxruntime's own tool. The decoder and the head, which draw the
edges, and all that is no matrix product stay in float32.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glpn.errors import MissingInput
from glpn.export import verify
from glpn.export.onnx_file import onnx_format
from glpn.export.publish import export
from glpn.export.source import Runner, Source
from glpn.image.photo import read_photo
from glpn.processing.processor import GLPNImageProcessor

if TYPE_CHECKING:
    from onnx import ModelProto

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MOST_PHOTOS = 128  # of a folder, evenly spaced; more changes little and takes minutes
_QUANTIZED = ("Conv", "Gemm")
_ENCODER = "glpn.encoder."


def export_quantized(
    source: Source, path: Path, *, photos: Path, overwrite: bool = False
) -> verify.Report | None:
    """Write an ONNX file with an 8-bit encoder, if it passes.

    Args:
        source, path, overwrite: as in `export`.
        photos: a folder of photographs like those the file will see. Of every four, three
            calibrate and the fourth measures.

    Raises:
        MissingInput: the folder holds fewer than four photographs.
        InvalidImage: one cannot be read.
        InexactExport: the mean deviation from torch in float32 is above 1 %; nothing is written.
        Others as `export`.
    """
    files = find_photos(photos)
    held = files[3::4]
    known = [file for file in files if file not in held]
    # onnxruntime cannot look into its own attention to calibrate what follows.
    exact = onnx_format(portable=True)
    quantized = replace(
        exact,
        build=lambda model: quantize(exact.build(model), read_inputs(known, model), model.input),
    )

    def gate(run: Runner) -> verify.Report:
        expected, inputs = verify.reference(source), read_inputs(held, source)
        report = verify.compare(run, expected, inputs, verify.QUANTIZED)
        return replace(report, inputs=f"photographs of {photos.name}, held back from calibration")

    return export(quantized, source, path, verify=gate, overwrite=overwrite)


def find_photos(folder: Path) -> list[Path]:
    """At most `MOST_PHOTOS` photographs of a folder and its folders, evenly spaced, sorted.

    Raises:
        MissingInput: there are fewer than four.
    """
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    if len(files) < 4:
        raise MissingInput(f"{folder}: expected four photographs or more, found {len(files)}")
    chosen = np.linspace(0, len(files) - 1, min(len(files), MOST_PHOTOS)).round().astype(int)
    return [files[i] for i in chosen]


def read_inputs(files: Sequence[Path], source: Source) -> Iterator[NDArray[Any]]:
    """Each photograph as the file of this source takes it, a batch of one."""
    processor = GLPNImageProcessor.from_pretrained(source.folder)
    for file in files:
        image = read_photo(file).pixels
        yield image[None] if source.processor else processor.pixels(image)[None]


def quantize(model: ModelProto, inputs: Iterator[NDArray[Any]], name: str) -> ModelProto:
    """Put the encoder's products into 8 bits: weights signed and per channel, activations unsigned.

    Weights take 7 of their 8 bits, so that the file says the same on CPUs with VNNI and without.

    Args:
        model: with its weights inside, float32.
        inputs: to calibrate on.
        name: of the graph's input.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[Any]] | None:
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
            # Weights of 7 bits: CPUs without VNNI add two products in 16 bits, which of 8 saturate.
            reduce_range=True,
        )
        return onnx.load(done)


def _folded(model: ModelProto, file: Path) -> ModelProto:
    """The model with its constants computed: weights that are cast could not be quantised."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(file)
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    folded = onnx.load(file)
    prepared = {"onnx.quant.pre_process": "onnxruntime.quant"}  # else the tool warns
    onnx.helper.set_model_props(folded, prepared)
    return folded


def _encoder_products(model: ModelProto) -> list[str]:
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _QUANTIZED and node.name.startswith(_ENCODER)
    ]
