"""What an expression can be on a half line [T, ∞): bounds by powers of x, from the leaves of the expression up.

Every subexpression is written f(x) = x^p c(x) with c(x) in a ball for all x ≥ T.  Products add the powers, a sum keeps
the largest, functions that level off give p = 0, and what falls off exponentially gets x^{−M}: x^M e^{−a x^p}
decreases from (M/(a p))^{1/p} on, so that its value at T bounds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import sympy
from flint import acb, arb

from ..activations import symbolic
from ..errors import ConvergenceError
from .ball_functions import apply, constant
from .rational_balls import ball_of

# The power that stands for an exponential fall, and that for a logarithm: log x < 4 x^{1/4}.
FALL = Fraction(-24)
LOGARITHM = Fraction(1, 4)


@dataclass(frozen=True)
class Tail:
    """f(x) = x^power c(x), c(x) in the ball `factor` for all x ≥ `start` ≥ 1."""

    power: Fraction
    factor: arb
    start: arb

    def __add__(self, other: Tail) -> Tail:
        power = max(self.power, other.power)
        return Tail(power, self.raised(power) + other.raised(power), self.start)

    def __mul__(self, other: Tail) -> Tail:
        return Tail(self.power + other.power, self.factor * other.factor, self.start)

    def raised(self, power: Fraction) -> arb:
        """The factor that goes with a larger power."""
        if power == self.power:
            return self.factor
        # 0 < x^{p − power} ≤ T^{p − power}.
        return self.factor * _down_to_zero(_to_the(self.start, self.power - power))

    @property
    def range(self) -> arb:
        """The values of f.

        Raises
        ------
        ConvergenceError : no bound.
        """
        if self.power > 0 and not self.factor.is_zero():
            raise ConvergenceError("a tail without bounds")
        return self.raised(Fraction(0)) if self.power else self.factor

    def least(self) -> arb:
        """A lower bound of |f|, 0 where there is none; of growing functions, too."""
        low = abs(self.factor).lower()
        if self.power < 0 or not low > 0:
            return arb(0)
        return (low * _to_the(self.start, self.power)).lower()


def tail_of(expression: Any, start: arb) -> Tail:
    """The bounds of an expression in x for x ≥ `start`.

    Raises
    ------
    ConvergenceError : none were found: exponential growth, or `start` too small.
    NotImplementedError : a function that has no enclosure.
    """
    if not start >= 1:
        raise ValueError(f"`tail_of(start={start})`: `start` must be at least 1.")
    known: dict[Any, Tail] = {}

    def visit(e: Any) -> Tail:
        if e not in known:
            known[e] = _tail(e, start, visit)
            if not known[e].factor.is_finite():
                raise ConvergenceError(f"no bound for {str(e)[:40]} beyond {float(start.mid()):.3g}")
        return known[e]

    return visit(expression)


def _tail(e: Any, start: arb, visit: Callable[[Any], Tail]) -> Tail:
    if not e.free_symbols:
        return Tail(Fraction(0), constant(e), start)
    if e == symbolic.X:
        return Tail(Fraction(1), arb(1), start)
    if isinstance(e, sympy.Add):
        return reduce(lambda a, b: a + b, map(visit, e.args))
    if isinstance(e, sympy.Mul):
        return reduce(lambda a, b: a * b, map(visit, e.args))
    if isinstance(e, sympy.Pow) and not isinstance(e, sympy.exp):
        return _power(visit(e.base), e.exp)
    name = type(e).__name__
    u = visit(e.args[0])
    if u.power <= 0:
        return _of_bounded(name, u)
    if name in _WAVES:
        return Tail(Fraction(0), arb(0, 1), start)
    if not (u.factor > 0 or u.factor < 0):
        raise ConvergenceError(f"no sign of {str(e.args[0])[:40]} for large x")
    if name not in _FAR:
        raise ConvergenceError(f"{name} grows without a bound by powers")
    return _FAR[name](u, bool(u.factor > 0))


def _power(u: Tail, exponent: Any) -> Tail:
    if not exponent.is_Rational:
        raise NotImplementedError(f"the exponent {exponent} is not rational")
    p = Fraction(int(exponent.p), int(exponent.q))
    factor = u.factor ** int(p) if p.denominator == 1 else u.factor ** ball_of(p) if u.factor > 0 else arb("nan")
    return Tail(u.power * p, factor, u.start)


def _of_bounded(name: str, u: Tail) -> Tail:
    """f(u) of bounded u; where f(0) = 0 as u times f(u)/u, which keeps the power of a u that falls off."""
    values = u.range
    if name in _FROM_ZERO and u.power < 0:
        # f(u)/u = f'(v) for some v between 0 and u.
        between = values.union(arb(0))
        return Tail(u.power, u.factor * apply(_FROM_ZERO[name], acb(between)).real, u.start)
    found = apply(name, acb(values)).real
    return Tail(Fraction(0), found, u.start)


def _to_the(x: arb, p: Fraction) -> arb:
    return x ** ball_of(p)


def _down_to_zero(x: arb) -> arb:
    """The interval from 0 to x."""
    return arb(0).union(x)


def _size(u: Tail) -> arb:
    """A lower bound of |u|/x^p."""
    return abs(u.factor).lower()


def _falling(u: Tail, rate: int, square: bool = False) -> Tail:
    """The interval from 0 to e^{−rate |u|}, or to e^{−u²/2}, as a power.

    Raises
    ------
    ConvergenceError : the start is too near for it.
    """
    power, steep = (2 * u.power, _size(u) ** 2 / 2) if square else (u.power, rate * _size(u))
    exponent = steep * _to_the(u.start, power)
    if not exponent * ball_of(power) >= -ball_of(FALL):
        raise ConvergenceError("an exponential has not begun to fall like a power")
    return Tail(FALL, _down_to_zero((-exponent).exp() * _to_the(u.start, -FALL)), u.start)


def _near(u: Tail, value: Any, rest: Tail) -> Tail:
    """A constant and what falls off."""
    return Tail(Fraction(0), arb(value), u.start) + rest


def _times(u: Tail, number: Any) -> Tail:
    return Tail(u.power, u.factor * number, u.start)


def _modulus(u: Tail) -> Tail:
    return Tail(u.power, abs(u.factor), u.start)


def _exp(u: Tail, positive: bool) -> Tail:
    if positive:
        raise ConvergenceError("exponential growth")
    return _falling(u, 1)


def _tanh(u: Tail, positive: bool) -> Tail:
    # 1 − tanh|u| ≤ 2 e^{−2|u|}.
    return _times(_near(u, 1, _times(_falling(u, 2), -2)), 1 if positive else -1)


def _sigmoid(u: Tail, positive: bool) -> Tail:
    return _near(u, 1, _times(_falling(u, 1), -1)) if positive else _falling(u, 1)


def _softplus(u: Tail, positive: bool) -> Tail:
    return u + _falling(u, 1) if positive else _falling(u, 1)


def _erfc(u: Tail, positive: bool) -> Tail:
    # erfc u ≤ e^{−u²}, u ≥ 0.
    fall = _falling(_times(u, arb(2).sqrt()), 1, square=True)
    return fall if positive else _near(u, 2, _times(fall, -1))


def _normal_cdf(u: Tail, positive: bool) -> Tail:
    return _times(_erfc(_times(u, -1 / arb(2).sqrt()), not positive), arb(1) / 2)


def _erf(u: Tail, positive: bool) -> Tail:
    one = _near(u, 1, _times(_erfc(_modulus(u), True), -1))
    return one if positive else _times(one, -1)


def _atan(u: Tail, positive: bool) -> Tail:
    # π/2 − 1/|u| ≤ atan|u| ≤ π/2.
    inverse = Tail(-u.power, _down_to_zero(1 / _size(u)), u.start)
    return _times(_near(u, arb.pi() / 2, _times(inverse, -1)), 1 if positive else -1)


def _log(u: Tail, positive: bool) -> Tail:
    if not positive:
        raise ConvergenceError("the logarithm of a negative number")
    # log x^p c = p log x + log c.
    slow = Tail(LOGARITHM, ball_of(u.power / LOGARITHM) * _down_to_zero(arb(1)), u.start)
    return slow + Tail(Fraction(0), u.factor.log(), u.start)


def _asinh(u: Tail, positive: bool) -> Tail:
    # 0 ≤ asinh|u| − log 2|u| ≤ 1/(4u²).
    inverse = Tail(-2 * u.power, _down_to_zero(1 / (2 * _size(u)) ** 2), u.start)
    found = _log(_times(_modulus(u), 2), True) + inverse
    return found if positive else _times(found, -1)


def _expm1(u: Tail, positive: bool) -> Tail:
    return _near(u, -1, _exp(u, positive))


def _log_cosh(u: Tail, _: bool) -> Tail:
    # |u| − log 2 + log(1 + e^{−2|u|}).
    return _modulus(u) + _near(u, -arb(2).log(), _falling(u, 2))


def _log1p(u: Tail, positive: bool) -> Tail:
    return _log(Tail(Fraction(0), arb(1), u.start) + u, positive)


# Of a large argument, which keeps its sign.
_FAR: dict[str, Callable[[Tail, bool], Tail]] = {
    "exp": _exp,
    "log": _log,
    "atan": _atan,
    "asinh": _asinh,
    "erf": _erf,
    "erfc": _erfc,
    "tanh": _tanh,
    "sech2": lambda u, _: _times(_falling(u, 2), 4),
    "sigmoid": _sigmoid,
    "sigmoid_slope": lambda u, _: _falling(u, 1),
    "softplus": _softplus,
    "expm1": _expm1,
    "log1p": _log1p,
    "normal_pdf": lambda u, _: _times(_falling(u, 1, square=True), 1 / (2 * arb.pi()).sqrt()),
    "normal_cdf": _normal_cdf,
    "log_cosh": _log_cosh,
}
_WAVES = ("sin", "cos")
# Functions that are 0 at 0, with their derivatives.
_FROM_ZERO = {"sin": "cos", "sinh": "cosh", "tanh": "sech2", "expm1": "exp"}
