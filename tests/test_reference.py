"""The reference twins against one another: closed forms, continuation, moments, quadrature, random matrices."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import closed_forms
import numpy as np
import pytest
import reference
from mpmath import mp
from reference import Layer, SquaredSlope

GOLDEN = Path(__file__).with_name("golden_spectra.json")


@pytest.fixture(autouse=True)
def _thirty_digits():
    with mp.workdps(30):
        yield


def bulk_moments(layers: list[Layer], upper: float, root: int) -> np.ndarray:
    """∫ λ^k ρ, k = 0..3, over [0, upper], by a double-exponential rule in s, λ = upper s^root.

    ρ ~ λ^{1/root − 1} up to logarithms; the cut s > 1e-7 costs up to 1e-4 of the mass, nothing of the other moments.
    """
    grid, step = np.linspace(-2.9, 2.9, 64, retstep=True)
    s = 1 / (1 + np.exp(-np.pi * np.sinh(grid)))
    weight = root * upper * step * np.pi * np.cosh(grid) * s**root * (1 - s)
    inside = (s > 1e-7) & (1 - s > 1e-9)
    lam, weight = upper * s[inside] ** root, weight[inside]
    rho = np.array([reference.double_density(layers, x) for x in lam])
    return np.array([np.sum(weight * rho * lam**k) for k in range(4)])


def solve(function, lower, upper):
    return mp.findroot(function, (lower, upper), solver="illinois", maxsteps=300, verify=False)


def smooth_limit_top(t):
    """Largest y of the parametrisation of the smooth limit, where its two halves meet."""
    return solve(lambda y: 0.25 - y**2 + y * mp.cot(t * y), 0.01, mp.pi / t * 0.9999)


@pytest.mark.parametrize("name", sorted(reference.BRANCHES))
def test_nodes_reproduce_moments_by_adaptive_quadrature(name):
    law = SquaredSlope(name, "0.5")
    kinks = [end for end, _ in reference.BRANCHES[name][:-1] if abs(end) < 11]
    assert abs(law.mu(0) - 1) < 1e-28
    by_quad = reference.expectation(lambda x: reference.slope(name, x) ** 2, "0.5", kinks, 20)
    assert abs(law.mu(1) / by_quad - 1) < 1e-19


@pytest.mark.parametrize("k", [1, 2, 5])
def test_erf_moments_have_the_closed_form(k):
    q = mp.mpf(3) / 4
    assert abs(SquaredSlope("erf", q).mu(k) / ((4 / mp.pi) ** k / mp.sqrt(1 + 4 * k * q)) - 1) < 1e-28


def test_gelu_slope_moment_has_the_closed_form():
    q = mp.mpf(3) / 4
    exact = mp.mpf(1) / 4 + mp.asin(q / (1 + q)) / (2 * mp.pi) + q / (mp.pi * (1 + q) * mp.sqrt(1 + 2 * q))
    exact += q / (2 * mp.pi * (1 + 2 * q) ** mp.mpf(1.5))
    assert abs(SquaredSlope("gelu", q).mu(1) / exact - 1) < 1e-28


@pytest.mark.parametrize(("name", "y"), [("tanh", 2 + 1j), ("hardswish", 0.5 + 0.3j), ("selu", 1j)])
def test_psi_by_nodes_agrees_with_adaptive_quadrature(name, y):
    value, slope = SquaredSlope(name, "1").psi(mp.mpc(y), 8)
    assert abs(value / reference.psi_quad(name, "1", y, 10) - 1) < 1e-12
    step = mp.mpf(10) ** -8
    ahead = SquaredSlope(name, "1").psi(mp.mpc(y) * mp.exp(step), 8)[0]
    behind = SquaredSlope(name, "1").psi(mp.mpc(y) * mp.exp(-step), 8)[0]
    assert abs((ahead - behind) / (2 * step) / slope - 1) < 1e-12


@pytest.mark.parametrize("depth", [1, 2, 7, 64])
def test_gaussian_products_are_fuss_catalan(depth):
    lam, rho = closed_forms.fuss_catalan(mp.pi / (depth + 1) * mp.mpf("0.4"), depth)
    layers = reference.network("identity", "1", "gaussian", depth)
    assert abs(reference.density(layers, lam).density / rho - 1) < 1e-21
    edge, soft = reference.right_edge(layers)
    assert soft
    assert abs(edge / closed_forms.fuss_catalan_edge(depth) - 1) < 1e-25
    exact = closed_forms.moments([([Fraction(1)] * 5, "gaussian", Fraction(1), depth, 1, 1)], 5)
    assert exact == [closed_forms.fuss_catalan_moment(depth, k) for k in range(1, 6)]


@pytest.mark.parametrize("widths", [(100, 50), (50, 100), (70, 70)])
def test_one_rectangular_layer_is_marchenko_pastur(widths):
    layers = [Layer(SquaredSlope("identity", "1"), "gaussian", 1, 2, *widths)]
    exact = closed_forms.marchenko_pastur(mp.mpf("1.5"), mp.mpf(widths[1]) / widths[0], 2)
    assert abs(reference.density(layers, "1.5").density / exact - 1) < 1e-21


@pytest.mark.parametrize(("p", "weights", "depth"), [
    ("0.5", "gaussian", 3), ("0.5", "orthogonal", 2), ("0.8", "orthogonal", 12), ("0.97", "orthogonal", 10),
    ("0.9", "gaussian", 10),
])  # fmt: skip
def test_bernoulli_polynomial_roots_agree_with_continuation(p, weights, depth):
    q = 1 / (2 * mp.erfinv(mp.mpf(p)) ** 2)
    layers = reference.network("hardtanh", q, weights, depth)
    edge = closed_forms.bernoulli_edge(p, weights, depth)
    for fraction in ("0.05", "0.5", "0.95"):
        lam = edge * mp.mpf(fraction)
        exact = closed_forms.bernoulli_density(lam, p, weights, depth)
        assert abs(reference.density(layers, lam).density / exact - 1) < 1e-20
    if weights == "gaussian" or depth * (1 - mp.mpf(p)) > 1:
        assert abs(reference.right_edge(layers)[0] / edge - 1) < 1e-20
    assert closed_forms.bernoulli_density(edge * mp.mpf("1.001"), p, weights, depth) == 0


@pytest.mark.parametrize(("p", "weights", "depth"), [
    ("0.8", "orthogonal", 12), ("0.97", "orthogonal", 10), ("0.5", "gaussian", 2),
])  # fmt: skip
def test_bernoulli_bulk_and_atoms_carry_mass_one_and_the_moments(p, weights, depth):
    q = 1 / (2 * mp.erfinv(mp.mpf(p)) ** 2)
    layers = reference.network("hardtanh", q, weights, depth)
    upper = float(closed_forms.bernoulli_edge(p, weights, depth))
    exact = np.array([1.0, *map(float, reference.layer_moments(layers, 3))])
    total = bulk_moments(layers, upper, depth if weights == "orthogonal" else depth + 1)
    for place, mass in closed_forms.bernoulli_atoms(p, weights, depth):
        total += float(mass) * float(place) ** np.arange(4)
    assert np.all(np.abs(total / exact - 1) < [1e-6, 1e-9, 1e-9, 1e-9])


@pytest.mark.parametrize(("name", "q", "depth"), [("tanh", "1", 2), ("gelu", "0.3", 1)])
def test_continuation_integrates_to_the_lagrange_moments(name, q, depth):
    layers = reference.network(name, q, "gaussian", depth)
    upper = float(reference.right_edge(layers)[0])
    exact = np.array([1.0, *map(float, reference.layer_moments(layers, 3))])
    assert np.all(np.abs(bulk_moments(layers, upper, depth + 1) / exact - 1) < [1e-4, 1e-7, 1e-9, 1e-9])


def test_leaky_orthogonal_bulk_lies_between_its_edges():
    layers = reference.network("leaky_relu(0.2)", "1", "orthogonal", 6)
    (lower, soft_left), (upper, soft_right) = reference.left_edge(layers[0]), reference.right_edge(layers)
    assert soft_left
    assert soft_right
    # The bulk spans six decades, so integrate in log λ.
    x, weight = np.polynomial.legendre.leggauss(120)
    angles, scale = np.pi / 4 * (x + 1), np.log(float(upper / lower))
    lam = float(lower) * np.exp(scale * np.sin(angles) ** 2)
    rho = np.array([reference.double_density(layers, v) for v in lam])
    for k, exact in enumerate([1.0, *map(float, reference.layer_moments(layers, 2))]):
        total = np.sum(np.pi / 4 * weight * scale * np.sin(2 * angles) * lam ** (k + 1) * rho)
        assert abs(total / exact - 1) < 1e-9


def test_relu_moments_are_the_known_integers():
    half = [Fraction(1, 2)] * 4
    assert closed_forms.moments([(half, "orthogonal", Fraction(2), 5, 1, 1)], 4) == [1, 6, 46, 396]
    assert closed_forms.moments([(half, "gaussian", Fraction(2), 5, 1, 1)], 4) == [1, 11, 171, 3101]


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_rectangular_moments_agree_with_random_matrices(weights):
    widths, rng = [150, 300, 75], np.random.default_rng(5)
    law = SquaredSlope("leaky_relu(0.2)", "1")
    layers = [Layer(law, weights, 1, "1.5", n, m) for n, m in pairwise(widths)]
    exact = np.array([float(m) for m in reference.layer_moments(layers, 3)])
    samples = []
    for _ in range(6):
        jacobian = np.eye(widths[0])
        for n, m in pairwise(widths):
            matrix = rng.standard_normal((m, n)) * np.sqrt(1.5 / n)
            if weights == "orthogonal":
                basis = np.linalg.qr(rng.standard_normal((max(n, m), min(n, m))))[0] * np.sqrt(1.5 * max(1.0, m / n))
                matrix = basis if m > n else basis.T
            jacobian = np.where(rng.random(m) < 0.5, 0.2, 1.0)[:, None] * matrix @ jacobian
        values = np.linalg.svd(jacobian, compute_uv=False) ** 2
        samples.append([np.mean(values**k) for k in (1, 2, 3)])
    spread = np.std(samples, axis=0, ddof=1) / np.sqrt(6) + 0.01 * exact  # sampling plus the O(1/N) bias
    assert np.all(np.abs(np.mean(samples, axis=0) - exact) < 4 * spread)


def test_splitting_a_run_or_writing_widths_changes_nothing():
    whole = reference.network("hardtanh", "0.5", "orthogonal", 5)
    pieces = [Layer(whole[0].law, "orthogonal", n, None, 7, 7) for n in (2, 3)]
    assert abs(reference.density(whole, "0.75").density / reference.density(pieces, "0.75").density - 1) < 1e-21
    assert abs(reference.right_edge(whole)[0] / reference.right_edge(pieces)[0] - 1) < 1e-21


@pytest.mark.parametrize("t", [Fraction(1, 4), Fraction(2)])
def test_deep_limits_integrate_to_their_moments(t):
    number = mp.mpf(t.numerator) / t.denominator
    x, weight = np.polynomial.legendre.leggauss(200)
    for k in (1, 2, 3):
        theta = [mp.pi * (mp.mpf(v) + 1) / 2 for v in x]
        curve = [closed_forms.bernoulli_limit(v, number) for v in theta]
        step = [mp.diff(lambda v: mp.log(closed_forms.bernoulli_limit(v, number)[0]), v) for v in theta]
        terms = zip(weight, curve, step, strict=True)
        bulk = -mp.fsum(mp.pi / 2 * w * lam ** (k + 1) * rho * d for w, (lam, rho), d in terms)
        total = bulk + max(1 - number, mp.zero) * mp.exp(number * k)
        assert abs(total / closed_forms.limit_moment("bernoulli", k, t) - 1) < 1e-10
    low, high = closed_forms.smooth_limit_edges(number)
    top = smooth_limit_top(number)
    near = mp.mpf("1e-12")
    assert abs(closed_forms.smooth_limit(near, 1, number)[0] / high - 1) < 1e-10
    assert abs(closed_forms.smooth_limit(near, -1, number)[0] / low - 1) < 1e-10
    assert abs(closed_forms.smooth_limit(top, 1, number)[0] * mp.exp(number / 2) - 1) < 1e-8


def test_deep_hard_tanh_approaches_its_limit_at_rate_one_over_depth():
    t, lam, depth = mp.one / 4, mp.mpf("0.6"), 3000
    theta = solve(lambda v: closed_forms.bernoulli_limit(v, t)[0] - lam, 0.05, 3)
    layers = reference.network("hardtanh", 1 / (2 * mp.erfinv(depth / (depth + t)) ** 2), "orthogonal", depth)
    assert abs(reference.double_density(layers, 0.6) / float(closed_forms.bernoulli_limit(theta, t)[1]) - 1) < 4 / depth


def test_deep_erf_approaches_its_limit_at_rate_one_over_root_depth():
    t, errors = mp.one / 4, []
    branch = lambda v: closed_forms.smooth_limit(v, -1, t)  # noqa: E731
    limit = branch(solve(lambda v: branch(v)[0] - mp.mpf("0.6"), 0.01, smooth_limit_top(t) * 0.9999))[1]
    for depth in (5_000, 20_000):
        a = t / depth
        q = ((2 * a + a * a) + (1 + a) * mp.sqrt(2 * a + a * a)) / 4  # μ_2/μ_1² = 1 + a
        layers = reference.network("erf", q, "orthogonal", depth)
        errors.append(reference.double_density(layers, 0.6) / float(limit) - 1)
    assert abs(errors[0]) < 0.04
    assert abs(errors[0] / errors[1] - 2) < 0.05


def test_no_density_outside_the_support():
    layers = reference.network("tanh", "1", "gaussian", 2)
    with pytest.raises(ArithmeticError, match="support"):
        reference.double_density(layers, 1.01 * float(reference.right_edge(layers)[0]))


def test_golden_spectra_are_certified():
    cases = json.loads(GOLDEN.read_text())["cases"]
    assert len(cases) > 60
    for name, case in cases.items():
        assert len(case["points"]) >= 3, name
        assert float(case["lambda_max_agreement"]) < 1e-20, name
        for point in case["points"]:
            assert float(point["residual"]) < 1e-28, name
            assert float(point["agreement"]) < 1e-21, name
            assert float(point.get("quad_residual", "0")) < 1e-19, name
