"""Names the format of a file that is not read, and says what to do with it."""

from __future__ import annotations

READABLE = "JPEG, PNG, WEBP, AVIF, TIFF, BMP, GIF, PPM, or HEIC with pillow-heif"
_VIDEO = "a video; use `glpn video`"
_CONVERT = "save it as JPEG or PNG"
_RAW = "a camera raw file; develop it to a JPEG, PNG or TIFF first"
_DEPTH = "a depth or data file, not a photo"

# (position, bytes there, what the file is and what to do)
_SIGNATURES = (
    (0, b"%PDF", f"a PDF document; {_CONVERT}"),
    (0, b"%!PS", f"an EPS or PostScript document; {_CONVERT}"),
    (0, b"8BPS", f"a Photoshop document; {_CONVERT}"),
    (0, b"SIMPLE  =", f"a FITS file; {_CONVERT}"),
    (0, b"\x00\x00\x00\x0cJXL ", f"a JPEG XL image; {_CONVERT}"),
    (0, b"\xff\x0a", f"a JPEG XL image; {_CONVERT}"),
    (0, b"\x00\x00\x00\x0cjP  ", f"a JPEG 2000 image; {_CONVERT}"),
    (0, b"\xff\x4f\xff\x51", f"a JPEG 2000 image; {_CONVERT}"),
    (0, b"II+\0", f"a BigTIFF file; {_CONVERT}"),
    (0, b"MM\0+", f"a BigTIFF file; {_CONVERT}"),
    (0, b"FUJIFILM", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIU\0", _RAW),
    (4, b"ftypcrx", _RAW),
    (4, b"ftyp", _VIDEO),
    (4, b"moov", _VIDEO),
    (0, b"\x1aE\xdf\xa3", _VIDEO),
    (8, b"AVI ", _VIDEO),
    (0, b"OggS", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    (0, b"\x00\x00\x01\xba", _VIDEO),
    (0, b"P1", "a text PBM; save it as a binary PPM (P6), JPEG or PNG"),
    (0, b"P2", "a text PGM; save it as a binary PPM (P6), JPEG or PNG"),
    (0, b"P3", "a text PPM; save it as a binary PPM (P6), JPEG or PNG"),
    (0, b"v/1\x01", f"an OpenEXR file: {_DEPTH}"),
    (0, b"PK\x03\x04", f"a ZIP or NPZ archive: {_DEPTH}"),
    (0, b"\x93NUMPY", f"a NumPy array: {_DEPTH}"),
    (0, b"\x89HDF", f"an HDF5 file: {_DEPTH}"),
    (0, b"\x00\x00\x01\x00", f"a Windows icon; {_CONVERT}"),
    (0, b"<svg", f"an SVG drawing; {_CONVERT}"),
    (0, b"<?xml", f"an XML or SVG file; {_CONVERT}"),
)


def describe(data: bytes) -> str:
    """What a file of no readable format is, and what to do; ends a message after "name: "."""
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    for position, signature, text in _SIGNATURES:
        if data.startswith(signature, position):
            return text
    lower = start[:64].lower()
    if lower.startswith((b"<!doctype html", b"<html")):
        return "a web page, not a photo; download the picture itself"
    if start.startswith(b"<svg"):
        return f"an SVG drawing; {_CONVERT}"
    if data and all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in data[:512]):
        return f"a text file; expected a photo ({READABLE})"
    return f"not a photo in a format that glpn reads ({READABLE})"
