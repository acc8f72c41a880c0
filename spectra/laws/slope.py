"""The law of φ'(√q z)², z ~ N(0, 1): what one layer of units contributes to JJᵀ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from ..activations import Activation, get_activation
from ..line.marks import kept
from ..positive_law import NodalLaw
from .nodes import NodeLaw
from .pushforward import slope_law


@dataclass(frozen=True, init=False, repr=False)
class SquaredSlope(NodalLaw):
    """Law of φ'(√q z)², z ~ N(0, 1), known through ψ(u) = E uφ'²/(1 − uφ'²).

    Parameters
    ----------
    activation : φ, or its name.
    variance : q ≥ 0; 0 is the limit q → 0⁺.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 15.
    """

    activation: Activation
    variance: float

    def __init__(self, activation: Activation | str, variance: float) -> None:
        if not (math.isfinite(variance) and variance >= 0.0):
            raise ValueError(f"`SquaredSlope(variance={variance})`: `variance` must be finite and not negative.")
        object.__setattr__(self, "activation", get_activation(activation))
        object.__setattr__(self, "variance", float(variance))

    def __repr__(self) -> str:
        # An activation's own form spells out its branches.
        return f"SquaredSlope({self.activation.name!r}, variance={self.variance})"

    @property
    def hull(self) -> tuple[float, float]:
        """Infimum and supremum of φ'²."""
        law = self.node_law()
        low = law.smallest if law.infimum is None else law.infimum
        high = law.largest if law.supremum is None else law.supremum
        scale = law.mean / law.rank
        return 0.0 if law.lost > 0.0 else low * scale, high * scale

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """Values that φ'² takes on intervals, and both ends."""
        law = self.node_law()
        scale = law.mean / law.rank
        found = [(t * scale, p * law.rank) for t, p in law.atoms]
        return kept([*found, (0.0, law.lost), *((end, 0.0) for end in self.hull)])

    def node_law(self, level: int = 0) -> NodeLaw:
        """Complex nodes, scaled to mean one, with the atoms where φ' is constant."""
        return _nodes(self.activation, self.variance, level)


@lru_cache(maxsize=256)
def _nodes(activation: Activation, variance: float, level: int) -> NodeLaw:
    known = _nodes(activation, variance, 0) if level else None
    return slope_law(activation, variance, level=level, known=known)
