"""Shards: divide a list of photos between several runs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from glpn.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """The `index`-th of `count` runs that share one list of photos, counted from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/5".

        Raises:
            UsageError: the text has another form.
        """
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        index, count = map(int, found.groups()) if found else (0, 0)
        if not 1 <= index <= count:
            raise UsageError(f"--shard: expected i/n with i from 1 to n, got {text!r}")
        return cls(index, count)

    def holds(self, stem: str) -> bool:
        """Whether this shard makes the output of this name; every name has exactly one shard.

        The name decides, not the position in the list, so adding photos moves no other photo.
        """
        digest = hashlib.sha256(stem.encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index - 1

    @property
    def manifest(self) -> str:
        """The name of this shard's manifest."""
        return f"{self.index}-of-{self.count}"
