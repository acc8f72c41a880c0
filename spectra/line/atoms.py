"""The curve of finitely many atoms: over z itself, so that it keeps its digits beside them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from .._types import Array
from .numbers import Number, exactly
from .trace import Trace, leaf


class AtomsCurve:
    """Members of a law whose `locations` and `masses` are all there is to know."""

    locations: Any
    masses: Any

    @property
    def unknowns(self) -> int:
        """One: z itself."""
        return 1

    def trace(self, t: Array) -> Trace:
        """G = Σ p/(z − a)."""
        return trace_of_atoms(*self._rows, t[0])

    @cached_property
    def _rows(self) -> tuple[Array, Array]:
        """Locations and masses in doubles."""
        return np.array([float(a) for a in self.locations]), np.array([float(p) for p in self.masses])

    def start(self, z: Array) -> Array:
        """The point z itself."""
        return z[None]

    @property
    def hull(self) -> tuple[float, float]:
        """First and last atom."""
        return float(self.locations[0]), float(self.locations[-1])

    @property
    def places(self) -> tuple[Number, ...]:
        """The atoms, exactly."""
        return tuple(exactly(a) for a in self.locations)

    @property
    def marks(self) -> tuple[tuple[float, float], ...]:
        """The atoms."""
        return tuple((float(a), float(p)) for a, p in zip(self.locations, self.masses, strict=True))


def trace_of_atoms(locations: Array, masses: Array, z: Array) -> Trace:
    """G = Σ p/(z − a) and its derivative."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = 1.0 / (z[:, None] - locations)
    carried = masses * locations
    sizes = np.abs(parts) @ np.abs(carried), np.abs(parts) @ masses
    return leaf(z, parts @ masses, parts @ carried, -(parts * parts) @ masses, *sizes)
