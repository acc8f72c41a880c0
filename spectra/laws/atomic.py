"""Finitely many atoms anywhere on the line, Σ p_i δ_{a_i}: also the spectrum of a matrix at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..law import Law
from ..line.atoms import AtomsCurve
from ..line.law import LineLaw
from ..line.numbers import Number, exactly
from .dirac import Dirac
from .discrete import Discrete, merged_atoms

if TYPE_CHECKING:
    from ..exact.power_series import Ring


def point(location: Number) -> Law:
    """δ_a, wherever a is."""
    return Dirac(location) if location > 0 else Atomic((location,))


def constant(law: Law) -> Number | None:
    """The place of a law that is one point; None for any other."""
    if isinstance(law, Dirac):
        return law.location
    return law.locations[0] if isinstance(law, Atomic | Discrete) and len(law.locations) == 1 else None


@dataclass(frozen=True, init=False)
class Atomic(AtomsCurve, LineLaw):
    """Σ p_i δ_{a_i}, a_i real; for a_i ≥ 0 `Discrete` knows more.

    Parameters
    ----------
    locations : a_i; equal ones are merged.
    masses : p_i ≥ 0, Σ p_i = 1; equal masses if left out.
    """

    locations: tuple[Number, ...]
    masses: tuple[Number, ...]

    def __init__(self, locations: Sequence[Number], masses: Sequence[Number] | None = None) -> None:
        atoms = merged_atoms("Atomic", locations, masses)
        object.__setattr__(self, "locations", tuple(atoms))
        object.__setattr__(self, "masses", tuple(atoms.values()))

    @property
    def mean(self) -> float:
        """Σ p a."""
        return float(sum(exactly(a) * exactly(p) for a, p in zip(self.locations, self.masses, strict=True)))

    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """Σ p a^k."""
        pairs = [(exactly(a), exactly(p)) for a, p in zip(self.locations, self.masses, strict=True)]
        return [ring.number(sum((p * a**k for a, p in pairs), Fraction(0))) for k in range(1, order + 1)]
