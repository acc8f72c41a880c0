"""Every law through one battery, then theorems and closed forms, each by a route of its own."""

from __future__ import annotations

import math
from itertools import pairwise

import closed_forms
import numpy as np
import pytest
from laws import LAWS, TWO
from mpmath import mp

import spectra
from spectra import (
    ConvergenceError,
    Network,
    free_cumulants,
    free_power,
    free_product,
    moments,
    predict,
    r_transform,
    s_transform,
    stieltjes,
)
from spectra.laws import Bernoulli, Dirac, Discrete, FussCatalan, MarchenkoPastur, SquaredSlope
from spectra.network.meanfield import mean_field
from spectra.positive_law import PositiveLaw
from spectra.transforms import density, psi

FUNCTIONS = {
    "stieltjes": stieltjes,
    "psi": psi,
    "density": density,
    "r_transform": r_transform,
    "moments": moments,
    "free_cumulants": free_cumulants,
}
ROUTES = {name: function.dispatch(PositiveLaw) for name, function in FUNCTIONS.items()}
every_law = pytest.mark.parametrize("row", LAWS.values(), ids=list(LAWS))


def integrate(law, function):
    """E f(t) from the density and the atoms."""
    spectrum = law.spectrum()
    total = sum(atom.mass * function(atom.location) for atom in spectrum.atoms)
    for arc in spectrum.arcs:
        u, weights = arc.quadrature()
        total = total + (weights * function(np.exp(-u))).sum()
    return total


def interior(law):
    """Points inside the bulks, one in each hundredth of them on a grid that opens the edges."""
    angle = np.linspace(0.1, math.pi - 0.1, 7)
    return np.concatenate(
        [np.zeros(0)] + [0.5 * (a + b) - 0.5 * (b - a) * np.cos(angle) for a, b in law.spectrum().bulks]
    )


# ---- the battery ---------------------------------------------------------------------------------------------------


@every_law
def test_mean_and_variance(row):
    first, second = moments(row.law, 2)
    assert row.law.mean == pytest.approx(row.mean, rel=1e-14)
    assert first == pytest.approx(row.mean, rel=1e-13)
    assert second - first**2 == pytest.approx(row.variance, rel=1e-12, abs=1e-14)
    assert free_cumulants(row.law, 2) == pytest.approx([row.mean, row.variance], rel=1e-12, abs=1e-14)


@every_law
def test_bulks_and_atoms(row):
    spectrum = row.law.spectrum()
    if row.bulks is not None:
        assert len(spectrum.bulks) == len(row.bulks)
        for found, known in zip(spectrum.bulks, row.bulks, strict=True):
            assert found == pytest.approx(known, rel=1e-13, abs=1e-15)
    assert [a.location for a in spectrum.atoms] == pytest.approx([a for a, _ in row.atoms], rel=1e-13)
    assert [a.mass for a in spectrum.atoms] == pytest.approx([m for _, m in row.atoms], rel=1e-13)


@every_law
def test_mass_and_moments_of_the_density(row):
    exact = moments(row.law, 4)
    assert integrate(row.law, lambda t: t**0) == pytest.approx(1.0, abs=1e-11)
    for k in range(4):
        assert integrate(row.law, lambda t, k=k: t ** (k + 1)) == pytest.approx(exact[k], rel=1e-11)


@every_law
def test_cauchy_transform_maps_the_upper_half_plane_down(row):
    scale = row.mean
    z = scale * (np.linspace(-2, 8, 9) + np.array([[1e-3], [0.1], [3.0]]) * 1j)
    g = stieltjes(row.law, z)
    assert np.all(g.imag < 0)
    assert np.allclose(stieltjes(row.law, z.conj()), g.conj(), rtol=1e-13)


@every_law
def test_cauchy_transform_at_infinity(row):
    z = 1e6j * row.mean
    first, second = moments(row.law, 2)
    third = moments(row.law, 3)[2]
    error = z * stieltjes(row.law, z) - (1 + first / z + second / z**2)
    assert abs(error) < 2 * abs(third / z**3) + 5e-16


@every_law
def test_cauchy_transform_is_the_integral_of_the_density(row):
    # Where the quadrature of the density, made for moments, is good: in the left half plane.
    z = row.mean * np.array([-1.5, -0.3, -0.5 + 1j, -1 - 2j, 0.7j])
    expected = np.array([integrate(row.law, lambda t, x=x: 1 / (x - t)) for x in z])
    assert np.allclose(stieltjes(row.law, z), expected, rtol=1e-10)


@every_law
def test_density_is_the_jump_of_the_cauchy_transform(row):
    x = interior(row.law)
    if x.size:
        g = ROUTES["stieltjes"](row.law, x)
        assert np.allclose(-g.imag / math.pi, row.law.spectrum().pdf(x), rtol=1e-9)
        assert np.allclose(density(row.law, x), row.law.spectrum().pdf(x), rtol=1e-10)


@every_law
def test_cauchy_transform_is_real_off_the_support(row):
    low, high = row.law.spectrum().support()
    places = [-0.7 * high, 1.3 * high, 5 * high] + ([0.5 * low] if low > 0 else [])
    bulks = row.law.spectrum().bulks
    places += [0.5 * (left[1] + right[0]) for left, right in pairwise(bulks)]
    g = ROUTES["stieltjes"](row.law, places)
    expected = np.array([integrate(row.law, lambda t, x=x: 1 / (x - t)) for x in places])
    assert np.all(g.imag == 0)
    assert np.allclose(g.real, expected, rtol=1e-10)


@every_law
def test_closed_forms_agree_with_the_generic_routes(row):
    z = row.mean * np.array([-2.0, -0.4, 0.3 + 0.2j, 1 - 0.5j, 3 + 1j])
    assert np.allclose(stieltjes(row.law, z), ROUTES["stieltjes"](row.law, z), rtol=1e-12)
    assert np.allclose(psi(row.law, 1 / z), ROUTES["psi"](row.law, 1 / z), rtol=1e-12)
    g = np.array([-0.1, 0.0, 0.05]) / row.mean
    assert np.allclose(r_transform(row.law, g), ROUTES["r_transform"](row.law, g), rtol=1e-12)
    assert np.allclose(moments(row.law, 8), ROUTES["moments"](row.law, 8), rtol=1e-11)
    size = moments(row.law, 8)
    assert np.all(np.abs(free_cumulants(row.law, 8) - ROUTES["free_cumulants"](row.law, 8)) < 1e-12 * size)


@every_law
def test_s_transform_inverts_psi(row):
    u = np.array([-3.0, -0.5, -0.2 + 0.1j, 0.05 + 0.05j, -0.3 - 0.4j]) / row.mean
    w = psi(row.law, u)
    assert np.allclose(s_transform(row.law, w), (1 + w) * u / w, rtol=1e-11)
    assert s_transform(row.law, 0.0) == pytest.approx(1 / row.mean, rel=1e-14)


@every_law
def test_r_transform_inverts_the_cauchy_transform(row):
    high = row.law.spectrum().support()[1]
    z = high * np.array([20.0, -20.0, 15 + 10j, -12 - 5j])
    g = stieltjes(row.law, z)
    assert np.allclose(r_transform(row.law, g) + 1 / g, z, rtol=1e-12)
    real = r_transform(row.law, g.real[:2])
    assert not np.iscomplexobj(real)


@every_law
def test_moments_follow_from_free_cumulants(row):
    # m_n = Σ_s κ_s Σ_{i_1 + … + i_s = n − s} m_{i_1} … m_{i_s}: powers of the moment series.
    order = 7
    cumulants, series = free_cumulants(row.law, order), np.zeros(order + 1)
    series[0] = 1.0
    for n in range(1, order + 1):
        power, total = np.eye(1, order + 1)[0], 0.0
        for s in range(1, n + 1):
            power = np.convolve(power, series)[: order + 1]
            total += cumulants[s - 1] * power[n - s]
        series[n] = total
    assert np.allclose(series[1:], moments(row.law, order), rtol=1e-12)


@every_law
def test_shapes(row):
    for shape in ((), (3,), (2, 3), (0,)):
        z = np.full(shape, 1 + 2j) * row.mean
        for function in (stieltjes, psi, s_transform):
            assert np.shape(function(row.law, z)) == shape
        assert np.shape(r_transform(row.law, 0.01 / z)) == shape
        assert np.shape(density(row.law, z.real)) == shape
    assert moments(row.law, 5).shape == free_cumulants(row.law, 5).shape == (5,)
    assert row.law == row.law
    assert isinstance(hash(row.law), int)


# ---- theorems ------------------------------------------------------------------------------------------------------


def test_the_s_transform_of_a_product_multiplies():
    laws = (MarchenkoPastur(0.5), Discrete((0, 1, 3), (0.2, 0.5, 0.3)), SquaredSlope("tanh", 1.0))
    product = free_product(*laws)
    u = np.array([-2.0, -0.4 + 0.3j, 0.1 + 0.1j]) / product.mean
    w = psi(product, u)
    separately = s_transform(laws[0], w) * s_transform(laws[1], w) * s_transform(laws[2], w)
    assert np.allclose((1 + w) / w * u, separately, rtol=1e-11)


@pytest.mark.parametrize("depth", [2, 3, 10])
def test_product_of_square_wisharts_is_fuss_catalan(depth):
    product = free_product(*[MarchenkoPastur(1.0)] * depth)
    for law in (product, free_power(MarchenkoPastur(1.0), depth), FussCatalan(depth)):
        points = [closed_forms.fuss_catalan(mp.mpf(j) / 8 * mp.pi / (depth + 1), depth) for j in range(1, 8)]
        x, expected = np.array(points, float).T
        assert np.allclose(law.spectrum().pdf(x), expected, rtol=1e-12)
        assert np.allclose(moments(law, 8), [closed_forms.fuss_catalan_moment(depth, k) for k in range(1, 9)])


def test_fuss_catalan_of_half_order_is_a_root_of_marchenko_pastur():
    x = np.linspace(0.01, 3.99, 50)
    square = free_power(FussCatalan(0.5), 2)
    assert np.allclose(square.spectrum().pdf(x), density(MarchenkoPastur(1.0), x), rtol=1e-12)


def test_dilation_by_a_point_mass():
    law, wide = LAWS["MP(1/2) ⊠ two atoms"].law, free_product(Dirac(4.0), LAWS["MP(1/2) ⊠ two atoms"].law)
    x = np.linspace(0.12, 4.85, 40)
    assert np.allclose(4 * wide.spectrum().pdf(4 * x), law.spectrum().pdf(x), rtol=1e-11)
    assert np.array_equal(moments(wide, 6) / 4.0 ** np.arange(1, 7), moments(law, 6))


def test_order_and_grouping_of_a_product_do_not_matter():
    a, b, c = MarchenkoPastur(0.3), TWO, Bernoulli(0.8)
    z = np.array([-1.0, 0.5 + 0.5j, 3 + 0.1j])
    one = stieltjes(free_product(a, free_product(b, c)), z)
    assert free_product(a, free_product(b, c)) == free_product(free_product(a, b), c)
    assert np.allclose(stieltjes(free_product(c, a, b), z), one, rtol=1e-13)


def test_powers_split():
    z = np.array([-1.0, 2 + 0.5j, 5 + 0.1j])
    whole = stieltjes(free_power(TWO, 3.5), z)
    assert np.allclose(stieltjes(free_product(free_power(TWO, 1.25), free_power(TWO, 2.25)), z), whole, rtol=1e-12)
    assert np.allclose(stieltjes(free_power(free_power(TWO, 1.75), 2), z), whole, rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 4])
def test_powers_of_a_projection_solve_their_polynomial(depth):
    p = 0.75
    law = free_power(Bernoulli(p), depth)
    low, high = law.spectrum().bulks[0]
    x = np.linspace(0.05, 0.95, 7) * (high - low) + low
    expected = [p**-depth * closed_forms.bernoulli_density(v / p**depth, p, "orthogonal", depth) for v in x]
    assert np.allclose(law.spectrum().pdf(x), np.array(expected, float), rtol=1e-11)


def test_a_power_of_great_exponent_costs_nothing():
    # S = 1/(1 + w)^s is scaled so that its variance stays put.
    law = free_power(Discrete((1 - 1e-3, 1 + 1e-3)), 1e6)
    variance = 1e6 * 1e-6
    assert moments(law, 2)[1] == pytest.approx(1 + variance, rel=1e-9)
    low, high = (float(edge) for edge in closed_forms.smooth_limit_edges(variance))
    found = law.spectrum().support()
    assert found == pytest.approx((low, high), rel=1e-2)


# ---- closed forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.1, 1.0, 3.0])
def test_marchenko_pastur_density(ratio):
    law = MarchenkoPastur(ratio, 1.5)
    x = interior(law)
    expected = np.array([closed_forms.marchenko_pastur(v, ratio, 1.5) for v in x], float)
    assert np.allclose(density(law, x), expected, rtol=1e-12)
    assert np.allclose(ROUTES["density"](law, x), expected, rtol=1e-12)


@pytest.mark.parametrize("ratio", [0.25, 1.0, 4.0])
def test_marchenko_pastur_keeps_its_digits_from_zero_to_infinity(ratio):
    z = 10.0 ** np.arange(-8, 9) * np.exp(0.7j)
    c = mp.mpf(ratio)
    with mp.workdps(60):
        low, high = (1 - mp.sqrt(c)) ** 2, (1 + mp.sqrt(c)) ** 2
        expected = [(x + c - 1 - mp.sqrt(x - low) * mp.sqrt(x - high)) / (2 * c * x) for x in map(mp.mpc, z)]
    assert np.allclose(stieltjes(MarchenkoPastur(ratio), z), np.array(expected, complex), rtol=4e-15)


def test_s_transform_of_two_atoms():
    # ψ(v) = w is (4 + 4w) v² − (3 + 6w) v + 2w = 0.
    w = np.array([-1 + 1e-9, -0.9, -0.3, -1e-9, 1e-9, 0.4, 20.0])
    with mp.workdps(40):
        v = [4 * x / (3 + 6 * x + mp.sqrt(9 + 4 * x + 4 * x**2)) for x in map(mp.mpf, w)]
        expected = [(1 + mp.mpf(x)) * y / mp.mpf(x) for x, y in zip(w, v, strict=True)]
    found = s_transform(TWO, w)
    assert found.dtype == float
    assert np.allclose(found, np.array(expected, float), rtol=1e-13)


def test_r_transform_of_a_projection():
    # G = (1 − p)/z + p/(z − 1): R solves g R² + (1 − g) R − p = 0.
    p, g = 0.3, np.array([-2.0, -0.5, 1e-9, 0.4, 0.3 + 0.4j, 0.3 - 0.4j])
    expected = 2 * p / (1 - g + np.sqrt((1 - g) ** 2 + 4 * p * g))
    assert np.allclose(r_transform(Bernoulli(p), g), expected, rtol=1e-13)


# ---- the edges of what can be asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MarchenkoPastur(-1), r"`MarchenkoPastur\(ratio=-1\)`: `ratio` must be positive"),
        (lambda: MarchenkoPastur(1, math.inf), "`scale` must be positive and finite"),
        (lambda: Dirac(0.0), "`location` must be positive"),
        (lambda: Bernoulli(1.5), r"must lie in \(0, 1\]"),
        (lambda: FussCatalan(0), "`order` must be positive"),
        (lambda: Discrete((1, 2), (0.5, 0.6)), "sum to 1; they sum to 1.1"),
        (lambda: Discrete((1, 2), (1.0,)), "2 locations but 1 masses"),
        (lambda: Discrete(()), "at least one location"),
        (lambda: Discrete((0.0,)), "mean must be positive"),
        (lambda: Discrete((-1.0, 2.0)), "must not be negative; `Atomic` allows it"),
        (lambda: SquaredSlope("tanh", -1.0), "`variance` must be finite and not negative"),
        (lambda: free_power(TWO, 0.5), "must be a finite number ≥ 1"),
        (lambda: free_product(), "at least one law is needed"),
        (lambda: free_product(TWO, 3), "every argument must be a `Law`, not 3"),  # type: ignore[arg-type]
        (lambda: stieltjes(FussCatalan(2), 0.0), "`z` must not be 0"),
    ],
)
def test_what_cannot_be_is_said(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(("law", "z"), [(FussCatalan(2), 6.75), (free_power(Discrete((1, 4), (0.3, 0.7)), 1.5), 8.0)])
def test_an_edge_or_an_atom_is_reported_as_one(law, z):
    with pytest.raises(ConvergenceError, match="an edge or an atom"):
        stieltjes(law, z)


def test_equal_masses_are_the_default_and_equal_points_are_merged():
    assert Discrete((2, 1)) == TWO == Discrete((1, 2, 1, 2), (0.25, 0.25, 0.25, 0.25))


def test_public_names():
    for name in ("Law", "free_power", "free_product", "moments", "free_cumulants", "s_transform", "stieltjes", "laws"):
        assert hasattr(spectra, name)
    assert spectra.laws.MarchenkoPastur is MarchenkoPastur
    assert not hasattr(spectra.laws, "Triangle")


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("q", [0.01, 0.5])
def test_cauchy_transform_keeps_its_digits_beside_the_end_of_a_law_of_slopes(q, distance):
    """Against E 1/(z − φ'²) by mpmath, on intervals that halve towards the maximum of φ'² at 0.

    z itself is known to a rounding: of the distance from the end that is 1e-16 over it, of G half as much.
    """
    z = 1.0 + distance
    with mp.workdps(30):
        root, exact = mp.sqrt(mp.mpf(q)), mp.mpf(z)
        places = [0, *(mp.mpf(2) ** k for k in range(-30, 4)), 14]
        truth = 2 * mp.quad(lambda x: mp.npdf(x) / (exact - mp.sech(root * x) ** 4), places)
    found = spectra.stieltjes(SquaredSlope("tanh", q), z)
    assert found.real == pytest.approx(float(mp.re(truth)), rel=1e-13 + 4e-16 / distance)


def test_spectra_of_products_are_those_of_networks_made_of_them():
    """Laws of D² are resolved as finely in a free product as in a network."""
    depth, q = 7, 0.27685612869433673
    field = mean_field(Network(depth=depth, activation="hardswish", weights="orthogonal", sigma_w="critical", q_star=q))
    scale = Dirac(1.0 / field.runs[0].slope_moment)
    law = free_power(free_product(SquaredSlope("hardswish", q), scale), depth).spectrum()
    net = predict(Network(depth=depth, activation="hardswish", weights="orthogonal", sigma_w="critical", q_star=q))
    assert law.support()[1] == pytest.approx(net.spectrum.support()[1], rel=1e-12)
    # A thin tail, where coarse laws were off by 1e-7.
    assert law.pdf(11.7041) == pytest.approx(float(net.spectrum.pdf(11.7041)), rel=1e-9)
