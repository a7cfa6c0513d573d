"""The command line and its tiny model, as in the tests of the command line."""

from __future__ import annotations

from tests.cli.conftest import glpn, model

__all__ = ["glpn", "model"]
