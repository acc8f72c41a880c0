"""Moments of JJᵀ of a network: exact where the law of D² has rational moments, else to any number of digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..activations import Activation
from ..line.numbers import exactly
from ..network.config import Network
from ..network.resolve import resolved_runs
from .ball_field import BallField, ball_field
from .ball_moments import PER_ORDER, ball_moments
from .moment_series import Layers, log_generator, scaled_moments
from .narrowing import narrowed
from .power_series import fractions_of, rationals
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
    if runs is not None and _size(runs, order) < MOST_BITS:
        return Moments(tuple(_rational_moments(runs, order)), True)
    field, found = narrowed(lambda: _with_field(net, order), lambda pair: pair[1], digits, more=PER_ORDER * order)
    return Moments(tuple(found), False, field.proven)


def _with_field(net: Network, order: int) -> tuple[BallField, list[Any]]:
    field = ball_field(net)
    return field, ball_moments(field, order)


def _size(runs: Sequence[ExactRun], order: int) -> float:
    """Bits of the fractions, roughly: of the powers of σ_w² and of the slopes in m_n."""
    per_layer = sum(
        r.repeat * sum(x.numerator.bit_length() + x.denominator.bit_length() for x in (r.sigma_w2, *r.slopes))
        for r in runs
    )
    return float(order * per_layer)


def exact_runs(net: Network) -> list[ExactRun] | None:
    """The layers where all is rational; None elsewhere.

    That is where every φ is positively homogeneous with rational slopes, and σ_w a number, or critical (σ_w² = 1/μ_1).
    """
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


def _rational_moments(runs: Sequence[ExactRun], order: int) -> list[Fraction]:
    ring, last = rationals(), runs[-1].fan_out
    shifts = exact_shifts(((r.weights, r.fan_in, r.fan_out, r.repeat) for r in runs), last)
    laws = [
        Layers((), ring.number(ratio_of(last, r.fan_out)), r.repeat, tuple(ring.number(s * s) for s in r.slopes))
        for r in runs
        if abs(r.slopes[0]) != abs(r.slopes[1])
    ]
    mean = Fraction(1)
    for r in runs:
        mean *= (r.sigma_w2 * r.slope_moments(1)[0]) ** r.repeat
    generator = log_generator(ring, [(ring.number(r), e) for r, e in shifts.items()], laws, order)
    scaled = scaled_moments(generator)
    return [m * mean**k for k, m in enumerate(fractions_of(scaled), 1)]
