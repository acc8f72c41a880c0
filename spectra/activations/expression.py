"""User expressions such as `tanh(x) + x/10` to `Activation`: smooth pieces, kinks, turning points, all checked.

The line is cut where an argument of Abs, sign, Heaviside, Max, Min or a condition of Piecewise changes sign; on each
piece these disappear and an analytic formula is left. Nothing is taken on trust: the compiled formulas are compared
with mpmath, jumps and singularities are refused.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import sympy
from sympy.core.relational import Relational

from spectra.activations import grammar, roots, source, symbolic
from spectra.activations.activation import Activation, Branch
from spectra.activations.doublezero import accurate_at_double_zeros
from spectra.activations.nearzero import accurate_at_zero
from spectra.activations.turning import turning_points
from spectra.errors import ConfigError

X = symbolic.X
MAX_PIECES = 64
_LARGEST_SLOPE = 1e100  # an exponential, cut by `primitives.exp` before it overflows, has no bounded slope
Piece = tuple[float, float, Any]  # (lower, upper, smooth formula)


def from_expression(text: Any) -> Activation:
    """Activation of an expression in x; the same object for the same text.

    Raises
    ------
    ConfigError : outside the grammar, constant, not real, with a jump or a singularity, or numerically unstable.
    """
    text = text.strip() if isinstance(text, str) else grammar.parse(text)
    try:
        with np.errstate(all="ignore"):  # samples may overflow; every value that is kept is verified
            return _from_text(text)
    except OverflowError:
        raise _refuse(text, "it overflows: too many nested exponentials") from None
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise _refuse(text, f"it cannot be analysed ({type(error).__name__}: {str(error)[:80]})") from None


def formulas_and_slopes(text: str) -> list[tuple[Any, Any]]:
    """(φ, φ') in sympy on every piece of the line."""
    return [(formula, sympy.diff(formula, X)) for _, _, formula in _pieces(text)]


@lru_cache(maxsize=128)
def _from_text(text: str) -> Activation:
    pieces = _pieces(text)
    kinks = tuple(upper for _, upper, _ in pieces[:-1])
    _refuse_jumps(text, pieces)
    period = _slope_period(pieces[0][2]) if len(pieces) == 1 else None
    branches = tuple(_branch(text, piece, period) for piece in pieces)
    activation = Activation(text, (), branches, kinks, even_slope=False, slope_period=period, source="expression")
    object.__setattr__(activation, "even_slope", _even_slope(activation))
    object.__setattr__(activation, "slope_bound", _slope_bound(activation))
    return activation


@lru_cache(maxsize=128)
def is_cut_exactly(text: str) -> bool:
    """Whether the pieces are those of the expression for certain, not by search.

    That is where it switches only as polynomials with rational coefficients change their sign, at numbers that are
    decimals of a double.
    """
    pieces = _resolved_exactly(symbolic.stable(grammar.parse(text)), -np.inf, np.inf)
    if pieces is None:
        return False
    kinks = {upper for _, upper, _ in _pieces(text)}
    return all(left == right or cut in kinks for (_, cut, left), (_, _, right) in pairwise(pieces))


def _resolved_exactly(expression: Any, lower: float, upper: float) -> list[Piece] | None:
    """The pieces of `_resolve`, None where one of them hangs on a search."""
    switch = _innermost_switch(expression)
    if switch is None:
        return [(lower, upper, expression)]
    cuts: set[float] = set()
    for function in _switching(switch):
        if function.has(X) and not _is_rational(function):
            return None
        zeros = _zeros(function, lower, upper)
        if any(function.subs(X, sympy.Rational(repr(t))) != 0 for t in zeros):
            return None
        cuts |= {*zeros}
    pieces: list[Piece] = []
    for a, b in pairwise([lower, *sorted(cuts), upper]):
        inner = _resolved_exactly(expression.xreplace({switch: _chosen(switch, _inner_point(a, b))}), a, b)
        if inner is None:
            return None
        pieces += inner
    return pieces


def _refuse(text: str, why: str) -> ConfigError:
    return ConfigError(f"`expr = {grammar.shortened(text)!r}`: {why}.")


@lru_cache(maxsize=128)
def _pieces(text: str) -> tuple[Piece, ...]:
    expression = symbolic.stable(grammar.parse(text))
    if not isinstance(expression, sympy.Expr):
        raise _refuse(text, "a condition is not an activation")
    resolved = _resolve(expression, -np.inf, np.inf)
    merged: list[Piece] = []
    for lower, upper, formula in resolved:
        if merged and _same(merged[-1][2], formula, lower):
            merged[-1] = (merged[-1][0], upper, merged[-1][2])
        else:
            merged.append((lower, upper, formula))
    if len(merged) > MAX_PIECES:
        raise _refuse(text, f"{len(merged)} smooth pieces; at most {MAX_PIECES} are handled")
    if not any(formula.has(X) for _, _, formula in merged):
        raise _refuse(text, "φ is constant (or jumps between constants): its slope is 0 everywhere")
    for piece in merged:
        _refuse_singularities(text, *piece)
    return tuple(merged)


# -- the pieces ------------------------------------------------------------------------------------------------------


_SWITCHES = (sympy.Abs, sympy.sign, sympy.Heaviside, sympy.Max, sympy.Min, sympy.Piecewise)


def _resolve(expression: Any, lower: float, upper: float) -> list[Piece]:
    """Pieces of `expression` on (lower, upper) with the innermost switch replaced, until none is left."""
    switch = _innermost_switch(expression)
    if switch is None:
        return [(lower, upper, expression)]
    cuts = {t for function in _switching(switch) for t in _zeros(function, lower, upper)}
    if len(cuts) > MAX_PIECES:
        raise ConfigError(f"`expr`: more than {MAX_PIECES} pieces; use fewer kinks.")
    pieces: list[Piece] = []
    for a, b in pairwise([lower, *sorted(cuts), upper]):
        simpler = expression.xreplace({switch: _chosen(switch, _inner_point(a, b))})
        if simpler.has(sympy.zoo, sympy.nan, sympy.oo, -sympy.oo):
            raise ConfigError(f"`expr`: divides by zero for {a:.6g} < x < {b:.6g}.")
        pieces += _resolve(simpler, a, b)
        if len(pieces) > 8 * MAX_PIECES:
            raise ConfigError(f"`expr`: more than {8 * MAX_PIECES} pieces; use fewer kinks.")
    return pieces


def _innermost_switch(expression: Any) -> Any:
    return next((e for e in sympy.postorder_traversal(expression) if isinstance(e, _SWITCHES)), None)


def _is_rational(function: Any) -> bool:
    """Whether it is a polynomial with rational coefficients, of a degree whose zeros are found exactly."""
    return _degree(function) <= 8 and all(c.is_Rational for c in sympy.Poly(function, X).all_coeffs())


def _switching(switch: Any) -> list[Any]:
    """Smooth functions whose sign decides what `switch` is."""
    arguments = sorted(switch.args, key=sympy.default_sort_key)
    if isinstance(switch, sympy.Piecewise):
        return [r.lhs - r.rhs for r in _relations(switch)]
    if isinstance(switch, (sympy.Max, sympy.Min)):
        return [a - b for i, a in enumerate(arguments) for b in arguments[i + 1 :]]
    return [switch.args[0]]


def _relations(condition: Any) -> list[Any]:
    return sorted(condition.atoms(Relational), key=sympy.default_sort_key)


def _chosen(switch: Any, at: float) -> Any:
    """Expression that `switch` is on an interval around `at` where no switching function vanishes."""
    if isinstance(switch, sympy.Piecewise):
        return next(value for value, condition in _pairs(switch) if _holds(condition, at))
    if isinstance(switch, (sympy.Max, sympy.Min)):
        ordered = sorted(switch.args, key=lambda a: _value(a, at))
        return ordered[-1 if isinstance(switch, sympy.Max) else 0]
    argument = switch.args[0]
    negative = _value(argument, at) < 0.0
    if isinstance(switch, sympy.Abs):
        return -argument if negative else argument
    if isinstance(switch, sympy.sign):
        return sympy.Integer(-1 if negative else 1)
    return sympy.Integer(0 if negative else 1)


def _pairs(piecewise: Any) -> list[tuple[Any, Any]]:
    return list(piecewise.args)


def _holds(condition: Any, at: float) -> bool:
    truth = {}
    for relation in _relations(condition):
        difference = _value(relation.lhs - relation.rhs, at)
        less = isinstance(relation, (sympy.StrictLessThan, sympy.LessThan))
        truth[relation] = sympy.true if (difference < 0.0 if less else difference > 0.0) else sympy.false
    return condition.xreplace(truth) == sympy.true


def _value(expression: Any, at: float) -> float:
    """Value at one point with guard digits: differences of arguments may be tiny."""
    with mpmath.workdps(30):
        value = symbolic.mpmath_function(expression)(at) if expression.has(X) else sympy.N(expression, 30)
        return float(mpmath.re(mpmath.mpmathify(value)))


def _inner_point(lower: float, upper: float) -> float:
    if np.isinf(lower):
        return 0.1234 if np.isinf(upper) else upper - max(1.0, abs(upper))
    return lower + max(1.0, abs(lower)) if np.isinf(upper) else 0.5 * (lower + upper)


def _zeros(function: Any, lower: float, upper: float) -> list[float]:
    """Real zeros inside (lower, upper): exactly for polynomials with rational coefficients, else by search."""
    if not function.has(X):
        return []
    if _is_rational(function):
        found = [float(r.evalf(30)) for r in sympy.Poly(function, X).real_roots(multiple=False) for r in r[:1]]
    else:
        found = list(roots.real_zeros(source.function(function, "switch"), lower, upper))
    return [t for t in found if lower < t < upper]


def _same(left: Any, right: Any, kink: float) -> bool:
    """Whether two analytic formulas are one function: equal as written, or to 25 digits at four points."""
    if left == right:
        return True
    with mpmath.workdps(40):
        difference, scale = (symbolic.mpmath_function(sympy.Add(left, k * right)) for k in (-1, 1))
        try:
            points = [kink + d for d in (-0.37, -0.011, 0.0077, 0.53)]
            return all(abs(difference(t)) <= mpmath.mpf(10) ** -25 * (1 + abs(scale(t))) for t in points)
        except (ArithmeticError, ValueError):
            return False


def _degree(e: Any) -> float:
    """Degree of a polynomial in x without expanding it (an upper bound); inf for anything else."""
    if not e.has(X):
        return 0.0
    if e == X:
        return 1.0
    if isinstance(e, sympy.Add):
        return max(map(_degree, e.args))
    if isinstance(e, sympy.Mul):
        return sum(map(_degree, e.args))
    if isinstance(e, sympy.Pow) and e.exp.is_Integer and e.exp.is_positive:
        return _degree(e.base) * float(e.exp)
    return np.inf


# -- the checks ------------------------------------------------------------------------------------------------------


def _refuse_singularities(text: str, lower: float, upper: float, formula: Any) -> None:
    """Refuse poles, logarithms and fractional powers that reach zero on the closed piece."""
    inside = _inner_point(lower, upper)
    for e in sympy.preorder_traversal(formula):
        base, positive = _delicate(e)
        if not base.has(X):
            continue
        if positive and _value(base, inside) < 0.0:
            raise _refuse(text, f"not real near x = {inside:.6g} ({e} of a negative number)")
        ends = [t for t in (lower, upper) if np.isfinite(t) and abs(_value(base, t)) < 1e-14]
        if at := [*ends, *_zeros(base, lower, upper)]:
            raise _refuse(text, f"{e} is singular at x = {at[0]:.6g}")


def _delicate(e: Any) -> tuple[Any, bool]:
    """Return what must not vanish for the node `e` to be analytic, and whether it must be positive (1: nothing)."""
    if isinstance(e, sympy.log):
        return e.args[0], True
    if isinstance(e, symbolic.log1p):
        return sympy.Add(e.args[0], 1), True
    if isinstance(e, sympy.Pow) and e.exp.is_number and not (e.exp.is_Integer and e.exp.is_positive):
        return e.base, not e.exp.is_Integer
    return sympy.Integer(1), False


def _refuse_jumps(text: str, pieces: tuple[Piece, ...]) -> None:
    for (_, kink, left), (_, _, right) in pairwise(pieces):
        a, b = _value(left, kink), _value(right, kink)
        if abs(a - b) > 1e-9 * max(1.0, abs(a), abs(b)):
            raise _refuse(text, f"discontinuous at x = {kink:.6g}: {a:.6g} on the left, {b:.6g} on the right")


def _branch(text: str, piece: Piece, period: float | None) -> Branch:
    lower, upper, formula = piece
    slope = sympy.diff(formula, X)
    if np.ptp(_checked_values(text, "slope", slope, lower, upper)) < 1e-12 and slope.has(X):
        simpler = sympy.simplify(slope) if slope.count_ops() < 60 else slope
        if not simpler.has(X):
            slope = simpler
            _checked_values(text, "slope", slope, lower, upper)
    named = {"value": formula, "slope": slope, "curvature": sympy.diff(slope, X)}
    for what in ("value", "curvature"):
        _checked_values(text, what, named[what], lower, upper)
    value, derivative, second = (
        accurate_at_zero(source.function(e, what), e, lower, upper) for what, e in named.items()
    )
    derivative, second = accurate_at_double_zeros(slope, (derivative, second), lower, upper, period)
    constant = None if slope.has(X) else float(sympy.N(slope, 30))
    try:
        turning = () if period or constant is not None else turning_points(slope, lower, upper)
    except ConfigError as error:
        raise _refuse(text, str(error).rstrip(".")) from None
    return Branch(lower, upper, value, derivative, second, constant, turning)


def _checked_values(text: str, what: str, expression: Any, lower: float, upper: float) -> np.ndarray:
    """Compiled values on the sample grid, after comparing some with mpmath.

    The comparison is absolute below 1 and relative above, to 1e-9: it looks for overflow and catastrophic
    cancellation (log(1 + exp(…)) written in ways `stable` does not know), not for the last digit.
    """
    x = roots.grid(lower, upper)
    y = np.asarray(source.function(expression, what)(x), dtype=float)
    exact = symbolic.mpmath_function(expression)
    sample = sorted(
        {*range(0, x.size, max(1, x.size // 40)), x.size - 1, *np.flatnonzero(~np.isfinite(y))[:3].tolist()}
    )
    for i in sample:
        try:
            with mpmath.workdps(25):
                truth = exact(float(x[i]))
        except (ZeroDivisionError, ValueError):
            raise _refuse(text, f"its {what} does not exist at x = {x[i]:.6g}") from None
        if abs(mpmath.im(truth)) > 1e-12:
            raise _refuse(text, f"its {what} is not real at x = {x[i]:.6g}")
        if abs(truth) > 1e290:  # overflow is honest here: the function itself grows beyond doubles
            continue
        if not abs(y[i] - float(truth)) <= 1e-9 * max(1.0, abs(float(truth))):
            why = f"its {what} at x = {x[i]:.6g} is {float(truth):.6g} but evaluates to {y[i]:.6g}"
            raise _refuse(text, f"{why}; write it with tanh, sigmoid, softplus, expm1 or normal_cdf")
    if not np.all(np.isfinite(y)):
        raise _refuse(text, f"its {what} overflows at x = {x[~np.isfinite(y)][0]:.6g}")
    return y


# -- global properties -----------------------------------------------------------------------------------------------


def _even_slope(activation: Activation) -> bool:
    """Compare |φ'(x)| with |φ'(−x)| on a grid that straddles all kinks (closer than 1e-9 to one is left out)."""
    x = roots.grid(0.0, np.inf)
    distance = np.min(np.abs(np.abs(np.array([*activation.kinks, np.inf]))[:, None] - x), axis=0)
    x = x[distance > 1e-9]
    left, right = np.abs(activation.derivative(-x)), np.abs(activation.derivative(x))
    return bool(np.all(np.abs(left - right) <= 1e-12 * np.maximum(left, right) + 1e-300))


def _slope_bound(activation: Activation) -> float:
    """Supremum of |φ'|; inf where the slope still grows between 10⁴ and 10⁸."""
    best = 0.0
    for branch in activation.branches:
        x = np.concatenate((roots.grid(branch.lower, branch.upper), branch.turning_points))
        x = np.concatenate((x, [t for t in (branch.lower, branch.upper) if np.isfinite(t)]))
        if activation.slope_period:
            x = np.concatenate((x, roots.real_zeros(branch.curvature, 0.0, activation.slope_period)))
        best = max(best, float(np.max(np.abs(branch.slope(x)))))
        for end in (branch.lower, branch.upper):
            if np.isinf(end) and branch.constant_slope is None and not activation.slope_period:
                near, far = np.abs(branch.slope(np.copysign(np.array([1e4, 1e8]), end)))
                if not far <= min(1.001 * near + 1e-3 * best, _LARGEST_SLOPE):
                    return float("inf")
                best = max(best, float(far))
    return best


def _slope_period(formula: Any) -> float | None:
    """Period of φ'² where x enters φ' only through sines and cosines of linear functions with rational frequencies."""
    slope = sympy.diff(formula, X)
    waves = [e for e in slope.atoms(sympy.sin, sympy.cos) if e.has(X)]
    if not waves or slope.xreplace({e: sympy.Dummy() for e in waves}).has(X):
        return None
    rates = [sympy.diff(e.args[0], X) for e in waves]
    ratios = [sympy.nsimplify(r / rates[0]) for r in rates]
    if any(r.has(X) for r in rates) or not all(r.is_Rational for r in ratios):
        return None
    common = sympy.gcd_list([abs(r) for r in ratios]) if len(ratios) > 1 else abs(ratios[0])
    period = float(2 * sympy.pi / abs(rates[0] * common))
    numeric = source.function(slope, "slope")
    x = np.linspace(-1.7, 2.9, 101) * period
    while np.allclose(numeric(x) ** 2, numeric(x + 0.5 * period) ** 2, rtol=1e-10, atol=1e-12):
        period *= 0.5
    return period
