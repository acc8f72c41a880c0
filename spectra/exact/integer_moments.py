"""Moments of JJᵀ of homogeneous layers as integers over powers of one denominator, by Newton's method on series.

φ' of such a layer has two values, and with v = ρ w and κ = 4 a b/(a + b)², a and b their squares, y = S(0)/S solves

  (1 + v) y² − (1 + 2 v) y + κ v = 0,  y(0) = 1,

as ψ_{D²}(S v/(1 + v)) = v is a quadratic equation; (1 + v) y is the same of a layer with Gaussian weights.  So
w = ψ_{JJᵀ}, of unit mean, solves w Π (1 + r w)^e = u Π y^n.  For w(q x)/q, where q clears the denominators of all r, ρ
and κ ρ, every coefficient of the equations is an integer, and so are those of y and w: nothing is reduced on the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from flint import fmpz, fmpz_poly


@dataclass(frozen=True)
class HomogeneousEquation:
    """w Π (1 + r w)^e = u Π y(ρ w)^n.

    Parameters
    ----------
    shifts : e by r.
    pairs : n by (κ, ρ), n ≥ 0.
    """

    shifts: Mapping[Fraction, int]
    pairs: Mapping[tuple[Fraction, Fraction], int]

    @property
    def denominator(self) -> int:
        """The least q that serves."""
        numbers = (*self.shifts, *(x for kappa, ratio in self.pairs for x in (ratio, kappa * ratio)))
        return math.lcm(*(x.denominator for x in numbers))


@dataclass
class _Root:
    """y as a series in x, or t = (1 + v) y: t² − (1 + 2 v) t + κ v (1 + v) = 0.

    Parameters
    ----------
    ratio, product : ρ q and κ ρ q.
    count : n.
    shifted : whether it is t.
    series : as many terms as are known; y = 1 + (1 − κ) v + …, t = 1 + (2 − κ) v + ….
    """

    ratio: int
    product: int
    count: int
    shifted: bool
    series: fmpz_poly

    def lift(self, w: fmpz_poly, half: int, length: int) -> fmpz_poly:
        """Newton's step from `half` terms to `length`, at the w given; gives dy/dw, `length` − `half` terms of it."""
        y, v, kv, rest = self.series, w * self.ratio, w * self.product, length - half
        middle = v * 2 + 1
        if self.shifted:
            defect = y.mul_low(y - middle, length) + kv.mul_low(v + 1, length)
            double, slope = y * 2, y * (2 * self.ratio) - middle * self.product
        else:
            first = y.mul_low(v + 1, length)
            defect = y.mul_low(first - middle, length) + kv
            double, slope = first * 2, y.mul_low(2 - y, rest) * self.ratio - self.product
        inverse = _inverse((double - middle).truncate(rest), rest)
        self.series = y - defect.right_shift(half).mul_low(inverse, rest).left_shift(half)
        return slope.mul_low(inverse, rest)


def integer_moments(equation: HomogeneousEquation, order: int) -> list[fmpz]:
    """q^{k−1} m_k/m_1^k, k = 1 … n: integers.

    Accuracy
    --------
    Exact.  The cost is that of some ten products of polynomials of n coefficients, of n log_2(q λ_max/m_1) bits.
    """
    q, shifts, roots = equation.denominator, dict(equation.shifts), []
    for (kappa, rho), count in equation.pairs.items():
        e = shifts.get(rho, 0)
        # The lower power of 1 + v.
        shifted = abs(e + count) < abs(e)
        shifts[rho] = e + count if shifted else e
        ratio, product = int(rho * q), int(kappa * rho * q)
        first = (2 if shifted else 1) * ratio - product
        roots.append(_Root(ratio, product, count, shifted, fmpz_poly([1, first])))
    w, half = fmpz_poly([0, 1]), 2
    for length in _lengths(order + 1):
        rest = length - half
        slopes = [root.lift(w, half, length) for root in roots]
        left, right = fmpz_poly([1]), fmpz_poly([1])
        for r, e in shifts.items():
            power = (w * int(r * q) + 1).pow_trunc(abs(e), length)
            left, right = (left.mul_low(power, length), right) if e > 0 else (left, right.mul_low(power, length))
        for root in roots:
            right = right.mul_low(root.series.pow_trunc(root.count, length), length)
        defect = (w.mul_low(left, length) - right.left_shift(1).truncate(length)).right_shift(half)
        # d(w left − u right)/dw at a solution is left w/(u w').
        inverse = _inverse(w.right_shift(1).mul_low(left, rest), rest)
        change = -defect.mul_low(w.derivative().mul_low(inverse, rest), rest)
        w = w + change.left_shift(half)
        for root, slope in zip(roots, slopes, strict=True):
            root.series = root.series + slope.mul_low(change, rest).left_shift(half)
        half = length
    return [w[k] for k in range(1, order + 1)]


def _lengths(last: int) -> Iterator[int]:
    """Numbers of terms of w after each step: from n, no more than 2 n − 1, as w/u has one less than w."""
    if last > 2:
        yield from _lengths((last + 2) // 2)
        yield last


def _inverse(a: fmpz_poly, length: int) -> fmpz_poly:
    """1/a, a_0 = 1, `length` terms."""
    inverse, known = fmpz_poly([1]), 1
    while known < length:
        known = min(2 * known, length)
        inverse = inverse.mul_low(2 - inverse.mul_low(a.truncate(known), known), known)
    return inverse
