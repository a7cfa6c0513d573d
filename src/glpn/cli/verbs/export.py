"""`glpn export`: writes the network in the formats of other runtimes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options
from glpn.cli.app import Command
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.export.model_source import Source, Variant
    from glpn.export.verify import Report
    from glpn.export.writer import Format

app = typer.Typer(no_args_is_help=True, help="Write the network for other run times.")


class Quantization(str, Enum):
    """The number types for a quantized network."""

    int8 = "int8"


_Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A bundled name, a folder with config.json and weights, or a hub id."
    ),
]
_OnnxFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[OUT.onnx]",
        help=(
            "One file that includes the weights. Without it, glpn writes model.onnx, the "
            "graph that it runs itself, into the model folder; that file refers to the "
            "weights beside it."
        ),
    ),
]
_IrFile = Annotated[
    Path,
    typer.Argument(
        metavar="OUT.xml|FOLDER",
        help=("File for the graph; the weights are in OUT.bin beside it. In a folder: model.xml."),
    ),
]
_ProgramFile = Annotated[
    Path,
    typer.Argument(
        metavar="OUT.pt2", help="File for a program that torch loads and runs without glpn."
    ),
]
_EndToEnd = Annotated[
    bool,
    typer.Option(
        "--end-to-end",
        help=(
            "Input: images, uint8 RGB [B, H, W, 3]; output: metres at their size; resizing "
            "and rescaling are in the file. Without it, the input is pixels, float32 [B, 3, "
            "h, w] in 0..1, with sides that are multiples of 32."
        ),
    ),
]
_Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help=(
            "Compare with torch over sizes and batches, print the table, and store it in the "
            "file; a file that deviates too much is not written."
        ),
    ),
]
_Portable = Annotated[
    bool,
    typer.Option(
        "--portable",
        help=(
            "Standard operators only, for run times other than onnxruntime; the memory use of "
            "attention then grows with the square of the number of pixels."
        ),
    ),
]
_Size = Annotated[
    str,
    typer.Option(
        metavar="HEIGHTxWIDTH",
        help="Accept only one image of this size, for run times that need fixed sizes.",
        show_default=False,
    ),
]
_Half = Annotated[
    bool,
    typer.Option("--half", help="Store the weights in float16; inputs and outputs stay float32."),
]
_Opset = Annotated[
    int | None,
    typer.Option(help="Version of the ONNX operator set; requires --portable. Default: 20.", min=1),
]
_Quantize = Annotated[
    Quantization | None,
    typer.Option(
        help=(
            "Compute the encoder in 8 bits, with standard operators; the file is written only "
            "if it deviates from torch by at most 1 % on average."
        )
    ),
]
_Calibrate = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help=(
            "Typical photos for --quantize: three of four calibrate the encoder, and the "
            "fourth measures the deviation."
        ),
    ),
]


@app.command("onnx", cls=Command, no_args_is_help=True)
def onnx(
    model: _Model,
    out: _OnnxFile = None,
    end_to_end: _EndToEnd = False,
    portable: _Portable = False,
    size: _Size = "",
    half: _Half = False,
    opset: _Opset = None,
    quantize: _Quantize = None,
    calibrate: _Calibrate = None,
    verify: _Verify = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write ONNX.

    Examples:

      glpn export onnx my-model
      glpn export onnx my-model depth.onnx --end-to-end --portable --verify
    """
    if (quantize is None) != (calibrate is None):
        raise UsageError("--quantize and --calibrate FOLDER go together")
    if out is None:
        if end_to_end or quantize or size or half or opset:
            raise UsageError(
                "--end-to-end, --quantize, --size, --half and --opset need OUT.onnx: model.onnx is "
                "glpn's own graph"
            )
        _write_own_graph(model, portable=portable, verify=verify, as_json=as_json)
        return
    file = _File(model, out, end_to_end=end_to_end, overwrite=overwrite, as_json=as_json)
    if calibrate is not None:
        if size or half or opset:
            raise UsageError("--quantize: cannot be combined with --size, --half or --opset")
        file.write_quantized(calibrate)
        return
    from glpn.export.onnx_file import onnx_format

    variant = _variant(size, half=half, opset=opset)
    file.write(onnx_format(portable=portable, variant=variant), verify=verify, variant=variant)


@app.command("openvino", cls=Command, no_args_is_help=True)
def openvino(
    model: _Model,
    out: _IrFile,
    end_to_end: _EndToEnd = False,
    verify: _Verify = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write OpenVINO's IR.

    Example:

      glpn export openvino my-model depth.xml --end-to-end --verify
    """
    from glpn.export.openvino import openvino_format

    if out.is_dir() or not out.suffix:
        out = out / "model.xml"
    file = _File(model, out, end_to_end=end_to_end, overwrite=overwrite, as_json=as_json)
    file.write(openvino_format(), verify=verify)


@app.command("torch", cls=Command, no_args_is_help=True)
def torch(
    model: _Model,
    out: _ProgramFile,
    end_to_end: _EndToEnd = False,
    verify: _Verify = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write a torch.export program.

    Example:

      glpn export torch my-model depth.pt2 --end-to-end --verify
    """
    from glpn.export.torch_export import program_format

    file = _File(model, out, end_to_end=end_to_end, overwrite=overwrite, as_json=as_json)
    file.write(program_format(), verify=verify)


@dataclass(frozen=True)
class _File:
    """A model and the file to export it to.

    Attributes:
        model: a bundled name, a folder or a hub id.
        out: the output file.
        end_to_end: whether the network takes images instead of normalised pixels.
        overwrite: replace an existing file.
        as_json: print the result as JSON.
    """

    model: str
    out: Path
    end_to_end: bool
    overwrite: bool
    as_json: bool

    def write(self, form: Format, *, verify: bool, variant: Variant | None = None) -> None:
        """Write the model in one format; if `verify`, first compare the result with torch."""
        source = self._source()  # fail for a missing model before the slow import of torch
        from glpn.export.verify import verifier
        from glpn.export.writer import export

        compare = verifier(source, variant) if verify else None
        report = export(form, source, self.out, verify=compare, overwrite=self.overwrite)
        files = [self.out.with_suffix(suffix) for suffix in form.suffixes]
        _say(files, report, as_json=self.as_json)

    def write_quantized(self, photos: Path) -> None:
        """Write the model as ONNX with an 8-bit encoder, calibrated on a folder of photos."""
        from glpn.export.quantize import export_quantized

        report = export_quantized(self._source(), self.out, photos=photos, overwrite=self.overwrite)
        _say([self.out], report, as_json=self.as_json)

    def _source(self) -> Source:
        from glpn.export.model_source import Source

        return Source.of(self.model, end_to_end=self.end_to_end)


def _variant(size: str, *, half: bool, opset: int | None = None) -> Variant:
    """Convert the options to a variant of the graph.

    Raises:
        UsageError: the size is not HEIGHTxWIDTH.
    """
    from glpn.export.model_source import Variant

    if not size:
        return Variant(opset, None, half)
    match = re.fullmatch("([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", size)
    if match is None:
        raise UsageError(f"--size: expected HEIGHTxWIDTH such as 480x640, got {size!r}")
    return Variant(opset, (int(match[1]), int(match[2])), half)


def _write_own_graph(model: str, *, portable: bool, verify: bool, as_json: bool) -> None:
    """Write `model.onnx` into the model's folder."""
    from glpn import weights
    from glpn.export.onnx import write_graph

    folder = weights.resolve(model)
    weights.require_changeable(folder)
    report, facts = None, {}
    if verify:
        report = _verified(folder, portable=portable)
        facts["verified"] = report.to_json()
    _say([write_graph(folder, portable=portable, facts=facts)], report, as_json=as_json)


def _verified(folder: Path, *, portable: bool) -> Report:
    """Compare the same graph, with its weights inside, with torch.

    Raises:
        InexactExport: the graph deviates too far.
    """
    from glpn.export.model_source import Source
    from glpn.export.onnx_file import onnx_format
    from glpn.export.verify import verifier

    source, form = Source.of(folder), onnx_format(portable=portable)
    report = verifier(source)(form.open(form.encode(form.build(source), {})))
    report.require_exact(str(folder / "model.onnx"))
    return report


def _say(files: list[Path], report: Report | None, *, as_json: bool) -> None:
    record: dict[str, object] = {
        "written": str(files[0]),
        "bytes": sum(file.stat().st_size for file in files),
    }
    if report is not None:
        record["verified"] = report.record() if as_json else report.lines()
    console.print_facts(record, as_json=as_json)
