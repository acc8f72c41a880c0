"""The smooth limit of great depth, S = exp(−t w), by real closed forms; λ = e^{−U}.

With 2w + 1 = coth(Z/2), Z = A − iB, the equation log u = log w − log(1 + w) − t w is log λ + t/2 = Z + (t/2) coth(Z/2):
real where cosh A = cos B + (t/2) sin B/B.  Then Im w = B/t, and the law of log λ + t/2 is symmetric.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._types import Array
from ..errors import ConvergenceError

# Nodes of the table that Newton's method starts from, and of the quadrature.
TABLE, NODES = 1024, 256
STEPS = 60
# Extended precision, where the machine has it.
EPS = float(np.finfo(np.longdouble).eps)
# Residual of log λ that a root may have, relative to what it is a sum of.
CERTIFIED = max(1e-15, 30.0 * EPS)
# What is closer to an edge than this, relative, is at it.
ROUNDING = 4.0 * EPS


@dataclass(frozen=True, eq=False)
class SmoothArc:
    """The one bulk of S = exp(−t w); the names are those of `spectra.chart.Chart`.

    All is in extended precision: beside an edge the density has the relative error of the distance to it.
    """

    variance: float

    @cached_property
    def _t(self) -> np.longdouble:
        return np.longdouble(self.variance)

    @cached_property
    def _top(self) -> np.longdouble:
        """A at the edges: cosh A = 1 + t/2."""
        return 2.0 * np.arcsinh(0.5 * np.sqrt(self._t))

    @cached_property
    def _reach(self) -> np.longdouble:
        """Half the length of the support in log λ, A + sinh A."""
        return self._top + np.sqrt(self._t * (1.0 + 0.25 * self._t))

    @property
    def low(self) -> float:
        """U at λ_max = exp(A + sinh A − t/2), without the cancellation of the last two."""
        t = self._t
        return float(-(self._top + t / (np.sqrt(t * (1.0 + 0.25 * t)) + 0.5 * t)))

    @property
    def high(self) -> float:
        """U at λ_min."""
        return float(0.5 * self._t + self._reach)

    @property
    def mass(self) -> float:
        """1."""
        return 1.0

    def log_density(self, u: Array, correction: Array | float = 0.0) -> Array:
        """Log of λρ = B/(πt) at λ = e^{−u}; −inf outside."""
        place = 0.5 * self._t - (np.asarray(u, np.longdouble) + correction)
        result = np.full(place.shape, -np.inf)
        inside = self._is_inside(place)
        result[inside] = np.log(-self._roots(place[inside]).imag / (np.longdouble(math.pi) * self._t))
        return result

    def mass_beyond(self, u: Array) -> Array:
        """P(λ < e^{−u}), u ≥ `low`."""
        place = 0.5 * self._t - np.asarray(u, np.longdouble)
        # Of the two tails the smaller is computed: the law of log λ + t/2 is symmetric.
        size = np.minimum(np.abs(place), self._reach)
        result = np.zeros(size.shape)
        inside = self._is_inside(size)
        root = self._roots(size[inside])
        result[inside] = self._above(root.real, -root.imag)
        return np.where(place > 0.0, 1.0 - result, result)

    def invert(self, mass: Array) -> Array:
        """U beyond which `mass` lies."""
        mass = np.asarray(mass, float)
        tail = np.minimum(mass, 1.0 - mass)
        flat = np.maximum(tail.ravel(), 0.0).astype(np.longdouble)
        a, b = self._curve(self._angle_of_mass(flat))
        place = self._place(a, b).reshape(mass.shape)
        return (0.5 * self._t - np.where(mass < 0.5, -place, place)).astype(float)

    def quadrature(self) -> tuple[Array, Array]:
        """Nodes U and weights, geometric in the number of nodes."""
        x, weights = np.polynomial.legendre.leggauss(NODES)
        angle = (0.5 * math.pi * (1.0 + x)).astype(np.longdouble)
        a, b = self._curve(angle)
        share = b / (math.pi * self._t) * self._speed(angle, a, b)
        return (0.5 * self._t - self._place(a, b)).astype(float), (0.5 * math.pi * weights * share).astype(float)

    def moment_function(self, u: Array) -> Array:
        """Value w = ψ(e^u), from above, inside the bulk: 2w + 1 = coth(Z/2)."""
        half = 0.5 * self._roots(0.5 * self._t - np.asarray(u, np.longdouble))
        return (0.5 / np.tanh(half) - 0.5).astype(complex)

    def holds(self, u: Array) -> Array:
        """Whether e^{−u} lies inside the bulk."""
        return self._is_inside(0.5 * self._t - np.asarray(u, np.longdouble))

    @cached_property
    def residual(self) -> float:
        """Largest residual of log λ at the quadrature's nodes, relative to its terms."""
        u = self.quadrature()[0]
        place = 0.5 * self._t - u.astype(np.longdouble)
        return float(np.max(self._miss(self._roots(place), place)))

    # -- along the curve: A = A_e cos ψ, 0 ≤ ψ ≤ π ------------------------------------------------------------------

    def _curve(self, angle: Array) -> tuple[Array, Array]:
        """A and B at ψ; B by Newton's method kept in a bracket: cos B + (t/2) sin B/B falls from 1 + t/2."""
        half = 0.5 * self._t
        a = self._top * np.cos(angle)
        # cosh A_e − cosh A, without cancellation
        drop = 2.0 * np.sinh(self._top * np.cos(0.5 * angle) ** 2) * np.sinh(self._top * np.sin(0.5 * angle) ** 2)
        low, high = np.zeros_like(a), np.full_like(a, math.pi)
        # To leading order drop = B² (1/2 + t/12).
        b = np.minimum(np.sqrt(drop / (0.5 + self._t / 12.0)), 0.9 * high)
        for _ in range(STEPS):
            miss = 2.0 * np.sin(0.5 * b) ** 2 + half * _sinc_drop(b) - drop
            low, high = np.where(miss < 0.0, b, low), np.where(miss < 0.0, high, b)
            slope = np.sin(b) + half * _sinc_fall(b)
            with np.errstate(divide="ignore", invalid="ignore"):
                new = b - miss / slope
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            done = np.abs(new - b) <= 10.0 * EPS * np.abs(b)
            b = new
            if done.all():
                break
        return a, b

    def _place(self, a: Array, b: Array) -> Array:
        """Log λ + t/2 = A + B sinh A/sin B."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return a + np.where(b > 0.0, b / np.sin(b), 1.0) * np.sinh(a)

    def _above(self, a: Array, b: Array) -> Array:
        """P(λ above) = Im[log(1 + w) − t w²/2]/π, 1 + w = 1/(1 − e^{−Z})."""
        turn = np.arctan2(np.exp(-a) * np.sin(b), 1.0 - np.exp(-a) * np.cos(b))
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.where(b > 0.0, b / np.sin(b), 1.0) * np.sinh(a) / self._t
        return np.clip((turn - b * (x - 0.5)) / np.longdouble(math.pi), 0.0, 1.0)

    def _speed(self, angle: Array, a: Array, b: Array) -> Array:
        """−d(log λ)/dψ = A_e sin ψ |1 − (t/4)/sinh²(Z/2)|²/Re(same), from dξ = F' dZ with dξ real, dA = Re dZ."""
        z = 0.5 * (a - 1j * b)
        slope = 1.0 - 0.25 * self._t / np.sinh(z) ** 2
        return self._top * np.sin(angle) * np.abs(slope) ** 2 / slope.real

    def _is_inside(self, place: Array) -> Array:
        return self._reach - np.abs(place) > ROUNDING * self._reach

    # -- at a given λ ---------------------------------------------------------------------------------------------

    @cached_property
    def _table(self) -> tuple[Array, Array, Array]:
        """ψ, arccos of the place relative to the edge, and the mass above: all rising."""
        angle = math.pi * (np.arange(1, TABLE) / TABLE).astype(np.longdouble)
        a, b = self._curve(angle)
        first, second = (
            np.concatenate([[0.0], row, [math.pi]]) for row in (angle.astype(float), self._opened(self._place(a, b)))
        )
        above = np.concatenate([[0.0], self._above(a, b).astype(float), [1.0]])
        return first, second, np.maximum.accumulate(above)

    def _opened(self, place: Array) -> Array:
        """Arccos of the place relative to the edge, with the digits of the distance to it."""
        share = np.maximum(self._reach - np.abs(place), 0.0) / (2.0 * self._reach)
        angle = 2.0 * np.arcsin(np.sqrt(share)).astype(float)
        return np.where(place > 0.0, angle, math.pi - angle)

    def _roots(self, place: Array) -> Array:
        """Z with Z + (t/2) coth(Z/2) = place, −π < Im Z < 0: the only one there, and on the principal sheet.

        Raises
        ------
        ConvergenceError : a residual above `CERTIFIED`.
        """
        angles, opened, _ = self._table
        angle = np.interp(self._opened(place), opened, angles)
        a, b = self._curve(angle.astype(np.longdouble))
        z = a - 1j * b
        for _ in range(STEPS):
            half = 0.5 * z
            step = (z + 0.5 * self._t / np.tanh(half) - place) / (1.0 - 0.25 * self._t / np.sinh(half) ** 2)
            # Never through an edge, or out of the strip.
            step = step * np.minimum(1.0, 0.5 * np.abs(z.imag) / np.maximum(np.abs(step), 1e-300))
            z = z - step
            if np.all(np.abs(step) < 1e-11 * np.abs(z.imag)):
                break
        miss = self._miss(z, place)
        wrong = ~((miss < CERTIFIED) & (z.imag < 0.0) & (z.imag > -math.pi))
        if wrong.any():
            where = float((place - 0.5 * self._t)[wrong][0])
            raise ConvergenceError(
                f"`SmoothLimit({self.variance})`: no certified root at log λ = {where}",
                residual=float(np.max(miss)),
                tolerance=CERTIFIED,
            )
        return z

    def _miss(self, z: Array, place: Array) -> Array:
        """Residual of the equation relative to its terms."""
        term = 0.5 * self._t / np.tanh(0.5 * z)
        return np.abs(z + term - place) / (np.abs(z) + np.abs(term))

    def _angle_of_mass(self, mass: Array) -> Array:
        """ψ with so much mass above, by Newton's method kept in a bracket."""
        angles, _, above = self._table
        index = np.clip(np.searchsorted(above, mass.astype(float)), 1, angles.size - 1)
        low, high = (angles[index - 1].astype(np.longdouble), angles[index].astype(np.longdouble))
        # Beside the edge the mass is of third order.
        share = (mass - above[index - 1]) / np.maximum(above[index] - above[index - 1], 1e-300)
        angle = low + (high - low) * np.where(index == 1, np.cbrt(share), share)
        for _ in range(STEPS):
            a, b = self._curve(angle)
            miss = self._above(a, b) - mass
            low, high = np.where(miss < 0.0, angle, low), np.where(miss < 0.0, high, angle)
            with np.errstate(divide="ignore", invalid="ignore"):
                new = angle - miss / (b / (math.pi * self._t) * self._speed(angle, a, b))
            new = np.where((new >= low) & (new <= high), new, 0.5 * (low + high))
            done = np.abs(new - angle) <= 1e-15 * angle
            angle = new
            if done.all():
                break
        return angle


def _sinc_drop(b: Array) -> Array:
    """1 − sin b/b."""
    square = b * b
    series = (
        square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0 * (1.0 - square / 110.0))))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b < 0.05, series, 1.0 - np.sin(b) / b)


def _sinc_fall(b: Array) -> Array:
    """−d/db (sin b/b)."""
    square = b * b
    series = b / 3.0 * (1.0 - square / 10.0 * (1.0 - square / 28.0 * (1.0 - square / 54.0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(b < 0.05, series, (np.sin(b) / b - np.cos(b)) / b)
