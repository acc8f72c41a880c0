"""Gaussian expectations of an activation and its slope in ball arithmetic: enclosures, the tails bounded.

Between the kinks of φ' the integrand is analytic and FLINT's `acb.integral` gives a proven enclosure; where φ' is
constant the mass of the interval does.  What lies beyond ±R is bounded by sup |φ'| where that is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

from flint import acb, arb, ctx

from ..activations import Activation
from ..errors import ConvergenceError
from ..line.numbers import exactly
from .ball_functions import BallFunction, constant
from .ball_integral import enclosed_integral
from .power_series import working_precision
from .rational_balls import ball_of
from .slope_cells import slope_bound

# Evaluations of one integrand on one interval, at most.
MOST_EVALUATIONS = 60_000
# Bits by which the Gaussian at R is below the working precision.
BEYOND = 40
# Standard deviations within which all of an integrand lies that has no proven bound.
FARTHEST = 400
# Bits with which φ is seen to be continuous at its kinks.
KINK_BITS = 200


@dataclass(frozen=True)
class _Piece:
    """A branch of φ on (lower, upper): None for infinite ends; `slope` where φ' is constant."""

    lower: Fraction | None
    upper: Fraction | None
    function: BallFunction
    slope: Any


@lru_cache(maxsize=64)
def pieces_of(activation: Activation) -> tuple[_Piece, ...]:
    """The branches of φ as functions of balls.

    Raises
    ------
    NotImplementedError : φ is a callable, has no enclosure, or a kink that is no decimal.
    """
    formulas = activation._formulas()
    ends = [None, *map(exactly, activation.kinks), None]
    pieces = []
    for (lower, upper), (value, slope) in zip(pairwise(ends), formulas, strict=True):
        steady = slope if not slope.free_symbols else None
        pieces.append(_Piece(lower, upper, BallFunction(value, slope), steady))
    with working_precision(KINK_BITS):
        for kink, (before, after) in zip(ends[1:-1], pairwise(pieces), strict=True):
            assert kink is not None
            at = acb(ball_of(kink))
            if not abs(before.function(at)[0] - after.function(at)[0]) < arb(2) ** (-KINK_BITS // 2):
                raise NotImplementedError(
                    f"the kink of {activation.name} near {float(kink):.6g} is known as a double only: no decimal"
                )
    return tuple(pieces)


class GaussianBalls:
    """E over h = √q z, z ~ N(0, 1), of functions of φ(h) and φ'(h); at the precision in force when it was made.

    Parameters
    ----------
    activation : from the catalogue or an expression.
    q : variance, a positive ball.

    Attributes
    ----------
    bounded : whether sup |φ'| is known, so that tails are bounded and enclosures proven.

    Raises
    ------
    NotImplementedError : φ is a callable, or has no enclosure.
    """

    def __init__(self, activation: Activation, q: arb) -> None:
        self.activation, self.q = activation, arb(q)
        self.root = self.q.sqrt()
        bound = slope_bound(activation)
        self.bounded = bound is not None
        # Without a bound that is proven, the largest slope found by numbers.
        self.top = arb(activation.slope_bound) if bound is None else bound
        self.reach = math.ceil(math.sqrt(2.0 * math.log(2.0) * (ctx.prec + BEYOND)))

    @cached_property
    def atoms(self) -> list[tuple[arb, arb]] | None:
        """Pairs (P, φ'²) where φ' is constant on every branch."""
        pieces = pieces_of(self.activation)
        if any(piece.slope is None for piece in pieces):
            return None
        return [(self._mass(piece), constant(piece.slope) ** 2) for piece in pieces]

    @cached_property
    def outside(self) -> arb:
        """P(|z| > R)."""
        return (arb(self.reach) / arb(2).sqrt()).erfc()

    def of_slope(self, function: Callable[[acb], acb], bound: Any) -> acb:
        """E f(φ'²), where |f(t)| ≤ `bound` for all t that φ'² may take."""
        total = acb(0)
        for piece in pieces_of(self.activation):
            if piece.slope is not None:
                total += self._mass(piece) * function(acb(constant(piece.slope)) ** 2)
                continue

            def integrand(z: acb, analytic: bool, piece: _Piece = piece) -> acb:
                slope = piece.function(self.root * z, analytic)[1]
                return function(slope * slope) * (-z * z / 2).exp()

            # Of an expression that is seen at points only.
            half = self.activation.even_slope and self.activation.source == "catalogue"
            parts = (self._integral(integrand, a, b) for a, b in self._intervals(piece) if not half or a >= 0)
            total += sum(parts, acb(0)) * (2 if half else 1)
            if not self.bounded:
                total += self._farther(integrand, piece, total)
        return self._widened(total, bound * self.outside)

    def mean(self, function: Callable[[acb, acb, acb], acb], bound: Callable[[arb], arb]) -> arb:
        """E f(z, φ, φ'), where |f| ≤ `bound`(|z|), a quadratic function of |z| times powers of it up to 4."""
        total = acb(0)
        for piece in pieces_of(self.activation):

            def integrand(z: acb, analytic: bool, piece: _Piece = piece) -> acb:
                return function(z, *piece.function(self.root * z, analytic)) * (-z * z / 2).exp()

            total += sum((self._integral(integrand, a, b) for a, b in self._intervals(piece)), acb(0))
            if not self.bounded:
                total += self._farther(integrand, piece, total)
        # ∫_R^∞ z^n e^{−z²/2} ≤ z^{n+1} e^{−z²/2} at R, for n ≤ 4 and R ≥ 3.
        r = arb(self.reach)
        density = (-r * r / 2).exp() / (2 * arb.pi()).sqrt()
        return self._widened(total, 2 * bound(r) * r * density).real

    def _farther(self, integrand: Callable[[acb, bool], acb], piece: _Piece, total: acb) -> acb:
        """What a piece with an infinite end adds beyond ±R, where no bound says that it is nothing: no proof.

        Raises
        ------
        ConvergenceError : it has not faded `FARTHEST` standard deviations out.
        """
        found = acb(0)
        for side in (side for side, end in ((-1, piece.lower), (1, piece.upper)) if end is None):
            faded = 0
            for place in range(self.reach, FARTHEST, 2):
                a, b = (place, place + 2) if side > 0 else (-place - 2, -place)
                part = self._integral(integrand, arb(a), arb(b))
                found += part
                negligible = abs(part) <= arb(2) ** (-ctx.prec) * abs(total + found)
                faded = faded + 1 if negligible else 0
                if faded == 2:
                    break
            else:
                raise ConvergenceError(
                    f"an expectation of {self.activation.name} at q = {float(self.q.mid()):.6g} has not faded "
                    f"{FARTHEST} standard deviations out"
                )
        return found

    def _widened(self, total: acb, tail: Any) -> acb:
        if not self.bounded:
            return total
        size = abs(arb(tail)).upper()
        return total + acb(arb(0, size), arb(0, size))

    def _mass(self, piece: _Piece) -> arb:
        """P(h in the piece), with the digits of small ones."""
        lower, upper = (None if x is None else ball_of(x) / (2 * self.q).sqrt() for x in (piece.lower, piece.upper))
        if lower is not None and lower > 0:
            return (lower.erfc() - (0 if upper is None else upper.erfc())) / 2
        above = arb(2) if upper is None else (-upper).erfc()
        return (above - (0 if lower is None else (-lower).erfc())) / 2

    def _intervals(self, piece: _Piece) -> Iterator[tuple[arb, arb]]:
        """The part of a piece within ±R, in standard deviations, in intervals of two, shorter ones about h = 0.

        Singularities of φ' are as far from h as |h|, or one, or more: intervals that double suit them.
        """
        lower = arb(-self.reach) if piece.lower is None else _clipped(ball_of(piece.lower) / self.root, self.reach)
        upper = arb(self.reach) if piece.upper is None else _clipped(ball_of(piece.upper) / self.root, self.reach)
        scale = 1.0 / math.sqrt(float(self.q.mid()))
        steps = [scale * 2.0**k for k in range(16) if scale * 2.0**k < 2.0] if scale < 2.0 else []
        cuts = sorted({0.0, *steps, *(-x for x in steps), *(2.0 * k for k in range(-self.reach, self.reach))})
        return pairwise([lower, *(x for x in map(arb, cuts) if lower < x < upper), upper])

    def _integral(self, integrand: Callable[[acb, bool], acb], lower: arb, upper: arb) -> acb:
        if (lower - upper).is_zero():
            return acb(0)
        tiny, part = arb(2) ** (-ctx.prec - BEYOND), arb(2) ** -ctx.prec
        value = enclosed_integral(integrand, lower, upper, tiny=tiny, part=part, most=MOST_EVALUATIONS)
        if not value.is_finite():
            raise ConvergenceError(
                f"an expectation of {self.activation.name} at q = {float(self.q.mid()):.6g} could not be enclosed "
                f"between {float(lower.mid()):.3g} and {float(upper.mid()):.3g} standard deviations"
            )
        return value / (2 * arb.pi()).sqrt()


def _clipped(place: arb, reach: int) -> arb:
    """The place, no farther out than ±R."""
    return arb(-reach) if place < -reach else arb(reach) if place > reach else place
