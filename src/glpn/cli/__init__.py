"""The command line: `glpn predict`, `info`, `convert`, `models`.

`entry` runs it and owns exit codes and signals, `app` lists the verbs, `console` does all printing.
Each family of verbs is a module of its own that imports the rooms it needs inside its functions, so
that `glpn --help` loads none of them.
"""

from __future__ import annotations

from glpn.cli.entry import main

__all__ = ["main"]
