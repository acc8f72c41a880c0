"""The phase diagram on a grid: closed forms, published numbers, several fixed points and none."""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import lambertw

from spectra import ConfigError, phase_grid
from spectra.activations import get_activation
from spectra.network.correlation import CorrelationMap
from spectra.network.criticality import critical_point
from spectra.network.qmap import VarianceMap
from spectra.phase.grid import Phase
from spectra.phase.interpolated import interpolated_moments

WEIGHTS, BIASES = np.linspace(0.02, 4.0, 200), np.linspace(0.0, 1.0, 200)


def one(activation: object, sigma_w: float, sigma_b: float):
    return phase_grid(activation, [sigma_w**2], [sigma_b**2])


# Two routes each: tanh–sinh panels with a secant at 28 digits, and 60-point composite Gauss–Legendre with brentq.
@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b", "chi_1"),
    [
        ("tanh", 1.3, 0.3, 0.9398074286821538),
        ("tanh", 2.5, 0.3, 1.585224765006033),
        ("tanh", 4.0, 0.3, 2.36726103554588),
        ({"expr": "erf(x)"}, 1.5, 0.2, 1.214300946622110),
        ("hardtanh", 1.5, 0.1, 1.403329084368343),
        ("gelu", 1.3, 0.3, 0.57379913604686580),
        ("elu", 1.1, 0.3, 0.8567182263656406),
    ],
)
def test_slope_at_the_fixed_point(activation: object, sigma_w: float, sigma_b: float, chi_1: float) -> None:
    assert one(activation, sigma_w, sigma_b).chi_1[0, 0] == pytest.approx(chi_1, rel=3e-13)


def test_published_depth_scales_of_tanh() -> None:
    # Numerical derivative of the variance map, and the fixed point of the correlation map, by mpmath.
    assert one("tanh", 1.5, 0.3).xi_q[0, 0] == pytest.approx(1.16749933274753590, rel=1e-12)
    for sigma_w, slope in ((2.5, 0.822229172723562), (4.0, 0.759743605012182)):
        grid = one("tanh", sigma_w, 0.3)
        assert grid.chi_c_star[0, 0] == pytest.approx(slope, rel=1e-9)
        assert grid.xi_c[0, 0] == pytest.approx(-1.0 / math.log(slope), rel=1e-8)


def test_every_point_of_a_sine_grid_is_the_closed_form() -> None:
    # q = σ_w² (1 − e^{−2q})/2 + σ_b² is solved by Lambert's W.
    grid = phase_grid("sin", WEIGHTS, BIASES)
    a = WEIGHTS + 2.0 * BIASES[:, None]
    exact = (a + lambertw(-WEIGHTS * np.exp(-a)).real) / 2.0
    inside = BIASES > 0.0
    np.testing.assert_allclose(grid.q_star[inside], exact[inside], rtol=1e-11)
    np.testing.assert_allclose(grid.chi_1[inside], (WEIGHTS * (1.0 + np.exp(-2.0 * exact)) / 2.0)[inside], rtol=1e-11)
    np.testing.assert_allclose(grid.slope[inside], (WEIGHTS * np.exp(-2.0 * exact))[inside], rtol=1e-10, atol=1e-13)
    assert np.array_equal(grid.phase[inside] == Phase.CHAOTIC, grid.chi_1[inside] > 1.0)
    assert grid.residual < 1e-13
    assert (grid.stable == 1).all()


def test_without_bias_signals_die_out_up_to_the_critical_weight() -> None:
    grid = phase_grid("tanh", [0.5, 0.999, 1.0, 1.001, 2.0], [0.0])
    assert grid.q_star[0, :3].tolist() == [0.0, 0.0, 0.0]
    assert grid.phase[0].tolist() == [Phase.ORDERED, Phase.ORDERED, Phase.CRITICAL, Phase.CHAOTIC, Phase.CHAOTIC]
    # tanh² = x² − 2x⁴/3 + …: q = 2 (σ_w² − 1)/… to first order: σ_w² (1 − 2q) = 1.
    assert grid.q_star[0, 3] == pytest.approx(5e-4, rel=5e-3)
    assert np.isnan(grid.xi_c[0, :3]).all()


def test_chaotic_slopes_of_erf_are_those_of_its_closed_form() -> None:
    # E φ(u_1)φ(u_2) = (2/π) asin(c s), s = (πq/2)/(1 + πq/2), for φ = erf(√π x/2).
    weights, biases = np.array([1.3, 2.0, 3.5]), np.array([0.01, 0.1])
    grid = phase_grid("erf", weights, biases)
    chaotic = np.argwhere(grid.phase == Phase.CHAOTIC)
    assert len(chaotic) == 4
    for i, j in chaotic:
        q, w, b = float(grid.q_star[i, j]), float(weights[j]), float(biases[i])
        s = (math.pi * q / 2) / (1 + math.pi * q / 2)
        c = mpmath.findroot(lambda c, w=w, b=b, q=q, s=s: w * 2 / mpmath.pi * mpmath.asin(c * s) + b - q * c, 0.0)
        slope = w * 2 / math.pi * s / math.sqrt(1 - float(c * s) ** 2) / q
        assert 0.0 < float(c) < 1.0
        assert grid.chi_c_star[i, j] == pytest.approx(slope, abs=1e-9)


@pytest.mark.parametrize(("name", "bound"), [("hardtanh", 1e-6), ("elu", 1e-6), ("silu", 1e-7)])
def test_a_grid_agrees_with_maps_of_single_networks(name: str, bound: float) -> None:
    activation = get_activation(name)
    weights, biases = np.linspace(0.1, 3.9, 20), np.linspace(0.0, 0.6, 13)
    grid = phase_grid(name, weights, biases)
    for i, j in np.random.default_rng(3).integers((1, 0), (13, 20), size=(25, 2)):
        w, b = math.sqrt(weights[j]), math.sqrt(biases[i])
        points = VarianceMap(activation, w, b).fixed_points().stable_positive
        assert grid.stable[i, j] == len(points)
        if not points:
            assert grid.phase[i, j] == Phase.NO_FIXED_POINT
            assert np.isnan([grid.q_star[i, j], grid.chi_1[i, j], grid.xi_c[i, j], grid.xi_q[i, j]]).all()
            continue
        assert grid.q_star[i, j] == pytest.approx(points[0].q, rel=1e-11)
        if grid.phase[i, j] == Phase.CHAOTIC:
            one = CorrelationMap(activation, w, b, points[0].q)
            assert grid.chi_c_star[i, j] == pytest.approx(one.slope(one.fixed_point), abs=bound)
        else:
            assert grid.chi_c_star[i, j] == grid.chi_1[i, j]


def test_the_relu_has_order_one_critical_point_and_no_more() -> None:
    grid = phase_grid("relu", [0.5, 1.5, 2.0, 2.5], [0.0, 0.1])
    np.testing.assert_allclose(grid.q_star[1, :2], [0.1 / 0.75, 0.1 / 0.25])
    np.testing.assert_allclose(grid.chi_1[:, 1], [0.75, 0.75])
    assert grid.phase[0].tolist() == [Phase.ORDERED, Phase.ORDERED, Phase.CRITICAL, Phase.NO_FIXED_POINT]
    assert grid.phase[1].tolist() == [Phase.ORDERED, Phase.ORDERED, Phase.NO_FIXED_POINT, Phase.NO_FIXED_POINT]
    assert np.isnan(grid.q_star[:, 2:]).all()


def test_elu_loses_its_fixed_point_at_twice_the_inverse_growth() -> None:
    # E φ² ~ q/2: beyond σ_w² = 2 every variance grows without bound.
    grid = phase_grid("elu", [1.9, 1.99, 2.01, 3.0], [0.2])
    assert grid.phase[0].tolist() == [Phase.CHAOTIC, Phase.CHAOTIC, Phase.NO_FIXED_POINT, Phase.NO_FIXED_POINT]
    assert grid.diverges[0].tolist() == [False, False, True, True]


def test_of_several_stable_fixed_points_the_smallest_is_taken() -> None:
    wavy = {"expr": "x/3+2*tanh(x)**2"}
    grid = phase_grid(wavy, [0.9], [0.01, 0.2])
    found = VarianceMap(get_activation(wavy), math.sqrt(0.9), 0.1).fixed_points().stable_positive
    assert len(found) == grid.stable[0, 0] == 2
    assert grid.q_star[0, 0] == pytest.approx(found[0].q, rel=1e-11)
    assert grid.stable[1, 0] == 1


def test_a_stable_point_below_an_explosion() -> None:
    # E x⁴ = 3q²: q = 3 σ_w² q² + σ_b² has its smaller root stable while 12 σ_w² σ_b² < 1.
    grid = phase_grid({"expr": "x**2"}, [0.5], [0.1, 0.2])
    assert grid.q_star[0, 0] == pytest.approx((1.0 - math.sqrt(0.4)) / 3.0, rel=1e-12)
    assert grid.diverges.all()
    assert grid.phase[1, 0] == Phase.NO_FIXED_POINT


@pytest.mark.parametrize("expression", ["sinh(x)", "exp(x)"])
def test_explosive_activations_keep_their_small_fixed_points(expression: str) -> None:
    grid = phase_grid({"expr": expression}, [0.1, 3.0], [0.05])
    w, b, q = 0.1, 0.05, float(grid.q_star[0, 0])
    second = (math.exp(2 * q) - 1) / 2 if expression == "sinh(x)" else math.exp(2 * q)
    assert w * second + b == pytest.approx(q, rel=1e-13)
    assert grid.phase[0, 1] == Phase.NO_FIXED_POINT


def test_interpolated_moments_of_erf_are_the_closed_forms() -> None:
    q = 10.0 ** np.random.default_rng(0).uniform(-10.0, 7.0, 400)
    second, slope2, gain = interpolated_moments(get_activation("erf"))(np.log(q))
    a = np.pi * q / 2.0
    s = a / (1.0 + a)
    np.testing.assert_allclose(second, 2.0 / np.pi * np.arcsin(s), rtol=1e-13)
    np.testing.assert_allclose(slope2, 1.0 / np.sqrt(1.0 + np.pi * q), rtol=1e-13)
    np.testing.assert_allclose(gain, 1.0 / ((1.0 + a) * np.sqrt(1.0 + 2.0 * a)), rtol=1e-13, atol=1e-15)


def test_a_dead_zone_is_no_obstacle() -> None:
    # All units dead: q* = σ_b², and χ_1 = σ_w² P(√q z > 1).
    grid = phase_grid({"expr": "max(x-1,0)"}, [1.0], [1e-3, 0.05])
    assert grid.q_star[0, 0] == pytest.approx(1e-3, rel=1e-12)
    q = float(grid.q_star[1, 0])
    assert grid.chi_1[1, 0] == pytest.approx(math.erfc(1.0 / math.sqrt(2.0 * q)) / 2.0, rel=1e-9)


def test_kinks_decorrelate_by_the_root_of_the_distance() -> None:
    # A jump of φ': E φ'(u_1)φ'(u_2) = E φ'² − B √γ for γ → 0, so that c* = 1 − γ has σ_w² (E φ'² − (2/3) B √γ) = 1,
    # and χ_{c*} = σ_w² (E φ'² − B √γ) = χ_1 − (3/2)(χ_1 − 1).
    point = critical_point(get_activation("hardtanh"), q_star=0.5)
    grid = phase_grid("hardtanh", [point.sigma_w**2 * 1.0002], [point.sigma_b**2])
    excess = float(grid.chi_1[0, 0]) - 1.0
    assert 0.0 < excess < 1e-3
    assert float(grid.chi_c_star[0, 0]) == pytest.approx(1.0 - excess / 2.0, abs=2e-3 * excess)


@pytest.mark.parametrize("q", [30.0, 1000.0])
def test_at_large_variances_correlations_are_right_or_left_out(q: float) -> None:
    activation = get_activation("tanh")
    point = critical_point(activation, q_star=q)
    weights = point.sigma_w**2 * np.linspace(1.001, 1.5, 80)
    grid = phase_grid("tanh", weights, [point.sigma_b**2])
    assert (grid.phase == Phase.CHAOTIC).all()
    assert np.isnan(grid.chi_c_star[0, 0]) == (q == 1000.0)
    for j in range(0, 80, 16):
        one = CorrelationMap(activation, math.sqrt(weights[j]), point.sigma_b, float(grid.q_star[0, j]))
        exact = one.slope(one.fixed_point)
        assert np.isnan(grid.chi_c_star[0, j]) or abs(grid.chi_c_star[0, j] - exact) < 3e-6
        # Few points are done one at a time.
        alone = phase_grid("tanh", weights[j : j + 1], [point.sigma_b**2])
        assert alone.chi_c_star[0, 0] == pytest.approx(exact, abs=3e-6)


@pytest.mark.parametrize(
    ("weights", "biases", "key"),
    [([0.0], [0.1], "weight"), ([1.0], [-0.1], "bias"), ([math.nan], [0.1], "weight"), ([[1.0]], [0.1], "weight")],
)
def test_impossible_variances_are_refused(weights: list, biases: list, key: str) -> None:
    with pytest.raises(ConfigError, match=f"`{key}_variances"):
        phase_grid("tanh", weights, biases)
