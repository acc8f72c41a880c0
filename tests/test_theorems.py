"""Theorems and published formulas: Marchenko–Pastur, Fuss–Catalan, Bernoulli laws, great depth, invariances."""

from __future__ import annotations

import math

import closed_forms
import numpy as np
import pytest
from mpmath import mp
from networks import law_of, layer, linear_gaussian

from spectra import Network, predict

EPS = float(np.finfo(float).eps)


@pytest.fixture(autouse=True)
def _forty_digits():
    with mp.workdps(40):
        yield


def fuss_catalan_density(lam: float, depth: int) -> float:
    """ρ at the double λ itself: the parametrisation inverted to 30 digits."""
    low, high = mp.zero, mp.pi / (depth + 1)
    target = mp.log(mp.mpf(lam))

    def miss(share):
        return mp.log(closed_forms.fuss_catalan(high * share, depth)[0]) - target

    # λ falls from λ_max at 0 to 0 at π/(L + 1).
    share = mp.findroot(miss, (mp.mpf("1e-15"), 1 - mp.mpf("1e-15")), solver="anderson", tol=1e-60, maxsteps=400)
    assert low < share < 1
    assert abs(miss(share)) < 1e-30
    return float(closed_forms.fuss_catalan(high * share, depth)[1])


@pytest.mark.parametrize("depth", [2, 5, 10, 50])
def test_product_of_square_gaussians_is_fuss_catalan(depth):
    law = predict(linear_gaussian(depth)).spectrum
    edge = closed_forms.fuss_catalan_edge(depth)
    for fraction in (1e-12, 1e-6, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        lam = float(edge * mp.mpf(fraction))
        assert law.pdf(lam) == pytest.approx(fuss_catalan_density(lam, depth), rel=1e-12, abs=0)


@pytest.mark.parametrize("depth", [2, 5, 10, 50])
def test_fuss_catalan_density_keeps_its_digits_at_the_edge(depth):
    law = predict(linear_gaussian(depth)).spectrum
    edge = closed_forms.fuss_catalan_edge(depth)
    # ρ ∝ √(edge − λ); at relative distance δ the rounding of λ_max in double alone would cost 1e-16/(2δ).
    for distance, tolerance in ((1e-4, 1e-11), (1e-7, 1e-9), (1e-10, 1e-6)):
        lam = float(edge * (1 - mp.mpf(distance)))
        assert law.pdf(lam) == pytest.approx(fuss_catalan_density(lam, depth), rel=tolerance, abs=0)
    assert law.support()[1] == pytest.approx(float(edge), rel=4 * EPS)
    outside = [float(edge) * (1 + 1e-14), float(edge) * 2, 1e300, -1e-300, -1.0, -float(edge), -math.inf, math.inf]
    assert np.all(law.pdf(np.array(outside)) == 0.0)


@pytest.mark.parametrize("depth", [2, 5, 10, 50])
def test_fuss_catalan_vanishes_towards_zero_as_the_known_power(depth):
    law = predict(linear_gaussian(depth)).spectrum
    # ρ ~ sin(π/(L+1))/π λ^{−L/(L+1)}; the next term is smaller by λ^{1/(L+1)} = 1e-8 here.
    lam = 10.0 ** (-8.0 * (depth + 1)) if depth < 30 else 1e-300
    next_term = lam ** (1 / (depth + 1))
    leading = math.log(math.sin(math.pi / (depth + 1)) / math.pi) - depth / (depth + 1) * math.log(lam)
    assert law.log_pdf(lam) == pytest.approx(leading, abs=4 * next_term + 1e-12 * abs(leading))
    assert law.pdf(0.0) == math.inf
    # P(λ ≤ x) ~ (L + 1) x ρ(x).
    assert law.cdf(lam) == pytest.approx((depth + 1) * lam * float(law.pdf(lam)), rel=4 * next_term + 1e-11)


@pytest.mark.parametrize("depth", [2, 5, 10, 50])
def test_fuss_catalan_moments_are_binomial(depth):
    found = predict(linear_gaussian(depth)).moments(8)
    exact = [closed_forms.fuss_catalan_moment(depth, k) for k in range(1, 9)]
    assert found == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize(("fan_in", "fan_out"), [(200, 200), (400, 100), (100, 300)])
def test_one_gaussian_layer_is_marchenko_pastur(fan_in, fan_out):
    ratio, scale = fan_out / fan_in, 1.7**2
    net = Network(
        layers=[{"activation": "identity", "width": fan_out}],
        input_width=fan_in,
        weights="gaussian",
        sigma_w=1.7,
        input_variance=1.0,
    )
    law = predict(net).spectrum
    low, high = scale * (1 - math.sqrt(ratio)) ** 2, scale * (1 + math.sqrt(ratio)) ** 2
    assert law.support()[1] == pytest.approx(high, rel=1e-14)
    assert law.atom_at_zero == pytest.approx(max(0.0, 1 - 1 / ratio), abs=1e-15)
    if ratio != 1:
        assert law.bulks[0][0] == pytest.approx(low, rel=1e-13)
        assert law.pdf(low * (1 - 1e-12)) == 0.0
    lam = low + (high - low) * np.array([1e-6, 0.01, 0.2, 0.5, 0.8, 0.99])
    exact = [float(closed_forms.marchenko_pastur(mp.mpf(x), mp.mpf(fan_out) / fan_in, mp.mpf(1.7) ** 2)) for x in lam]
    # At 1e-6 of the width from the lower edge rounding λ costs 1e-16/2e-6 times λ/width ≤ 1.
    assert law.pdf(lam) == pytest.approx(exact, rel=2e-10, abs=0)
    assert law.pdf(lam[1:]) == pytest.approx(exact[1:], rel=1e-12, abs=0)


@pytest.mark.parametrize("depth", [1, 2, 5, 16])
def test_relu_with_gaussian_weights_solves_its_algebraic_equation(depth):
    law = predict(Network(depth=depth, activation="relu", weights="gaussian", sigma_w="critical", sigma_b=0.0)).spectrum
    edge = float(closed_forms.bernoulli_edge(0.5, "gaussian", depth))
    assert law.support()[1] == pytest.approx(edge, rel=1e-13)
    assert law.atom_at_zero == 0.5
    for fraction in (0.2, 0.5, 0.9):
        exact = float(closed_forms.bernoulli_density(fraction * edge, 0.5, "gaussian", depth))
        assert exact > 0
        assert law.pdf(fraction * edge) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(("depth", "q"), [(2, 1.0), (7, 0.5), (16, 1.0), (3, 0.2), (7, 0.15)])
def test_hard_tanh_with_orthogonal_weights_solves_its_algebraic_equation(depth, q):
    law = law_of([layer("hardtanh", q, "orthogonal", depth)]).spectrum
    p = mp.erf(1 / mp.sqrt(2 * mp.mpf(q)))
    edge = float(closed_forms.bernoulli_edge(p, "orthogonal", depth))
    atoms = [(float(x), float(m)) for x, m in closed_forms.bernoulli_atoms(p, "orthogonal", depth)]
    # p carries the rounding of erf; p^{-L} and 1 − L(1 − p) carry L times that.
    assert [(a.location, a.mass) for a in law.atoms] == [pytest.approx(a, abs=8 * depth * EPS) for a in atoms]
    assert law.bulks[-1][1] == pytest.approx(edge, rel=1e-12)
    if len(atoms) == 2:
        assert law.support()[1] == pytest.approx(atoms[1][0], rel=1e-13)
        assert law.pdf(0.5 * (edge + atoms[1][0])) == 0.0
    for fraction in (0.02, 0.3, 0.9):
        exact = float(closed_forms.bernoulli_density(fraction * edge, p, "orthogonal", depth))
        assert exact > 0
        assert law.pdf(fraction * edge) == pytest.approx(exact, rel=1e-11)


def test_top_atom_is_there_while_depth_times_defect_is_below_one():
    q = 0.3
    defect = math.erfc(1 / math.sqrt(2 * q))
    last = math.floor(1 / defect)
    with_atom = law_of([layer("hardtanh", q, "orthogonal", last)]).spectrum
    without = law_of([layer("hardtanh", q, "orthogonal", last + 1)]).spectrum
    assert [a.location > 0 for a in with_atom.atoms] == [False, True]
    assert with_atom.atoms[1].mass == pytest.approx(1 - last * defect, abs=4 * last * EPS)
    assert [a.location for a in without.atoms] == [0.0]


@pytest.mark.parametrize("depth", [2, 5, 64])
def test_edge_of_orthogonal_relu_is_that_of_linear_gaussian_one_layer_less(depth):
    law = predict(Network(depth=depth, activation="relu", weights="orthogonal", sigma_w="critical", sigma_b=0.0))
    edge = mp.mpf(depth) ** depth / mp.mpf(depth - 1) ** (depth - 1)
    assert law.spectrum.support()[1] == pytest.approx(float(edge), rel=1e-13)


@pytest.mark.parametrize(("weights", "exact"), [("orthogonal", [1, 6, 46, 396]), ("gaussian", [1, 11, 171, 3101])])
def test_published_relu_moments(weights, exact):
    found = predict(Network(depth=5, activation="relu", weights=weights, sigma_w="critical", sigma_b=0.0))
    assert found.moments(4) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize(("weights", "s1"), [("orthogonal", 0.0), ("gaussian", -1.0)])
@pytest.mark.parametrize("depth", [1, 7, 64])
def test_published_variance_formula(weights, s1, depth):
    """σ² = L(μ_2/μ_1² − 1 − s_1) at χ = 1, with the closed forms of μ_k; Pennington et al. 2018, eq. 22, table 1."""
    q = 0.4
    p = math.erf(1 / math.sqrt(2 * q))
    erf_spread = (1 + math.pi * q) / math.sqrt(1 + 2 * math.pi * q)
    for activation, spread in (("erf", erf_spread), ("hardtanh", 1 / p)):
        net = Network(depth=depth, activation=activation, weights=weights, sigma_w="critical", q_star=q)
        first, second = predict(net).moments(2)
        assert first == pytest.approx(1.0, rel=1e-14)
        assert second - first**2 == pytest.approx(depth * (spread - 1 - s1), rel=1e-12)


@pytest.mark.parametrize(("q", "depth"), [(0.5, 1), (0.5, 2), (0.5, 5), (6.0, 2), (6.0, 3)])
def test_atoms_of_unequal_mass_multiply(q, depth):
    """Slope 1 on (−1, 1), ½ elsewhere: atoms of p_i at a_i give one at Π a_i of mass max(0, 1 − Σ(1 − p_i))."""
    law = law_of([layer({"expr": "x/2 + Min(Max(x, -1), 1)/2"}, q, "orthogonal", depth)]).spectrum
    p = math.erf(1 / math.sqrt(2 * q))
    variance = 1 / (p + (1 - p) / 4)
    both = [((variance / 4) ** depth, 1 - depth * p), (variance**depth, 1 - depth * (1 - p))]
    exact = [(place, mass) for place, mass in both if mass > 0]
    assert exact
    assert [a.location for a in law.atoms] == pytest.approx([place for place, _ in exact], rel=1e-12)
    assert [a.mass for a in law.atoms] == pytest.approx([mass for _, mass in exact], abs=8 * depth * EPS)
    assert law.total_mass == pytest.approx(1.0, abs=1e-10)
