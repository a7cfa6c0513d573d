"""Options that several verbs have: one name, one meaning, one help text."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

ANSWERS, FILES, MODEL = "Answers", "Files", "Model"  # headings of the help


class EngineName(str, Enum):
    """What may run the network; `glpn.engines.ENGINES`."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    torch = "torch"


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A bundled name (see glpn models), a folder, or a hub id user/name; the bundled "
        "indoor model if not given.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
MaxDepth = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help="The model's range, where its own figure is wrong: 80 for published KITTI weights.",
        rich_help_panel=MODEL,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace files instead of keeping them.", rich_help_panel=FILES
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object a line, and nothing else there.",
        rich_help_panel=ANSWERS,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print errors only (and what --json prints).",
        rich_help_panel=ANSWERS,
    ),
]
Engine = Annotated[EngineName, typer.Option(help="What runs the network.", rich_help_panel=MODEL)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=MODEL)]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="CPU threads; one for each core if not given.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Scale = Annotated[
    float,
    typer.Option(
        help="Units per metre in png16: 1000 is millimetres, up to 65 m; 256 is KITTI's, up "
        "to 255 m.",
        rich_help_panel=FILES,
    ),
]
