"""OutputIdentity: the photo, model and options of an output, to compare with a new request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

ANOTHER_PHOTO = "from another photo, or before it changed"


@dataclass(frozen=True)
class OutputIdentity:
    """A photo, a model and the options; the fields are those of `Provenance`.

    Attributes:
        image_hash: SHA-256 of the photo's file.
        model_hash: SHA-256 of the weights.
        asked: options that change the metres, as text; empty if there are none.
        settings_hash: SHA-256 of the model's settings; empty in records of older versions, which
            are accepted.
    """

    image_hash: str
    model_hash: str
    asked: str = ""
    settings_hash: str = ""

    @classmethod
    def of(cls, recorded: Mapping[str, object]) -> OutputIdentity:
        """The recorded identity, with empty fields where the record has none."""
        return cls(**{key.name: str(recorded.get(key.name, "")) for key in fields(cls)})

    def difference(
        self, recorded: Mapping[str, object], options: Mapping[str, object]
    ) -> str | None:
        """How a recorded identity differs from this one, in words.

        Args:
            recorded: the metadata of a file or an entry of a manifest, with the keys of this
                record and of `options`.
            options: options of the file's format.

        Returns:
            None if everything is the same; "" if `recorded` has no identity.
        """
        if not recorded.get("image_hash") or not recorded.get("model_hash"):
            return ""
        if recorded["model_hash"] != self.model_hash:
            return "with another model"
        if recorded.get("settings_hash") not in (None, "", self.settings_hash):
            return "with other settings of this model"
        if (asked := recorded.get("asked", "")) != self.asked:
            return f"with {asked or 'no options'}, not {self.asked or 'no options'}"
        for key, value in options.items():
            if recorded.get(key) != value:
                return f"with {key} {recorded.get(key)}, not {value}"
        if recorded["image_hash"] != self.image_hash:
            return ANOTHER_PHOTO
        return None

    def record(self) -> dict[str, str]:
        """The fields as JSON types."""
        return asdict(self)
