"""The camera of a photo: given by the user, read from EXIF, or assumed."""

from __future__ import annotations

import dataclasses

from glpn.camera.camera import Camera, require_finite
from glpn.image.photo import Photo

# A resized photo keeps the ratio of its sides up to rounding; a larger difference is a crop.
_MAX_ASPECT_DIFFERENCE = 0.01


def choose_camera(photo: Photo, *, focal: float | None, fov: float | None) -> Camera | None:
    """The camera from the options, else from EXIF; its `source` says which. None: unknown.

    Raises:
        UsageError: no lens has this focal length or field of view.
    """
    size = photo.size
    if focal is not None:
        focal = require_finite("focal length", focal)
        return Camera.from_focal(focal, size, source=f"given focal length of {focal:g} px")
    if fov is not None:
        fov = require_finite("field of view", fov)
        return Camera.from_fov(fov, size, source=f"given field of view of {fov:g}°")
    if photo.focal is None or rejected_exif(photo):
        return None
    source = photo.focal_source or "EXIF"
    if photo.exif_size and set(photo.exif_size) != set(size):
        height, width = photo.exif_size
        source += f", scaled from {width}x{height}"
    return Camera.from_focal(photo.focal, size, source=source)


def assumed_camera(photo: Photo, focal_ratio: float | None) -> Camera:
    """A camera for a photo without a known one: the network's own, or an ordinary one.

    Its focal length may be out of the range of lenses, for photos that are long and narrow.
    """
    camera = Camera.assumed(photo.size)
    if focal_ratio is not None:
        source = "assumed: like the camera that the model was trained with"
        focal = focal_ratio * min(photo.size)
        camera = dataclasses.replace(camera, fx=focal, fy=focal, source=source)
    if reason := rejected_exif(photo):
        camera = dataclasses.replace(camera, source=f"{camera.source}; {reason}")
    return camera


def rejected_exif(photo: Photo) -> str:
    """Why the camera is not taken from EXIF, although the photo has it; empty if it may be."""
    if photo.projection:
        return f"the photo is a panorama ({photo.projection}), which no pinhole camera takes"
    if photo.focal is None or photo.exif_size is None:
        return ""
    # A program may rotate the pixels and leave the recorded size as it was.
    (short, long), (stored_short, stored_long) = sorted(photo.size), sorted(photo.exif_size)
    if abs(short * stored_long / (long * stored_short) - 1) <= _MAX_ASPECT_DIFFERENCE:
        return ""
    height, width = photo.exif_size
    return (
        f"EXIF is ignored: it describes {width}x{height} pixels, this photo of "
        f"{photo.size[1]}x{photo.size[0]} is cropped"
    )
