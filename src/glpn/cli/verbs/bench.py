"""`glpn bench`: how fast each engine runs a model on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options

if TYPE_CHECKING:
    from glpn.engines.bench import Measurement

_Save = Annotated[
    bool,
    typer.Option(
        "--save", help="Save the measurements; --engine auto then uses them on this machine."
    ),
]
_Model = Annotated[str, typer.Argument(help="A bundled name, a folder, or a hub id user/name.")]


def bench(
    model: _Model = "",
    threads: options.Threads = None,
    save: _Save = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure every installed engine, each in its own process.

    The table shows the milliseconds for a 480×640 image, the images per second in batches of 1 and
    4, the peak memory of the process, the mean and largest deviation from the first float32 row,
    and the fraction of the machine's peak rate. Large matrix products in the same precision
    measure that peak rate. Reduced precisions appear if these weights passed `glpn precision`.

    Examples:

      glpn bench
      glpn bench my-model --save
    """
    from glpn import weights
    from glpn.engines import bench as measurements
    from glpn.engines.hardware import usable_cores
    from glpn.engines.options import DEFAULT_MODEL

    folder = weights.resolve(model or DEFAULT_MODEL)
    count = threads or usable_cores()
    rows: list[Measurement] = []
    for row in measurements.rows(folder, count):
        _say(row, heading=not rows, as_json=as_json)
        rows.append(row)
    if save:
        file = measurements.save(folder, count, rows)
        console.note(f"saved: {console.escaped(str(file))}; --engine auto now follows it")


def _say(row: Measurement, *, heading: bool, as_json: bool) -> None:
    if as_json:
        console.print_json(row)
        return
    if heading:
        console.print_line(
            f"{'engine':12} {'precision':13} {'median ms':>10} {'p95 ms':>8} {'images/s':>9} "
            f"{'batch of 4':>10} {'MB':>6} {'deviation: mean, max':>22} {'of peak':>9}"
        )
    memory = "?" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
    console.print_line(
        f"{row['engine']:12} {row['precision']:13} {row['median_ms']:10.1f} {row['p95_ms']:8.1f} "
        f"{row['images_s']:9.1f} {row['images_s_4']:10.1f} {memory:>6} "
        f"{row['deviation_mean']:12.1e} {row['deviation_max']:9.1e} {row['fraction_of_peak']:9.0%}"
    )
