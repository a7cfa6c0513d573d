"""Predicts the `Depth` of frames, with one camera and one calibration for a whole video."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glpn.camera.calibration import ScaleShift, fit_references
from glpn.camera.camera import Camera
from glpn.camera.intrinsics import Intrinsics
from glpn.camera.selection import choose_camera
from glpn.depth.depth import Depth
from glpn.errors import UsageError
from glpn.estimator import SMALLEST_DEPTH, DepthEstimator
from glpn.image.photo import Photo
from glpn.video.reading import Frame, Video


@dataclass(frozen=True)
class VideoCamera:
    """What is known about the camera of a video; at most one of focal, fov and intrinsics.

    Without any of them the camera is the model's own, as it is for photos.

    Attributes:
        focal: focal length in pixels of the upright frames.
        fov: horizontal field of view in degrees.
        intrinsics: a calibration, fitted to the size of the frames.
        references: (x, y, metres) measured in the first frame; they set one scale, and with
            several references one shift, for all frames.

    Raises:
        UsageError: more than one of the three is given.
    """

    focal: float | None = None
    fov: float | None = None
    intrinsics: Intrinsics | None = None
    references: Sequence[tuple[float, ...]] = ()

    def __post_init__(self) -> None:
        given = [v for v in (self.focal, self.fov, self.intrinsics) if v is not None]
        if len(given) > 1:
            raise UsageError("--focal, --fov, --intrinsics: give at most one of them")

    def camera(self, frame: Photo) -> Camera | None:
        """The camera of a frame; None where nothing is known.

        Raises:
            UsageError: no lens has this focal length or field of view.
            DataError: the intrinsics belong to an image of another aspect ratio.
        """
        if self.intrinsics is not None:
            return self.intrinsics.for_size(frame.size)
        return choose_camera(frame, focal=self.focal, fov=self.fov)


class FramePredictor:
    """Predicts the frames of one video; may be called from several threads.

    Args:
        estimator: predicts one frame as it predicts a photo.
        video: the source of the frames; with references, its first frame is predicted now.
        known: about the camera.
    """

    def __init__(self, estimator: DepthEstimator, video: Video, known: VideoCamera) -> None:
        self._estimator = estimator
        self._name = video.path.name
        self._known = known
        self._fit: ScaleShift | None = None
        if known.references:
            first = self(video.first_frame())
            estimated = [first.at(x, y) for x, y, _ in known.references]
            measured = [metres for _, _, metres in known.references]
            nearest = float(first.metres.min())
            self._fit = fit_references(estimated, measured, nearest=nearest)

    def __call__(self, frame: Frame) -> Depth:
        """The depth of one frame, with its camera and provenance."""
        photo = Photo(frame.pixels, f"{self._name} frame {frame.index + 1}")
        depth = self._estimator.estimate(photo, self._known.camera(photo))
        return depth if self._fit is None else _calibrated(depth, self._fit)


def _calibrated(depth: Depth, fit: ScaleShift) -> Depth:
    metres = depth.metres * np.float32(fit.scale) + np.float32(fit.shift)
    provenance = depth.provenance
    note = f"brought to references in the first frame: x {fit.scale:.4g}, {fit.shift:+.3g} m"
    reach = provenance.max_depth
    return dataclasses.replace(
        depth,
        metres=metres.clip(SMALLEST_DEPTH),
        provenance=dataclasses.replace(
            provenance,
            max_depth=None if reach is None else reach * fit.scale + fit.shift,
            error=None,
            error_data="",
            note="; ".join(filter(None, (provenance.note, note))),
        ),
        sigma=None if depth.given_sigma is None else depth.given_sigma * np.float32(fit.scale),
        errors=None,
    )
