"""Write `docs/licences.md`: the licence of every package that each extra installs.

    python scripts/licences.py            # write it, from an environment with all extras
    python scripts/licences.py --check    # fail unless it names what the core install needs here

Licences are what the installed packages declare, in this order: the SPDX expression, a classifier,
the free text. A file of another licence inside a wheel does not show here.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/licences.md"
EXTRAS = ("", "torch", "train", "openvino", "serve", "video", "3d", "cluster", "synthetic", "mcp")
HEAD = """\
# Licences of the packages that glpn installs

glpn is Apache-2.0; each bundled model has its licence in its card. One other work is part of it,
[three.js](https://threejs.org) (MIT; the text is in `src/glpn/serving/static/LICENSE-three.txt`).
Everything else is installed by pip. `python scripts/licences.py` writes this page from what the
packages declare on Linux with CPython 3.11; a wheel may contain libraries under further licences,
which its own files name.
"""


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        missing = [row for row in rows(closure("")) if row not in PAGE.read_text()]
        for row in missing:
            print(f"{PAGE.name}: missing or outdated: {row.strip()}")
        return bool(missing)
    PAGE.write_text(HEAD + "".join(map(section, EXTRAS)))
    return 0


def section(extra: str) -> str:
    """The packages of the core install, or those that an extra adds to it."""
    packages = closure(extra) - (closure("") if extra else set())
    title = f"`glpn[{extra}]` adds" if extra else "`glpn`, the core install"
    table = "| package | licence |\n|---|---|\n" + "".join(rows(packages))
    return f"\n## {title}\n\n{table}"


def rows(packages: set[str]) -> list[str]:
    """Lines of the table."""
    return [f"| {name} | {licence(name)} |\n" for name in sorted(packages)]


def closure(extra: str) -> set[str]:
    """Canonical names of all packages that `glpn[extra]` needs here, without glpn itself."""
    seen: set[tuple[str, str]] = set()
    open_ = [("glpn", extra)]
    while open_:
        name, extra = node = open_.pop()
        if node in seen:
            continue
        seen.add(node)
        for needed in requirements(name, extra):
            if not needed.marker or needed.marker.evaluate({"extra": extra}):
                open_ += [(canonicalize_name(needed.name), e) for e in ("", *needed.extras)]
    return {name for name, _ in seen} - {"glpn"}


def requirements(name: str, extra: str) -> Iterable[Requirement]:
    """What a package declares: glpn in its pyproject.toml, others where they are installed."""
    if name != "glpn":
        return map(Requirement, metadata.requires(name) or ())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return map(Requirement, extras[extra] if extra else project["dependencies"])


def licence(name: str) -> str:
    """What a package declares about its licence, on one line."""
    declared = metadata.metadata(name)
    if expression := declared.get("License-Expression"):
        return expression
    known = [c.split(" :: ")[-1] for c in declared.get_all("Classifier") or () if "License" in c]
    known = [text for text in known if text != "OSI Approved"]
    text = re.split(r"[\n|]", (declared.get("License") or "").strip())[0][:60]
    if text.startswith("Copyright"):
        text = "a text of its own: see the package"
    return ", ".join(known) or text or "not declared"


if __name__ == "__main__":
    sys.exit(main())
