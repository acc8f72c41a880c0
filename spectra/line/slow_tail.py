"""A density that falls towards 0 like 1/(λ log²λ), as where S = exp(−t w/(1 + w)) is a factor; U = −log λ.

With y = 1 + w such a law has U − iπ = t/y + p log y + a_0 + a_1 y + … beside w = −1, from above: what else there is
of S is a power of y and an analytic function.  Then λρ = Im y/π, and P(λ < e^{−U}) is a formula in y.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..errors import ConvergenceError

# Powers of y, the share of U from which they are fitted, and by how much that may miss U, relative.
POWERS, FITTED, FITS = 8, 0.25, 1e-9
STEPS, SHORT = 60, 1e-15
# Beyond this U there is no mass to speak of.
FARTHEST = 1e100
# Panels of a rule in low/U, and nodes in each.
PANELS, NODES = (0.0, 1e-12, 1e-9, 1e-6, 1e-4, 1e-2, 0.1, 1.0), 24


@dataclass(frozen=True, eq=False)
class SlowTail:
    """All of a law below e^{−low}; the names are those of `spectra.chart.Chart`.

    Parameters
    ----------
    low : U where it begins.
    rate, power : t and p.
    series : a_0, a_1, ….
    residual : by how much the series misses U where it was fitted, relative.
    """

    low: float
    rate: float
    power: float
    series: Array
    residual: float

    @property
    def high(self) -> float:
        """Infinite: the law reaches to 0."""
        return math.inf

    @property
    def slope(self) -> float:
        """λρ ~ λ^{−slope}: a power between 0 and all that are less than 0."""
        return -sys.float_info.min

    @property
    def mass(self) -> float:
        """P(λ < e^{−low})."""
        return float(self.mass_beyond(np.array([self.low]))[0])

    def log_density(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log of λρ; −inf above e^{−low}."""
        u = np.asarray(u, float) + correction
        result = np.full(u.shape, -np.inf)
        inside = (u > self.low) & (u < FARTHEST)
        result[inside] = np.log(self._y(u[inside]).imag / np.pi)
        return result

    def mass_beyond(self, u: Array) -> Array:
        """P(λ < e^{−u}) = (t arg y − p Im y − Σ k a_k Im y^{k+1}/(k + 1))/π = ∫ Im y dU/π."""
        u = np.asarray(u, float)
        y = self._y(np.clip(u, self.low, FARTHEST))
        found = self.rate * np.angle(y) - self.power * y.imag
        for k, a in enumerate(self.series):
            found = found - k * a * (y ** (k + 1)).imag / (k + 1)
        return np.where(u > FARTHEST, 0.0, found / np.pi)

    def invert(self, mass: Array) -> Array:
        """U beyond which `mass` lies, by Newton's method in 1/U, in which the mass is all but linear."""
        mass = np.asarray(mass, float)
        # Towards 0 the mass is t/U.
        least = 10.0 * self.rate / FARTHEST
        result = np.where(mass > least, self.low, np.inf)
        inside = (mass > least) & (mass < self.mass)
        goal = mass[inside]
        share = goal / self.mass / self.low
        for _ in range(STEPS):
            u = 1.0 / share
            step = (self.mass_beyond(u) - goal) / (u * u * self._y(u).imag / np.pi)
            new = np.clip(share - step, 0.5 * share, np.minimum(2.0 * share, 1.0 / self.low))
            done = np.abs(new - share) <= SHORT * share
            share = new
            if done.all():
                break
        result[inside] = 1.0 / share
        return result

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes U and weights: panels in low/U."""
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        half = 0.5 * np.diff(PANELS)[:, None]
        share = (np.array(PANELS[:-1])[:, None] + half * (1.0 + nodes)).ravel()
        u = self.low / share
        return u, (half * weights).ravel() * self._y(u).imag / np.pi * u * (u / self.low)

    def _y(self, u: Array) -> Array:
        """Y(U), from above.

        Raises
        ------
        ConvergenceError : it does not converge.
        """
        # In 1/y the equation is all but linear.
        inverse = (u - 1j * np.pi) / self.rate
        for _ in range(STEPS):
            step = (self._place(1.0 / inverse) - u + 1j * np.pi) / self._slope(1.0 / inverse)
            inverse = inverse - step
            if np.all(np.abs(step) <= 4.0 * SHORT * np.abs(inverse)):
                break
        y = 1.0 / inverse
        residual = np.max(np.abs(self._place(y) + 1j * np.pi - u) / u, initial=0.0)
        if not (residual < FITS and np.all(y.imag > 0.0)):
            raise ConvergenceError("a density was lost on the way to 0", residual=float(residual), tolerance=FITS)
        return y

    def _place(self, y: Array) -> Array:
        return self.rate / y + self.power * np.log(y) + np.polyval(self.series[::-1], y)

    def _slope(self, y: Array) -> Array:
        """Of `_place`, in 1/y."""
        slopes = np.polynomial.polynomial.polyder(self.series)
        return self.rate - self.power * y - y**2 * np.polyval(slopes[::-1], y)


def slow_tail(u: Array, y: Array) -> SlowTail:
    """The tail of which y (m,) is known at ascending U (m,), from the last of these on.

    Raises
    ------
    ConvergenceError : y is of another form.
    """
    known = u > FITTED * u[-1]
    u, y = u[known], y[known]
    scale = float(np.max(np.abs(y)))
    terms = np.stack([1.0 / y, np.log(y), *((y / scale) ** k for k in range(POWERS))], axis=-1) / u[:, None]
    goal = (u - 1j * np.pi) / u
    both = np.concatenate([terms.real, terms.imag]), np.concatenate([goal.real, goal.imag])
    # Columns of one size.
    sizes = np.linalg.norm(both[0], axis=0)
    found = np.linalg.lstsq(both[0] / sizes, both[1], rcond=None)[0] / sizes
    missed = float(np.max(np.abs(terms @ found - goal)))
    if not (missed < FITS and found[0] > 0.0):
        raise ConvergenceError(
            "towards 0 the density falls slower than any power, and not like 1/(λ log²λ)",
            residual=missed,
            tolerance=FITS,
        )
    return SlowTail(float(u[-1]), float(found[0]), float(found[1]), found[2:] / scale ** np.arange(POWERS), missed)
