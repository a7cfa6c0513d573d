"""Shards: which of several runs does which photograph."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from glpn.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """The `index`-th of `count` runs that share one list of photographs, from 1 on."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/5".

        Raises:
            UsageError: it is something else.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        index, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= index <= count:
            raise UsageError(f"--shard: expected i/n with i from 1 to n, got {text!r}")
        return cls(index, count)

    def holds(self, stem: str) -> bool:
        """Whether the output of this name is this shard's: every name is exactly one shard's.

        The name decides, not the place in the list: it stays where photographs are added.
        """
        digest = hashlib.sha256(stem.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    @property
    def manifest(self) -> str:
        """The name of its part of the manifest."""
        return f"{self.index}-of-{self.count}"
