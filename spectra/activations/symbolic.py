"""The sympy side of `primitives`: each function with its defining expression and its derivative.

Differentiating a formula written in these keeps it in these, so that sympy's derivative is at once the numerically
stable one. Imports sympy; nothing on the way of `import spectra` may import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import sympy

from spectra.activations.definitions import Definition

if TYPE_CHECKING:
    from spectra.activations.activation import Activation

X = sympy.Symbol("x", real=True)


class Primitive(sympy.Function):
    """A one-argument function with a `definition` in plain sympy and a derivative `rule` in primitives."""

    nargs = 1
    definition: Callable[[Any], Any]
    rule: Callable[[Any], Any]
    mp: Callable[[Any, Any], Any]

    def fdiff(self, argindex: int = 1) -> Any:  # noqa: ARG002 (sympy's signature)
        """Return the derivative by the primitive's own rule."""
        return type(self).rule(self.args[0])

    def _eval_evalf(self, prec: int) -> Any:
        return type(self).definition(self.args[0])._eval_evalf(prec)

    def _eval_is_extended_real(self) -> bool | None:
        return self.args[0].is_extended_real


def _primitive(name: str, definition: Callable, rule: Callable, mp: Callable) -> Any:
    members = {"definition": staticmethod(definition), "rule": staticmethod(rule), "mp": staticmethod(mp)}
    return type(name, (Primitive,), members)


tanh = _primitive("tanh", sympy.tanh, lambda u: sech2(u), lambda mp, u: mp.tanh(u))
sech2 = _primitive(
    "sech2", lambda u: sympy.sech(u) ** 2, lambda u: -2 * tanh(u) * sech2(u), lambda mp, u: mp.sech(u) ** 2
)
sigmoid = _primitive(
    "sigmoid", lambda u: 1 / (1 + sympy.exp(-u)), lambda u: sigmoid_slope(u), lambda mp, u: 1 / (1 + mp.exp(-u))
)
sigmoid_slope = _primitive(
    "sigmoid_slope",
    lambda u: sympy.exp(-u) / (1 + sympy.exp(-u)) ** 2,
    lambda u: -tanh(u / 2) * sigmoid_slope(u),
    lambda mp, u: mp.sech(u / 2) ** 2 / 4,
)
softplus = _primitive(
    "softplus",
    lambda u: sympy.log(1 + sympy.exp(u)),
    lambda u: sigmoid(u),
    lambda mp, u: mp.log1p(mp.exp(u)) if mp.re(u) < 0 else u + mp.log1p(mp.exp(-u)),
)
expm1 = _primitive("expm1", lambda u: sympy.exp(u) - 1, lambda u: sympy.exp(u), lambda mp, u: mp.expm1(u))
log1p = _primitive("log1p", lambda u: sympy.log(1 + u), lambda u: 1 / (1 + u), lambda mp, u: mp.log1p(u))
normal_pdf = _primitive(
    "normal_pdf",
    lambda u: sympy.exp(-(u**2) / 2) / sympy.sqrt(2 * sympy.pi),
    lambda u: -u * normal_pdf(u),
    lambda mp, u: mp.npdf(u),
)
normal_cdf = _primitive(
    "normal_cdf",
    # evaluated, sympy turns erfc(−v) into 2 − erfc(v), whose digits cancel in the left tail
    lambda u: sympy.erfc(-u / sympy.sqrt(2), evaluate=False) / 2,
    lambda u: normal_pdf(u),
    lambda mp, u: mp.erfc(-u / mp.sqrt(2)) / 2,
)

log_cosh = _primitive(
    "log_cosh", lambda u: sympy.log(sympy.cosh(u)), lambda u: tanh(u), lambda mp, u: mp.log1p(2 * mp.sinh(u / 2) ** 2)
)

PRIMITIVES: dict[str, Any] = {
    p.__name__: p
    for p in (tanh, sech2, sigmoid, sigmoid_slope, softplus, expm1, log1p, normal_pdf, normal_cdf, log_cosh)
}


def stable(expression: Any) -> Any:
    """Write the function with overflowing idioms as primitives: log(1 + eᵘ), 1/(1 + eᵘ), eᵘ/(1 + eᵘ), log cosh u."""
    expression = expression.replace(
        lambda e: isinstance(e, sympy.log) and _one_plus_exp(e.args[0]) is not None,
        lambda e: softplus(_one_plus_exp(e.args[0])),
    )
    expression = expression.replace(
        lambda e: isinstance(e, sympy.log) and isinstance(e.args[0], sympy.cosh), lambda e: log_cosh(e.args[0].args[0])
    )
    expression = expression.replace(
        lambda e: isinstance(e, sympy.Pow) and e.exp.is_Integer and e.exp < 0 and _one_plus_exp(e.base) is not None,
        lambda e: sigmoid(-_one_plus_exp(e.base)) ** -e.exp,
    )
    return expression.replace(lambda e: isinstance(e, sympy.Mul), _merge_exp_sigmoid)


def _one_plus_exp(e: Any) -> Any:
    """Return the argument u where `e` is 1 + eᵘ, else None."""
    if isinstance(e, sympy.Add) and len(e.args) == 2 and e.args[0] == 1 and isinstance(e.args[1], sympy.exp):
        return e.args[1].args[0]
    return None


def _merge_exp_sigmoid(product: Any) -> Any:
    """Return the product with eᵘ sigmoid(−u) written as sigmoid(u)."""
    factors: list[Any] = list(product.args)
    for factor in list(factors):
        if isinstance(factor, sympy.exp):
            u: Any = factor.args[0]
            if sigmoid(-u) in factors:
                factors.remove(factor)
                factors.remove(sigmoid(-u))
                factors.append(sigmoid(u))
    return sympy.Mul(*factors)


def elementary(expression: Any) -> Any:
    """Write the expression with every primitive replaced by its defining formula in plain sympy."""
    for primitive in PRIMITIVES.values():
        expression = expression.replace(primitive, primitive.definition)
    return expression


_MPMATH_NAMES = ("exp", "log", "sqrt", "sin", "cos", "sinh", "cosh", "atan", "asinh", "erf", "erfc")
# mpmath spends as many bits as the argument has before the point: exp(exp(exp(10⁴))) would never end
_LARGEST_MAGNITUDE = 1 << 16


def _guarded(function: Callable[[Any], Any], mpmath: Any) -> Callable[[Any], Any]:
    def guarded(u: Any) -> Any:
        if mpmath.isfinite(u) and mpmath.mag(u) > _LARGEST_MAGNITUDE:
            raise OverflowError("argument beyond 2^65536")
        return function(u)

    return guarded


@lru_cache(maxsize=1024)
def mpmath_function(expression: Any) -> Callable[[Any], Any]:
    """`expression` in x as a function of one mpmath number, evaluated at the working precision plus a few digits.

    Relative accuracy: primitives are evaluated by formulas without cancellation, so tails keep all digits.
    """
    import mpmath

    functions = {name: getattr(mpmath, name) for name in _MPMATH_NAMES}
    functions |= {name: (lambda u, p=p: p.mp(mpmath, u)) for name, p in PRIMITIVES.items()}
    function = sympy.lambdify(
        [X], expression, modules=[{name: _guarded(f, mpmath) for name, f in functions.items()}, "mpmath"]
    )

    def evaluate(x: Any) -> Any:
        with mpmath.workdps(mpmath.mp.dps + 10):
            result = function(mpmath.mpmathify(x))
        return +mpmath.mpmathify(result)

    return evaluate


def formulas_and_slopes(definition: Definition, values: Mapping[str, float] | None = None) -> list[tuple[Any, Any]]:
    """(φ, φ') of every branch of a catalogue entry; parameters stay symbols unless `values` are given.

    Values are the decimals they are written as: 0.1 is 1/10.

    Raises
    ------
    AssertionError : a hand-written slope is not the derivative of its formula.
    """
    from spectra.activations.grammar import parse

    names = {q.name: sympy.Symbol(q.name, real=True) for q in definition.parameters}
    if values:
        names |= {name: sympy.Rational(repr(float(value))) for name, value in values.items()}
    pairs = []
    for index, text in enumerate(definition.formulas):
        value = parse(text, names)
        slope = sympy.diff(value, X)
        if definition.slopes:
            derivative, slope = slope, parse(definition.slopes[index], names)
            assert sympy.simplify(derivative - slope) == 0, f"{definition.name}: {slope} is not {derivative}"
        pairs.append((value, slope))
    return pairs


def exact(number: float) -> Any:
    """Convert a double to the rational it is."""
    return sympy.Rational(number)


@lru_cache(maxsize=1024)
def branch_function(activation: Activation, index: int, order: int) -> Callable[[Any], Any]:
    """`mpmath_function` of the derivative of the given order of one branch."""
    value, slope = activation._formulas()[index]
    return mpmath_function(value if order == 0 else sympy.diff(slope, X, order - 1))
