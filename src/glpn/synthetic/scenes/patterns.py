"""Patterns: periodic textures of wood, cloth, brick, posters … from a generator and a number.

Each is float32 [SIDE, SIDE, 3] in 0..1; grey ones blend the two colours of a material.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 128  # texels of a texture's side

Texture = NDArray[np.float32]  # [SIDE, SIDE, 3] in 0..1


def spectrum_noise(rng: np.random.Generator, slope: float, *, stretch: float = 1.0) -> Texture:
    """Periodic Gaussian noise [SIDE, SIDE] whose amplitude falls as frequency^-slope; std 1.

    `stretch` above 1 stretches it along u, the axis of the columns.
    """
    frequency = np.fft.fftfreq(SIDE) * SIDE
    radius = np.hypot(frequency[None, :] * stretch, frequency[:, None])
    radius[0, 0] = 1
    white = np.fft.fft2(rng.standard_normal((SIDE, SIDE)))
    white[0, 0] = 0
    noise = np.fft.ifft2(white / radius**slope).real
    return np.asarray(noise / noise.std(), np.float32)


def _grey(values: NDArray[np.float32]) -> Texture:
    return np.repeat(np.clip(values, 0, 1)[..., None], 3, -1).astype(np.float32)


def _grid() -> tuple[Texture, Texture]:
    """u and v of the texel centres in 0..1, each [SIDE, SIDE]."""
    axis = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    u, v = np.meshgrid(axis, axis)
    return np.asarray(u, np.float32), np.asarray(v, np.float32)


def _colours(rng: np.random.Generator, count: int) -> Texture:
    """Colours [count, 3] of print and dye: any brightness, rarely saturated."""
    tone = rng.random((count, 1)) ** 0.8
    return (tone + rng.beta(1.2, 4, (count, 1)) * (rng.random((count, 3)) - tone)).astype(
        np.float32
    )


def plain(rng: np.random.Generator, number: int) -> Texture:
    """One grey."""
    return np.full((SIDE, SIDE, 3), 0.5, np.float32)


def cloud(rng: np.random.Generator, number: int) -> Texture:
    """Soft noise: plaster, paint."""
    return _grey(0.5 + 0.18 * spectrum_noise(rng, 1.0 + 0.25 * number))


def speckle(rng: np.random.Generator, number: int) -> Texture:
    """Spots: leather, terrazzo."""
    spots = spectrum_noise(rng, 0.3 + 0.15 * number)
    fine = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    return _grey(0.5 + 0.3 * np.tanh(2 * (spots - 0.6)) + 0.08 * fine)


def wood(rng: np.random.Generator, number: int) -> Texture:
    """Grain along u."""
    _, v = _grid()
    bend = spectrum_noise(rng, 2.0, stretch=rng.uniform(3, 8))
    rings = np.sin(2 * np.pi * (rng.integers(3, 9) * v + rng.uniform(0.2, 0.6) * bend))
    fibre = spectrum_noise(rng, 0.6, stretch=rng.uniform(8, 20))
    return _grey(0.5 + 0.2 * rings * rng.uniform(0.3, 1) + 0.14 * fibre)


def plank(rng: np.random.Generator, number: int) -> Texture:
    """Boards along u with seams."""
    u, v = _grid()
    rows = int(rng.choice([6, 8, 10]))
    row = (v * rows).astype(int)
    shift = rng.random(rows)[row]
    across = ((u + shift) * rng.choice([1, 2])) % 1
    tone = rng.normal(0, 0.13, rows)[row] + rng.normal(0, 0.06, rows)[(row * 3 + 1) % rows]
    fibre = spectrum_noise(rng, 0.7, stretch=12)
    seam = ((v * rows) % 1 < 0.07) | (across < 0.008)
    return _grey(np.where(seam, 0.12, 0.55 + tone + 0.1 * fibre))


def weave(rng: np.random.Generator, number: int) -> Texture:
    """Threads that cross."""
    u, v = _grid()
    threads = int(rng.choice([16, 21, 32]))
    pattern = np.sin(2 * np.pi * threads * u) * np.sin(2 * np.pi * threads * v)
    return _grey(0.5 + 0.18 * pattern + 0.12 * spectrum_noise(rng, 0.8))


def stripe(rng: np.random.Generator, number: int) -> Texture:
    """Stripes for even numbers, plaid for odd ones."""
    u, v = _grid()
    count, steps = int(rng.integers(2, 9)), rng.random(12)
    stripes = steps[((v * count * 4) % 12).astype(int)]
    if number % 2:  # plaid
        stripes = 0.5 * stripes + 0.5 * steps[((u * count * 4) % 12).astype(int)]
    return _grey(stripes + 0.05 * spectrum_noise(rng, 0.4))


def floral(rng: np.random.Generator, number: int) -> Texture:
    """Blots of three colours on a background, as on printed cloth."""
    colours = _colours(rng, 4)
    picture = np.repeat(np.repeat(colours[None, :1], SIDE, 0), SIDE, 1).copy()
    for colour in colours[1:]:
        blots = spectrum_noise(rng, rng.uniform(1.5, 2.5))
        ring = np.abs(blots) < 0.25 if rng.random() < 0.4 else blots > rng.uniform(0.6, 1.2)
        picture[ring] = colour
    return np.asarray(picture, np.float32)


def carpet(rng: np.random.Generator, number: int) -> Texture:
    """Fine fibres."""
    fine = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    return _grey(0.5 + 0.1 * fine + 0.1 * spectrum_noise(rng, 0.9))


def rug(rng: np.random.Generator, number: int) -> Texture:
    """Nested frames with mirrored ornament in the middle: an oriental rug."""
    u, v = _grid()
    frame = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))
    colours = _colours(rng, 7)
    ornament = spectrum_noise(rng, 1.2)
    ornament = ornament + ornament[::-1]
    ornament = ornament + ornament[:, ::-1]
    band = np.digitize(frame, np.sort(rng.uniform(0.01, 0.25, 3)))
    index = (band + (ornament > 0.9) + 2 * (ornament < -1.2)) % 7
    return np.asarray(colours[index] + 0.04 * rng.standard_normal((SIDE, SIDE, 1)), np.float32)


def _bond(rng: np.random.Generator, columns: int, rows: int, *, shift: float) -> Texture:
    """Bricks or tiles, each with its own tone in 0.25..1; joints are 0."""
    u, v = _grid()
    row = (v * rows).astype(int)
    across = u * columns + shift * (row % 2)
    column = across.astype(int) % columns
    tone = rng.normal(0.62, 0.1, (rows, columns))[row, column]
    joint = ((v * rows) % 1 < 0.06 * rows / 8) | (across % 1 < 0.06 * columns / 8)
    return np.asarray(np.where(joint, 0.0, tone), np.float32)


def brick(rng: np.random.Generator, number: int) -> Texture:
    """Brickwork."""
    return _grey(_bond(rng, 4, 12, shift=0.5) + 0.08 * spectrum_noise(rng, 0.5))


def tile(rng: np.random.Generator, number: int) -> Texture:
    """Tiles of several sizes, with dark or light joints, sometimes chequered."""
    count = (2, 4, 8, 2, 4)[number % 5]
    tiles = _bond(rng, count, count * (1 + (number % 3 == 2)), shift=0.5 * (number % 2))
    flat = np.where(tiles > 0, 0.8 + (tiles - 0.62) * rng.uniform(0, 0.5), rng.choice([0.1, 1.0]))
    if rng.random() < 0.3:  # chequered
        u, v = _grid()
        flat = flat * np.where(((u * count).astype(int) + (v * count).astype(int)) % 2, 1, 0.3)
    return _grey(flat + 0.05 * spectrum_noise(rng, 1.2))


def stone(rng: np.random.Generator, number: int) -> Texture:
    """Granite and marble."""
    veins = np.abs(spectrum_noise(rng, 1.6)) < 0.12
    grain = spectrum_noise(rng, 0.2 + 0.2 * number)
    tint = 1 + 0.1 * rng.standard_normal(3).astype(np.float32)
    return (_grey(0.5 + 0.2 * grain - 0.25 * veins * (number % 2)) * tint).astype(np.float32)


def _drawing(rng: np.random.Generator, shapes: int) -> Texture:
    """A gradient with shapes drawn over it, later ones smaller."""
    top, bottom = _colours(rng, 2)
    _, v = _grid()
    ground = (top * (1 - v[..., None]) + bottom * v[..., None]) * 255
    image = Image.fromarray(ground.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for number in range(shapes):
        size = SIDE * rng.uniform(0.1, 0.7) * (1 - 0.7 * number / shapes)
        x, y = rng.uniform(-0.1, 1, 2) * SIDE
        box = (x, y, x + size * rng.uniform(0.3, 1.5), y + size * rng.uniform(0.3, 1.5))
        colour = tuple(int(255 * c) for c in _colours(rng, 1)[0])
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(box, fill=colour)
    return np.asarray(np.asarray(image) / 255, np.float32)


def poster(rng: np.random.Generator, number: int) -> Texture:
    """A landscape, an abstract painting or a drawing, sometimes with a mount."""
    if number % 4 == 0:  # a landscape: sky, hills
        picture = outdoor(rng, number)
    elif number % 4 == 1:  # an abstract painting or a faded photograph
        tones = [0.2 * spectrum_noise(rng, rng.uniform(1.2, 2.2)) for _ in range(2)]
        first, second = _colours(rng, 2)
        picture = first + (second - first) * (0.5 + tones[0])[..., None] + tones[1][..., None]
    else:
        picture = _drawing(rng, int(rng.integers(3, 25)))
    if rng.random() < 0.5:  # a mount around it
        u, v = _grid()
        edge = rng.uniform(0.05, 0.18)
        inside = (abs(u - 0.5) < 0.5 - edge) & (abs(v - 0.5) < 0.5 - edge)
        picture = np.where(inside[..., None], picture, rng.uniform(0.7, 1))
    return np.asarray(picture, np.float32)


def text(rng: np.random.Generator, number: int) -> Texture:
    """Lines of words, dark on light."""
    picture = np.full((SIDE, SIDE), 1, np.float32)
    height = int(rng.choice([3, 4, 6, 9]))
    for top in range(height, SIDE - height, int(height * 1.8)):
        left, end = int(SIDE * 0.08), int(SIDE * rng.uniform(0.5, 0.94))
        while left < end:
            word = int(rng.integers(height, 5 * height))
            picture[top : top + height, left : min(left + word, end)] = rng.uniform(0, 0.4)
            left += word + height // 2 + 1
    letters = rng.random((SIDE, SIDE)) < 0.35
    return _grey(np.where(letters, 1, picture))


def screen(rng: np.random.Generator, number: int) -> Texture:
    """A window with text."""
    picture = _drawing(rng, 4) * 0.3 + 0.7 * text(rng, number)
    picture[: SIDE // 12] = rng.random(3)
    return picture


def outdoor(rng: np.random.Generator, number: int) -> Texture:
    """Sky above trees or houses above ground, bottom row last."""
    _, v = _grid()
    sky = np.array([0.75, 0.87, 1.0]) * (0.8 + 0.2 * v[..., None])
    skyline = 0.35 + 0.1 * spectrum_noise(rng, 1.6)[0] + rng.uniform(-0.15, 0.2)
    leaves = spectrum_noise(rng, 0.7)[..., None]
    trees = np.array([0.25, 0.4, 0.15]) * (0.8 + 0.5 * leaves)
    houses = _colours(rng, 1)[0] * (1 - 0.5 * (_bond(rng, 6, 6, shift=0) < 0.6)[..., None])
    middle = trees if number % 3 else houses
    ground = _colours(rng, 1)[0] * (0.6 + 0.1 * leaves)
    picture = np.where(v[..., None] < skyline[None, :, None], sky, middle)
    return np.asarray(np.where(v[..., None] > rng.uniform(0.75, 1), ground, picture), np.float32)


def leaf(rng: np.random.Generator, number: int) -> Texture:
    """Foliage."""
    return _grey(0.5 + 0.3 * np.tanh(1.5 * spectrum_noise(rng, 0.5)))


def facade(rng: np.random.Generator, number: int) -> Texture:
    """Two by two windows in a wall."""
    u, v = _grid()
    wall = 0.75 + 0.06 * spectrum_noise(rng, 0.8)
    x, y = (u * 2) % 1, (v * 2) % 1
    wide, tall = rng.uniform(0.2, 0.42), rng.uniform(0.25, 0.4)
    window = (abs(x - 0.5) < wide) & (abs(y - 0.5) < tall)
    pane = window & (abs(x - 0.5) < wide - 0.04) & (abs(y - 0.5) < tall - 0.03)
    glass = rng.uniform(0.05, 0.5) + 0.1 * spectrum_noise(rng, 1.5)
    return _grey(np.where(pane, glass, np.where(window, rng.uniform(0.3, 1), wall)))


def asphalt(rng: np.random.Generator, number: int) -> Texture:
    """A road's surface with cracks."""
    crack = np.abs(spectrum_noise(rng, 1.4)) < 0.03
    fine = rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    return _grey(0.5 + 0.08 * fine + 0.08 * spectrum_noise(rng, 1.2) - 0.2 * crack)
