"""Origin: what a file was made from, and whether that is what is wanted now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """A photograph, a model and what was asked of them; fields are those of `Provenance`.

    Attributes:
        image_hash: SHA-256 of the photograph's file.
        model_hash: SHA-256 of the weights.
        asked: options that change the metres, as text; empty where there are none.
    """

    image_hash: str
    model_hash: str
    asked: str = ""

    def difference(self, told: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
        """What `told` (a file's metadata, a manifest's entry) says otherwise, in words.

        Args:
            told: with the keys of this record and of `options`.
            options: of the file's format.

        Returns:
            None where it is all the same; "" where it says nothing of its origin.
        """
        if not told.get("image_hash") or not told.get("model_hash"):
            return ""
        if told["model_hash"] != self.model_hash:
            return "with another model"
        if (asked := told.get("asked", "")) != self.asked:
            return f"with {asked or 'no options'}, not {self.asked or 'no options'}"
        for key, value in options.items():
            if told.get(key) != value:
                return f"with {key} {told.get(key)}, not {value}"
        if told["image_hash"] != self.image_hash:
            return ANOTHER_PHOTOGRAPH
        return None

    def record(self) -> dict[str, str]:
        """The fields as JSON types."""
        return asdict(self)


ANOTHER_PHOTOGRAPH = "from another photograph, or before it changed"


def asked(values: Mapping[str, object]) -> str:
    """Options that change the metres, those that were given, as text."""
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
