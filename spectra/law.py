"""What a law is here: a curve (z, G(z)), from which all else follows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from ._types import Array
from .line.trace import Trace

if TYPE_CHECKING:
    from .distribution import Distribution
    from .exact.power_series import Ring


class Law(ABC):
    """A probability law of bounded support on the real line, known through its Stieltjes transform.

    `trace` is what defines it; what is derived from it are `spectrum` (density, distribution function, quantiles,
    atoms) and the functions of `spectra.transforms`.
    """

    @property
    @abstractmethod
    def mean(self) -> float:
        """m_1."""

    @property
    @abstractmethod
    def unknowns(self) -> int:
        """How many numbers make a point of `trace`."""

    @abstractmethod
    def trace(self, t: Array) -> Trace:
        """The curve, z and G(z), at the unknowns t (n, m)."""

    @abstractmethod
    def start(self, z: Array) -> Array:
        """Unknowns (n, m) for large z, to leading order."""

    @property
    @abstractmethod
    def hull(self) -> tuple[float, float]:
        """An interval that holds the whole law."""

    @property
    @abstractmethod
    def marks(self) -> tuple[tuple[float, float], ...]:
        """(location, mass) of atoms, and (location, 0) where an unbounded density may stand for one."""

    @abstractmethod
    def moment_list(self, ring: Ring, order: int) -> list[Any]:
        """m_1 … m_order over a ring that contains the rationals; exact where the parameters are."""

    @property
    def is_rational(self) -> bool:
        """Whether `moment_list` over the rationals is exact."""
        return True

    @abstractmethod
    def spectrum(self) -> Distribution:
        """Density, distribution function, quantiles, bulks and atoms."""

    @property
    @abstractmethod
    def residual(self) -> float:
        """Largest residual of the equations at the points the spectrum was made of."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the spectrum."""
        return ()
