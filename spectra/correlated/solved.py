"""A law of JJᵀ that was found, and its moments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..chart import Chart
from ..spectrum import Spectrum

# Quantiles at which the density is looked at again.
LEVELS = (0.02, 0.2, 0.5, 0.8, 0.98)
# Moments from one circle.
TOGETHER = 16


@dataclass(frozen=True, eq=False)
class BlockLaw:
    """What is known of JJᵀ.

    Attributes
    ----------
    spectrum : the law.
    residual : largest relative residual of the equation at the nodes of the density.
    uncertified : number of nodes that were not solved, or where the series did not converge.
    error : by how much more nodes change the density, relatively, at five quantiles.
    """

    spectrum: Spectrum
    residual: float
    uncertified: int
    error: float


class Moments:
    """Moments of an equation, as many as have been asked for.

    Parameters
    ----------
    of : gives m_1 … m_order for an order and λ_max.
    largest : λ_max.
    """

    def __init__(self, of: Callable[[int, float], Array], largest: float) -> None:
        self._of, self._largest = of, largest
        self._known: Array = of(TOGETHER, largest)

    def first(self, order: int) -> Array:
        """m_1 … m_order."""
        if order > self._known.size:
            self._known = self._of(order, self._largest)
        return self._known[:order]

    def log_scaled(self, order: int) -> Array:
        """Log m_k/m_1^k, k = 1 … order."""
        moments = self.first(order)
        with np.errstate(invalid="ignore"):
            return np.log(moments) - np.arange(1, order + 1) * math.log(moments[0])


def spectrum_of(charts: tuple[Chart, ...], zero: float, moments: Moments, log_mean: float) -> Spectrum:
    """The law with a density on these charts, U ascending, and mass `zero` at λ = 0, to which the last may lead."""
    end = math.inf if charts[-1].slope or zero else charts[-1].high
    return Spectrum(
        arcs=charts,
        log_atoms=(),
        atom_at_zero=zero,
        log_support=(end, charts[0].low),
        log_scaled_moments=moments.log_scaled,
        log_mean=log_mean,
    )
