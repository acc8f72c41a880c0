"""A law of JJᵀ that was found, and its moments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..chart import Chart
from ..spectrum import Spectrum
from .known import Atom, Equation, Known, density_at

# Quantiles at which the density is looked at again.
LEVELS = (0.02, 0.2, 0.5, 0.8, 0.98)
# A quantile as near as this to an end is at it.
BESIDE = 1e-6
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


def levels_of(spectrum: Spectrum) -> Array:
    """Quantiles as U, but those on atoms and at ends of bulks."""
    # Of what is not at λ = 0: one of them would be its edge.
    u = spectrum.quantile_at(spectrum.atom_at_zero + (1.0 - spectrum.atom_at_zero) * np.array(LEVELS))
    special = [place for place, _ in spectrum.log_atoms] + [end for arc in spectrum.arcs for end in (arc.low, arc.high)]
    return u[np.isfinite(u) & np.all(np.abs(u[:, None] - special) > BESIDE * (1.0 + np.abs(special)), axis=1)]


def error_beside(spectrum: Spectrum, finer: Equation, begun: Sequence[Known | None]) -> float:
    """The largest relative difference of the density at some quantiles to that of a finer equation.

    Parameters
    ----------
    begun : solutions to start from on every bulk; None where there are none.
    """
    worst, levels = 0.0, levels_of(spectrum)
    for known in begun:
        u = levels if len(begun) == 1 or known is None else levels[(levels > known.low) & (levels < known.high)]
        density, found = density_at(finer, u, known)
        if not found.solved.all():
            return math.inf
        worst = max(worst, float(np.max(np.abs(np.exp(spectrum.log_density_at(u)) / density - 1.0), initial=0.0)))
    return worst


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


def log_support(charts: Sequence[Chart], zero: float, atom: Atom | None) -> tuple[float, float]:
    """U of both ends, that of λ_min first, of a law with a density on these charts, U ascending, and these atoms."""
    places = [atom.place] if atom is not None and atom.mass else []
    end = math.inf if charts[-1].slope or zero else max([charts[-1].high, *places])
    return end, min([charts[0].low, *places])


def spectrum_of(
    charts: tuple[Chart, ...], zero: float, moments: Moments, log_mean: float, atom: Atom | None = None
) -> Spectrum:
    """The law with a density on these charts, mass `zero` at λ = 0, to which the last may lead, and another atom."""
    return Spectrum(
        arcs=charts,
        log_atoms=(atom,) if atom is not None and atom.mass else (),
        atom_at_zero=zero,
        log_support=log_support(charts, zero, atom),
        log_scaled_moments=moments.log_scaled,
        log_mean=log_mean,
    )
