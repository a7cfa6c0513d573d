"""`glpn bench`: how fast each engine runs a model on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from glpn.cli import console, options

_Model = Annotated[str, typer.Argument(help="A bundled name, a folder, or a hub id user/name.")]


def bench(
    model: _Model = "",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure every engine that is installed, each in a process of its own, and remember it.

    Milliseconds for a 480×640 picture, images a second in batches of 1 and 4, peak memory of the
    process, mean and largest deviation from the first exact row, and the share of the floor: the
    time that the network's multiply-adds would take at this machine's rate in large matrix
    products, measured in the same precision, over the median. Quick rows are those that are allowed
    for these weights. `--engine auto` takes note of the figures.

    Example:

      glpn bench
    """
    from glpn import weights
    from glpn.engines.bench import rows
    from glpn.engines.hardware import usable_cores
    from glpn.engines.options import DEFAULT_MODEL

    folder = weights.resolve(model or DEFAULT_MODEL)
    for number, row in enumerate(rows(folder, threads or usable_cores())):
        _say(row, heading=number == 0, as_json=as_json)


def _say(row: dict[str, Any], *, heading: bool, as_json: bool) -> None:
    if as_json:
        console.say_json(row)
        return
    if heading:
        console.say(
            f"{'engine':12} {'precision':13} {'median ms':>10} {'p95 ms':>8} {'images/s':>9} "
            f"{'in fours':>9} {'MB':>6} {'deviation: mean, max':>22} {'of floor':>9}"
        )
    memory = "?" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
    console.say(
        f"{row['engine']:12} {row['precision']:13} {row['median_ms']:10.1f} {row['p95_ms']:8.1f} "
        f"{row['images_s']:9.1f} {row['images_s_4']:9.1f} {memory:>6} "
        f"{row['deviation_mean']:12.1e} {row['deviation_max']:9.1e} {row['share_of_floor']:9.0%}"
    )
