"""The neighbourhood of a simple zero x₀ of φ': x − x₀ as a power series in φ' itself, exact however close.

λ → 0 is decided there, at distances that x, being a rounded number of size x₀, cannot express.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .._types import Array
from ..activations import Branch

_TERMS = 32
_CIRCLE = 128
# So many terms are enough up to this part of the reach.
_FEW, _INNER = 6, 1e-3
# Sixteen Gauss-Legendre nodes a decade of φ'² on the ray arg φ'² = π/2: both half-axes, where poles may lie, are a
# quarter turn away, so that the error is 3.06^-32 = 3e-16.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
# The mass next to the zero that is left out.
_LEAST_MASS = 1e-18


@dataclass(frozen=True, eq=False)
class SlopeZero:
    """A simple zero of φ' on one branch.

    Parameters
    ----------
    place : x₀.
    series : b_1, b_2, … of x − x₀ = Σ b_n φ'^n.
    reach : |φ'| up to which the series is good to rounding.
    """

    place: float
    series: Array
    reach: float

    def around(self, slope: Array) -> tuple[Array, Array]:
        """The distance x − x₀ and dx/dφ' where φ'(x) = `slope`, |slope| ≤ `reach`; relative accuracy 1e-15."""
        polyval = np.polynomial.polynomial.polyval
        series = np.stack([self.series, self.series * np.arange(1, self.series.size + 1)], axis=1)
        sums = np.asarray(polyval(slope, series[:_FEW]))
        # No more terms than the size of φ' asks for.
        outer = np.abs(slope) > _INNER * self.reach
        if outer.any():
            sums[:, outer] = polyval(slope[outer], series)
        return slope * sums[0], sums[1]

    def displacement(self, slope: Array) -> Array:
        """Return x − x₀ where φ'(x) = `slope`."""
        return self.around(slope)[0]

    def towards(self, direction: int) -> float:
        """Sign of φ' on the side x > x₀ (direction 1) or x < x₀ (−1)."""
        return math.copysign(1.0, self.series[0]) * direction


@lru_cache(maxsize=1024)
def slope_zero(branch: Branch, place: float) -> SlopeZero | None:
    """The zero of φ' at `place` as a `SlopeZero`; None where φ' has no simple zero, or no short Taylor series."""
    size = float(np.abs(branch.slope(np.array([place])))[0])
    # What is asked of a zero below implies this, and most places fail it at once.
    if size > 1e-11 * float(np.abs(branch.curvature(np.array([place])))[0]):
        return None
    # φ' is real on the axis: half of the circle decides.
    turn = np.exp(-2j * math.pi * np.arange(_CIRCLE // 2 + 1) / _CIRCLE)
    radius = 1.0
    for _ in range(12):
        with np.errstate(all="ignore"):
            values = branch.slope(place + radius * turn)
        if np.all(np.isfinite(values)):
            taylor = np.fft.irfft(values, _CIRCLE)[: 2 * _TERMS]
            largest = float(np.abs(taylor).max())
            if np.abs(taylor[_TERMS:]).max() < 4e-16 * largest and abs(taylor[1]) > 1e-2 * largest:
                # What stands at x₀ itself is rounding, or else x₀ is no zero.
                return _reversed(place, taylor, radius) if size < 1e-13 * largest else None
        radius *= 0.5
    return None


def _reversed(place: float, taylor: Array, radius: float) -> SlopeZero:
    """Reversion of the series by Lagrange's formula: b_n = [y^{n−1}] (y/φ')^n / n."""
    lead = taylor[1]
    quotient = taylor[1 : _TERMS + 1] / lead
    inverse = np.zeros(_TERMS)
    inverse[0] = 1.0
    for n in range(1, _TERMS):
        inverse[n] = -quotient[1 : n + 1] @ inverse[n - 1 :: -1][:n]
    power = np.zeros(_TERMS)
    power[0] = 1.0
    scaled = np.zeros(_TERMS)
    for n in range(1, _TERMS + 1):
        power = np.convolve(power, inverse)[:_TERMS]
        scaled[n - 1] = power[n - 1] / n
    order = np.arange(_TERMS)
    with np.errstate(divide="ignore"):
        growth = np.max(np.where(order >= 6, np.log(np.abs(scaled)) / np.maximum(order, 1), -np.inf))
    # The first term left out is below rounding.
    reach = math.exp(-max(float(growth), math.log(1.0)) - 37.0 / _TERMS) * abs(lead)
    return SlopeZero(place, radius * scaled / lead ** (order + 1.0), reach)


def decades(mass: float) -> int:
    """Number of decades of φ'² below which less than 1e-18 is left of the `mass` within the first, ~ |φ'|."""
    return max(2, math.ceil(2.0 * math.log10(max(mass / _LEAST_MASS, 1.0))))


@lru_cache(maxsize=256)
def ray_out_of(zero: SlopeZero, side: int, top: int, count: int) -> tuple[Array, Array, Array, complex]:
    """Nodes t as those of `ray`, x − x₀ there, weights dx, and x − x₀ at the outer end, on one side of a zero."""
    t, dt = ray(top, count)
    root = zero.towards(side) * np.sqrt(np.append(t, 1j * 10.0**top))
    displacement, rate = zero.around(root)
    inner = slice(0, -1)
    dx = (side * rate[inner] / (2.0 * root[inner])).reshape(t.shape) * dt
    return t, displacement[inner].reshape(t.shape), dx, complex(displacement[-1])


@lru_cache(maxsize=256)
def ray(top: int, count: int) -> tuple[Array, Array]:
    """Nodes t and weights dt on arg t = π/2 from 0 to 10^`top` i, shape (count + 1, 16).

    One row a decade, the same for every zero, and a last one that runs to t = 0, linear in φ'.
    """
    decade = top - np.arange(count)[:, None] - 0.5 * (1.0 - _NODES)
    t = 1j * 10.0**decade
    dt = t * (0.5 * math.log(10.0) * _WEIGHTS)
    part = 0.5 * (1.0 + _NODES)
    floor = 1j * 10.0 ** (top - count)
    return np.concatenate([t, [floor * part**2]]), np.concatenate([dt, [floor * part * _WEIGHTS]])
