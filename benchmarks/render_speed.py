"""How fast procedural scenes are rendered, scene sampling included.

    python benchmarks/render_speed.py [--count 48] [--size 240x320] [--device cpu] [--kind indoor]

Batches of eight, one of them to warm up; the median over the batches is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch

from glpn.synthetic import render

BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kind", default="indoor")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    rates = []
    for first in range(0, arguments.count + BATCH, BATCH):
        began = time.perf_counter()
        seeds = range(first, first + BATCH)
        render(seeds, (height, width), device=arguments.device, kind=arguments.kind)
        if arguments.device != "cpu":
            torch.cuda.synchronize()
        rates.append(BATCH / (time.perf_counter() - began))
    rate = statistics.median(rates[1:])
    told = {**vars(arguments), "threads": torch.get_num_threads()}
    print(json.dumps({**told, "images_per_s": round(rate, 1)}))


if __name__ == "__main__":
    main()
