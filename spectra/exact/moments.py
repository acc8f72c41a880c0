"""Moments of JJᵀ of a network: exact where the law of D² has rational moments, else to any number of digits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from flint import fmpz

from ..activations import Activation
from ..line.numbers import exactly
from ..network.architectures import refuse_but_products
from ..network.config import Network
from ..network.resolve import resolved_runs
from .ball_field import BallField, ball_field
from .ball_moments import PER_ORDER, ball_moments
from .integer_moments import HomogeneousEquation, integer_moments
from .narrowing import narrowed
from .power_series import coprime_fraction
from .widths import exact_shifts, ratio_of

# Fractions of more bits than this are no answer.
MOST_BITS = 1e6


@dataclass(frozen=True)
class Moments:
    """m_1 … m_n of JJᵀ.

    Parameters
    ----------
    values : `fractions.Fraction` where `exact`, else balls (`flint.arb`) narrower than the digits asked for.
    exact : whether the values are exact.
    proven : whether the balls are proven enclosures (the tails of all Gaussian integrals bounded).
    """

    values: tuple[Any, ...]
    exact: bool
    proven: bool = True

    @property
    def order(self) -> int:
        """How many."""
        return len(self.values)


@dataclass(frozen=True)
class ExactRun:
    """Consecutive layers with rational μ_k.

    Parameters
    ----------
    slopes : φ' on the two sides of 0.
    sigma_w2 : σ_w².
    """

    slopes: tuple[Fraction, Fraction]
    sigma_w2: Fraction
    weights: str
    fan_in: int | None
    fan_out: int | None
    repeat: int

    @property
    def gain(self) -> Fraction:
        """σ_w² μ_1, by which the layer multiplies m_1."""
        return self.sigma_w2 * self.slope_moments(1)[0]

    def slope_moments(self, order: int) -> list[Fraction]:
        """μ_k = (s_−^{2k} + s_+^{2k})/2, k = 1 … n."""
        left, right = (s * s for s in self.slopes)
        return [(left**k + right**k) / 2 for k in range(1, order + 1)]


def jacobian_moments(net: Network, order: int, digits: int = 30) -> Moments:
    """m_k = (1/N_L) E tr (JJᵀ)^k, k = 1 … `order`.

    Parameters
    ----------
    net : the network; its numbers are the decimals they are written as.
    order : how many.
    digits : of those that are not rational.

    Raises
    ------
    ConfigError : as `spectra.mean_field`; a callable activation, which has no symbolic form.
    ConvergenceError : the digits were not reached.

    Source
    ------
    Lagrange inversion of the master equation, Pennington, Schoenholz, Ganguli, AISTATS 2018, section 2.3.
    """
    if order < 1:
        raise ValueError(f"`jacobian_moments(order={order})`: `order` must be at least 1.")
    runs = exact_runs(net)
    if runs is not None:
        equation = _equation(runs)
        if _size(runs, equation, order) < MOST_BITS:
            return Moments(tuple(_rational_moments(runs, equation, order)), True)
    field, found = narrowed(lambda: _with_field(net, order), lambda pair: pair[1], digits, more=PER_ORDER * order)
    return Moments(tuple(found), False, field.proven)


def _with_field(net: Network, order: int) -> tuple[BallField, list[Any]]:
    field = ball_field(net)
    return field, ball_moments(field, order)


def _size(runs: Sequence[ExactRun], equation: HomogeneousEquation, order: int) -> float:
    """Bits of the largest fraction, roughly: of the powers of m_1 and of q in m_n, which grows slowly itself."""
    of_mean = sum(r.repeat * (_bits(r.gain.numerator) + _bits(r.gain.denominator)) for r in runs)
    return float(order * (of_mean + 2 * _bits(equation.denominator)))


def _bits(number: int) -> int:
    return abs(number).bit_length() - 1 if number else 0


def exact_runs(net: Network) -> list[ExactRun] | None:
    """The layers where all is rational; None elsewhere.

    That is where every φ is positively homogeneous with rational slopes, and σ_w a number, or critical (σ_w² = 1/μ_1).

    Raises
    ------
    ConfigError : a layer that is no D W.
    """
    refuse_but_products(net.layers)
    if not all(spec.activation.is_homogeneous for spec in net.layers):
        return None
    made, fan_in = [], net.input_width
    for run in resolved_runs(net)[0]:
        slopes = _rational_slopes(run.spec.activation)
        if slopes is None:
            return None
        sigma_w2 = 2 / (slopes[0] ** 2 + slopes[1] ** 2) if run.critical else exactly(float(run.spec.sigma_w)) ** 2
        fan_out = run.spec.width or fan_in
        made.append(ExactRun(slopes, sigma_w2, run.spec.weights, fan_in, fan_out, run.spec.repeat))
        fan_in = fan_out
    return made


def _rational_slopes(activation: Activation) -> tuple[Fraction, Fraction] | None:
    if activation.source == "callable":
        return None
    slopes = [slope for _, slope in activation._formulas()]
    if not all(s.is_Rational for s in slopes):
        return None
    return Fraction(int(slopes[0].p), int(slopes[0].q)), Fraction(int(slopes[-1].p), int(slopes[-1].q))


def _rational_moments(runs: Sequence[ExactRun], equation: HomogeneousEquation, order: int) -> list[Fraction]:
    mean = math.prod((r.gain**r.repeat for r in runs), start=Fraction(1))
    # m_k = V_k m_1 (m_1/q)^{k−1}, V_k = q^{k−1} m_k/m_1^k.
    step = mean / equation.denominator
    above, below, base = fmpz(mean.numerator), fmpz(mean.denominator), fmpz(mean.denominator * step.denominator)
    found = []
    for scaled in integer_moments(equation, order):
        found.append(_lowest(scaled * above, below, base))
        above, below = above * step.numerator, below * step.denominator
    return found


def _equation(runs: Sequence[ExactRun]) -> HomogeneousEquation:
    """What ψ_{JJᵀ} solves; S of D² is constant where φ'² is, and S/S(0) = (1 + v)/(1 + 2 v) where half of it is 0."""
    last = runs[-1].fan_out
    shifts = exact_shifts(((r.weights, r.fan_in, r.fan_out, r.repeat) for r in runs), last)
    pairs: dict[tuple[Fraction, Fraction], int] = {}
    for r in runs:
        a, b = (s * s for s in r.slopes)
        if a == b:
            continue
        ratio, kappa = ratio_of(last, r.fan_out), 4 * a * b / (a + b) ** 2
        if kappa == 0:
            shifts[ratio] = shifts.get(ratio, 0) + r.repeat
            shifts[2 * ratio] = shifts.get(2 * ratio, 0) - r.repeat
        else:
            pairs[kappa, ratio] = pairs.get((kappa, ratio), 0) + r.repeat
    return HomogeneousEquation({r: e for r, e in shifts.items() if e}, pairs)


def _lowest(numerator: fmpz, denominator: fmpz, base: fmpz) -> Fraction:
    """The fraction in lowest terms, where every prime of the denominator is one of `base`, a small number."""
    # Of two large numbers the divisor would take most of the time.
    while (common := numerator.gcd(denominator.gcd(base))) != 1:
        numerator, denominator, base = numerator // common, denominator // common, base * base
    return coprime_fraction(int(numerator), int(denominator))
