"""Laws of φ'(h), spreads, universality classes, and the spectrum along the curve: closed forms throughout."""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import erfc, erfcinv

from spectra import (
    ConfigError,
    critical_point_of_spread,
    slope_distribution,
    spectrum_along,
    universality,
    universality_table,
)
from spectra.activations import get_activation, names
from spectra.errors import ConvergenceError
from spectra.phase.slopes import slope_spread
from spectra.phase.universality import depth_scaling


@pytest.mark.parametrize("q", [0.2, 0.5, 1.0, 2.0])
def test_the_law_of_the_slopes_of_erf(q: float) -> None:
    # φ'(h) = e^{−πh²/4} ≤ s where |h| ≥ (−4 log s/π)^½.
    law = slope_distribution("erf", q)
    s = np.array([[0.01, 0.1, 0.3], [0.6, 0.9, 0.99]])
    h = np.sqrt(-4.0 * np.log(s) / np.pi)
    np.testing.assert_allclose(law.cdf(s), erfc(h / math.sqrt(2.0 * q)), rtol=1e-12)
    gauss = np.exp(-h * h / (2.0 * q)) / math.sqrt(2.0 * math.pi * q)
    np.testing.assert_allclose(law.pdf(s), 2.0 * gauss / (np.pi / 2.0 * h * s), rtol=1e-11)
    assert law.atoms == ()
    assert law.support()[1] == 1.0


def mean_power(law, power: int) -> float:
    """E φ'^power = [s^power F(s)] − ∫ power s^(power − 1) F(s) ds, by Gauss–Legendre between the ends."""
    low, high = law.support()
    total = high**power
    x, w = np.polynomial.legendre.leggauss(60)
    # Square-root ends at both sides of the support are opened by a cosine.
    for a, b in zip(np.linspace(0.0, np.pi, 9)[:-1], np.linspace(0.0, np.pi, 9)[1:], strict=True):
        angle = (a + b) / 2.0 + (b - a) / 2.0 * x
        s = low + (high - low) * (1.0 - np.cos(angle)) / 2.0
        jacobian = (high - low) * np.sin(angle) / 2.0 * (b - a) / 2.0
        total -= float((w * jacobian * power * s ** (power - 1) * law.cdf(s)).sum())
    return total


def test_moments_of_laws_with_many_pieces() -> None:
    # sin: E cos h = e^{−q/2}, E cos² h = (1 + e^{−2q})/2. GELU: φ'(h) + φ'(−h) = 1.
    for q in (0.3, 4.0):
        law = slope_distribution("sin", q)
        assert mean_power(law, 1) == pytest.approx(math.exp(-q / 2.0), abs=1e-9)
        assert mean_power(law, 2) == pytest.approx((1.0 + math.exp(-2.0 * q)) / 2.0, abs=1e-9)
    law = slope_distribution("gelu", 1.3)
    assert mean_power(law, 1) == pytest.approx(0.5, abs=1e-6)
    assert law.cdf(np.array([-1.0, 0.5, 2.0])) == pytest.approx([0.0, 0.5, 1.0], abs=1e-12)


def test_atoms_of_the_slopes() -> None:
    assert slope_distribution("relu", 3.0).atoms == ((0.0, 0.5), (1.0, 0.5))
    inside = math.erf(1.0 / math.sqrt(2.0 * 0.7))
    atoms = dict(slope_distribution("hardtanh", 0.7).atoms)
    assert atoms == pytest.approx({0.0: 1.0 - inside, 1.0: inside}, rel=1e-14)
    elu = slope_distribution("elu", 0.7)
    assert elu.atoms == ((1.0, 0.5),)
    # φ' = eʰ below zero: P(φ' ≤ s) = P(h ≤ log s).
    assert float(elu.cdf(0.5)) == pytest.approx(erfc(math.log(2.0) / math.sqrt(1.4)) / 2.0, rel=1e-12)
    assert float(elu.cdf(1.0)) == pytest.approx(1.0, rel=1e-14)


def test_quantiles_of_the_slopes() -> None:
    # erf: F(s) = erfc((−2 log s/(πq))^½), so that s = e^{−(πq/2) erfc⁻¹(p)²}.
    p = np.array([[0.01, 0.5], [0.9, 0.999]])
    np.testing.assert_allclose(
        slope_distribution("erf", 0.7).icdf(p), np.exp(-np.pi * 0.35 * erfcinv(p) ** 2), rtol=1e-12
    )
    # Atoms are met exactly: ELU has e^h below zero, slope 1 on the other half.
    found = slope_distribution("elu", 0.7).icdf([0.1, 0.4999, 0.5001, 0.99])
    assert found[:2] == pytest.approx([math.exp(-math.sqrt(1.4) * erfcinv(2 * x)) for x in (0.1, 0.4999)], rel=1e-12)
    assert found[2:].tolist() == [1.0, 1.0]
    assert slope_distribution("relu", 2.0).icdf([0.2, 0.5, 0.6]).tolist() == [0.0, 0.0, 1.0]
    with pytest.raises(ConfigError, match="between 0 and 1"):
        slope_distribution("relu", 2.0).icdf([0.5, 1.0])


@pytest.mark.parametrize("q", [1e-8, 1e-4, 0.3, 20.0])
def test_spreads_in_closed_form(q: float) -> None:
    with mpmath.workdps(50):
        x = mpmath.mpf(q)
        erf = (1 + mpmath.pi * x) / mpmath.sqrt(1 + 2 * mpmath.pi * x) - 1
        hard = 1 / mpmath.erf(1 / mpmath.sqrt(2 * x)) - 1
        d = mpmath.exp(-2 * x)
        sine = ((3 + 4 * d + d**4) / 8) / ((1 + d) / 2) ** 2 - 1
        # ELU: E e^{2kh} over h < 0 is e^{2k²q} Φ(−2k√q), and slope 1 on the other half.
        half, root = mpmath.mpf(1) / 2, mpmath.sqrt(x)
        first, second = (half + mpmath.exp(2 * k * k * x) * mpmath.ncdf(-2 * k * root) for k in (1, 2))
        elu = second / first**2 - 1
    for name, exact in (("erf", erf), ("hardtanh", hard), ("sin", sine), ("elu", elu)):
        found = slope_spread(get_activation(name), q)
        assert found == pytest.approx(float(exact), rel=1e-7 if exact < 1e-12 else 2e-11, abs=1e-300), name


# Closed forms 1/(2 erfinv(L/(L + σ_0²))²) and [(2a + a²) + (1 + a)√(2a + a²)]/π, a = σ_0²/L; tanh by two roots.
@pytest.mark.parametrize(
    ("name", "depth", "q"),
    [
        ("hardtanh", 100, 0.109347434161535019),
        ("tanh", 100, 0.01930793629965),
        ("erf", 1000, 0.00727902462688840992),
    ],
)
def test_how_small_the_variance_must_be_for_a_quarter(name: str, depth: int, q: float) -> None:
    assert critical_point_of_spread(name, depth, 0.25).q_star == pytest.approx(q, rel=2e-12)
    assert depth_scaling(name, [depth], 0.25).q_star[0] == pytest.approx(q, rel=2e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relu", 10, 0.1), "no q\\* to choose: its variance of JJᵀ is 10 at depth 10"),
        (("selu", 10, 0.1), "is already 2.24352 at depth 10"),
        (("tanh", 10, 5.0, "gaussian"), "at least the depth, 10"),
        (("softplus", 3, 1.0), "no edge of chaos"),
        (("sigmoid", 10, 0.01), "begin"),
        (("tanh", 0, 0.1), "`depth = 0`"),
        (("tanh", 3, -0.1), "`spread = -0.1`"),
        (("tanh", 3, 5.0, "orthogonl"), "`weights = 'orthogonl'`: must be one of gaussian, orthogonal"),
    ],
)
def test_a_spread_out_of_reach_is_refused_with_what_is_possible(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        critical_point_of_spread(*arguments)


def test_slopes_that_grow_too_fast_have_no_spread_rather_than_a_wrong_one() -> None:
    sinh = get_activation({"expr": "sinh(x)"})
    # E cosh² = (1 + e^{2q})/2, E cosh⁴ = (e^{8q} + 4 e^{2q} + 3)/8.
    expected = (math.exp(8.0) + 4.0 * math.exp(2.0) + 3.0) / 8.0 / ((1.0 + math.exp(2.0)) / 2.0) ** 2 - 1.0
    assert slope_spread(sinh, 1.0) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ConvergenceError, match="grow so fast"):
        slope_spread(sinh, 10.0)


def test_gaussian_layers_add_one_each() -> None:
    # L (μ_2/μ_1² − 1 + 1): a variance of 12 at depth 10 leaves a spread of 0.2 a layer.
    point = critical_point_of_spread("erf", 10, 12.0, "gaussian")
    q = point.q_star or 0.0
    assert (1 + math.pi * q) / math.sqrt(1 + 2 * math.pi * q) - 1 == pytest.approx(0.2, rel=1e-11)


# φ''(0)/φ'(0) and φ'''(0)/φ'(0) by hand: 4 (φ''/φ')² q, 2 (φ'''/φ')² q²; with one-sided curvatures a_± = φ''(0±)/φ'(0)
# 4 q [(a_+² + a_−²)/2 − (a_+ − a_−)²/(2π)].
@pytest.mark.parametrize(
    ("name", "coefficient", "power"),
    [
        ("tanh", 8.0, 2),
        ("erf", math.pi**2 / 2.0, 2),
        ("sin", 2.0, 2),
        ("gelu", 32.0 / math.pi, 1),
        ("silu", 4.0, 1),
        ("elu", 2.0 - 2.0 / math.pi, 1),
        ("softsign", 16.0 - 32.0 / math.pi, 1),
    ],
)
def test_smooth_activations_spread_by_a_power_of_the_variance(name: str, coefficient: float, power: int) -> None:
    found = universality(name)
    assert (found.kind, found.power) == ("smooth", power)
    assert found.coefficient == pytest.approx(coefficient, rel=1e-6)


def test_classes_of_the_catalogue() -> None:
    table = {one.activation.name: one for one in universality_table()}
    assert set(table) == set(names())
    kinds = {name: one.kind for name, one in table.items()}
    assert kinds["identity"] == "isometric"
    assert {name for name, kind in kinds.items() if kind == "Bernoulli"} == {"hardtanh", "shifted_relu"}
    none = "relu leaky_relu prelu relu6 selu softplus sigmoid logsigmoid hardsigmoid smoothed_relu"
    assert {name for name, kind in kinds.items() if kind == "none"} == set(none.split())
    # μ_2/μ_1² at q = 1, two routes.
    assert table["tanh"].spread == pytest.approx(0.583479941367464, rel=1e-12)
    relu = table["relu"]
    assert (relu.mu_1, relu.mu_2, relu.spread) == (0.5, 0.5, 1.0)
    assert relu.deviation("gaussian") == pytest.approx(math.sqrt(2.0), rel=1e-15)
    assert table["softplus"].point is None
    assert table["softplus"].deviation("gaussian") == pytest.approx(math.sqrt(1.528899601132386), rel=1e-12)


def test_linear_between_far_kinks_but_not_flat_beyond() -> None:
    found = universality({"expr": "min(max(x, x/2 - 1/2), x/2 + 1/2)"})
    assert found.kind == "jumps"
    assert "0.25" in found.reason


def test_spectra_along_the_curve_of_the_hard_tanh() -> None:
    q = np.array([[0.3, 0.6], [1.0, 2.0]])
    depth = 12
    run = spectrum_along("hardtanh", depth, q)
    share = np.array([math.erf(1.0 / math.sqrt(2.0 * x)) for x in q.ravel()]).reshape(2, 2)
    np.testing.assert_allclose(run.sigma_w**2, 1.0 / share, rtol=1e-13)
    np.testing.assert_allclose(run.variance, depth * (1.0 - share) / share, rtol=1e-11)
    # Pennington et al., edge of the bulk where L (1 − p) > 1: (1 − p)/p L^L/(L − 1)^(L − 1).
    wide = depth * (1.0 - share) > 1.0
    edge = (1.0 - share) / share * depth**depth / (depth - 1.0) ** (depth - 1)
    np.testing.assert_allclose(run.lambda_max[wide], edge[wide], rtol=1e-9)
    assert wide.sum() >= 2
    assert np.isinf(run.condition).all()
    assert run.certified.all()


def test_condition_number_falls_to_one_with_the_variance() -> None:
    run = spectrum_along("tanh", 8, [1e-4, 1e-3, 1e-2])
    assert np.all(np.diff(run.condition) > 0.0)
    assert 1.0 < run.condition[0] < 1.01
    gaussian = spectrum_along("tanh", 8, [1e-4], weights="gaussian")
    # q* → 0 is the linear network: (L + 1)^(L + 1)/L^L.
    assert gaussian.lambda_max[0] == pytest.approx(9.0**9 / 8.0**8, rel=2e-3)
    assert gaussian.variance[0] == pytest.approx(8.0, rel=1e-5)


def test_positively_homogeneous_activations_have_one_spectrum() -> None:
    run = spectrum_along("relu", 4, [0.1, 10.0])
    np.testing.assert_allclose(run.variance, 4.0, rtol=1e-12)
    np.testing.assert_allclose(run.lambda_max, 4.0**4 / 3.0**3, rtol=1e-9)
    with pytest.raises(ConfigError, match="q_star"):
        spectrum_along("relu", 4, [0.0])
