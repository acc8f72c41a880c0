"""What is known of the law of D² in closed form: μ_k = E φ'(√q z)^{2k}, M(z) = Σ μ_k z^{−k}, and S.

Symbols: k (order), q (variance), z (M) and w (S); parameters of the activation with their values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy

from ..activations import Activation
from ..line.numbers import exactly

K = sympy.Symbol("k", integer=True, positive=True)
Q = sympy.Symbol("q", positive=True)
Z = sympy.Symbol("z")
W = sympy.Symbol("w")


@dataclass(frozen=True)
class ClosedForm:
    """Formulas for the law of D² of one activation.

    Parameters
    ----------
    moment : μ_k in k and q.
    generator : M(z) in z and q; None where none is known.
    s_transform : S(w) in w and q; None where none is known.
    """

    moment: sympy.Expr
    generator: sympy.Expr | None = None
    s_transform: sympy.Expr | None = None


def closed_form(activation: Activation) -> ClosedForm | None:
    """The closed form of an activation, None where none is known here.

    Where φ' takes two values, one of them 0, or three: derived from its branches.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, table 1: linear, ReLU, hard-tanh, erf; the others are integrals of
    exponentials against a Gaussian.
    """
    if activation.source == "callable":
        return None
    atoms = _atoms(activation)
    if atoms is not None:
        return _of_atoms(atoms)
    known = _KNOWN.get(activation.name) if activation.source == "catalogue" else None
    return known(activation) if known is not None else None


def _atoms(activation: Activation) -> dict[sympy.Expr, sympy.Expr] | None:
    """Masses by value of φ'², where φ' is constant on every branch."""
    slopes = [slope for _, slope in activation._formulas()]
    if any(s.free_symbols for s in slopes):
        return None
    ends = [-sympy.oo, *(sympy.Rational(exactly(k)) for k in activation.kinks), sympy.oo]
    found: dict[sympy.Expr, sympy.Expr] = {}
    for slope, low, high in zip(slopes, ends, ends[1:], strict=False):
        mass = (_erf(high) - _erf(low)) / 2
        found[slope**2] = sympy.expand(found.get(slope**2, sympy.Integer(0)) + mass)
    return found


def _erf(place: sympy.Expr) -> sympy.Expr:
    return sympy.sign(place) if place.is_infinite else sympy.erf(place / sympy.sqrt(2 * Q))


def _of_atoms(atoms: dict[sympy.Expr, sympy.Expr]) -> ClosedForm:
    kept = {value: mass for value, mass in atoms.items() if value != 0}
    moment = sympy.Add(*[mass * value**K for value, mass in kept.items()])
    generator = sympy.Add(*[mass / (Z / value - 1) for value, mass in kept.items()])
    return ClosedForm(moment, generator, _inverted(kept))


def _inverted(atoms: dict[sympy.Expr, sympy.Expr]) -> sympy.Expr | None:
    """S from ψ(χ) = w: linear for one value of φ'² off 0, a quadratic equation for two of them."""
    if len(atoms) == 1:
        ((value, mass),) = atoms.items()
        return (1 + W) / (value * (mass + W))
    if len(atoms) != 2:
        return None
    (a, p), (b, r) = [(sympy.sympify(x), sympy.sympify(y)) for x, y in atoms.items()]
    # p a y/(1 − a y) + r b y/(1 − b y) = w; the root that vanishes with w.
    second: Any = a * b * (p + r + W)
    first: Any = -(p * a + r * b + W * (a + b))
    root: Any = sympy.sqrt(sympy.expand(first**2 - 4 * second * W))
    return 2 * (1 + W) / (root - first)


def _erf_like(_: Activation) -> ClosedForm:
    # φ' = exp(−πx²/4).
    moment = 1 / sympy.sqrt(1 + sympy.pi * K * Q)
    lerch = sympy.lerchphi(1 / Z, sympy.Rational(1, 2), (1 + sympy.pi * Q) / (sympy.pi * Q))
    return ClosedForm(moment, lerch / (sympy.sqrt(sympy.pi * Q) * Z))


def _sine(_: Activation) -> ClosedForm:
    # cos² = (1 + cos 2x)/2 and E cos(2jx) = exp(−2j²q).
    j = sympy.Symbol("j", integer=True)
    terms: Any = sympy.binomial(2 * K, K - j) * sympy.exp(-2 * Q * j**2)
    total: Any = sympy.Sum(terms, (j, 1, K))
    return ClosedForm((sympy.binomial(2 * K, K) + 2 * total) / 4**K)


def _exponential_below(scale: Any, height: Any, rate: Any) -> ClosedForm:
    """Slope `scale` above 0, `height` exp(rate x) below."""
    below = sympy.exp(2 * (K * rate) ** 2 * Q) * sympy.erfc(K * rate * sympy.sqrt(2 * Q)) / 2
    return ClosedForm(scale ** (2 * K) / 2 + height ** (2 * K) * below)


def _linear_units(activation: Activation) -> ClosedForm:
    """ELU, SELU, CELU: from the value and the derivative of their slope at 0−."""
    from ..activations.symbolic import X

    (_, lower), (_, upper) = activation._formulas()
    height = lower.subs(X, 0)
    rate: Any = sympy.simplify(sympy.diff(lower, X) / lower)
    return _exponential_below(upper, height, rate)


_KNOWN: dict[str, Callable[[Activation], Any]] = {
    "erf": _erf_like,
    "sin": _sine,
    "elu": _linear_units,
    "selu": _linear_units,
    "celu": _linear_units,
}
