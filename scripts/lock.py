"""Write `packaging/serve.lock` and `packaging/build.lock`: exact versions with their SHA-256.

    python3.11 scripts/lock.py

They hold the wheels that the service image installs on Linux x86-64 with CPython 3.11, in the
versions of `constraints.txt`. Run it with that Python after a change of `constraints.txt` or of the
dependencies. The hashes are those that the package index publishes.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import tomllib

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {"serve": ("serve", "3d"), "build": ()}  # the extras of each; `build` has the backend only
HEADER = """\
# Linux x86-64, CPython 3.11. Made by `python3.11 scripts/lock.py`; do not edit.
#
#     pip install --require-hashes -r packaging/{name}.lock
"""


def main() -> None:
    """Resolve each lock without installing anything, and write it."""
    here = sys.version_info[:2], sys.platform, platform.machine()
    if here != ((3, 11), "linux", "x86_64"):
        raise SystemExit(f"run this with CPython 3.11 on Linux x86-64; this is {here}")
    for name in LOCKS:
        lines = sorted(locked(item) for item in resolve(requirements(name)))
        text = HEADER.format(name=name) + "".join(lines)
        (ROOT / f"packaging/{name}.lock").write_text(text)


def requirements(name: str) -> list[str]:
    """What a lock must provide, from pyproject.toml."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if name == "build":
        return list(declared["build-system"]["requires"])
    project = declared["project"]
    extras = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in LOCKS[name] for line in extras[extra])]


def resolve(wanted: list[str]) -> list[dict[str, Any]]:
    """The entries of pip's report for these requirements and all that they need."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--report=-"]
    command += ["--ignore-installed", "--only-binary=:all:", f"-c{ROOT / 'constraints.txt'}"]
    # No settings of this machine, and no mirror: the hashes come from the index.
    environment = {k: v for k, v in os.environ.items() if k not in ("PIP_FIND_LINKS",)}
    environment["PIP_CONFIG_FILE"] = os.devnull
    done = subprocess.run(  # noqa: S603
        [*command, *wanted], check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    installed: list[dict[str, Any]] = json.loads(done.stdout)["install"]
    return installed


def locked(item: dict[str, Any]) -> str:
    """One requirement with the hash of its wheel."""
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{name.lower().replace('_', '-')}=={version} --hash=sha256:{digest}\n"


if __name__ == "__main__":
    main()
