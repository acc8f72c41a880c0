"""Exact moments of homogeneous nets by Newton's method on integers: two other routes, lowest terms, great depth."""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import Any

import mpmath
import pytest

from spectra import Network
from spectra.exact.moment_series import Layers, log_generator, scaled_moments
from spectra.exact.moments import exact_runs, jacobian_moments
from spectra.exact.power_series import coprime_fraction, fractions_of, rationals
from spectra.exact.widths import exact_shifts, ratio_of

CRITICAL = {"sigma_w": "critical", "sigma_b": 0.0}


def leaky(slope: float) -> dict[str, Any]:
    return {"name": "leaky_relu", "negative_slope": slope}


def by_reversion(net: Network, order: int) -> list[Fraction]:
    """The simple twin: S of D² from its moments, the sum of logarithms, one reversion, all in fractions."""
    runs, ring = exact_runs(net), rationals()
    assert runs is not None
    last = runs[-1].fan_out
    shifts = exact_shifts(((r.weights, r.fan_in, r.fan_out, r.repeat) for r in runs), last)
    laws = [
        Layers(tuple(map(ring.number, r.slope_moments(order))), ring.number(ratio_of(last, r.fan_out)), r.repeat)
        for r in runs
    ]
    generator = log_generator(ring, [(ring.number(r), e) for r, e in shifts.items()], laws, order)
    mean = Fraction(1)
    for r in runs:
        mean *= r.gain**r.repeat
    return [m * mean**k for k, m in enumerate(fractions_of(scaled_moments(generator)), 1)]


NETS = {
    "leaky": Network(depth=10, activation=leaky(0.2), weights="gaussian", **CRITICAL),
    "leaky, orthogonal": Network(depth=10, activation=leaky(0.01), weights="orthogonal", **CRITICAL),
    "absolute value": Network(depth=4, activation=leaky(-1.0), weights="gaussian", **CRITICAL),
    "σ_w": Network(depth=3, activation=leaky(0.3), sigma_w=1.3, sigma_b=0.0, input_variance=1.0),
    "vanishing": Network(depth=3, activation=leaky(0.3), sigma_w=0.01, sigma_b=0.0, input_variance=1.0),
    "two kinds": Network(
        layers=[{"activation": leaky(0.2), "repeat": 2}, {"activation": leaky(0.75), "repeat": 3}], **CRITICAL
    ),
    "three kinds": Network(
        layers=[
            {"activation": "relu", "weights": "orthogonal"},
            {"activation": "prelu"},
            {"activation": "identity"},
            {"activation": leaky(0.5), "weights": "orthogonal"},
        ],
        **CRITICAL,
    ),
    "widths": Network(
        layers=[
            {"activation": leaky(0.2), "width": 300, "repeat": 2},
            {"activation": "relu", "width": 500, "weights": "orthogonal"},
            {"activation": leaky(0.2), "width": 200, "weights": "orthogonal"},
        ],
        input_width=70,
        sigma_w=1.1,
        sigma_b=0.0,
        input_variance=1.0,
    ),
}


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_every_route_to_exact_moments_has_the_same_fractions(net: Network) -> None:
    for order in (1, 2, 3, 4, 5, 6, 24):
        found = jacobian_moments(net, order)
        assert found.exact
        assert list(found.values) == by_reversion(net, order)


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_exact_moments_are_in_lowest_terms(net: Network) -> None:
    for value in jacobian_moments(net, 40).values:
        assert type(value.numerator) is int
        assert value.denominator > 0
        assert gcd(value.numerator, value.denominator) == 1


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(("slope", "order"), [("1/100", 200), ("1/5", 1000)])
def test_high_moments_are_contour_integrals(weights: str, slope: str, order: int) -> None:
    """m_k = (1/2πik) ∮ w'(y) u(y)^{−k} dy, y the subordination point of D², on a circle, by mpmath's numbers."""
    depth, points = 10, 1000
    net = Network(depth=depth, activation=leaky(float(Fraction(slope))), weights=weights, **CRITICAL)
    found = jacobian_moments(net, order).values[-1]
    with mpmath.workdps(60):
        square = mpmath.mpf(Fraction(slope).numerator) ** 2 / Fraction(slope).denominator ** 2
        # Critical: σ_w² μ_1 = 1.
        a, b = 2 * square / (1 + square), 2 / (1 + square)

        def law_at(y: Any) -> tuple[Any, Any]:
            w = (a * y / (1 - a * y) + b * y / (1 - b * y)) / 2
            of_weights = (1 + w) ** -depth if weights == "gaussian" else 1
            return w, w / (1 + w) * ((1 + w) / w * y) ** depth * of_weights

        def term(y: Any) -> Any:
            slope_of_w = (a / (1 - a * y) ** 2 + b / (1 - b * y) ** 2) / 2
            return slope_of_w * law_at(y)[1] ** -order * y

        # Through the saddle point, nearly, where the terms do not cancel.
        radius = max((mpmath.mpf(j) / 200 / b for j in range(1, 200)), key=lambda y: law_at(y)[1])
        circle = (radius * mpmath.expjpi(mpmath.mpf(2 * j) / points) for j in range(points))
        value = mpmath.fsum(map(term, circle)).real / points / order
        exact = mpmath.mpf(found.numerator) / found.denominator
        assert abs(value / exact - 1) < mpmath.mpf("1e-40")


def test_a_deep_critical_net_has_fractions_of_few_digits() -> None:
    """They grow with the order, not with the depth: m_1 = 1, m_2 = 1 + L (μ_2/μ_1² − 1 − s_1), s_1 = −1."""
    depth = 2000
    found = jacobian_moments(Network(depth=depth, activation=leaky(0.2), weights="gaussian", **CRITICAL), 50)
    assert found.exact
    square = Fraction(1, 25)
    assert found.values[:2] == (1, 1 + depth * 2 * (1 + square**2) / (1 + square) ** 2)


def test_fractions_of_millions_of_bits_are_no_answer() -> None:
    net = Network(depth=20_000, activation="relu", sigma_w=1.3, sigma_b=0.0, input_variance=1.0)
    assert jacobian_moments(net, 2).exact
    assert not jacobian_moments(net, 5).exact


def test_fractions_of_coprime_integers_are_pythons_own() -> None:
    for value in (Fraction(-3, 7), Fraction(0), Fraction(2**70, 3**50)):
        made = coprime_fraction(value.numerator, value.denominator)
        assert type(made) is Fraction
        assert made == value
        assert hash(made) == hash(value)
        assert made + Fraction(1, 2) == value + Fraction(1, 2)
