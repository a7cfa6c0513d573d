"""Kit: the random generator and the materials of a scene, with styles that objects share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glpn.synthetic.furniture_models.catalogue import Library
from glpn.synthetic.scenes import materials
from glpn.synthetic.scenes.materials import Material

Maker = Callable[[np.random.Generator], Material]

_OWN_STYLE = 0.3  # probability that an object has its own material instead of a shared one


class Kit:
    """One random generator and one material table for all furniture of a scene.

    With a `library`, most furniture is a mesh from it.
    """

    def __init__(self, rng: np.random.Generator, library: Library | None = None) -> None:
        self.rng = rng
        self.library = library
        self.materials: list[Material] = []
        self._shared: dict[Maker, list[int]] = {}

    def new(self, maker: Maker) -> int:
        """Add a material of a kind; returns its row in the table."""
        self.materials.append(maker(self.rng))
        return len(self.materials) - 1

    def shared(self, maker: Maker) -> int:
        """Usually an existing material of that kind, because homes match their wood and cloth."""
        known = self._shared.setdefault(maker, [])
        if not known or (len(known) < 8 and self.rng.random() < _OWN_STYLE):
            known.append(self.new(maker))
        return known[int(self.rng.integers(len(known)))]

    def like(self, material: int, **changes: float) -> int:
        """A material that differs from another in a few fields."""
        self.materials.append(self.materials[material]._replace(**changes))  # type: ignore[arg-type]
        return len(self.materials) - 1

    def any(self, makers: Sequence[Maker]) -> int:
        """A shared material of a random one of these kinds."""
        return self.shared(makers[int(self.rng.integers(len(makers)))])

    def carcass(self) -> int:
        """The material of cupboards and tables."""
        return self.shared(materials.wood if self.chance(0.65) else materials.lacquer)

    def upholstery(self) -> int:
        """The material of seats."""
        return self.shared(materials.fabric if self.chance(0.75) else materials.leather)

    def uniform(self, low: float, high: float) -> float:
        """A random number between two numbers."""
        return low + (high - low) * self.rng.random()

    def chance(self, share: float) -> bool:
        """True with this probability."""
        return self.rng.random() < share

    def whole(self, low: int, high: int) -> int:
        """A random whole number from low to high, both included."""
        return low + int(self.rng.random() * (high - low + 1))

    def jitter(self, value: float, share: float = 0.1) -> float:
        """A random size within ± `share` of the usual value."""
        return value * (1 + share * (2 * self.rng.random() - 1))
