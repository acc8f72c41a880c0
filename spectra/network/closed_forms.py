"""Gaussian moments in closed form: piecewise-linear activations (by the error function) and the sine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from spectra.activations import Activation
from spectra.network.gaussian import Moments, moments_at_zero, value_at_zero
from spectra.quadrature import Array, legendre_rule

_ROOT_2PI = math.sqrt(2.0 * math.pi)
_EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class _Piece:
    """φ = slope · x + offset on (lower, upper)."""

    lower: float
    upper: float
    slope: float
    offset: float


class _ClosedForm:
    """Moments one variance at a time."""

    def at(self, q: float) -> Moments:
        raise NotImplementedError

    def table(self, variances: Array) -> Array:
        """Moments at many variances; shape (n, 4)."""
        return np.array([self.at(float(q)) for q in variances])


class PiecewiseLinearMoments(_ClosedForm):
    """Moments of φ = s_j x + d_j on intervals: truncated Gaussian moments, exact to rounding.

    Source
    ------
    Truncated moments: integration by parts. Hard tanh: Pennington, Schoenholz, Ganguli (2018), table 1.
    """

    def __init__(self, activation: Activation) -> None:
        self.activation = activation
        pieces = []
        for branch in activation.branches:
            finite = [e for e in (branch.lower, branch.upper) if math.isfinite(e)]
            inside = branch.lower <= 0.0 <= branch.upper
            # Anchored at 0 where 0 belongs to the piece, so that pieces through the origin have offset 0 exactly.
            anchor = 0.0 if inside else min(finite, key=abs)
            slope = float(branch.constant_slope)  # type: ignore[arg-type]
            pieces.append(
                _Piece(branch.lower, branch.upper, slope, float(branch.value(np.array([anchor]))[0]) - slope * anchor)
            )
        self._pieces = tuple(pieces)
        self.scale_free: float | None = None
        if all(k == 0.0 for k in activation.kinks) and all(p.offset == 0.0 for p in pieces):
            self.scale_free = (pieces[0].slope ** 2 + pieces[-1].slope ** 2) / 2.0

    def at(self, q: float) -> Moments:
        """Moments at variance q ≥ 0."""
        if self.scale_free is not None:
            kappa = self.scale_free
            return Moments(kappa * q, kappa, (self._pieces[0].slope ** 4 + self._pieces[-1].slope ** 4) / 2.0, kappa)
        if q == 0.0:
            return moments_at_zero(self.activation)
        root = math.sqrt(q)
        second = slope2 = slope4 = gain = 0.0
        for p in self._pieces:
            mass, first, square, _ = _truncated(p.lower / root, p.upper / root)
            square_slope = p.slope * p.slope
            second += square_slope * q * square + 2.0 * p.slope * p.offset * root * first + p.offset * p.offset * mass
            slope2 += square_slope * mass
            slope4 += square_slope * square_slope * mass
            gain += square_slope * square + p.slope * p.offset * first / root
        return Moments(second, slope2, slope4, gain)

    def first(self, q: float) -> float:
        """E φ at variance q ≥ 0."""
        if q == 0.0:
            return value_at_zero(self.activation)
        root, total, size = math.sqrt(q), 0.0, 0.0
        for p in self._pieces:
            mass, first, _, _ = _truncated(p.lower / root, p.upper / root)
            terms = p.slope * root * first, p.offset * mass
            total += sum(terms)
            size += sum(map(abs, terms))
        return total if abs(total) > 4.0 * _EPS * size else 0.0

    def deficit(self, q: float) -> tuple[float, float]:
        """Excess q E φ'² − E φ² and its absolute error, from φ less its linear part at 0: zero but in the tails."""
        if self.scale_free is not None:
            return 0.0, 0.0
        root = math.sqrt(q)
        middle = [p.slope for p in self._pieces if p.lower <= 0.0 <= p.upper]
        shift = sum(middle) / len(middle)
        total = size = 0.0
        for p in self._pieces:
            mass, first, _, ends = _truncated(p.lower / root, p.upper / root)
            s = p.slope - shift
            terms = (-s * s * q * ends, -2.0 * s * p.offset * root * first, -p.offset * p.offset * mass)
            total += sum(terms)
            size += s * s * q * abs(ends) + abs(terms[1]) + abs(terms[2])
        return total, 4.0 * _EPS * size

    def edges(self, radius: float) -> Array:
        """Kinks of (−radius, radius)."""
        return np.array([k for k in self.activation.kinks if abs(k) < radius])


def _truncated(lower: float, upper: float) -> tuple[float, float, float, float]:
    """P, E z, E z² and E z² − P of a standard Gaussian on (lower, upper)."""
    if upper - lower < 1.0:
        # Differences of error functions would cancel; the interval is short, so the rule is exact.
        nodes, weights = legendre_rule(16)
        z = lower + (upper - lower) * nodes
        g = (upper - lower) * weights * np.exp(-z * z / 2.0) / _ROOT_2PI
        return float(g.sum()), float(z @ g), float((z * z) @ g), float((z * z - 1.0) @ g)
    if lower > 0.0:
        mass = (math.erfc(lower / math.sqrt(2.0)) - math.erfc(upper / math.sqrt(2.0))) / 2.0
    elif upper < 0.0:
        mass = (math.erfc(-upper / math.sqrt(2.0)) - math.erfc(-lower / math.sqrt(2.0))) / 2.0
    else:
        mass = (math.erf(upper / math.sqrt(2.0)) - math.erf(lower / math.sqrt(2.0))) / 2.0
    density_low = math.exp(-lower * lower / 2.0) / _ROOT_2PI
    density_high = math.exp(-upper * upper / 2.0) / _ROOT_2PI
    ends = (lower * density_low if math.isfinite(lower) else 0.0) - (
        upper * density_high if math.isfinite(upper) else 0.0
    )
    return mass, density_low - density_high, mass + ends, ends


class SineMoments(_ClosedForm):
    """Moments of sin: E sin² = (1 − e^{−2q})/2, E cos² = (1 + e^{−2q})/2, d E sin²/dq = e^{−2q}."""

    scale_free: float | None = None

    def __init__(self, activation: Activation) -> None:
        self.activation = activation

    def at(self, q: float) -> Moments:
        """Moments at variance q ≥ 0."""
        decay = math.exp(-2.0 * q)
        return Moments(-math.expm1(-2.0 * q) / 2.0, (1.0 + decay) / 2.0, (3.0 + 4.0 * decay + decay**4) / 8.0, decay)

    def first(self, q: float) -> float:  # noqa: ARG002 (the same at every variance)
        """E sin = 0."""
        return 0.0

    def deficit(self, q: float) -> tuple[float, float]:
        """Excess q E φ'² − E φ² = e^{−q} (q cosh q − sinh q), and its absolute error."""
        if q < 0.5:
            # q cosh q − sinh q = Σ q^{2k+1} 2k/(2k+1)!
            total = sum(q ** (2 * k + 1) * 2.0 * k / math.factorial(2 * k + 1) for k in range(1, 9))
            value = math.exp(-q) * total
        else:
            value = (q * (1.0 + math.exp(-2.0 * q)) + math.expm1(-2.0 * q)) / 2.0
        return value, 4.0 * _EPS * (value + min(q, 1.0) ** 3)

    def edges(self, radius: float) -> Array:
        """Multiples of two in (−radius, radius), as far as fits into memory: less than a period each."""
        count = int(min(radius, 1e4) // 2.0)
        return np.arange(-2.0 * count, 2.0 * count + 1.0, 2.0)
