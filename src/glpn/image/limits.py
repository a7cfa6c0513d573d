"""Limits on photos, checked from what a file declares, before anything is decoded."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from glpn.errors import ImageTooLarge


@dataclass(frozen=True)
class ImageLimits:
    """What a photo may cost; the defaults suit a person's own files.

    A decoded pixel takes 3 to 8 bytes. A JPEG may be larger than other files, because it can be
    decoded at a fraction of its size.

    Attributes:
        max_pixels: limit for files other than JPEG, and for Pillow images not yet decoded.
        max_jpeg_pixels: limit for JPEG files and arrays.
        max_scan_samples: limit for all scans of a progressive JPEG. Each scan visits every sample
            of its components; chroma has fewer where it is subsampled.
        max_side: limit for either side, in pixels.
        max_aspect: the longer side divided by the shorter. A sliver is cheap to decode, but its
            network input is not.
        max_bytes: limit for the file.
    """

    max_pixels: int = 50_000_000
    max_jpeg_pixels: int = 120_000_000
    max_scan_samples: int = 2_000_000_000
    max_side: int = 65_535
    max_aspect: int = 5_000
    max_bytes: int = 256 * 2**20

    def raised_to(self, jpeg_pixels: int) -> ImageLimits:
        """These limits with another `max_jpeg_pixels`, and `max_pixels` in proportion."""
        share = self.max_pixels / self.max_jpeg_pixels
        return dataclasses.replace(
            self, max_jpeg_pixels=jpeg_pixels, max_pixels=int(jpeg_pixels * share)
        )

    def require(
        self, width: int, height: int, *, name: str, jpeg: bool = False, passes: float = 0
    ) -> None:
        """Refuse a picture that costs too much.

        Args:
            width, height: size in pixels.
            name: the photo's name in the message.
            jpeg: whether it can be decoded at a fraction, or is decoded already.
            passes: samples per pixel that the scans of a progressive JPEG visit; 0 for one scan.

        Raises:
            ImageTooLarge: the message names the limit.
        """
        size = f"{name}: {width}x{height}"
        pixels, max_pixels = width * height, self.max_jpeg_pixels if jpeg else self.max_pixels
        if max(width, height) > self.max_side:
            raise ImageTooLarge(f"{size} has a side over the limit of {self.max_side} pixels")
        if max(width, height) > self.max_aspect * min(width, height):
            raise ImageTooLarge(f"{size} is a sliver; the sides may differ {self.max_aspect} times")
        if pixels > max_pixels:
            needed = math.ceil(pixels / max_pixels * self.max_jpeg_pixels / 1e6)
            raise ImageTooLarge(
                f"{size} is {pixels / 1e6:.1f} megapixels; the limit is {max_pixels / 1e6:g} "
                f"(--max-megapixels {needed}, or ImageLimits in Python, raises it)"
            )
        if passes * pixels > self.max_scan_samples:
            raise ImageTooLarge(
                f"{size} as a progressive JPEG takes too long to decode: {passes:g} passes of "
                f"{pixels / 1e6:.1f} megapixels; save it as an ordinary JPEG"
            )


DEFAULT_LIMITS = ImageLimits()
# For a service that strangers send photos to: `benchmarks/worst_image.py` prints the cost of the
# worst photo within these limits.
SERVICE_LIMITS = ImageLimits(
    max_pixels=16_000_000,
    max_jpeg_pixels=25_000_000,
    max_scan_samples=200_000_000,
    max_side=16_384,
    max_aspect=5_000,
    max_bytes=16 * 2**20,
)
