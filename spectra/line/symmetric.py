"""The product of a law on [0, ∞) and a symmetric one, read off its square: (A ⊠ B)² = A ⊠ A ⊠ B²."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..distribution import Atom, Distribution
from ..law import Law
from ..laws.arcsine import Arcsine, ArcsineFromZero
from ..laws.atomic import Atomic
from ..laws.dirac import Dirac
from ..laws.discrete import Discrete
from ..laws.marchenko_pastur import MarchenkoPastur
from ..laws.semicircle import Semicircle
from ..spectrum import OUTSIDE
from .numbers import Number
from .spectrum import moment_of


def square_of_symmetric(law: Law) -> Law | None:
    """The law of X² where X is symmetric and its square is a law at hand; None otherwise."""
    if isinstance(law, Semicircle):
        return MarchenkoPastur(1, law.variance)
    if isinstance(law, Arcsine) and law.low == -law.high:
        return ArcsineFromZero(law.high**2)
    if isinstance(law, Atomic) and _is_symmetric(law):
        squares: dict[Number, Number] = {}
        for a, p in zip(law.locations, law.masses, strict=True):
            squares[a**2] = squares.get(a**2, 0) + p
        if len(squares) == 1:
            (place,) = squares
            return Dirac(place) if place > 0 else None
        return Discrete(list(squares), list(squares.values()))
    return None


def _is_symmetric(law: Atomic) -> bool:
    masses = dict(zip(law.locations, law.masses, strict=True))
    return all(masses.get(-a) == p for a, p in masses.items())


@dataclass(frozen=True, eq=False)
class SymmetricSpectrum(Distribution):
    """The symmetric law of X, from that of Y = X²: density |x| ρ_Y(x²).

    Parameters
    ----------
    square : the law of Y.
    moments_up_to : order → m_1 … m_order of X.

    Source
    ------
    Arizmendi and Pérez-Abreu, Proc. Amer. Math. Soc. 137 (2009), 3057-3066, for S and powers of symmetric laws.
    """

    square: Distribution
    moments_up_to: Callable[[int], list[float]]

    def pdf(self, x: ArrayLike) -> Array:
        """Density of the absolutely continuous part; 0 off the bulks, exactly; inf or its limit at 0."""
        x = np.asarray(x, float)
        # Beside 0 the square would vanish before the density does.
        y = np.maximum(x**2, np.where(x == 0.0, SMALLEST, 0.0))
        with np.errstate(over="ignore", invalid="ignore"):
            value = np.where(np.isinf(x), 0.0, np.sqrt(y) * np.asarray(self.square.pdf(y)))
        return np.where(x == 0.0, _limit_at_zero(value, self.square), value)[()]

    def cdf(self, x: ArrayLike) -> Array:
        """P(X ≤ x), atoms included."""
        x = np.asarray(x, float)
        below = np.asarray(self.square.cdf(x**2))
        mass = np.zeros_like(below)
        for atom in self.square.atoms:
            if atom.location > 0.0:
                mass = np.where(x == -(atom.location**0.5), atom.mass, mass)
        return np.where(x >= 0.0, 0.5 + 0.5 * below, 0.5 - 0.5 * below + 0.5 * mass)[()]

    def icdf(self, p: ArrayLike) -> Array:
        """Smallest x with cdf(x) ≥ p; nan for p outside [0, 1]."""
        p = np.asarray(p, float)
        # Below 0 where the distribution function is level it is the far end of the level that is asked for.
        beyond = np.where(p > 0.5, 2.0 * p - 1.0, np.minimum(np.nextafter(1.0 - 2.0 * p, 2.0), 1.0))
        root = np.sqrt(np.asarray(self.square.icdf(np.where((p >= 0.0) & (p <= 1.0), beyond, np.nan))))
        return (np.where(p > 0.5, 1.0, -1.0) * root + 0.0)[()]

    def moment(self, k: int) -> float:
        """m_k, whole k ≥ 0, by exact series."""
        return moment_of(self.moments_up_to, k)

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes x and weights of the continuous part."""
        y, weights = self.square.quadrature()
        root = np.sqrt(np.maximum(y, 0.0))
        return np.concatenate([-root, root]), 0.5 * np.concatenate([weights, weights])

    @property
    def total_mass(self) -> float:
        """Sum of all parts; 1 up to the error of the density."""
        return self.square.total_mass

    def support(self) -> tuple[float, float]:
        """Smallest interval that holds the whole law."""
        end = self.square.support()[1] ** 0.5
        return -end, end

    @cached_property
    def atoms(self) -> tuple[Atom, ...]:
        """Atoms, ascending."""
        found = []
        for atom in self.square.atoms:
            if atom.location == 0.0:
                found.append(atom)
            else:
                found += [Atom(s * atom.location**0.5, 0.5 * atom.mass) for s in (-1.0, 1.0)]
        return tuple(sorted(found, key=lambda atom: atom.location))

    @cached_property
    def bulks(self) -> tuple[tuple[float, float], ...]:
        """Intervals of the continuous part, ascending; one through 0 where the square's begins there."""
        right = [(a**0.5, b**0.5) for a, b in self.square.bulks]
        left = [(-b, -a) for a, b in reversed(right)]
        if right and right[0][0] == 0.0:
            return (*left[:-1], (left[-1][0], right[0][1]), *right[1:])
        return (*left, *right)

    @property
    def effective_support(self) -> tuple[float, float]:
        """Interval with all but 1e-12 of the mass, half of the rest on each side."""
        end = float(np.sqrt(self.square.icdf(1.0 - 2.0 * OUTSIDE)))
        return -end, end


# Where the limit at 0 is read off, and from what quotient of densities on it is none.
SMALLEST, GROWS = 1e-200, 1.01


def _limit_at_zero(value: Array, square: Distribution) -> Array:
    """The density near 0, or inf where it still grows there."""
    farther = np.sqrt(SMALLEST * 1e100) * float(square.pdf(SMALLEST * 1e100))
    return np.where(value > GROWS * farther, np.inf, value)
