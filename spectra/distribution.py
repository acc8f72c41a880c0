"""What every law on a line answers, however it is held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from numpy.typing import ArrayLike

from ._types import Array


@dataclass(frozen=True)
class Atom:
    """A point that carries mass."""

    location: float
    mass: float


class Distribution(ABC):
    """What laws on the half-line and on the line have in common."""

    @abstractmethod
    def pdf(self, x: ArrayLike) -> Array:
        """Density of the absolutely continuous part."""

    @abstractmethod
    def cdf(self, x: ArrayLike) -> Array:
        """P(X ≤ x), atoms included."""

    @abstractmethod
    def icdf(self, p: ArrayLike) -> Array:
        """Smallest x with cdf(x) ≥ p."""

    @abstractmethod
    def moment(self, k: int) -> float:
        """m_k."""

    @abstractmethod
    def quadrature(self) -> tuple[Array, Array]:
        """Nodes x and weights of the continuous part."""

    @abstractmethod
    def support(self) -> tuple[float, float]:
        """Smallest interval that holds the whole law."""

    @property
    @abstractmethod
    def total_mass(self) -> float:
        """Sum of all parts."""

    @property
    @abstractmethod
    def atoms(self) -> tuple[Atom, ...]:
        """Atoms, ascending."""

    @property
    @abstractmethod
    def bulks(self) -> tuple[tuple[float, float], ...]:
        """Intervals of the continuous part, ascending."""

    @property
    @abstractmethod
    def effective_support(self) -> tuple[float, float]:
        """Interval with all but 1e-12 of the mass."""
