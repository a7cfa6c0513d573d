"""Kill study: does a command that was killed at any moment leave anything wrong behind?

    python -m tests.chaos.kills [JOB ...] [--every 1]

Each job runs once undisturbed. Then it is killed (SIGKILL) at each of its changes to the file
system in turn: before a file is opened for writing, forced to the disk, renamed or removed, or a
folder is made. The same command then runs again, and the outputs must have the bytes of the
undisturbed run, with no temporary file beside them. Where the second run finds complete outputs, or
a part of them under its final name, it refuses with exit code 73 and names --overwrite.

Every run is a fork of this process, which holds the imports and no threads.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

REFUSED = 73
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir")
_WRITES = os.O_WRONLY | os.O_RDWR

# Each runs in a folder that holds walk.mp4 and the model `tiny`.
JOBS = {
    "video-mp4": "video walk.mp4 -m tiny -o out/walk.mp4 --threads 1",
    "video-png16": "video walk.mp4 -m tiny -o out/walk --format png16 --threads 1",
    "video-npz": "video walk.mp4 -m tiny -o out/walk --format npz --threads 1",
    "export-own-graph": "export onnx tiny",
    "export-onnx": "export onnx tiny out/depth.onnx --end-to-end",
    "export-openvino": "export openvino tiny out/depth.xml",
    "export-torch": "export torch tiny out/depth.pt2",
}


def prepare(folder: Path) -> None:
    """The files that the jobs read, and an output folder."""
    import torch

    from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
    from glpn.export.onnx import write_graph
    from tests.video.videos import ramp, write_video

    config = GLPNConfig(depths=(1, 1, 1, 1), hidden_sizes=(8, 16, 40, 64), decoder_hidden_size=8)
    torch.manual_seed(0)
    GLPNForDepthEstimation(config).save_pretrained(folder / "tiny")
    GLPNImageProcessor().save_pretrained(folder / "tiny")
    write_graph(folder / "tiny")
    write_video(folder / "walk.mp4", [ramp(96, 128, start=shift) for shift in range(5)])
    (folder / "out").mkdir()


def study(job: str, work: Path, *, every: int = 1) -> int:
    """Kill a job at every `every`-th change; returns how often.

    Raises:
        AssertionError: the next run left other bytes or a temporary file.
    """
    words = JOBS[job].split()
    whole, prepared = work / "whole", work / "prepared"
    if not prepared.exists():
        prepared.mkdir()

        def prepared_here() -> int:
            prepare(prepared)
            return 0

        _in_a_fork(prepared_here)
    shutil.rmtree(whole, ignore_errors=True)
    shutil.copytree(prepared, whole)
    count_file = work / "count"
    assert run(words, whole, count_file=count_file) == 0, f"{job}: the undisturbed run failed"
    expected, changes = hashes(whole), int(count_file.read_text())
    kills = 0
    for at in range(1, changes + 1, every):
        killed = work / "killed"
        shutil.copytree(prepared, killed)
        kills += run(words, killed, kill_at=at) == -signal.SIGKILL
        _age_parts(killed)
        code = run(words, killed)
        if code == REFUSED and hashes(killed) != expected:
            code = run([*words, "--overwrite"], killed)
        assert code in (0, REFUSED), f"{job}: change {at} of {changes}: exit code {code}"
        found = hashes(killed)
        assert found == expected, f"{job}: change {at} of {changes}: {found.keys()}"
        shutil.rmtree(killed)
    return kills


def run(
    words: Sequence[str], folder: Path, *, kill_at: int = 0, count_file: Path | None = None
) -> int:
    """`glpn WORDS` in a folder; its exit code, or minus the number of the signal that ended it."""

    def child() -> int:
        from glpn.cli import main

        os.chdir(folder)
        changes = Changes(folder, kill_at)
        code = main(list(words))
        if count_file is not None:
            count_file.write_text(str(changes.count))
        return code

    return _in_a_fork(child)


class Changes:
    """Counts this process's changes below a folder, and kills it before one of them."""

    def __init__(self, folder: Path, kill_at: int) -> None:
        self.folder, self.kill_at, self.count = str(folder.resolve()), kill_at, 0
        self._fsync = os.fsync
        os.fsync = self._forced  # type: ignore[assignment]  # fsync raises no audit event
        sys.addaudithook(self._event)

    def _forced(self, descriptor: int) -> None:
        self._changed()
        self._fsync(descriptor)

    def _event(self, event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and bool(int(str(arguments[2])) & _WRITES)
        if (writes or event in _CHANGES) and self._is_below(arguments[0]):
            self._changed()

    def _is_below(self, path: object) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        return os.path.abspath(os.fsdecode(path)).startswith(self.folder)

    def _changed(self) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def hashes(folder: Path) -> dict[str, str]:
    """Name → SHA-256 of every file below a folder, temporary ones included."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _age_parts(folder: Path) -> None:
    """Make temporary files a minute old: the newest may belong to a process that just began."""
    for part in folder.rglob(".glpn-*.part"):
        os.utime(part, (time.time() - 60,) * 2)


def _in_a_fork(work: Callable[[], int]) -> int:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> int:
    """Print a line for each job."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=", ".join(JOBS))
    parser.add_argument("--every", type=int, default=1, help="kill at every n-th change only")
    given = parser.parse_args()
    import glpn.cli.app  # noqa: F401  # forks inherit the imports

    with tempfile.TemporaryDirectory() as scratch:
        for job in given.jobs or JOBS:
            kills = study(job, Path(scratch), every=given.every)
            print(f"{job:18} killed {kills} times: same bytes, nothing left behind", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
