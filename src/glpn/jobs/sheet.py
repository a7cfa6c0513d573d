"""The contact sheet of a job: some of its photographs beside the depths that were written."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from glpn import files
from glpn.data.contact_sheet import contact_sheet
from glpn.data.sample import Sample
from glpn.errors import CannotCreateOutput, DataError, GLPNError, UsageError
from glpn.files.contents import METADATA_KEY
from glpn.image.photo import read_photo
from glpn.jobs.work import Order, Picture

MOST_SHOWN = 60
_SAYS = {"picture": "contact sheet"}  # the metadata of ours, which alone may be replaced
_METRES = [name for name, row in files.FORMATS.items() if row.reader]
_WIDTH = 200  # pixels of a photograph on the sheet


def require_sheet(path: Path, order: Order) -> None:
    """Refuse a sheet that could not be made.

    Raises:
        UsageError: the name is no .png, or no format can be read back.
        CannotCreateOutput: something other than a contact sheet has that name.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--sheet: expected a name that ends in .png, got {path}")
    if not _readable(order):
        raise UsageError(f"--sheet: needs one of {', '.join(_METRES)} among the formats")
    if os.path.lexists(path) and files.label(path, "vis").get("picture") != _SAYS["picture"]:
        raise CannotCreateOutput(f"{path}: exists and is no contact sheet of glpn")


def write_sheet(path: Path, pictures: Sequence[Picture], order: Order) -> int:
    """Write the sheet of pictures that are done, evenly chosen where they are many.

    Returns:
        How many it shows; those that cannot be read back are left out.

    Raises:
        DataError: none can.
        CannotCreateOutput, OutputFailed: the file cannot be written.
    """
    step = max(-(-len(pictures) // MOST_SHOWN), 1)
    samples = []
    for picture in pictures[::step]:
        try:
            samples.append(_sample(picture, order))
        except GLPNError:
            continue
    if not samples:
        raise DataError(f"{path}: nothing to show: no photograph with its depth can be read back")
    buffer = io.BytesIO()
    text = PngInfo()
    text.add_text(METADATA_KEY, json.dumps(_SAYS))
    Image.fromarray(contact_sheet(samples, width=_WIDTH)).save(buffer, "PNG", pnginfo=text)
    with files.atomic_file(path, overwrite=True) as file:
        file.write(buffer.getvalue())
    return len(samples)


def _readable(order: Order) -> str | None:
    return next((format for format in _METRES if format in order.formats), None)


def _sample(picture: Picture, order: Order) -> Sample:
    format = _readable(order) or ""
    metres = files.read(order.target(picture, format)).metres
    image = Image.fromarray(read_photo(picture.source(), name=picture.name).pixels)
    height = max(round(_WIDTH * image.height / image.width), 1)
    small = np.asarray(image.resize((_WIDTH, height), Image.Resampling.BOX))
    return Sample(picture.stem, small, metres)
