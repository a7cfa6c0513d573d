"""Kill `glpn predict` on a folder at random, run it again, and compare every output's bytes.

    python benchmarks/folder_kills.py --json folder_kills.json

A tiny random model predicts 2,000 small generated photos. One run is undisturbed. Another is killed
(SIGKILL) five times, each at a random photo and a random moment after it, and then runs to its end.
Every output must exist once, with the bits of the undisturbed run. Exits with 1 if not, or if a
kill cost more photos than were in flight. Needs glpn[torch].
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

IN_FLIGHT = 3  # one predicted and two read or written beside it, with one thread


def write_photographs(folder: Path, count: int) -> None:
    folder.mkdir()
    for i in range(count):
        coarse = np.random.default_rng(i).integers(0, 256, (4, 6, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((96, 64), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:05}.jpg", quality=90)


def write_model(folder: Path) -> None:
    import torch

    from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
    from glpn.export.onnx import write_graph

    torch.manual_seed(0)
    config = GLPNConfig(depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 40, 64), decoder_hidden_size=8)
    GLPNForDepthEstimation(config).save_pretrained(folder)
    GLPNImageProcessor().save_pretrained(folder)
    write_graph(folder)


def start(work: Path, output: Path) -> subprocess.Popen[bytes]:
    files = (work / "photos", "-o", output, "--format", "png16", "--quiet")
    model = ("-m", work / "model", "--engine", "onnxruntime", "--precision", "float32")
    command = [sys.executable, "-m", "glpn", "predict", *files, *model, "--threads", "1"]
    return subprocess.Popen([str(part) for part in command])


def count(output: Path) -> int:
    return sum(name.endswith(".png") for name in os.listdir(output)) if output.exists() else 0


def noted(output: Path) -> list[dict[str, object]]:
    """The manifest's lines, but for those that a kill tore."""
    path = output / "manifest.jsonl"
    entries = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


def torment(work: Path, output: Path, kills: int, total: int) -> list[dict[str, int]]:
    """Kill as often; what was there and what was noted at each kill."""
    rng = np.random.default_rng(0)
    after_kills = []
    for at in sorted(rng.choice(np.arange(1, total - 20), kills, replace=False)):
        process = start(work, output)
        while process.poll() is None and count(output) < at:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.02))
        process.kill()
        process.wait()
        after_kills.append({"outputs": count(output), "noted": len(noted(output))})
        print(
            f"killed with {after_kills[-1]['outputs']} outputs, {after_kills[-1]['noted']} noted",
            flush=True,
        )
    if start(work, output).wait() != 0:
        raise SystemExit("the last run failed")
    return after_kills


def compare(undisturbed: Path, killed: Path, total: int) -> dict[str, int]:
    """How the folders differ, and how often photographs were noted."""
    wanted = {path.name: path.read_bytes() for path in undisturbed.glob("*.png")}
    got = {path.name: path.read_bytes() for path in killed.glob("*.png")}
    lines = Counter(str(entry["image"]) for entry in noted(killed))
    return {
        "missing": len(wanted.keys() - got.keys()) + total - len(wanted),
        "too_many": len(got.keys() - wanted.keys()),
        "differing": sum(got[name] != wanted[name] for name in got.keys() & wanted.keys()),
        "noted_twice": sum(times > 1 for times in lines.values()),
        "not_noted": total - len(lines),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the outcome there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_photographs(work / "photos", options.pictures)
        write_model(work / "model")
        began = time.perf_counter()
        if start(work, work / "undisturbed").wait() != 0:
            raise SystemExit("the undisturbed run failed")
        print(f"undisturbed: {time.perf_counter() - began:.0f} s", flush=True)
        kills = torment(work, work / "killed", options.kills, options.pictures)
        outcome = compare(work / "undisturbed", work / "killed", options.pictures)
    lost = max((kill["outputs"] - kill["noted"] for kill in kills), default=0)
    print(", ".join(f"{value} {name.replace('_', ' ')}" for name, value in outcome.items()))
    print(f"written but not yet noted at a kill: at most {lost}")
    if options.json:
        result = {"pictures": options.pictures, "kills": kills, **outcome}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return int(any(outcome.values()) or lost > IN_FLIGHT)


if __name__ == "__main__":
    sys.exit(main())
