"""Where the edge of chaos goes as q → ∞, with proof: the limit of σ_b²/√q = (q E φ'² − E φ²)/(√q E φ'²).

With φ' → s± as x → ±∞, φ − s± x → d±, ψ = s± x + d± for x ≷ 0, and n the normal density,

    E φ'² → κ = (s₊² + s₋²)/2,   (q E φ'² − E φ²)/√q → n(0) K,   K = ∫ (φ'² − ψ'²) dx − 2 (s₊d₊ − s₋d₋):

E φ'² = κ + n(0)/√q ∫ (φ'² − ψ'²) dx and E φ² = κ q + 2 √q n(0) (s₊d₊ − s₋d₋), each with smaller terms.  The integral is
split at ±T: balls inside, bounds by powers of x outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sympy
from flint import acb, arb

from ..activations import Activation, symbolic
from ..activations.symbolic import X
from ..errors import ConvergenceError
from ..line.numbers import exactly
from .ball_field import is_homogeneous
from .ball_functions import BallFunction, constant
from .ball_integral import enclosed_integral
from .budget import budget
from .gaussian_balls import pieces_of
from .power_series import working_precision
from .rational_balls import ball_of
from .tail_bounds import Tail, tail_of

BITS = 96
# T: this, or twice the outermost kink; doubled so often where bounds do not hold yet.
NEAREST, DOUBLINGS = 32, 3
# Evaluations of one integrand, and of all.
MOST_EVALUATIONS, EVALUATIONS = 20_000, 200_000


@dataclass(frozen=True)
class BiasLimit:
    """The limit of σ_b²/√q as q → ∞.

    Parameters
    ----------
    sign : −1, 0 or 1, proven.
    words : the limit as a number with its digits, or "∞".
    """

    sign: int
    words: str


def limit_of_bias(activation: Activation) -> BiasLimit:
    """The limit of σ_b²/√q along the edge of chaos of φ: n(0) K/κ, ∞ where φ levels off on both sides.

    Raises
    ------
    ConvergenceError : φ' does not level off at constants, or not fast enough, or the sign of K was not decided.
    NotImplementedError : φ is a callable, or has no enclosure.

    Examples
    --------
    >>> from spectra.activations import get_activation
    >>> limit_of_bias(get_activation("softplus"))
    BiasLimit(sign=-1, words='-0.797885')
    """
    with working_precision(BITS), budget(EVALUATIONS):
        if is_homogeneous(activation):
            return BiasLimit(0, "0")
        value, kappa = _leading(activation)
        if not (value > 0 or value < 0):
            raise ConvergenceError("the sign of σ_b² for large q* was not decided")
        sign = 1 if value > 0 else -1
        if kappa.is_zero():
            return BiasLimit(sign, "∞" if sign > 0 else "−∞")
        return BiasLimit(sign, f"{float((value / kappa / (2 * arb.pi()).sqrt()).mid()):.6g}")


@dataclass(frozen=True)
class _Side:
    """φ(±x) for x ≥ T: s and d as above, of φ(x) on the right and on the left; `rest` = ∫_T^∞ |φ'² − s²|."""

    s: arb
    d: arb
    rest: arb


def _leading(activation: Activation) -> tuple[arb, arb]:
    """K and κ."""
    pieces, formulas = pieces_of(activation), activation._formulas()
    kinks = [exactly(k) for k in activation.kinks]
    start = arb(NEAREST).max(2 * max((abs(ball_of(k)) for k in kinks), default=arb(0), key=float)).mid()
    for attempt in range(DOUBLINGS + 1):
        try:
            right = _side(formulas[-1][1], pieces[-1].function, start, 1)
            left = _side(formulas[0][1], pieces[0].function, start, -1)
            break
        except ConvergenceError:
            if attempt == DOUBLINGS:
                raise
            start = 2 * start
    total = arb(0, (right.rest + left.rest).upper()) - 2 * (right.s * right.d - left.s * left.d)
    for low, high in pairwise([-start, *map(ball_of, sorted({exactly(0.0), *kinks})), start]):
        middle = (low + high) / 2
        piece = pieces[sum(1 for k in kinks if ball_of(k) < middle)]
        total += _squares(piece.function, (right if middle > 0 else left).s, low, high)
    return total, (right.s * right.s + left.s * left.s) / 2


def _side(slope: Any, function: BallFunction, start: arb, sign: int) -> _Side:
    value = function(acb(sign * start))[0].real
    if not slope.free_symbols:
        s = constant(slope)
        return _Side(s, value - s * sign * start, arb(0))
    limit, rest = levelled(slope if sign > 0 else slope.xreplace({X: -X}), start)
    if not rest.power < -1:
        raise ConvergenceError("φ' levels off too slowly")
    s, size = constant(limit), abs(rest.factor).upper() * start ** ball_of(rest.power)
    # ∫_T^∞ c x^power; |φ'² − s²| ≤ |φ' − s| (2|s| + |φ' − s|).
    area = size * start / -(ball_of(rest.power) + 1)
    return _Side(s, value - s * sign * start + arb(0, area.upper()), area * (2 * abs(s) + size))


def levelled(expression: Any, start: arb) -> tuple[Any, Tail]:
    """The constant that an expression in x tends to as x → ∞, and what is left, which falls off.

    Functions that level off are written as their limit and the rest, so that constants meet and cancel.

    Raises
    ------
    ConvergenceError : it does not level off, or not seen to.
    """
    rational = expression.is_rational_function(X)
    apart = sympy.apart(expression, X) if rational else sympy.expand(_seen_from_afar(expression, start))
    limit, rest = apart.as_independent(X, as_Add=True)
    tail = tail_of(rest, start)
    if not tail.power < 0:
        raise ConvergenceError("φ' does not level off")
    return limit, tail


def _seen_from_afar(e: Any, start: arb) -> Any:
    """Written in functions that fall off, from the leaves up."""
    if not e.args or not e.has(X):
        return e
    e = e.func(*[_seen_from_afar(a, start) for a in e.args])
    name = type(e).__name__
    if name not in _LEVELS:
        return e
    u = e.args[0]
    tail = tail_of(sympy.expand(u), start)
    if not tail.power > 0 or tail.factor.contains(0):
        return e
    return _LEVELS[name](u, bool(tail.factor > 0))


# f(u) as u → ∞ or −∞.
_LEVELS: dict[str, Any] = {
    "sigmoid": lambda u, up: 1 - symbolic.sigmoid(-u) if up else symbolic.sigmoid(u),
    "normal_cdf": lambda u, up: 1 - symbolic.normal_cdf(-u) if up else symbolic.normal_cdf(u),
    "softplus": lambda u, up: u + symbolic.softplus(-u) if up else symbolic.softplus(u),
    "tanh": lambda u, up: 1 - 2 * symbolic.sigmoid(-2 * u) if up else 2 * symbolic.sigmoid(2 * u) - 1,
    "erf": lambda u, up: 1 - sympy.erfc(u, evaluate=False) if up else sympy.erfc(-u, evaluate=False) - 1,
}


def _squares(function: BallFunction, s: arb, low: arb, high: arb) -> arb:
    """∫ (φ'² − s²) over a piece between kinks."""

    def beyond(z: acb, analytic: bool) -> acb:
        slope = function(z, analytic)[1]
        return (slope - s) * (slope + s)

    tiny = arb(2) ** -60
    value = enclosed_integral(beyond, low, high, tiny=tiny, part=tiny, most=MOST_EVALUATIONS).real
    if not value.is_finite():
        raise ConvergenceError("∫ (φ'² − s²) dx was not enclosed")
    return value
