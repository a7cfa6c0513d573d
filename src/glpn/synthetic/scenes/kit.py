"""Kit: a scene's random generator with its materials, and the styles that its things share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from glpn.synthetic.scenes import materials
from glpn.synthetic.scenes.materials import Material

Maker = Callable[[np.random.Generator], Material]

_OWN_STYLE = 0.3  # how often a thing has a material of its own and not the household's


class Kit:
    """What furniture is made from: one generator, one material table."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.materials: list[Material] = []
        self._shared: dict[Maker, list[int]] = {}

    def new(self, maker: Maker) -> int:
        """A fresh material of a kind; its row in the table."""
        self.materials.append(maker(self.rng))
        return len(self.materials) - 1

    def shared(self, maker: Maker) -> int:
        """Mostly the household's material of that kind: homes match their wood and cloth."""
        known = self._shared.setdefault(maker, [])
        if not known or (len(known) < 8 and self.rng.random() < _OWN_STYLE):
            known.append(self.new(maker))
        return known[int(self.rng.integers(len(known)))]

    def like(self, material: int, **changes: float) -> int:
        """A material that differs from another in a few fields."""
        self.materials.append(self.materials[material]._replace(**changes))  # type: ignore[arg-type]
        return len(self.materials) - 1

    def any(self, makers: Sequence[Maker]) -> int:
        """A shared material of one of some kinds."""
        return self.shared(makers[int(self.rng.integers(len(makers)))])

    def carcass(self) -> int:
        """What cupboards and tables are made of."""
        return self.shared(materials.wood if self.chance(0.65) else materials.lacquer)

    def upholstery(self) -> int:
        """What covers seats."""
        return self.shared(materials.fabric if self.chance(0.75) else materials.leather)

    def uniform(self, low: float, high: float) -> float:
        """A number between two."""
        return low + (high - low) * self.rng.random()

    def chance(self, share: float) -> bool:
        """True that often."""
        return self.rng.random() < share

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.rng.random() * (high - low + 1))

    def jitter(self, value: float, share: float = 0.1) -> float:
        """A size within ± a share of its usual value."""
        return value * (1 + share * (2 * self.rng.random() - 1))
