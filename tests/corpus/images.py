"""Bad and odd photographs: each makes one file or array and says what must become of it.

`FILES` are for every door: the Python API, the command line, the server. `ARRAYS` are for the
Python API. The first field is the number under which a kind is known.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glpn.errors import GLPNError, ImageTooLarge, InvalidImage, UnsupportedImage
from tests.corpus.bytes_of import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    PNG_SIGNATURE,
    RGB,
    RGB_ALPHA,
    encoded,
    exif,
    jpeg_segment,
    jpeg_with,
    many_scans,
    orientation,
    png,
    png16,
    png_chunk,
    png_header,
    scene,
    tiff_block,
    webp_header,
)

HEIGHT, WIDTH = 96, 128
Outcome = type[GLPNError] | None  # None: a photograph is read


@dataclass(frozen=True)
class Case:
    """One kind of input.

    Attributes:
        row: number of the kind.
        id: short name, also of the file.
        make: the file's bytes, or the array.
        outcome: the error's class, exactly; None where it is a good photograph.
        size: (height, width) of the upright photograph, where it is good.
        suffix: what the file's name ends in, right or wrong.
    """

    row: int
    id: str
    make: Callable[[], Any]
    outcome: Outcome = None
    size: tuple[int, int] = (HEIGHT, WIDTH)
    suffix: str = ".jpg"

    def write(self, folder: Path) -> Path:
        """Make the file and return its path."""
        path = folder / f"{self.row:02}-{self.id}{self.suffix}"
        path.write_bytes(self.make())
        return path


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def _jpeg(**options: Any) -> bytes:
    return encoded(scene(), "JPEG", **options)


def _png(**options: Any) -> bytes:
    return encoded(scene(), "PNG", **options)


def _webp(**options: Any) -> bytes:
    return encoded(scene(), "WEBP", **options)


def _tiff(**options: Any) -> bytes:
    return encoded(scene(), "TIFF", **options)


def _grey() -> np.ndarray:
    return scene()[:, :, 0]


def _camera_raw() -> bytes:
    """A TIFF with the tag DNGVersion, whose first page is only a thumbnail."""
    return _tiff(tiffinfo={50706: b"\1\4\0\0"})


def _with_hidden_exif(marker: int) -> bytes:
    """A JPEG with 2 MB of EXIF in a segment that Pillow does not know and does not skip."""
    entries = [(1 + i, 7, 60_000, bytes(4)) for i in range(4000)]
    inner = jpeg_segment(0xE1, b"Exif\0\0" + tiff_block(entries))
    return jpeg_with(jpeg_segment(marker, inner[:65_000]) * 30, _jpeg())


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def _polyglot() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("evil.txt", "not a photograph")
    return _jpeg() + archive.getvalue()


def cmyk(adobe: bool = True) -> bytes:
    """One flat colour with ink shares (10, 60, 120, 30)/255; with Adobe's marker by default."""
    inks = (10, 60, 120, 30)
    if adobe:
        return encoded(Image.new("CMYK", (WIDTH, HEIGHT), inks), "JPEG", quality=100)
    inverse = tuple(255 - ink for ink in inks)  # Pillow inverts, so the inks are what is stored
    data = encoded(Image.new("CMYK", (WIDTH, HEIGHT), inverse), "JPEG", quality=100)
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]


def ramp16(channels: int) -> np.ndarray:
    """Every 16-bit value once, [256, 256, channels]."""
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    return np.concatenate([np.roll(ramp, 7000 * i) for i in range(channels)], -1)


def _mode(mode: str) -> Callable[[], bytes]:
    return lambda: encoded(Image.fromarray(scene()).convert(mode), "PNG")


def _palette_with_transparency() -> bytes:
    picture = Image.fromarray(scene()).quantize(64)
    return encoded(picture, "PNG", transparency=bytes(range(64)))


def _transparent() -> bytes:
    return encoded(np.dstack([scene(), np.zeros((HEIGHT, WIDTH), np.uint8)]), "PNG")


def _oriented(value: int) -> Callable[[], bytes]:
    return lambda: jpeg_with(jpeg_segment(0xE1, orientation(value)), _jpeg())


def _big_exif() -> bytes:
    """10 MB of EXIF whose 65,000 entries all point at all of it."""
    size = 10_000_000
    entries = [(1 + i, 7, size, struct.pack("<I", 0)) for i in range(65_000)]
    return b"Exif\0\0" + tiff_block(entries).ljust(size, b"\0")


def _exif_in_segments(block: bytes) -> bytes:
    body = block[6:]
    parts = [b"Exif\0\0" + body[at : at + 65_000] for at in range(0, len(body), 65_000)]
    return jpeg_with(b"".join(jpeg_segment(0xE1, part) for part in parts), _jpeg())


def _recursive_exif() -> bytes:
    return exif([(0x8769, 4, 1, struct.pack("<I", 8)), (0x0112, 3, 1, struct.pack("<I", 77))])


def _animation(format: str, frames: int = 3) -> Callable[[], bytes]:
    def make() -> bytes:
        pictures = [Image.fromarray(np.roll(scene(), 9 * i, axis=1)) for i in range(frames)]
        return encoded(pictures[0], format, save_all=True, append_images=pictures[1:], duration=50)

    return make


def _zeros_png(width: int, height: int, colour: int = GREY) -> bytes:
    channels = {GREY: 1, RGB: 3}[colour]
    packer = zlib.compressobj(1)
    row = bytes(1 + width * channels)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = png_header(width, height, 8, colour)
    return PNG_SIGNATURE + header + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def _bomb_header() -> bytes:
    data = png_chunk(b"IDAT", zlib.compress(bytes(100_000), 9))
    return PNG_SIGNATURE + png_header(30_000, 30_000, 8, RGB) + data + png_chunk(b"IEND", b"")


def _png_with(*chunks: bytes) -> bytes:
    data = _png()
    after_header = len(PNG_SIGNATURE) + 25
    return data[:after_header] + b"".join(chunks) + data[after_header:]


def _text_bomb() -> bytes:
    """60 compressed texts of 1 MB each, below Pillow's own limits."""
    text = zlib.compress(bytes(1_000_000), 9)
    return _png_with(*(png_chunk(b"zTXt", b"k%d\0\0" % i + text) for i in range(60)))


def _inflating_to_200_mb() -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()


def _profile_bomb() -> bytes:
    return _png_with(png_chunk(b"iCCP", b"icc\0\0" + _inflating_to_200_mb()))


def _data_bomb() -> bytes:
    """A small picture whose pixel stream inflates to 200 MB."""
    header = png_header(WIDTH, HEIGHT, 8, RGB)
    data = png_chunk(b"IDAT", _inflating_to_200_mb())
    return PNG_SIGNATURE + header + data + png_chunk(b"IEND", b"")


def _tiny_chunks() -> bytes:
    return _png_with(png_chunk(b"tEXt", b"") * 150_000)


def _enlarged(height: int, width: int) -> Image.Image:
    return Image.fromarray(scene()).resize((width, height))


def _phone_photo() -> bytes:
    segment = jpeg_segment(0xE1, orientation(6))
    return jpeg_with(segment, encoded(_enlarged(3024, 4032), "JPEG", quality=85))


def _progressive(height: int, width: int) -> Callable[[], bytes]:
    return lambda: many_scans(
        encoded(Image.new("L", (width, height), 90), "JPEG", progressive=True), 10_000
    )


def _two_pictures() -> bytes:
    """A phone's JPEG with a second picture (a gain map) behind the first."""
    return encoded(
        Image.fromarray(scene()), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))]
    )


def _fits() -> bytes:
    return b"SIMPLE  =                    T".ljust(2880, b" ")


_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(canary) run\n%%EOF\n"
_HTML = b"<html><script>alert(1)</script></html>"


FILES: tuple[Case, ...] = (
    *(Case(1, f"jpeg-{s:.0%}", lambda s=s: _cut(_jpeg(), s), InvalidImage) for s in (0.25, 0.5)),
    Case(1, "jpeg-99%", lambda: _cut(_jpeg(), 0.99), InvalidImage),
    Case(1, "jpeg-without-end", lambda: _jpeg()[:-2], InvalidImage),
    Case(1, "jpeg-zero-tail", lambda: _cut(_jpeg(), 0.5) + bytes(5000), InvalidImage),
    *(Case(2, f"png-{s:.0%}", lambda s=s: _cut(_png(), s), InvalidImage) for s in (0.25, 0.99)),
    Case(2, "png-without-end", lambda: _png()[:-12], InvalidImage),
    Case(2, "png-bad-crc", lambda: _flipped(_png(), len(_png()) - 14), InvalidImage),
    Case(2, "png-bad-data", lambda: _flipped(_png(), len(_png()) // 2), InvalidImage),
    Case(2, "webp-50%", lambda: _cut(_webp(), 0.5), InvalidImage),
    Case(2, "webp-99%", lambda: _cut(_webp(), 0.99), InvalidImage),
    Case(3, "empty", lambda: b"", InvalidImage),
    Case(4, "random", lambda: np.random.default_rng(4).bytes(5000), UnsupportedImage),
    Case(4, "text", lambda: b"hello\n", UnsupportedImage),
    Case(4, "html", lambda: _HTML, UnsupportedImage),
    Case(5, "png-called-jpg", _png),
    Case(5, "webp-called-png", _webp, suffix=".png"),
    Case(6, "eps", lambda: _EPS, UnsupportedImage, suffix=".png"),
    Case(6, "fits", _fits, UnsupportedImage, suffix=".png"),
    Case(6, "pdf", lambda: encoded(scene(), "PDF"), UnsupportedImage, suffix=".png"),
    Case(6, "psd", lambda: b"8BPS\0\x01".ljust(200, b"\0"), UnsupportedImage, suffix=".png"),
    Case(6, "mp4", lambda: b"\0\0\0\x18ftypisom" + bytes(99), UnsupportedImage),
    Case(6, "dng", _camera_raw, UnsupportedImage, suffix=".dng"),
    Case(6, "tiff-jpeg", lambda: _tiff(compression="jpeg"), UnsupportedImage, suffix=".tif"),
    Case(6, "text-ppm", lambda: b"P3 1 1 255 1 2 3\n", UnsupportedImage, suffix=".ppm"),
    *(
        Case(6, format.lower(), lambda f=format: encoded(scene(), f), suffix=".png")
        for format in ("TIFF", "BMP", "GIF", "PPM", "AVIF")
    ),
    *(
        Case(6, f"tiff-{kind}", lambda k=kind: _tiff(compression=k), suffix=".tif")
        for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits")
    ),
    Case(6, "tiff-grey16", lambda: encoded(_grey() * np.uint16(257), "TIFF"), suffix=".tif"),
    Case(6, "tiff-float", lambda: encoded(_grey() / np.float32(255), "TIFF"), suffix=".tif"),
    Case(6, "pgm-16", lambda: encoded(_grey() * np.uint16(257), "PPM"), suffix=".pgm"),
    Case(7, "jpeg-zip-polyglot", _polyglot),
    Case(7, "jpeg-trailing-junk", lambda: _jpeg() + b"junk" * 999),
    Case(7, "png-trailing-junk", lambda: _png() + b"junk" * 999, suffix=".png"),
    Case(7, "webp-trailing-junk", lambda: _webp() + b"junk" * 999, suffix=".webp"),
    Case(7, "two-pictures", _two_pictures),
    Case(8, "cmyk-adobe", cmyk),
    Case(8, "cmyk-plain", lambda: cmyk(adobe=False)),
    Case(9, "grey16", lambda: png16(ramp16(1), GREY), size=(256, 256), suffix=".png"),
    Case(10, "rgb16", lambda: png16(ramp16(3), RGB), size=(256, 256), suffix=".png"),
    Case(10, "rgba16", lambda: png16(ramp16(4), RGB_ALPHA), size=(256, 256), suffix=".png"),
    Case(10, "grey-alpha16", lambda: png16(ramp16(2), GREY_ALPHA), size=(256, 256), suffix=".png"),
    *(Case(11, f"mode-{mode}", _mode(mode), suffix=".png") for mode in ("1", "L", "LA")),
    Case(12, "palette", _mode("P"), suffix=".png"),
    Case(12, "palette-transparent", _palette_with_transparency, suffix=".png"),
    Case(
        12,
        "palette-missing",
        lambda: png(png_header(10, 10, 8, PALETTE), bytes(110)),
        size=(10, 10),
        suffix=".png",
    ),
    Case(13, "alpha-zero", _transparent, suffix=".png"),
    *(Case(14, f"orientation-{i}", _oriented(i)) for i in (1, 2, 3, 4)),
    *(Case(14, f"orientation-{i}", _oriented(i), size=(WIDTH, HEIGHT)) for i in (5, 6, 7, 8)),
    Case(15, "exif-garbage", lambda: jpeg_with(jpeg_segment(0xE1, b"Exif\0\0II*\0zz"), _jpeg())),
    Case(15, "exif-orientation-9", _oriented(9)),
    Case(15, "exif-recursive", lambda: _webp(exif=_recursive_exif()), suffix=".webp"),
    Case(15, "exif-10MB-jpeg", lambda: _exif_in_segments(_big_exif())),
    Case(15, "exif-10MB-webp", lambda: _webp(exif=_big_exif()), suffix=".webp"),
    Case(
        15,
        "exif-10MB-png",
        lambda: _png_with(png_chunk(b"eXIf", _big_exif()[6:])),
        suffix=".png",
    ),
    Case(16, "animated-webp", _animation("WEBP"), InvalidImage, suffix=".webp"),
    Case(16, "animated-png", _animation("PNG"), InvalidImage, suffix=".png"),
    Case(16, "animated-gif", _animation("GIF"), InvalidImage, suffix=".gif"),
    Case(16, "animated-avif", _animation("AVIF"), InvalidImage, suffix=".avif"),
    Case(16, "tiff-pages", _animation("TIFF"), InvalidImage, suffix=".tif"),
    Case(16, "webp-of-one-frame", _animation("WEBP", 1), suffix=".webp"),
    Case(16, "gif-of-one-frame", _animation("GIF", 1), suffix=".gif"),
    *(
        Case(
            17 if h == w == 1 else 18,
            f"{h}x{w}",
            lambda h=h, w=w: encoded(scene(h, w), "PNG"),
            size=(h, w),
            suffix=".png",
        )
        for h, w in ((1, 1), (1, 5000), (5000, 1), (31, 31), (33, 33))
    ),
    Case(19, "bomb-30000x30000", _bomb_header, ImageTooLarge, suffix=".png"),
    Case(19, "bomb-webp", lambda: webp_header(16_383, 16_383), ImageTooLarge, suffix=".webp"),
    Case(20, "81-megapixels", lambda: _zeros_png(9000, 9000), ImageTooLarge, suffix=".png"),
    Case(21, "12-megapixels", _phone_photo, size=(4032, 3024)),
    Case(22, "text-bomb", _text_bomb, suffix=".png"),
    Case(22, "profile-bomb", _profile_bomb, suffix=".png"),
    Case(22, "data-bomb", _data_bomb, suffix=".png"),
    Case(22, "150000-chunks", _tiny_chunks, InvalidImage, suffix=".png"),
    Case(23, "10000-scans", _progressive(HEIGHT, WIDTH), InvalidImage),
    Case(23, "10000-scans-12MP", _progressive(3000, 4000), InvalidImage),
    Case(24, "broken-profile-jpeg", lambda: _jpeg(icc_profile=b"no profile" * 99)),
    *(
        Case(75, f"hidden-exif-{marker:02X}", lambda m=marker: _with_hidden_exif(m), InvalidImage)
        for marker in (0xC8, 0xF0, 0xF7, 0xFD)
    ),
    *(
        Case(
            76,
            f"sliver-{w}x{h}",
            lambda w=w, h=h: _zeros_png(w, h, GREY),
            ImageTooLarge,
            suffix=".png",
        )
        for w, h in ((1, 65_000), (65_000, 1), (1, 16_000_000), (16_000_000, 1))
    ),
    Case(24, "broken-profile-png", lambda: _png(icc_profile=b"no profile" * 99), suffix=".png"),
)


def _with_value(value: float) -> Callable[[], np.ndarray]:
    def make() -> np.ndarray:
        image = scene().astype(np.float32) / 255
        image[3, 4, 1] = value
        return image

    return make


def _read_only() -> np.ndarray:
    image = scene()
    image.flags.writeable = False
    return image


ARRAYS: tuple[Case, ...] = (
    Case(25, "nan", _with_value(np.nan), InvalidImage),
    Case(25, "inf", _with_value(np.inf), InvalidImage),
    Case(26, "float32", lambda: scene().astype(np.float32) / 255),
    Case(26, "float64", lambda: scene() / 255),
    Case(26, "float16", lambda: (scene() / 255).astype(np.float16)),
    Case(27, "float-255", lambda: scene().astype(np.float32), InvalidImage),
    Case(27, "negative", _with_value(-0.1), InvalidImage),
    Case(28, "uint16", lambda: scene().astype(np.uint16) * 257),
    Case(28, "uint16-big-endian", lambda: (scene().astype(np.uint16) * 257).astype(">u2")),
    Case(28, "int32", lambda: scene().astype(np.int32)),
    Case(28, "int64", lambda: scene().astype(np.int64)),
    Case(28, "int32-256", lambda: scene().astype(np.int32) + 200, InvalidImage),
    Case(28, "int64-negative", lambda: scene().astype(np.int64) - 200, InvalidImage),
    Case(28, "object", lambda: scene().astype(object), InvalidImage),
    Case(28, "complex", lambda: scene().astype(complex), InvalidImage),
    *(
        Case(29, f"{c}-channels", lambda c=c: np.zeros((HEIGHT, WIDTH, c), np.uint8), InvalidImage)
        for c in (2, 5)
    ),
    Case(29, "channels-first", lambda: scene().transpose(2, 0, 1)),
    Case(29, "rgba", lambda: np.dstack([scene(), scene()[:, :, 0]])),
    Case(29, "rgba-first", lambda: np.dstack([scene(), scene()[:, :, 0]]).transpose(2, 0, 1)),
    *(
        Case(29, f"ndim-{n}", lambda n=n: np.zeros((3,) * n, np.uint8), InvalidImage)
        for n in (0, 1, 4, 5)
    ),
    Case(30, "no-rows", lambda: np.zeros((0, WIDTH, 3), np.uint8), InvalidImage),
    Case(30, "no-columns", lambda: np.zeros((HEIGHT, 0, 3), np.float32), InvalidImage),
    Case(31, "non-contiguous", lambda: np.repeat(np.repeat(scene(), 2, 0), 2, 1)[::2, ::2]),
    Case(31, "negative-stride", lambda: np.ascontiguousarray(scene()[::-1, ::-1])[::-1, ::-1]),
    Case(31, "read-only", _read_only),
    Case(31, "fortran", lambda: np.asfortranarray(scene())),
)
