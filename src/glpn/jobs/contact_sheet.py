"""The contact sheet of a job: some of its photos beside their depth."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from glpn import files
from glpn.data.contact_sheet import contact_sheet
from glpn.data.sample import Sample
from glpn.errors import CannotCreateOutput, DataError, GLPNError, UsageError
from glpn.files.contents import METADATA_KEY
from glpn.image.photo import read_photo
from glpn.jobs.spec import JobPhoto, JobSpec

MAX_SHOWN = 60
_METADATA = {"picture": "contact sheet"}  # only files with this entry may be replaced
_WIDTH = 200  # pixels of a photo on the sheet


def require_sheet(path: Path, spec: JobSpec) -> None:
    """Refuse a contact sheet that cannot be made.

    Raises:
        UsageError: the name does not end in .png, or none of the formats can be read back.
        CannotCreateOutput: something other than a contact sheet has that name.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--sheet: expected a name that ends in .png, got {path}")
    if not _readable(spec):
        names = ", ".join(name for name, row in files.FORMATS.items() if row.reader)
        raise UsageError(f"--sheet: --format must include one of {names}")
    _require_replaceable(path)


def _require_replaceable(path: Path) -> None:
    if not _is_replaceable(path):
        raise CannotCreateOutput(f"{path}: exists and is not a contact sheet of glpn")


def write_sheet(path: Path, photos: Sequence[JobPhoto], spec: JobSpec) -> int:
    """Write a sheet of at most MAX_SHOWN photos, evenly spaced.

    Returns:
        The number of photos shown, without those that cannot be read back.

    Raises:
        DataError: none can be read back.
        CannotCreateOutput, OutputFailed: the file cannot be written.
    """
    step = max(-(-len(photos) // MAX_SHOWN), 1)
    samples = []
    for photo in photos[::step]:
        try:
            samples.append(_sample(photo, spec))
        except GLPNError:
            continue
    if not samples:
        raise DataError(f"{path}: nothing to show: no photo with its depth can be read back")
    _require_replaceable(path)  # the job itself may have written a depth under this name
    save_sheet(path, contact_sheet(samples, width=_WIDTH), overwrite=True)
    return len(samples)


def save_sheet(path: Path, pixels: NDArray[np.uint8], *, overwrite: bool) -> None:
    """Write RGB [H, W, 3] as a PNG whose metadata allows a later run to replace it.

    Raises:
        CannotCreateOutput: another file has that name, and `overwrite` is False.
        OutputFailed: the file cannot be written.
    """
    buffer = io.BytesIO()
    text = PngInfo()
    text.add_text(METADATA_KEY, json.dumps(_METADATA))
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=text)
    files.write_file(path, buffer.getvalue(), overwrite=overwrite or _is_replaceable(path))


def _is_replaceable(path: Path) -> bool:
    """Whether the path is free or contains a contact sheet made by glpn."""
    is_sheet = files.label(path, "vis").get("picture") == _METADATA["picture"]
    return is_sheet or not os.path.lexists(path)


def _readable(spec: JobSpec) -> str:
    """The first of the formats that can be read back; empty if none can."""
    return next((name for name in spec.formats if files.FORMATS[name].reader), "")


def _sample(photo: JobPhoto, spec: JobSpec) -> Sample:
    metres = files.read(spec.target(Path(spec.output), photo, _readable(spec))).metres
    read = read_photo(
        photo.source(),
        name=photo.name,
        limits=spec.limits,
        min_decode_size=lambda height, width: (_WIDTH * height // width, _WIDTH),
    )
    image = Image.fromarray(read.pixels)
    height = max(round(_WIDTH * image.height / image.width), 1)
    small = np.asarray(image.resize((_WIDTH, height), Image.Resampling.BOX))
    return Sample(photo.stem, small, metres)
