"""Moments of JJᵀ as polynomials in the depth: with symbols for the moments of the layers, or with their numbers.

m_k = (σ_w² μ_1)^{kL} P_k(L), P_k of degree k − 1 in L, with coefficients in M_j = μ_j/μ_1^j and s_j, the coefficients
of σ_w² S_{WᵀW}(w) = 1 + Σ s_j w^j.

Source
------
Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 21-22 (k ≤ 2); Lagrange inversion for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import sympy

from ..errors import ConfigError, ConvergenceError
from ..network.config import Network
from .ball_field import ball_field
from .ball_moments import PER_ORDER
from .moment_series import Layers, log_generator, log_s_of_slopes, scaled_moments_by_lagrange
from .moments import exact_runs
from .narrowing import bits_for
from .power_series import fractions_of, polynomials, rationals, working_precision
from .widths import exact_shifts, ratio_of

# How often the precision is doubled.
TRIES = 6
DEPTH = sympy.Symbol("L", positive=True, integer=True)


def moment_polynomials(order: int) -> tuple[sympy.Expr, ...]:
    """m_1 … m_n of a homogeneous square network, with symbols.

    Parameters
    ----------
    order : n.

    Returns
    -------
    Expressions in L, sigma_w, mu_1 … mu_n and s_1 … s_{n−1}.

    Examples
    --------
    >>> moment_polynomials(2)[0]
    (mu_1*sigma_w**2)**L
    """
    _positive(order)
    names = ["L", *(f"M_{k}" for k in range(2, order + 1)), *(f"s_{k}" for k in range(1, order))]
    ring, symbols = polynomials(names)
    depth, ratios, weights = symbols[0], symbols[1:order], symbols[order:]
    one = ring.number(1)
    slopes = Layers((one, *ratios), one, depth)
    x = ring.variable(order)
    layer = log_s_of_slopes(ring, slopes, order) + ring.series([one, *weights]).log()
    generator = layer * depth + (x + one).log() * -1
    polynomial = scaled_moments_by_lagrange(generator)
    mu = sympy.symbols(f"mu_1:{order + 1}", positive=True)
    values = {"L": DEPTH} | {f"M_{k}": mu[k - 1] / mu[0] ** k for k in range(2, order + 1)}
    values |= {f"s_{k}": sympy.Symbol(f"s_{k}", real=True) for k in range(1, order)}
    mean = mu[0] * sympy.Symbol("sigma_w", positive=True) ** 2
    # Printed as they are: expanded in L.
    return tuple(mean ** (k * DEPTH) * _expression(p, names, values) for k, p in enumerate(polynomial, 1))


@dataclass(frozen=True)
class Shape:
    """Variance, skewness and excess kurtosis of JJᵀ of a homogeneous square network."""

    variance: sympy.Expr
    skewness: sympy.Expr
    excess_kurtosis: sympy.Expr


def shape_formulas() -> Shape:
    """Formulas in L, sigma_w, mu_1 … mu_4 and s_1 … s_3."""
    moments = moment_polynomials(4)
    mean: Any = moments[0]
    powers: list[Any] = [sympy.expand(sympy.powsimp(m / mean**k)) for k, m in enumerate(moments[1:], 2)]
    p2, p3, p4 = powers
    spread: Any = sympy.factor(p2 - 1)
    skewness = sympy.factor(p3 - 3 * p2 + 2) / spread ** sympy.Rational(3, 2)
    kurtosis = sympy.factor(p4 - 4 * p3 + 6 * p2 - 3) / spread**2 - 3
    return Shape(mean**2 * spread, skewness, kurtosis)


@dataclass(frozen=True)
class DepthMoments:
    """m_k as functions of the depths of the runs of a network.

    Parameters
    ----------
    depths : one symbol a run: L, or L_1 … L_r.
    chi : σ_w² μ_1 of every run; m_k = Π chi_i^{k L_i} times a polynomial.
    polynomials : P_1 … P_n in the symbols; exact rationals, or decimals of `digits` digits.
    exact : whether they are exact.
    """

    depths: tuple[sympy.Symbol, ...]
    chi: tuple[sympy.Expr, ...]
    polynomials: tuple[sympy.Expr, ...]
    exact: bool

    @property
    def moments(self) -> tuple[sympy.Expr, ...]:
        """m_1 … m_n."""
        scales = [
            sympy.Mul(*[c ** (k * depth) for c, depth in zip(self.chi, self.depths, strict=True)])
            for k in range(1, len(self.polynomials) + 1)
        ]
        return tuple(scale * p for scale, p in zip(scales, self.polynomials, strict=True))


def depth_moments(net: Network, order: int, digits: int = 30) -> DepthMoments:
    """m_1 … m_n of `net` with its numbers, but symbols for the depths of its runs, each of one layer or more.

    Parameters
    ----------
    order : n.
    digits : of coefficients that are not rational.

    Raises
    ------
    ConfigError : the variance changes within a run, so that its layers differ.
    ConvergenceError : `TRIES` doublings of the precision did not settle the digits.
    """
    _positive(order)
    exact = exact_runs(net)
    if exact is not None:
        moments = [r.slope_moments(order) for r in exact]
        runs = [
            _Run(r.weights, r.fan_in, r.fan_out, tuple(m), r.sigma_w2 * m[0])
            for r, m in zip(exact, moments, strict=True)
        ]
        return _with_symbols(runs, order, None)
    bits, before = bits_for(digits, PER_ORDER * order), None
    for _ in range(TRIES):
        found = _with_symbols(_ball_runs(net, order, bits), order, digits)
        if found == before:
            return found
        before, bits = found, 2 * bits
    raise ConvergenceError(f"coefficients with {digits} digits need more than {bits // 2} bits")


@dataclass(frozen=True)
class _Run:
    weights: str
    fan_in: int | None
    fan_out: int | None
    slopes: tuple[Fraction, ...]
    chi: Fraction


def _ball_runs(net: Network, order: int, bits: int) -> list[_Run]:
    """The runs with the midpoints of balls, which are rationals."""
    with working_precision(bits):
        runs = ball_field(net).runs
        # Layers that differ in σ_b alone count as one run.
        merged = [
            list(group) for _, group in groupby(runs, lambda r: (id(r.law), r.weights, r.fan_out, str(r.sigma_w2)))
        ]
        if len(merged) != len(net.layers):
            raise ConfigError(
                "`--symbolic depth`: the variance changes from layer to layer, and the law of D² with it; start at the "
                'fixed point (`input_variance = "fixed-point"`), or on the critical line at a `q_star`.'
            )
        return [
            _Run(
                first.weights,
                first.fan_in,
                first.fan_out,
                tuple(_midpoint(first.law.moment(k)) for k in range(1, order + 1)),
                _midpoint(first.chi),
            )
            for first, *_ in merged
        ]


def _midpoint(ball: Any) -> Fraction:
    mantissa, exponent = ball.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _with_symbols(runs: list[_Run], order: int, digits: int | None) -> DepthMoments:
    names = ["L"] if len(runs) == 1 else [f"L_{i}" for i in range(1, len(runs) + 1)]
    depths = (DEPTH,) if len(runs) == 1 else sympy.symbols(names, positive=True, integer=True)
    ring, symbols = polynomials(names)
    last = runs[-1].fan_out
    shifts = exact_shifts(((r.weights, r.fan_in, r.fan_out, n) for r, n in zip(runs, symbols, strict=True)), last)
    generator = log_generator(ring, [(ring.number(r), e) for r, e in shifts.items()], [], order)
    numbers = rationals()
    for r, n in zip(runs, symbols, strict=True):
        one = Layers(tuple(map(numbers.number, r.slopes)), numbers.number(ratio_of(last, r.fan_out)), 1)
        law = fractions_of(log_s_of_slopes(numbers, one, order).coefficients)
        generator = generator + ring.series([ring.number(c) for c in law]) * n
    values = dict(zip(names, depths, strict=True))
    rounded = sympy.Rational if digits is None else lambda p, q: sympy.Rational(p, q).evalf(digits)
    chi = tuple(sympy.Integer(1) if r.chi == 1 else rounded(*r.chi.as_integer_ratio()) for r in runs)
    polynomial = scaled_moments_by_lagrange(generator)
    return DepthMoments(
        tuple(depths), chi, tuple(_expression(p, names, values, rounded) for p in polynomial), digits is None
    )


def _expression(
    polynomial: Any, names: list[str], values: dict[str, Any], rounded: Callable[[int, int], Any] = sympy.Rational
) -> sympy.Expr:
    """A FLINT polynomial in sympy."""
    terms = []
    for exponents, coefficient in polynomial.to_dict().items():
        factors = [values[name] ** e for name, e in zip(names, exponents, strict=True) if e]
        terms.append(sympy.Mul(rounded(int(coefficient.p), int(coefficient.q)), *factors))
    return sympy.Add(*terms)


def _positive(order: int) -> None:
    if order < 1:
        raise ValueError(f"`order = {order}`: must be at least 1.")
