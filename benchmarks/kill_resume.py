"""Kill training runs at random and inside saves, resume them, and compare every last bit.

    python benchmarks/kill_resume.py --json kill_resume.json

For each seed one run is undisturbed and one is killed (SIGKILL) ten times: a third of the times
while a checkpoint is being written, a third at any moment since the process began, a third between
the first step and half a second later. Both must end with the same log, models and state. Prints a
table; exits with 1 if anything differs or more than one interval between saves was ever lost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

SAVE_EVERY = 5
RECIPE = f"""
[model.config]
hidden_sizes = [8, 16, 40, 64]
depths = [1, 1, 1, 1]
decoder_hidden_size = 16
drop_path_rate = 0.2
hidden_dropout_prob = 0.1
[data]
val_share = 0.25
[augment]
crop = [32, 64]
[optimiser]
kind = "adamw"
weight_decay = 0.01
[loop]
steps = 120
batch = 4
ema = 0.9
validate_every = 20
[run]
save_every = {SAVE_EVERY}
device = "cpu"
threads = 1
doctor = false
progress = false
"""


@dataclass
class Outcome:
    """What became of one seed's killed run."""

    seed: int
    kills: int = 0
    inside_a_save: int = 0
    most_steps_lost: int = 0
    differing: list[str] = field(default_factory=list)


def write_frames(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("rgb", "depth"):
        (folder / part).mkdir(parents=True)
    for index in range(8):
        coarse = rng.uniform(1, 6, (4, 6)).astype(np.float32)
        metres = np.asarray(Image.fromarray(coarse).resize((96, 64), Image.Resampling.BILINEAR))
        shade = (metres[..., None] * 30 + rng.normal(0, 5, (64, 96, 3))).clip(0, 255)
        Image.fromarray(shade.astype(np.uint8)).save(folder / f"rgb/{index}.png")
        Image.fromarray((metres * 1000).astype(np.uint16)).save(folder / f"depth/{index}.png")
    (folder / "dataset.toml").write_text('unit = "mm"\n')


def start(work: Path, run: Path, seed: int) -> subprocess.Popen[bytes]:
    changes = (f"data.train={work / 'frames'}", f"run.folder={run}", f"loop.seed={seed}")
    command = [sys.executable, "-m", "glpn", "train", str(work / "recipe.toml"), *changes]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*command, "--resume"], stdout=quiet, stderr=quiet)


def traces(run: Path) -> dict[str, str]:
    """Hashes of what a run ends with; a checkpoint's manifest holds those of its files."""
    states = sorted((run / "checkpoints").glob("step-????????"))
    files = {
        "log": run / "log.jsonl",
        "best": run / "best/model.safetensors",
        "last": run / "last/model.safetensors",
        **{state.name: state / "manifest" for state in states},
    }
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.0003)


def steps_made(run: Path) -> int:
    """Steps that the run has made, as its times tell, which no resumption cuts off."""
    path = run / "speed.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def saving(run: Path) -> bool:
    folder = run / "checkpoints"
    return folder.exists() and any(name.endswith(".part") for name in os.listdir(folder))


def last_saved(run: Path) -> int:
    names = [path.name for path in (run / "checkpoints").glob("step-????????")]
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def kill_once(work: Path, run: Path, outcome: Outcome, rng: np.random.Generator) -> None:
    """Start or resume the run and kill it in one of the three ways."""
    size = _size(run)  # a resumed run has made a step when its times grow
    process = start(work, run, outcome.seed)
    way = outcome.kills % 3
    if way == 1:
        time.sleep(rng.uniform(0, 5))
    else:
        wait_until(lambda: _size(run) > size, process)
        if way == 0:
            wait_until(lambda: saving(run), process)
        else:
            time.sleep(rng.uniform(0, 0.5))
    process.kill()
    process.wait()
    outcome.kills += 1
    outcome.inside_a_save += saving(run)
    lost = steps_made(run) - last_saved(run) if _size(run) > size else 0
    outcome.most_steps_lost = max(outcome.most_steps_lost, lost)


def _size(run: Path) -> int:
    path = run / "speed.jsonl"
    return path.stat().st_size if path.exists() else 0


def torment(work: Path, seed: int, kills: int) -> Outcome:
    """One seed: an undisturbed run against a run that is killed `kills` times."""
    outcome, rng = Outcome(seed), np.random.default_rng(seed)
    undisturbed, killed = work / f"undisturbed-{seed}", work / f"killed-{seed}"
    if start(work, undisturbed, seed).wait() != 0:
        raise SystemExit(f"the undisturbed run of seed {seed} failed")
    for _ in range(kills):
        kill_once(work, killed, outcome, rng)
    if start(work, killed, seed).wait() != 0:
        outcome.differing.append("the last resumption failed")
        return outcome
    wanted, got = traces(undisturbed), traces(killed)
    outcome.differing = [name for name in wanted if got.get(name) != wanted[name]]
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=10, help="for each seed")
    parser.add_argument("--json", type=Path, help="write the outcomes there")
    options = parser.parse_args()
    outcomes = []
    print("seed  kills  inside a save  most steps lost  differing", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_frames(work / "frames")
        (work / "recipe.toml").write_text(RECIPE)
        for seed in range(options.seeds):
            o = torment(work, seed, options.kills)
            names = ", ".join(o.differing) or "nothing"
            print(
                f"{o.seed:4}  {o.kills:5}  {o.inside_a_save:13}  {o.most_steps_lost:15}  {names}",
                flush=True,
            )
            outcomes.append(o)
    if options.json:
        options.json.write_text(json.dumps([asdict(o) for o in outcomes], indent=2) + "\n")
    failed = any(o.differing or o.most_steps_lost > SAVE_EVERY for o in outcomes)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
