"""Walls with doors and windows, curtains and pictures; the next room behind an open door.

Walls are built in their own frame: x along the wall from its middle, y = 0 its face and +y into
the room. Panes of glass are opaque textures of the outdoors in their plane, which is how depth
sensors usually record them. There are no mirrors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from glpn.synthetic.scenes import belongings, clutter
from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.solids import BOX, CYLINDER, ELLIPSOID, Piece, Span

THICK = 0.12  # metres of a wall
_PROUD = 0.004  # metres by which trim stands out, so that no two faces share a plane


@dataclass
class Opening:
    """A hole in a wall: along it, and up it. `kind` is "window", "door" or "passage"."""

    kind: str
    x: Span
    z: Span


@dataclass
class Wall:
    """One wall of a room: length, its openings and where furniture already stands (x spans)."""

    length: float
    openings: list[Opening] = field(default_factory=list)
    taken: list[Span] = field(default_factory=list)

    def free(self, span: Span, *, height: float) -> bool:
        """Whether furniture of that height fits along the span."""
        for opening in self.openings:
            if opening.z[0] < height and _overlap(span, opening.x, margin=0.06):
                return False
        return not any(_overlap(span, taken, margin=0.02) for taken in self.taken)


def _overlap(a: Span, b: Span, *, margin: float) -> bool:
    return a[0] < b[1] + margin and b[0] < a[1] + margin


@dataclass(frozen=True)
class Finish:
    """The finishes of a room (rows of the material table) and its height in metres."""

    wall: int
    floor: int
    ceiling: int
    trim: int
    height: float


def finish(kit: Kit, height: float) -> Finish:
    """A room's surfaces, chosen at random."""
    return Finish(
        wall=kit.new(mat.wall),
        floor=kit.new(mat.floor),
        ceiling=kit.new(mat.ceiling),
        trim=kit.new(mat.lacquer if kit.chance(0.7) else mat.wood),
        height=height,
    )


def open_up(kit: Kit, wall: Wall, height: float, *, windows: float, doors: float) -> None:
    """Cut windows and doors: the expected number per wall of each."""
    if wall.length < 1.3:
        return
    if kit.chance(doors):
        half, top = kit.uniform(0.36, 0.5), kit.uniform(1.98, min(2.15, height - 0.1))
        kind = "door" if kit.chance(0.55) else "passage"
        if kind == "passage" and kit.chance(0.3):
            half = min(kit.uniform(0.5, 1.1), wall.length / 2 - 0.2)
        x = kit.uniform(-1, 1) * (wall.length / 2 - half - 0.15)
        wall.openings.append(Opening(kind, (x - half, x + half), (0, top)))
    if kit.chance(windows):
        _add_windows(kit, wall, height)


def _add_windows(kit: Kit, wall: Wall, height: float) -> None:
    half = kit.uniform(0.35, 1.1)
    sill = kit.uniform(0.05, 0.3) if kit.chance(0.15) else kit.uniform(0.7, 1.15)
    top = min(kit.uniform(1.9, 2.3), height - 0.12)
    gap = kit.uniform(0.1, 0.8)
    count = kit.whole(1, max(1, min(4, int(wall.length / (2 * half + gap)))))
    middle = kit.uniform(-0.2, 0.2) * wall.length
    for number in range(count):
        x = middle + (number - (count - 1) / 2) * (2 * half + gap)
        inside = abs(x) + half < wall.length / 2 - 0.1
        if inside and wall.free((x - half, x + half), height=top):
            wall.openings.append(Opening("window", (x - half, x + half), (sill, top)))


def masonry(wall: Wall, done: Finish) -> Piece:
    """The wall itself around its openings, with skirting boards."""
    piece = Piece()
    end = wall.length / 2 + THICK
    x = -end
    for opening in [*sorted(wall.openings, key=lambda o: o.x), None]:
        stop = end if opening is None else opening.x[0]
        if stop > x:
            piece.block(done.wall, (x, stop), (-THICK, 0), (0, done.height))
            piece.block(done.trim, (x, stop), (0, 0.012), (0, 0.08))
        if opening is None:
            break
        if opening.z[0] > 0:
            piece.block(done.wall, opening.x, (-THICK, 0), (0, opening.z[0]))
            piece.block(done.trim, opening.x, (0, 0.012), (0, 0.08))
        piece.block(done.wall, opening.x, (-THICK, 0), (opening.z[1], done.height))
        x = opening.x[1]
    return piece


def fill(kit: Kit, opening: Opening, done: Finish) -> Piece:
    """Frame and leaf of a door, or frame, pane and curtains of a window."""
    piece = Piece()
    (a, b), (low, high) = opening.x, opening.z
    edge = kit.uniform(0.04, 0.09)
    if opening.kind != "window" or kit.chance(0.6):
        deep = (-THICK - _PROUD, 0.015)
        piece.block(done.trim, (a - edge, a + _PROUD), deep, (low, high + edge))
        piece.block(done.trim, (b - _PROUD, b + edge), deep, (low, high + edge))
        piece.block(done.trim, (a - edge, b + edge), deep, (high - _PROUD, high + edge))
    if opening.kind == "window":
        _glaze(kit, piece, opening, done)
    elif opening.kind == "door":
        leaf = kit.carcass() if kit.chance(0.6) else done.trim
        piece.block(leaf, (a, b), (-0.07, -0.03), (low, high))
        _panels(kit, piece, leaf, opening)
        steel = kit.shared(mat.metal)
        piece.solid(steel, ELLIPSOID, (b - 0.1, b - 0.05), (-0.03, 0.03), (0.98, 1.03))
    elif kit.chance(0.4):  # the leaf stands open behind the wall
        ajar = Piece()
        ajar.block(kit.carcass(), (0, b - a), (-0.02, 0.02), (0, high))
        piece.add(ajar, (a, -THICK, 0), -kit.uniform(0.9, 1.6))
    return piece


def _panels(kit: Kit, piece: Piece, leaf: int, opening: Opening) -> None:
    """Raised fields on a door's leaf."""
    if kit.chance(0.4):
        return
    (a, b), high = opening.x, opening.z[1]
    rows = kit.whole(1, 3)
    for row in range(rows):
        z = (0.15 + row * (high - 0.25) / rows, 0.05 + (row + 1) * (high - 0.25) / rows)
        piece.block(leaf, (a + 0.12, b - 0.12), (-0.03, -0.022), z)


def _glaze(kit: Kit, piece: Piece, opening: Opening, done: Finish) -> None:
    (a, b), (low, high) = opening.x, opening.z
    piece.glow(kit.shared(mat.window_pane), BOX, (a, b), (-0.1, -0.085), (low, high))
    bars = kit.whole(0, 2)
    for number in range(bars + 1):
        x = a + (b - a) * (number + 0.5) / (bars + 1) if bars else (a + b) / 2
        piece.block(done.trim, (x - 0.02, x + 0.02), (-0.09, -0.06), (low, high))
    if kit.chance(0.5):
        z = low + (high - low) * kit.uniform(0.4, 0.7)
        piece.block(done.trim, (a, b), (-0.09, -0.06), (z - 0.02, z + 0.02))
    piece.block(done.trim, (a - 0.06, b + 0.06), (-0.09, 0.06), (low - 0.03, low))
    style = kit.rng.random()
    if style < 0.4:
        _curtains(kit, piece, opening)
    elif style < 0.65:
        _blind(kit, piece, opening)
    if low > 0.6 and kit.chance(0.3):
        white = kit.shared(mat.lacquer)
        for number in range(int((b - a) / 0.1)):  # a radiator
            x = a + 0.1 * number
            piece.block(white, (x, x + 0.07), (0.04, 0.13), (0.12, low - 0.15))


def _curtains(kit: Kit, piece: Piece, opening: Opening) -> None:
    """Folds of cloth to both sides, standing cylinders in a row."""
    cloth = kit.shared(mat.fabric)
    (a, b), (low, high) = opening.x, opening.z
    foot = kit.uniform(0.02, 0.1) if kit.chance(0.6) else low - 0.15
    width = (b - a) * kit.uniform(0.12, 0.5)
    fold = kit.uniform(0.05, 0.1)
    for start in (a - 0.2, b + 0.2 - width):
        count = min(12, max(2, int(width / fold)))
        step = width / count
        for number in range(count):
            x = start + (number + 0.5) * step
            span = (x - 0.62 * step, x + 0.62 * step)
            piece.solid(
                cloth, CYLINDER, span, (0.06, 0.06 + kit.uniform(0.05, 0.1)), (foot, high + 0.1)
            )
    rail = (high + 0.09, high + 0.12)
    piece.block(kit.shared(mat.metal), (a - 0.3, b + 0.3), (0.09, 0.11), rail)


def _blind(kit: Kit, piece: Piece, opening: Opening) -> None:
    """A venetian, vertical or roller blind, part of the way down."""
    slat = kit.new(mat.lacquer)
    if kit.chance(0.5):
        slat = kit.like(slat, emission=kit.uniform(0.2, 1.5))
    (a, b), (low, high) = opening.x, opening.z
    end = low + (high - low) * kit.uniform(0, 0.8)
    if kit.chance(0.4):
        count = min(16, int((b - a) / 0.09))
        for number in range(count):
            x = a + (b - a) * number / count
            piece.glow(slat, BOX, (x, x + 0.75 * (b - a) / count), (-0.04, -0.02), (low, high))
    elif kit.chance(0.6):
        count = min(24, int((high - end) / 0.05))
        for number in range(count):
            z = high - 0.05 * number
            piece.glow(slat, BOX, (a, b), (-0.05, -0.02), (z - 0.035, z))
    else:
        piece.glow(slat, BOX, (a, b), (-0.04, -0.03), (end, high))


def hang(kit: Kit, wall: Wall, *, density: float) -> Piece:
    """Pictures, posters, clocks, switches, a shelf where nothing tall stands."""
    piece = Piece()
    for _ in range(int(kit.rng.poisson(density * wall.length))):
        half, tall = kit.uniform(0.1, 0.45), kit.uniform(0.12, 0.45)
        x, z = kit.uniform(-1, 1) * (wall.length / 2 - half - 0.05), kit.uniform(1.35, 1.75)
        span = (x - half, x + half)
        if not wall.free(span, height=z + tall) or wall.length < 2 * half + 0.2:
            continue
        wall.taken.append(span)
        piece.add(_ornament(kit, half, tall), (x, 0, z))
    _hook(kit, wall, piece)
    if kit.chance(0.5):
        x = kit.uniform(-0.45, 0.45) * wall.length
        if wall.free((x - 0.05, x + 0.05), height=1.3):
            piece.block(kit.shared(mat.lacquer), (x - 0.04, x + 0.04), (0, 0.012), (1.05, 1.17))
    return piece


def _hook(kit: Kit, wall: Wall, piece: Piece) -> None:
    """Coats or towels in a row, where there is no furniture."""
    if not kit.chance(0.3):
        return
    x = kit.uniform(-0.45, 0.45) * wall.length
    for _ in range(kit.whole(1, 4)):
        span = (x - 0.15, x + 0.15)
        if abs(x) < wall.length / 2 - 0.3 and wall.free(span, height=1.7):
            wall.taken.append(span)
            piece.add(clutter.garment(kit), (x, 0, kit.uniform(1.45, 1.75)))
        x += 0.35


def _ornament(kit: Kit, half: float, tall: float) -> Piece:
    piece = Piece()
    style = kit.rng.random()
    if style < 0.45:
        frame = kit.any((mat.wood, mat.metal, mat.dark_plastic, mat.lacquer))
        edge = kit.uniform(0.012, 0.05)
        piece.block(frame, (-half - edge, half + edge), (0, 0.025), (-tall - edge, tall + edge))
        piece.block(kit.new(mat.poster), (-half, half), (0.025, 0.027), (-tall, tall))
    elif style < 0.62:
        kind = mat.poster if kit.chance(0.6) else mat.paper
        piece.block(kit.new(kind), (-half, half), (0, 0.003), (-tall, tall))
    elif style < 0.9:
        board = kit.carcass()
        for z in (0.0, 0.35)[: kit.whole(1, 2)]:
            piece.block(board, (-half - 0.1, half + 0.1), (0, 0.24), (z - 0.02, z))
            if kit.chance(0.5):
                piece.add(clutter.books(kit, 2 * half, 0.2, 0.3), (0, 0.01, z))
            else:
                clutter.strew(kit, piece, 2 * half + 0.2, (0, 0.22), z=z, density=9)
    else:
        r = kit.uniform(0.1, 0.2)
        piece.solid(kit.new(mat.plastic), ELLIPSOID, (-r, r), (-0.04, 0.08), (-r, r))
    return piece


def next_room(kit: Kit, opening: Opening, height: float) -> Piece:
    """The space behind a passage: a room or a corridor with some furniture."""
    piece = Piece()
    done = finish(kit, height)
    deep = kit.uniform(1.0, 5.0)
    middle = sum(opening.x) / 2
    left, right = middle - kit.uniform(0.7, 3), middle + kit.uniform(0.7, 3)
    near, far = -THICK, -THICK - deep
    piece.block(done.floor, (left, right), (far, near), (-0.1, 0))
    piece.block(done.ceiling, (left, right), (far, near), (height, height + 0.1))
    piece.block(done.wall, (left, right), (far - 0.1, far), (0, height))
    piece.block(done.wall, (left - 0.1, left), (far, near), (0, height))
    piece.block(done.wall, (right, right + 0.1), (far, near), (0, height))
    picture = belongings.on_floor(kit)
    piece.add(picture, (kit.uniform(left + 0.5, right - 0.5), far + 0.5, 0), math.pi)
    half, x = kit.uniform(0.3, 0.6), middle + kit.uniform(-0.4, 0.4)
    if kit.chance(0.4):
        piece.glow(
            kit.shared(mat.window_pane), BOX, (x - half, x + half), (far, far + 0.02), (0.9, 2)
        )
    else:
        piece.add(_ornament(kit, half * 0.6, half * 0.7), (x, far, 1.5))
    if kit.chance(0.5):
        w = kit.uniform(0.3, 0.7)
        piece.block(kit.carcass(), (x - w, x + w), (far, far + 0.45), (0, kit.uniform(0.5, 1.9)))
    return piece
