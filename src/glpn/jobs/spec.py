"""JobSpec: everything that a job does to each of its photos, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from glpn import files
from glpn.engines.options import EngineOptions
from glpn.image.limits import DEFAULT_LIMITS, ImageLimits

if TYPE_CHECKING:
    from glpn.camera.camera import Camera
    from glpn.camera.intrinsics import Intrinsics
    from glpn.depth.measurements import Measurements
    from glpn.image.photo import PhotoSource


@dataclass(frozen=True)
class JobPhoto:
    """One photo of a job.

    Attributes:
        name: the photo's name in messages; for a file, its path.
        image: absolute path or URL of the photo, its key in the manifest.
        source: returns what `read_photo` accepts.
        stem: stem of the output names.
    """

    name: str
    image: str
    source: Callable[[], PhotoSource]
    stem: str = ""


class EstimatorCall(TypedDict, total=False):
    """Keyword arguments of a `DepthEstimator`'s call."""

    camera: Camera | Intrinsics | None
    focal: float | None
    fov: float | None
    uncertainty: str | None
    measurements: Measurements | None
    tiles: int | bool | None


@dataclass(frozen=True)
class JobSpec:
    """How to open the model, what to compute for each photo, and where to write the files.

    The command line builds it and passes it unchanged to threads and cluster workers.

    Attributes:
        engine: how the model is opened.
        output: a folder, or for a cluster also a URL.
        formats: key of `glpn.files.FORMATS` → options of its writer; may be empty.
        call: keyword arguments of the estimator's call.
        changes: options that change the metres, by the names of their flags.
        limits: size limits of the photos.
        overwrite: replace existing files.
        replace_own: replace files that glpn made from the same photo with other options.
        protected: (device, inode) of files that must never be replaced: the photos themselves.
    """

    engine: EngineOptions
    output: str
    formats: Mapping[str, Mapping[str, object]]
    call: EstimatorCall = field(default_factory=EstimatorCall)
    changes: Mapping[str, object] = field(default_factory=dict)
    limits: ImageLimits = DEFAULT_LIMITS
    overwrite: bool = False
    replace_own: bool = False
    protected: frozenset[tuple[int, int]] = frozenset()

    @property
    def asked(self) -> str:
        """The options that change the metres, as text; every output records it."""
        precision = None if self.engine.precision == "auto" else self.engine.precision
        options = {"max-depth": self.engine.max_depth, "precision": precision, **self.changes}
        given = {name: value for name, value in options.items() if value is not None}
        return " ".join(f"{name}={value}" for name, value in given.items())

    @property
    def uncertainty(self) -> str | None:
        """The uncertainty that every depth gets."""
        return self.call.get("uncertainty")

    @property
    def needs_whole_photo(self) -> bool:
        """Whether a photo has to be decoded at its full size."""
        colors = any(files.FORMATS[name].needs_photo for name in self.formats)
        return colors or bool(self.uncertainty or self.call.get("tiles"))

    def target(self, folder: Path, photo: JobPhoto, format: str) -> Path:
        """The output file of one photo in one format."""
        return folder / f"{photo.stem}{files.FORMATS[format].suffix}"
