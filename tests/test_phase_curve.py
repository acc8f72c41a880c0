"""The edge of chaos as a curve: published points, closed forms, both directions, and what has no critical point."""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import ndtr

from spectra import ConfigError, edge_of_chaos
from spectra.activations import get_activation, names
from spectra.exact.far_field import limit_of_bias
from spectra.network.criticality import bias_variance, critical_point
from spectra.network.gaussian import value_at_zero
from spectra.phase.zeros import zeros_of


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
        assert edge.begins is None
        assert edge.at_bias(0.1) == edge.at_weight(1.0) == ()
        # ∫ (φ'² − 1_{x>0}) dx = −1 for both, E φ'² → ½: −2/√(2π).
        assert f"proven: sigma_b²/√q* never falls, and tends to {-2.0 / math.sqrt(2.0 * math.pi):.6g}" in edge.shape()


def test_the_sigmoid_begins_where_its_bias_vanishes() -> None:
    edge = edge_of_chaos("sigmoid")
    begins = edge.begins
    assert begins is not None
    # 45.6242777…: E φ² = q E φ'², checked here at 30 digits with mpmath's own quadrature.
    with mpmath.workdps(30):
        q = mpmath.mpf(begins)

        def mean(f):
            panels = [k * mpmath.mpf(3) for k in range(-30, 31)]
            return mpmath.quad(lambda x: f(x) * mpmath.exp(-x * x / (2 * q)), panels) / mpmath.sqrt(2 * mpmath.pi * q)

        def phi(x):
            return 1 / (1 + mpmath.exp(-x))

        gap = q * mean(lambda x: (phi(x) * (1 - phi(x))) ** 2) - mean(lambda x: phi(x) ** 2)
        assert abs(gap) < 1e-13
    assert edge.at_bias(0.0)[0].q_star == pytest.approx(begins, rel=1e-14)
    assert edge.spaced(20)[0] == pytest.approx(begins, rel=1e-14)
    with pytest.raises(ConfigError, match="off the edge-of-chaos curve"):
        edge.points(1.0)


@pytest.mark.parametrize("name", [n for n in names() if n not in ("identity", "relu", "leaky_relu", "prelu")])
def test_a_curve_begins_at_the_linear_network_where_the_value_at_zero_is_zero(name: str) -> None:
    edge = edge_of_chaos(name)
    if value_at_zero(get_activation(name)) == 0.0:
        assert edge.begins == 0.0
        assert edge.at_bias(0.0)[0].q_star == 0.0
    else:
        assert edge.begins is None or edge.begins > 0.01
    if edge.begins is not None:
        q = edge.spaced(12, 1e-3, 1e3)
        points = edge.points(q)
        # Below the range of doubles σ_b is 0: of relu6 it is like e^(−18/q).
        above = points.sigma_b > 0.0
        assert np.all(np.diff(above.astype(int)) >= 0)
        assert np.all(np.diff(points.sigma_b[above] ** 2 / np.sqrt(points.q_star[above])) > 0.0)
        middle = float(q[6])
        (again,) = edge.at_bias(float(points.sigma_b[6]))
        assert again.sigma_w == pytest.approx(critical_point(get_activation(name), q_star=middle).sigma_w, rel=1e-13)


def zigzag(rng: np.random.Generator, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E φ² and E φ'² of a random piecewise linear φ, from the moments of a normal variable cut off on both sides."""
    x = np.sort(
        np.concatenate([[-np.inf, 0.0, np.inf], 10.0 ** rng.uniform(-1, 1, 3), -(10.0 ** rng.uniform(-1, 1, 3))])
    )
    slopes = 10.0 ** rng.uniform(-2, 2, x.size - 1) * rng.choice([-1, 1], x.size - 1)
    values = np.zeros(x.size)
    values[1:-1] = np.concatenate([[0.0], np.cumsum(slopes[1:-1] * np.diff(x[1:-1]))]) + rng.choice([0.0, 1.0, 5.0])
    second, slope2 = np.zeros_like(q), np.zeros_like(q)
    for i, s in enumerate(slopes):
        low, high = x[i] / np.sqrt(q), x[i + 1] / np.sqrt(q)
        at, value = (x[i], values[i]) if i else (x[1], values[1])
        density = [np.where(np.isfinite(z), np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi), 0.0) for z in (low, high)]
        ends = [np.where(np.isfinite(z), z, 0.0) * n for z, n in zip((low, high), density, strict=True)]
        mass = ndtr(high) - ndtr(low)
        first, square = density[0] - density[1], mass + ends[0] - ends[1]
        second += s * s * q * square + 2.0 * s * (value - s * at) * np.sqrt(q) * first + (value - s * at) ** 2 * mass
        slope2 += s * s * mass
    return second, slope2


def test_the_bias_over_the_fourth_root_of_q_never_falls() -> None:
    # What the proof of uniqueness says, for functions that turn and jump in slope, φ(0) = 0 or not.
    rng, q = np.random.default_rng(5), np.geomspace(1e-3, 1e5, 80)
    for _ in range(300):
        second, slope2 = zigzag(rng, q)
        ratio = (q - second / slope2) / np.sqrt(q)
        scale = np.abs(second / slope2) / np.sqrt(q) + np.sqrt(q)
        assert np.all(np.diff(ratio) > -1e-10 * scale[1:])


@pytest.mark.parametrize(
    ("activation", "limit"),
    [
        # σ_b²/√q → K/(κ √(2π)), K = ∫ (φ'² − ψ'²) − 2(s₊d₊ − s₋d₋), by hand.
        ("elu", 0.5 / (0.5 * math.sqrt(2 * math.pi))),
        ({"expr": "max(x,0) + 1/10"}, -0.2 / (0.5 * math.sqrt(2 * math.pi))),
        (
            {"expr": "max(x,0)/2 - max(-x,0)/5 - 1/10"},
            2 * (0.5 - 0.2) * 0.1 / ((0.25 + 0.04) / 2 * math.sqrt(2 * math.pi)),
        ),
        ("hardswish", 0.5 / (0.5 * math.sqrt(2 * math.pi))),
        ("softplus", -1.0 / (0.5 * math.sqrt(2 * math.pi))),
    ],
)
def test_the_bias_for_large_variances_tends_to_what_the_tails_of_the_activation_say(
    activation: object, limit: float
) -> None:
    phi = get_activation(activation)  # type: ignore[arg-type]
    found = limit_of_bias(phi)
    assert found.sign == math.copysign(1.0, limit)
    assert float(found.words) == pytest.approx(limit, rel=1e-5)
    q = 1e8
    assert bias_variance(phi, q)[0] / math.sqrt(q) == pytest.approx(limit, abs=3e-4)


def test_what_is_not_proven_is_said() -> None:
    # K = 0: no ball tells its sign; and a slope that the bounds do not see level off.
    for text in ("log(1+exp(x)) + tanh(3*x)/2", "sqrt(1+x**2)"):
        assert "whether beyond, is not proven" in edge_of_chaos({"expr": text}).none_exists(0.1)
    edge = edge_of_chaos("gelu")
    least = gelu_slope_squared(edge.weight_turns[0]) ** -0.5
    assert f"up to q* = 1e+08 sigma_w goes from {least:.6g} to 2 along it" in edge.no_weight(1.0)
    assert "slope 0 at 0" in edge_of_chaos({"expr": "x**3"}).none_exists(0.0)
    assert edge_of_chaos({"expr": "x**3"}).at_bias(0.0) == ()
    with pytest.raises(ConfigError, match="q_star beyond 1e\\+08"):
        edge_of_chaos("tanh").at_bias(2e4)


def test_where_units_are_dead_the_bias_rises_all_the_same() -> None:
    # D and E φ'² are both like e^(−1/(2q)).
    edge = edge_of_chaos({"expr": "1000*max(x-1,0)"})
    assert edge.begins == 0.0
    assert edge.at_bias(0.2)[0].sigma_b == 0.2


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


@pytest.mark.parametrize(
    ("method", "value"),
    [("at_bias", -0.1), ("at_bias", math.nan), ("at_bias", "a"), ("at_weight", 0.0), ("at_weight", True)],
)
def test_impossible_scales_are_refused(method: str, value: object) -> None:
    with pytest.raises(ConfigError, match="must be a number"):
        getattr(edge_of_chaos("tanh"), method)(value)


@pytest.mark.parametrize(("name", "weight"), [("tanh", 1.0), ("gelu", 2.0), ("hardtanh", 1.0)])
def test_the_curve_begins_at_one_over_the_slope_at_zero(name: str, weight: float) -> None:
    # The same point whether its σ_b = 0 or its σ_w is asked for.
    edge = edge_of_chaos(name)
    assert edge.at_weight(weight)[0] == edge.at_bias(0.0)[0]
    assert edge.at_weight(weight)[0].q_star == 0.0
