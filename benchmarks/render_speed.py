"""How fast procedural scenes are rendered, scene sampling included.

    python benchmarks/render_speed.py [--count 48] [--size 240x320] [--device cpu] [--kind indoor]
                                      [--views 1] [--workers 1]
                                      [--furniture FOLDER] [--cameras handheld]

Batches of eight, the first of each worker to warm up; the median rate over the batches, times the
workers, is printed. Several workers are processes with one thread each that run side by side.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time

import torch

from glpn.synthetic import render

BATCH = 8


def seconds(arguments: argparse.Namespace, worker: int) -> list[float]:
    """Of each batch of one worker."""
    if arguments.workers > 1:
        torch.set_num_threads(1)
    height, width = map(int, arguments.size.split("x"))
    first = worker * 10_000
    times = []
    for start in range(first, first + arguments.count + BATCH, BATCH):
        began = time.perf_counter()
        render(
            range(start, start + BATCH),
            (height, width),
            device=arguments.device,
            kind=arguments.kind,
            views=arguments.views,
            furniture=arguments.furniture,
            cameras=arguments.cameras,
        )
        if arguments.device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return times[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kind", default="indoor")
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--furniture", help="folder of furniture meshes")
    parser.add_argument("--cameras", default="level")
    arguments = parser.parse_args()
    jobs = [(arguments, worker) for worker in range(arguments.workers)]
    if arguments.workers == 1:
        times = seconds(*jobs[0])
    else:
        with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
            times = [value for row in pool.starmap(seconds, jobs) for value in row]
    rate = arguments.workers * BATCH / statistics.median(times)
    settings = {**vars(arguments), "threads": torch.get_num_threads()}
    print(json.dumps({**settings, "images_per_s": round(rate, 1)}))


if __name__ == "__main__":
    main()
