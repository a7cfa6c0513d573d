"""BMP, GIF and binary PPM: small formats, read with Pillow's drivers."""

from __future__ import annotations

import re
import struct

from glpn.errors import InvalidImage
from glpn.image.parts import MAX_PARTS, Parts, too_many, truncated

# Magic number, width, height, largest value; comments run from # to the end of a line.
_GAP = rb"(?:[ \t\r\n]|#[^\n]{0,1000}\n){1,100}"
_PPM = re.compile(
    rb"P[456]" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})(?:" + _GAP + rb"(\d{1,5}))?[ \t\r\n]"
)
_GIF_COLORS = 0x80  # flag: a colour table follows
_GIF_EXTENSION, _GIF_IMAGE, _GIF_END = 0x21, 0x2C, 0x3B


def is_bmp(data: bytes) -> bool:
    """Whether the file starts like a Windows bitmap."""
    return data.startswith(b"BM") and len(data) > 26


def take_bmp_apart(data: bytes, name: str) -> Parts:
    """A bitmap has no metadata to remove."""
    from PIL.BmpImagePlugin import BmpImageFile

    if int.from_bytes(data[14:18], "little") == 12:  # the header of OS/2
        width, height = (int.from_bytes(data[at : at + 2], "little") for at in (18, 20))
    else:
        width, height = (
            int.from_bytes(data[at : at + 4], "little", signed=True) for at in (18, 22)
        )
    return Parts("BMP", data, BmpImageFile, (abs(width), abs(height)))  # < 0: top row first


def is_ppm(data: bytes) -> bool:
    """Whether the file starts like a binary PBM, PGM or PPM."""
    return data[:2] in (b"P4", b"P5", b"P6") and data[2:3] in b" \t\r\n#"


def take_ppm_apart(data: bytes, name: str) -> Parts:
    """Check the header; the rest is pixels.

    Raises:
        InvalidImage: the header is damaged.
    """
    from PIL.PpmImagePlugin import PpmImageFile

    header = _PPM.match(data)
    if header is None:
        raise InvalidImage(f"{name}: PPM with a damaged header")
    return Parts("PPM", data, PpmImageFile, (int(header[1]), int(header[2])))


def is_gif(data: bytes) -> bool:
    """Whether the file starts like a GIF."""
    return data[:6] in (b"GIF87a", b"GIF89a")


def take_gif_apart(data: bytes, name: str) -> Parts:
    """Keep the one image and the colour tables; drop comments and other extensions.

    Raises:
        InvalidImage: truncated, or an animation.
    """
    from PIL.GifImagePlugin import GifImageFile

    size = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    at = 13 + _colors_bytes(data[10])
    kept, frames = [data[:at]], 0
    for _ in range(MAX_PARTS):
        kind = data[at] if at < len(data) else None
        if kind == _GIF_END:
            break
        if kind == _GIF_EXTENSION:
            at = _blocks_end(data, at + 2, name)
        elif kind == _GIF_IMAGE:
            start = at
            at = _blocks_end(data, at + 11 + _colors_bytes(data[at + 9]), name)
            frames += 1
            kept.append(data[start:at])
            # Pillow enlarges the canvas to a frame that reaches beyond it.
            left, top, across, down = struct.unpack_from("<4H", data, start + 1)
            size = max(size[0], left + across), max(size[1], top + down)
        else:
            raise truncated(name, f"GIF without its end, at byte {at}")
    else:
        raise too_many(name, "GIF blocks")
    if frames != 1:
        raise InvalidImage(
            f"{name}: one photo expected, got a GIF of {frames} frames; "
            "`glpn video` reads moving pictures"
        )
    return Parts("GIF", b"".join([*kept, b";"]), GifImageFile, size)


def _colors_bytes(flags: int) -> int:
    return 3 * 2 ** (1 + (flags & 7)) if flags & _GIF_COLORS else 0


def _blocks_end(data: bytes, at: int, name: str) -> int:
    """Where a chain of data blocks ends, each with its length in front, the last of length 0."""
    while at < len(data):
        length = data[at]
        at += 1 + length
        if length == 0:
            return at
    raise truncated(name, "a GIF block ends after the file")
