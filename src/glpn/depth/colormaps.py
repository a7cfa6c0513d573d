"""Depth as a colour picture: one rule for every picture that glpn makes.

Near is the first colour of the map (dark in inferno, the default), far the last (bright), linear in
metres in between. Unknown depth is a bluish grey, which no map contains.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from glpn.errors import UsageError, require_choice

# Anchor colours as hexadecimal RGB, evenly spaced; colours in between are interpolated linearly.
# Maps of 52 anchors have every fifth colour of the original 256 (largest error: 2 levels).
_ANCHORS = {
    # inferno, magma, plasma, viridis: Smith, van der Walt and Firing, matplotlib; CC0.
    "inferno": (
        "00000402020c0504170a072210092d160b391e0c45260c512f0a5b380962400a67490b6a510e6c59106e"
        "61136e69166e71196e781c6d801f6c88226a902568982766a02a63a82e5fb0315bb73557bf3952c63d4d"
        "cc4248d34743d94d3ddf5337e45a31e9612bed6925f1711ff47918f78212f98b0bfa9407fb9d07fca60c"
        "fcb014fbba1ffac42af8cd37f6d746f4e156f2ea69f2f27df5f992fcffa4"
    ),
    "magma": (
        "00000402020b0504160907200e0b2b140e361a104221114e29115a311165390f6e420f754a107952137c"
        "5a167e6219806a1c81721f81792282812581892881912b81992d80a1307eaa337db2357bba3878c23b75"
        "ca3e72d2426fd9466be04c67e75263ec5860f1605df4695cf7725cf97b5dfb8560fc8e64fd9869fea16e"
        "feaa74feb47bfebd82fec68afecf92fed89afde2a3fdebacfcf4b6fcfdbf"
    ),
    "plasma": (
        "0d08871b068d2605912f059638049a41049d4903a05102a35901a56100a76900a87100a87801a88004a8"
        "8707a68e0ca49511a19c179ea21d9aa82296ae2892b42e8dba3388bf3984c43e7fc9447acd4a76d24f71"
        "d6556dda5b69de6164e26660e66c5ce97257ed7953f07f4ff3854bf58c46f79342f99a3efba139fca835"
        "fdaf31feb72dfebe2afdc627fcce25fbd724f8df25f6e826f3f027f0f921"
    ),
    "viridis": (
        "44015446085c471063481769481d6f482475472a7a46307e453781433d844142873f48893d4e8a3a538b"
        "38598c355e8d33638d31688e2e6d8e2c718e2a768e297b8e27808e25848e23898e218e8d20928c1f978b"
        "1e9c891fa18821a58524aa8328ae802eb37c35b7793dbc7446c06f50c46a5ac86465cb5e70cf577cd250"
        "89d54895d840a2da37b0dd2fbddf26cae11fd8e219e5e419f1e51dfde725"
    ),
    # Mikhailov, Google; Apache-2.0.
    "turbo": (
        "30123b36215f3b2f803f3e9c424bb54559cb4666dd4773eb4680f6458cfd4099ff38a5fb2fb2f427bee9"
        "1fc9dd1ad4d018ddc21ae4b622ebaa2ff19b3ff68a52fa7a65fd6979fe598bff4b9cfe40a9fb39b7f735"
        "c3f134d0ea34dbe236e5d938eecf3af5c53afaba39fdae35fea130fe932afc8423f9751df46617ef5811"
        "e84b0ce14109d83706ce2d04c32503b71d02a916019b0f018b09027a0403"
    ),
    # Brewer, ColorBrewer 2.0 "Spectral", reversed; Apache-2.0.
    "spectral_r": "5e4fa23288bd66c2a5abdda4e6f598ffffbffee08bfdae61f46d43d53e4f9e0142",
    "gray": "000000ffffff",
}
COLORMAPS = tuple(_ANCHORS)
DEFAULT_COLORMAP = "inferno"
UNKNOWN_COLOR = (112, 128, 144)
ROBUST_PERCENTILES = (2.0, 98.0)  # a few extreme pixels must not use up the range of colours
_MAX_SAMPLED = 1 << 17  # pixels that percentiles are computed from; enough for the eye
_MIN_RANGE = 1e-6  # metres from near to far; a smaller range overflows the levels


def colorize(
    metres: NDArray[np.float32],
    colormap: str = DEFAULT_COLORMAP,
    *,
    near: float | None = None,
    far: float | None = None,
) -> NDArray[np.uint8]:
    """Metres [H, W] as RGB uint8 [H, W, 3]; `near` and below take the map's first colour.

    Args:
        metres: 0 is unknown and becomes UNKNOWN_COLOR.
        colormap: one of COLORMAPS.
        near, far: ends of the range, in metres; see `color_range`.

    Raises:
        UsageError: the map is unknown, or not 0 <= near < far.
    """
    table = color_table(colormap)
    near, far = color_range(metres, near, far)
    levels = (metres - np.float32(near)) * np.float32(255 / (far - near))
    levels = np.rint(levels.clip(0, 255, out=levels), out=levels)
    picture: NDArray[np.uint8] = table.take(levels.astype(np.uint8), axis=0)
    known = metres > 0
    if not known.all():
        picture[~known] = UNKNOWN_COLOR
    return picture


@cache
def color_table(colormap: str) -> NDArray[np.uint8]:
    """The 256 colours of a map, uint8 [256, 3], read-only.

    Raises:
        UsageError: there is no such map.
    """
    require_choice("colormap", colormap, COLORMAPS)
    anchors = np.frombuffer(bytes.fromhex(_ANCHORS[colormap]), np.uint8).reshape(-1, 3)
    position = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(position, np.arange(len(anchors)), channel) for channel in anchors.T]
    table: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    table.flags.writeable = False
    return table


def color_range(
    metres: NDArray[np.float32], near: float | None = None, far: float | None = None
) -> tuple[float, float]:
    """Metres of the first and last colour: the given ones, else the ROBUST_PERCENTILES.

    The percentiles are those of the known pixels; large maps are sampled. A given end is kept: if
    no percentile lies on its other side, the range spans at most a metre from there.

    Raises:
        UsageError: not 0 <= near < far.
    """
    missing = "near" if near is None and far is not None else "far" if far is None else ""
    if near is None or far is None:
        step = max(math.isqrt(metres.size // _MAX_SAMPLED), 1)
        sampled = metres[::step, ::step]
        known = sampled[sampled > 0]
        low, high = _robust_ends(known) if known.size else (0.0, 1.0)
        near, far = (low if near is None else near), (high if far is None else far)
    near, far = float(near), float(far)
    if missing and far - near < _MIN_RANGE:  # constant depth, or nothing beyond a given end
        near, far = (near, near + 1.0) if missing == "far" else (max(far - 1.0, 0.0), far)
    if not (near >= 0 and _MIN_RANGE <= far - near < float("inf")):
        raise UsageError(f"near, far: expected 0 <= near < far in metres, got {near} and {far}")
    return near, far


def _robust_ends(values: NDArray[np.float32]) -> tuple[float, float]:
    """The ROBUST_PERCENTILES, as by `np.percentile`, which also imports `numpy.ma`."""
    ranks = [percentile / 100 * (values.size - 1) for percentile in ROBUST_PERCENTILES]
    around = [end(rank) for rank in ranks for end in (math.floor, math.ceil)]
    low, high = np.interp(ranks, around, np.partition(values, around)[around])
    return float(low), float(high)
