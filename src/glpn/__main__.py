"""`python -m glpn` is the command `glpn`."""

from __future__ import annotations

import sys

from glpn.cli import main

sys.exit(main())
