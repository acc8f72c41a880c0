"""The law of sX + b as one object, read off that of X."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..distribution import Atom, Distribution
from .spectrum import moment_of


@dataclass(frozen=True, eq=False)
class AffineSpectrum(Distribution):
    """Density, distribution function, quantiles and atoms of sX + b; the names, shapes and accuracy of those of X.

    Parameters
    ----------
    inner : the law of X.
    scale, shift : s ≠ 0 and b.
    moments_up_to : order → m_1 … m_order of sX + b.
    """

    inner: Distribution
    scale: float
    shift: float
    moments_up_to: Callable[[int], list[float]]

    def _back(self, x: ArrayLike) -> Array:
        return (np.asarray(x, float) - self.shift) / self.scale

    def _there(self, x: Array | float) -> Array:
        return self.scale * x + self.shift

    def pdf(self, x: ArrayLike) -> Array:
        """Density of the absolutely continuous part; 0 off the bulks, exactly."""
        return (self.inner.pdf(self._back(x)) / abs(self.scale))[()]

    def cdf(self, x: ArrayLike) -> Array:
        """P(sX + b ≤ x), atoms included."""
        x = np.asarray(x, float)
        value = np.asarray(self.inner.cdf(self._back(x)))
        if self.scale > 0.0:
            return value[()]
        # P(X ≥ y): an atom at y counts, wherever rounding puts y.
        for atom, here in zip(self.inner.atoms, self._places, strict=True):
            above = self._back(x) > atom.location
            value = np.where((x == here) & ~above, np.asarray(self.inner.cdf(atom.location)) - atom.mass, value)
            value = np.where((x == here) & above, value - atom.mass, value)
        return (1.0 - value)[()]

    def icdf(self, p: ArrayLike) -> Array:
        """Smallest x with cdf(x) ≥ p; nan for p outside [0, 1]."""
        p = np.asarray(p, float)
        if self.scale < 0.0:
            # Where the distribution function is level it is the far end of the level that is asked for.
            p = np.where(p <= 1.0, np.minimum(np.nextafter(1.0 - p, 2.0), 1.0), np.nan)
        return self._there(self.inner.icdf(p))[()]

    def moment(self, k: int) -> float:
        """m_k, whole k ≥ 0, by exact series."""
        return moment_of(self.moments_up_to, k)

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes x and weights of the continuous part."""
        x, weights = self.inner.quadrature()
        return self._there(x), weights

    @property
    def total_mass(self) -> float:
        """Sum of all parts; 1 up to the error of the density."""
        return self.inner.total_mass

    def support(self) -> tuple[float, float]:
        """Smallest interval that holds the whole law."""
        return self._interval(self.inner.support())

    @cached_property
    def _places(self) -> list[float]:
        return [float(self._there(atom.location)) for atom in self.inner.atoms]

    @cached_property
    def atoms(self) -> tuple[Atom, ...]:
        """Atoms, ascending."""
        found = [Atom(place, atom.mass) for place, atom in zip(self._places, self.inner.atoms, strict=True)]
        return tuple(sorted(found, key=lambda atom: atom.location))

    @cached_property
    def bulks(self) -> tuple[tuple[float, float], ...]:
        """Intervals of the continuous part, ascending."""
        return tuple(sorted(self._interval(bulk) for bulk in self.inner.bulks))

    @property
    def effective_support(self) -> tuple[float, float]:
        """Interval with all but 1e-12 of the mass, half of the rest on each side."""
        return self._interval(self.inner.effective_support)

    def _interval(self, ends: tuple[float, float]) -> tuple[float, float]:
        low, high = sorted(float(self._there(end)) + 0.0 for end in ends)
        return low, high
