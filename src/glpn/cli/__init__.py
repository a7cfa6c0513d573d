"""The command line: `glpn predict`, `glpn evaluate` and the other verbs.

`entry` runs a verb and owns exit codes and signals, `app` lists the verbs, and `console` does all
printing. Each module in `verbs/` imports the packages it needs inside its functions, so that
`glpn --help` loads none of them.
"""

from __future__ import annotations

from glpn.cli.entry import main

__all__ = ["main"]
