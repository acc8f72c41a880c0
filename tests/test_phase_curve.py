"""The edge of chaos as a curve: published points, closed forms, both directions, and what has no critical point."""

import math

import mpmath
import numpy as np
import pytest

from spectra import ConfigError, edge_of_chaos
from spectra.activations import get_activation, names
from spectra.network.criticality import critical_point
from spectra.network.gaussian import value_at_zero
from spectra.phase.bias import zeros_of


# Each by two routes at 15 digits or more: tanh–sinh panels with a secant, and composite Gauss–Legendre with brentq.
@pytest.mark.parametrize(
    ("activation", "sigma_b", "attribute", "exact"),
    [
        ("tanh", 0.05, "sigma_w", 1.12253900476958),
        ("tanh", 0.1, "sigma_w", 1.19340072502433),
        ("hardtanh", 0.1, "sigma_w", 1.02570035069277),
        ({"expr": "erf(x)"}, 0.1, "sigma_w", 1.055594649192472),
        ("gelu", 0.1, "sigma_w", 1.727078275308699),
        ("tanh", 0.3, "q_star", 0.7634747669104639),
        ("elu", 0.2, "q_star", 1.10693054034611),
    ],
)
def test_critical_point_of_a_bias(activation: object, sigma_b: float, attribute: str, exact: float) -> None:
    (point,) = edge_of_chaos(activation).at_bias(sigma_b)
    assert point.sigma_b == sigma_b
    assert getattr(point, attribute) == pytest.approx(exact, rel=1e-13)


def test_points_where_stability_changes_are_the_half_stable_ones() -> None:
    # χ_1 = 1 and d q'/dq = 1 at once: Roberts, Yaida, Hanin, section 5.3; 15 and 9 digits by mpmath.
    for name, q in (("gelu", 3.561552812808830), ("silu", 14.3201736)):
        assert edge_of_chaos(name).stability_changes == pytest.approx((q,), rel=1e-8)
    assert edge_of_chaos("tanh").stability_changes == ()


@pytest.mark.parametrize("q", [1e-3, 0.4, 7.0])
def test_the_curve_of_erf_is_traced_in_both_directions(q: float) -> None:
    # σ_w² = √(1 + πq), σ_b² = q − σ_w² (2/π) asin(πq/(2 + πq)).
    edge = edge_of_chaos("erf")
    w = math.sqrt(1.0 + math.pi * q)
    point = edge.points(q)
    assert float(point.sigma_w) ** 2 == pytest.approx(w, rel=1e-13)
    with mpmath.workdps(40):
        x = mpmath.mpf(q)
        b = x - mpmath.sqrt(1 + mpmath.pi * x) * 2 / mpmath.pi * mpmath.asin(mpmath.pi * x / (2 + mpmath.pi * x))
    assert float(point.sigma_b) ** 2 == pytest.approx(float(b), rel=1e-12)
    assert edge.at_weight(math.sqrt(w))[0].q_star == pytest.approx(q, rel=1e-11)
    assert edge.at_bias(math.sqrt(float(b)))[0].q_star == pytest.approx(q, rel=1e-12)


def gelu_slope_squared(q: float) -> float:
    """E φ'² of the GELU in closed form."""
    u = 1.0 + 2.0 * q
    rest = math.asin(q / (1 + q)) / 2 + q / ((1 + q) * math.sqrt(u)) + q / (2 * u**1.5)
    return 0.25 + rest / math.pi


def test_a_weight_that_is_critical_twice_has_both_points() -> None:
    # σ_w² falls along the curve of the GELU from 4 and rises again towards 2.
    edge = edge_of_chaos("gelu")
    points = edge.at_weight(math.sqrt(1.99))
    assert len(points) == 2
    for point in points:
        assert 1.99 * gelu_slope_squared(point.q_star or 0.0) == pytest.approx(1.0, rel=1e-13)
    (turn,) = edge.weight_turns
    assert points[0].q_star < turn < points[1].q_star  # type: ignore[operator]
    slopes = [gelu_slope_squared(turn * f) for f in (0.9, 1.0, 1.1)]
    assert max(slopes) == slopes[1]
    assert edge.at_weight(1.3) == ()


def test_what_has_no_critical_point_says_why() -> None:
    relu = edge_of_chaos("relu")
    assert relu.at_bias(0.1) == ()
    assert relu.at_bias(0.0)[0].sigma_w == pytest.approx(math.sqrt(2.0), rel=1e-15)
    assert relu.at_weight(1.5) == ()
    assert "one point" in relu.none_exists(0.1)
    for name in ("softplus", "logsigmoid"):
        edge = edge_of_chaos(name)
        assert edge.branches == ()
        assert edge.at_bias(0.1) == edge.at_weight(1.0) == ()
        assert "no edge of chaos" in edge.shape()


def test_the_sigmoid_begins_where_its_bias_vanishes() -> None:
    edge = edge_of_chaos("sigmoid")
    (branch,) = edge.branches
    # 45.6242777…: E φ² = q E φ'², checked here at 30 digits with mpmath's own quadrature.
    with mpmath.workdps(30):
        q = mpmath.mpf(branch.low)

        def mean(f):
            panels = [k * mpmath.mpf(3) for k in range(-30, 31)]
            return mpmath.quad(lambda x: f(x) * mpmath.exp(-x * x / (2 * q)), panels) / mpmath.sqrt(2 * mpmath.pi * q)

        def phi(x):
            return 1 / (1 + mpmath.exp(-x))

        gap = q * mean(lambda x: (phi(x) * (1 - phi(x))) ** 2) - mean(lambda x: phi(x) ** 2)
        assert abs(gap) < 1e-13
    assert edge.at_bias(0.0)[0].q_star == pytest.approx(branch.low, rel=1e-14)
    assert edge.spaced(20)[0] == pytest.approx(branch.low, rel=1e-14)
    with pytest.raises(ConfigError, match="off the edge-of-chaos curve"):
        edge.points(1.0)


@pytest.mark.parametrize("name", [n for n in names() if n not in ("identity", "relu", "leaky_relu", "prelu")])
def test_a_curve_begins_at_the_linear_network_where_the_value_at_zero_is_zero(name: str) -> None:
    edge = edge_of_chaos(name)
    if value_at_zero(get_activation(name)) == 0.0:
        assert [b.low for b in edge.branches] == [0.0]
        assert edge.at_bias(0.0)[0].q_star == 0.0
    else:
        assert all(b.low > 0.01 for b in edge.branches)
    for branch in edge.branches:
        assert not branch.ends
        q = edge.spaced(12, 1e-3, 1e3)
        points = edge.points(q)
        # Below the range of doubles σ_b is 0: of relu6 it is like e^(−18/q).
        above = points.sigma_b > 0.0
        assert np.all(np.diff(points.sigma_b[above]) > 0.0)
        assert np.all(np.diff(above.astype(int)) >= 0)
        assert edge.bias_turns == ()
        middle = float(q[6])
        (again,) = edge.at_bias(float(points.sigma_b[6]))
        assert again.sigma_w == pytest.approx(critical_point(get_activation(name), q_star=middle).sigma_w, rel=1e-13)


def test_where_units_are_dead_the_bias_has_no_false_turns() -> None:
    # D and E φ'² are both like e^(−1/(2q)); their ratio rises all the same.
    edge = edge_of_chaos({"expr": "1000*max(x-1,0)"})
    assert [b.low for b in edge.branches] == [0.0]
    assert edge.bias_turns == ()


def test_all_zeros_of_a_series_are_found_and_touching_ones_are_none() -> None:
    sixth = np.zeros(7)
    sixth[6] = 1.0
    expected = np.sort(np.cos(np.pi * (np.arange(6) + 0.5) / 6))
    np.testing.assert_allclose(zeros_of(sixth), expected, atol=1e-14)
    # T_2 + 1 = 2x² touches zero; T_2 + 1.001 stays above it.
    assert zeros_of(np.array([1.0, 0.0, 1.0])) == []
    assert zeros_of(np.array([1.001, 0.0, 1.0])) == []
    # A pair of complex zeros close to the axis is no pair of real ones.
    assert zeros_of(np.array([1.0 + 2e-13, 0.0, 1.0])) == []
    assert len(zeros_of(np.array([0.999, 0.0, 1.0]))) == 2
    assert zeros_of(np.array([1e-14, 1e-14])) == []


@pytest.mark.parametrize(("method", "value"), [("at_bias", -0.1), ("at_bias", math.nan), ("at_weight", 0.0)])
def test_impossible_scales_are_refused(method: str, value: float) -> None:
    with pytest.raises(ConfigError, match="must be a number"):
        getattr(edge_of_chaos("tanh"), method)(value)


@pytest.mark.parametrize(("name", "weight"), [("tanh", 1.0), ("gelu", 2.0), ("hardtanh", 1.0)])
def test_the_curve_begins_at_one_over_the_slope_at_zero(name: str, weight: float) -> None:
    # The same point whether its σ_b = 0 or its σ_w is asked for.
    edge = edge_of_chaos(name)
    assert edge.at_weight(weight)[0] == edge.at_bias(0.0)[0]
    assert edge.at_weight(weight)[0].q_star == 0.0
