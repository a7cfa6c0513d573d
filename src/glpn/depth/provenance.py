"""Provenance: the origin of a depth map."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from glpn.camera.camera import require_finite
from glpn.errors import DataError

# Values of files that were written before these fields existed.
_OLD_DEFAULTS = {
    "image_hash": "",
    "asked": "",
    "precision": "float32",
    "error_data": "",
    "settings_hash": "",
}

_NUMBERS = ("max_depth", "error")  # fields that are not text; None where unknown


@dataclass(frozen=True)
class Provenance:
    """Where a depth map comes from; every file that holds one records it.

    Attributes:
        model: name, folder or hub id.
        model_hash: SHA-256 of its weights.
        engine: that ran it.
        glpn_version: version of the package that made the depth.
        image: the photo's name, without its folder.
        max_depth: the largest depth that the model can predict, in metres.
        note: anything else, such as calibration.
        image_hash: SHA-256 of the photo's file; empty for arrays.
        asked: options beyond the photo and the model, as text.
        precision: the precision in which the engine computed.
        error: |true - predicted| / predicted is below this for two thirds of the pixels, according
            to the errors on held-out frames; None if these were not measured, and after a
            calibration.
        error_data: the frames that `error` was measured on.
        settings_hash: SHA-256 of the model's configuration and its processor's.
    """

    model: str
    model_hash: str
    engine: str
    glpn_version: str
    image: str = ""
    max_depth: float | None = None
    note: str = ""
    image_hash: str = ""
    asked: str = ""
    precision: str = "float32"
    error: float | None = None
    error_data: str = ""
    settings_hash: str = ""

    def for_image(self, name: str, image_hash: str = "") -> Provenance:
        """The same for one photo, given by its name or path."""
        return dataclasses.replace(self, image=PurePath(name).name, image_hash=image_hash)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, object], image: str) -> Provenance:
        """The provenance in a file's metadata; `image` is the file's name, for files without.

        Raises:
            DataError, UsageError: a value is impossible; the message names the key.
        """
        if "model" not in metadata:
            return cls("unknown", "", "", "", image=image, note="not written by glpn")
        texts: dict[str, str] = {}
        numbers: dict[str, float] = {}
        for key in (field.name for field in dataclasses.fields(cls)):
            value = metadata.get(key, _OLD_DEFAULTS.get(key))
            if key in _NUMBERS:
                if value is not None:
                    numbers[key] = require_finite(f"metadata {key}", value)
                continue
            if not isinstance(value, str):
                raise DataError(f"metadata {key}: expected text, got {value!r:.100}")
            texts[key] = value
        return cls(**texts, max_depth=numbers.get("max_depth"), error=numbers.get("error"))
