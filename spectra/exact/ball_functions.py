"""Sympy expressions as functions of a complex ball: enclosures that hold for every point of it.

Each distinct subexpression is evaluated once.  Where a branch cut of a logarithm or a root meets the ball the value is
not finite if `analytic` is asked for, as `acb.integral` wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import sympy
from flint import acb, arb, ctx, fmpq

from ..activations import symbolic

_Operation = Callable[..., Any]


class BallFunction:
    """Expressions in the variable x as functions of a ball, at the precision in force.

    Parameters
    ----------
    expressions : in elementary functions and the primitives of `spectra.activations.symbolic`.

    Raises
    ------
    NotImplementedError : a function that has no enclosure here.
    """

    def __init__(self, *expressions: Any) -> None:
        # Operation and places of its arguments; x has place 0.
        self._steps: list[tuple[_Operation, tuple[int, ...]]] = []
        self._places: dict[Any, int] = {symbolic.X: 0}
        self._results = [self._place(e) for e in expressions]

    def __call__(self, x: acb, analytic: bool = False) -> list[acb]:
        """The enclosures of all expressions over the ball x."""
        values = [x]
        for operation, places in self._steps:
            values.append(operation(analytic, *[values[k] for k in places]))
        return [values[k] for k in self._results]

    def _place(self, e: Any) -> int:
        known = self._places.get(e)
        if known is not None:
            return known
        operation = _Constant(e) if not e.free_symbols else _operation(e)
        arguments = () if not e.free_symbols else (e.base,) if isinstance(e, sympy.Pow) else e.args
        places = tuple(self._place(a) for a in arguments)
        self._steps.append((operation, places))
        self._places[e] = len(self._steps)
        return len(self._steps)


class _Constant:
    """An expression without variables, computed once for every precision."""

    def __init__(self, expression: Any) -> None:
        self._expression, self._known = expression, dict[int, acb]()

    def __call__(self, _: bool) -> acb:
        if ctx.prec not in self._known:
            self._known[ctx.prec] = acb(constant(self._expression))
        return self._known[ctx.prec]


def constant(e: Any) -> arb:
    """The enclosure of a real constant: rationals, π, e, and elementary functions of them."""
    if e.is_Rational:
        return arb(fmpq(int(e.p), int(e.q)))
    if e is sympy.pi:
        return arb.pi()
    if e is sympy.E:
        return arb.const_e()
    arguments = (e.base,) if isinstance(e, sympy.Pow) else e.args
    return _operation(e)(False, *[acb(constant(a)) for a in arguments]).real


def apply(name: str, u: acb) -> acb:
    """A named function of one ball.

    Raises
    ------
    NotImplementedError : it has no enclosure here.
    """
    if name not in _OPERATIONS:
        raise NotImplementedError(f"{name} has no enclosure in ball arithmetic")
    return _OPERATIONS[name](False, u)


def _operation(e: Any) -> _Operation:
    """What to do with the enclosures of the arguments; of the base alone for powers."""
    if isinstance(e, sympy.Pow) and not isinstance(e, sympy.exp):
        if not e.exp.is_Rational:
            raise NotImplementedError(f"the exponent of {e} is not rational")
        return _power(*sympy.Rational(e.exp).as_numer_denom())
    name = type(e).__name__
    if name not in _OPERATIONS:
        raise NotImplementedError(f"{name} has no enclosure in ball arithmetic")
    return _OPERATIONS[name]


def _power(numerator: Any, denominator: Any) -> _Operation:
    p, q = int(numerator), int(denominator)
    if q == 1:
        return lambda _, u: u**p
    if q == 2:
        return lambda analytic, u: u.sqrt(analytic=analytic) ** p
    return lambda analytic, u: u.pow(acb(fmpq(p, q)), analytic=analytic)


def _sigmoid(_: bool, u: acb) -> acb:
    # Over a wide ball far out only the exponential that decays there has a bound.
    if u.real < 0:
        e = u.exp()
        return e / (1 + e)
    return 1 / (1 + (-u).exp())


def _sigmoid_slope(_: bool, u: acb) -> acb:
    e = (u if u.real < 0 else -u).exp()
    return e / (1 + e) ** 2


def _tanh(_: bool, u: acb) -> acb:
    if abs(u.real) < 2 or u.real.contains(0):
        return u.tanh()
    e = (2 * u if u.real < 0 else -2 * u).exp()
    return (e - 1) / (e + 1) if u.real < 0 else (1 - e) / (1 + e)


def _softplus(analytic: bool, u: acb) -> acb:
    # Of the two forms the one without cancellation; both have the branch points where eᵘ = −1.
    if u.real > 0:
        return u + (1 + (-u).exp()).log(analytic=analytic)
    return _log1p(analytic, u.exp())


def _log1p(analytic: bool, u: acb) -> acb:
    # `acb.log1p` keeps the digits of small arguments but does not look for its cut.
    if analytic and not (1 + u).log(analytic=True).is_finite():
        return acb("nan")
    return u.log1p()


def _cut_at_imaginary_axis(function: Callable[[acb], acb]) -> _Operation:
    """Atan and asinh are analytic off ±i[1, ∞)."""

    def operation(analytic: bool, u: acb) -> acb:
        if analytic and u.real.contains(0) and not abs(u.imag) < 1:
            return acb("nan")
        return function(u)

    return operation


def _asinh(u: acb) -> acb:
    # Odd; `acb.asinh` has bounds over wide balls to the left only.
    return -(-u).asinh() if u.real > 0 else u.asinh()


_OPERATIONS: dict[str, _Operation] = {
    "Add": lambda _, *terms: reduce(lambda a, b: a + b, terms),
    "Mul": lambda _, *terms: reduce(lambda a, b: a * b, terms),
    "exp": lambda _, u: u.exp(),
    "log": lambda analytic, u: u.log(analytic=analytic),
    "sin": lambda _, u: u.sin(),
    "cos": lambda _, u: u.cos(),
    "sinh": lambda _, u: u.sinh(),
    "cosh": lambda _, u: u.cosh(),
    "atan": _cut_at_imaginary_axis(lambda u: u.atan()),
    "asinh": _cut_at_imaginary_axis(_asinh),
    "erf": lambda _, u: u.erf(),
    "erfc": lambda _, u: u.erfc(),
    "tanh": _tanh,
    "sech2": lambda _, u: 4 * _sigmoid_slope(_, 2 * u),
    "sigmoid": _sigmoid,
    "sigmoid_slope": _sigmoid_slope,
    "softplus": _softplus,
    "expm1": lambda _, u: u.expm1(),
    "log1p": _log1p,
    "normal_pdf": lambda _, u: (-u * u / 2).exp() / (2 * arb.pi()).sqrt(),
    "normal_cdf": lambda _, u: (-u / arb(2).sqrt()).erfc() / 2,
    "log_cosh": lambda analytic, u: u.cosh().log(analytic=analytic),
}
