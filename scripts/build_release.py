"""Build the sdist and the wheel twice, in two different folders, and keep them if all bytes agree.

    python scripts/build_release.py dist

The wheel is built from the sdist, as an installer would. `SOURCE_DATE_EPOCH` sets the time of every
file in both; the default is the time of the last commit. Needs hatchling.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Build, compare, copy, and print one SHA-256 per file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "dist")
    parser.add_argument("--source", type=Path, default=ROOT, help="the checkout to build")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        first, second = (build(args.source, Path(work, name)) for name in ("a", "another-folder"))
        digests = {file.name: sha256(file) for file in first}
        if digests != {file.name: sha256(file) for file in second}:
            raise SystemExit("two builds of the same source differ")
        args.out.mkdir(parents=True, exist_ok=True)
        for file in first:
            shutil.copy(file, args.out / file.name)
            print(f"{digests[file.name]}  {file.name}")


def build(source: Path, work: Path) -> list[Path]:
    """The sdist of a checkout and the wheel of that sdist, made in a new folder."""
    work.mkdir()
    hatchling(source, work, "sdist")
    (sdist,) = work.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(work / "unpacked", filter="data")
    (tree,) = (work / "unpacked").iterdir()
    hatchling(tree, work, "wheel")
    return sorted([sdist, *work.glob("*.whl")])


def hatchling(source: Path, out: Path, target: str) -> None:
    """One build. Warnings (a missing compiler) reach standard error."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or last_commit(ROOT)
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out), "-t", target]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    subprocess.run(  # noqa: S603
        command, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL
    )


def last_commit(checkout: Path) -> str:
    """The time of the last commit in seconds."""
    command = ["git", "-C", str(checkout), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return done.stdout.strip()


def sha256(file: Path) -> str:
    """Of its bytes, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
