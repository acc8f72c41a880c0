"""Nets of finite depth beside their limits: classes, q* for a spread, rates; and the figure of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from spectra import predict
from spectra.errors import ConfigError
from spectra.limits import (
    BernoulliLimit,
    SmoothLimit,
    approach,
    fixed_spread,
    layer_variance,
    limit_of,
    network_of_spread,
)

# max(x + 1/2, 0) − 1/2 smoothed by a normal law of width 1/4, less its value at 0.
SMOOTHED = {"expr": "(x + 1/2)*normal_cdf(4*x + 2) + normal_pdf(4*x + 2)/4 - normal_cdf(2)/2 - normal_pdf(2)/4"}


@pytest.mark.parametrize(
    ("activation", "limit"),
    [
        ("hardtanh", BernoulliLimit),
        ("shifted_relu", BernoulliLimit),
        ("erf", SmoothLimit),
        ("tanh", SmoothLimit),
        ("silu", SmoothLimit),
        ("elu", SmoothLimit),  # φ' is continuous at 0, φ'' is not
        ("sin", SmoothLimit),
        ("softsign", SmoothLimit),
    ],
)
def test_classes(activation: str, limit: type) -> None:
    assert limit_of(activation, 0.25) == limit(0.25)


@pytest.mark.parametrize(
    ("activation", "why"),
    [
        ("relu", "two values with probability ½ each, at any q\\*: the spread stays 1"),
        ({"name": "elu", "alpha": 2.0}, "φ' jumps at 0: the spread tends to 0.36 as q\\* → 0"),
        ("identity", "φ'² is constant: orthogonal weights keep all lengths"),
        ({"name": "leaky_relu", "negative_slope": -1.0}, "φ'² is constant"),
        ({"expr": "Max(x - 1, 0) + Min(x + 1, 0)"}, "φ'\\(0\\) = 0"),
        ({"expr": "x/2 + Max(Min(x, 1), -1)"}, "beyond a kink φ'² changes by a factor 0.111111"),
        # Small q* would need σ_b² < 0.
        ("softplus", "φ\\(0\\) ≠ 0: there is no edge of chaos"),
        ("hardsigmoid", "φ\\(0\\) ≠ 0: the edge of chaos begins at q\\* = 47.2737"),
    ],
    ids=str,
)
def test_activations_without_limit_are_told_why(activation: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        limit_of(activation, 0.25)


@pytest.mark.parametrize(
    ("activation", "depth", "variance", "q"),
    [
        # factsheet A.8: dsq_hardtanh_L100_s20.25, dsq_tanh_…, dsq_erfpen_L1000_…
        ("hardtanh", 100, 0.25, 0.109347434161535019),
        ("tanh", 100, 0.25, 0.01930793629965),
        ("erf", 1000, 0.25, 0.00727902462688840992),
        # Closed form at 1e9 layers, where L · Var in doubles would have lost eight digits.
        (
            "erf",
            10**9,
            0.25,
            (math.sqrt(2 * 2.5e-10 + 2.5e-10**2) * (1 + 2.5e-10) + 2 * 2.5e-10 + 2.5e-10**2) / math.pi,
        ),
    ],
)
def test_variance_for_a_spread(activation: str, depth: int, variance: float, q: float) -> None:
    assert fixed_spread(activation, depth, variance) == pytest.approx(q, rel=2e-12)


def test_variance_of_a_layer() -> None:
    """Table 1 of Pennington, Schoenholz, Ganguli: erf (1 + πq)/√(1 + 2πq) − 1."""
    assert layer_variance("erf", 0.3) == pytest.approx(
        (1 + 0.3 * math.pi) / math.sqrt(1 + 0.6 * math.pi) - 1, rel=1e-13
    )
    assert layer_variance("hardtanh", 0.3) == pytest.approx(1 / math.erf(1 / math.sqrt(0.6)) - 1, rel=1e-13)
    # 8 q² and 4 (φ''/φ')² q to leading order.
    assert layer_variance("tanh", 1e-8) == pytest.approx(8e-16, rel=1e-6)
    assert layer_variance("silu", 1e-10) == pytest.approx(4e-10, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("hardtanh", 0, 0.25), "`depth = 0`: must be a whole number ≥ 1"),
        (("hardtanh", 2, 1e9), "`hardtanh` stays below it along its whole edge of chaos"),
        (("relu", 10, 0.25), "the spread stays 1"),
    ],
)
def test_impossible_spreads_are_answered_with_what_is_possible(arguments: tuple[str, int, float], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        fixed_spread(*arguments)


def test_a_negative_spread_is_refused() -> None:
    with pytest.raises(ValueError, match="`variance` must be positive"):
        fixed_spread("tanh", 10, -1.0)


@pytest.mark.parametrize(("activation", "power"), [("hardtanh", 1.0), ("erf", 0.5), (SMOOTHED, 1.0)], ids=str)
def test_nets_approach_their_limit(activation: Any, power: float) -> None:
    nets = approach(activation, 0.25, (512, 2048, 8192))
    assert [net.depth for net in nets] == [512, 2048, 8192]
    for net in nets:
        assert net.prediction.checks.certified
        assert net.prediction.variance == pytest.approx(0.25, rel=1e-10)
        assert predict(network_of_spread(activation, net.depth, 0.25)).mean_field.chi_1 == pytest.approx(1.0, rel=1e-12)
    for size in ([net.distance for net in nets], [abs(net.edge_error) for net in nets]):
        assert np.log(size[1] / size[2]) / math.log(4.0) == pytest.approx(power, abs=0.04)


def test_distance_against_many_points() -> None:
    (net,) = approach("erf", 0.25, (128,))
    s = np.linspace(0.3, 1.7, 4001)
    difference = np.abs(net.prediction.singular_values.cdf(s) - net.limit.singular_values.cdf(s))
    assert net.distance == pytest.approx(1.4 * difference.mean(), rel=3e-4)


def test_atoms_approach_each_other_where_the_largest_difference_stays() -> None:
    """Atoms at p^{−L} and e^t, of mass 1 − L(1 − p) and 1 − t."""
    (net,) = approach("shifted_relu", 0.25, (1024,))
    p = 1 / (1 + 0.25 / 1024)
    top = net.prediction.spectrum.atoms[-1]
    assert top.location == pytest.approx(p**-1024, rel=1e-12)
    assert top.mass == pytest.approx(1 - 1024 * (1 - p), rel=1e-11)
    between = 0.5 * (math.sqrt(top.location) + math.exp(0.125))
    assert net.prediction.singular_values.cdf(between) - net.limit.singular_values.cdf(between) > 0.7
    assert net.distance < 1e-4


def test_largest_slope_away_from_zero_keeps_the_top_from_the_limit() -> None:
    """SiLU: φ'² reaches M times its mean, and log λ_max → log((1 + w)/w) + tw at w = 1/(M − 1), not at the edge."""
    net = approach("silu", 0.25, (8192,))[0]
    x = np.linspace(1.0, 4.0, 300001)
    slope = 1 / (1 + np.exp(-x)) * (1 + x / (1 + np.exp(x)))
    w = 1 / ((2 * slope.max()) ** 2 - 1)
    assert net.prediction.spectrum.support()[1] == pytest.approx((1 + w) / w * math.exp(0.25 * w), rel=1e-3)
    # But what is beyond has next to no mass.
    assert abs(net.edge_error) < 1e-3


def test_figures_have_what_they_show() -> None:
    from spectra.plot import approach_figure, gaussian_figure

    cases = {"hard-tanh": approach("hardtanh", 0.25, (2, 32)), "erf": approach("erf", 0.25, (2, 32))}
    figure = approach_figure(cases)
    assert [axes.get_title() for axes in figure.axes][:2] == ["hard-tanh", "erf"]
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert labels == ["L = 2", "L = 32", "limit"]
    rates = figure.axes[2].lines
    assert [tuple(np.asarray(line.get_xdata())) for line in rates] == [(2.0, 32.0)] * 2
    one = np.array([1.0, 2.0])
    edges = {"depth": one, "exact": one, "leading": 1.1 * one, "corrected": 1.01 * one}
    gaussian = gaussian_figure(edges, {"L = 1": (one, one)}, {"exact": (one / 4, -one, 0 * one)})
    assert len(gaussian.axes) == 4
