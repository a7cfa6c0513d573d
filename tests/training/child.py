"""A training process of its own: `python -m tests.training.child FRAMES RUN [section.key=value …]`.

Ends as `glpn train --resume` does: with the exit code of the error, or 128 + n after signal n.
"""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start(
    frames: Path, run: Path, *changes: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.training.child", str(frames), str(run), *changes]
    variables = {**os.environ, **(environment or {})}
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=variables)


def finished(process: subprocess.Popen[str], timeout: float = 180) -> tuple[int, str]:
    """Exit code and standard error of a process, once it has ended."""
    _, errors = process.communicate(timeout=timeout)
    return process.returncode, errors


def main() -> int:
    warnings.simplefilter("error")
    from glpn.errors import GLPNError
    from glpn.training import train
    from tests.training.runs import tiny_recipe

    recipe = tiny_recipe(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
    try:
        result = train(recipe, resume=True)
    except GLPNError as e:
        print(f"error: {e}", file=sys.stderr)
        return e.exit_code
    return 0 if result.stopped_by is None else 128 + result.stopped_by


if __name__ == "__main__":
    sys.exit(main())
