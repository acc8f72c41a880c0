"""Free sums, products and powers on the real line: closed forms, equations in 40 digits, and one battery for all."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp

from spectra import (
    ConvergenceError,
    Law,
    affine,
    compound_poisson,
    compression,
    free_cumulants,
    free_poisson,
    free_power,
    free_product,
    free_sum,
    free_sum_power,
    moments,
    parse_law,
    r_transform,
    s_transform,
    stieltjes,
)
from spectra.laws import Arcsine, Atomic, Bernoulli, Dirac, Discrete, FussCatalan, MarchenkoPastur, Semicircle
from spectra.line.products import Product, ProductPower
from spectra.transforms import psi

HALF = Fraction(1, 2)
COIN = Atomic((-1, 1))
# One line per law; several bulks, atoms among and beside them, hard edges, powers of every kind.
TABLE = (
    "semicircle(1) + bernoulli(1/2)",
    "semicircle(1/10) + discrete([-1, 0, 2])",
    "bernoulli(1/2) + bernoulli(1/2)",
    "bernoulli(3/5) + bernoulli(7/10)",
    "discrete([-1, 0, 2]) + discrete({-1: 1/10, 0: 4/5, 2.5: 1/10})",
    "arcsine(17/20) - discrete([0, 1, 3])",
    "MP(1/2) + MP(1/5)",
    "MP(1) - MP(1)",
    "MP(2) + bernoulli(3/4)",
    "FC(2) + FC(5/2)",
    "MP(1/2) - slope(tanh, 3/10)",
    "(slope(relu, 1) * MP(2))^3 + semicircle(1)",
    "MP(1/2) * semicircle(1)",
    "MP(2) * (semicircle(1) + 1/2)",
    "MP(1/2) * (semicircle(1) + 3)",
    "discrete([1, 4]) * discrete([-1, 1])",
    "FC(2) * discrete([-1, 1])",
    "(bernoulli(1/2) + bernoulli(1/2)) * MP(1)",
    "(semicircle(1) + 2) * MP(1)",
    "(semicircle(1) + bernoulli(1/2) + 3)^(5/2)",
    "compound(1/2, semicircle(1))",
    "compound(2, discrete([-1, 3]))",
    "compress(discrete([-1, 1]), 2/3)",
    "sum_power(bernoulli(1/4), 5/2)",
    "1 - 2 * MP(1/2)",
)


@cache
def law_of(text: str) -> Law:
    return parse_law(text)


# ---- one battery ---------------------------------------------------------------------------------------------------

every_law = pytest.mark.parametrize("text", TABLE)


@every_law
def test_mass_and_moments_of_the_density_are_those_of_the_exact_series(text: str) -> None:
    law, spectrum = law_of(text), law_of(text).spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-11)
    assert law.residual < 1e-10
    x, weights = spectrum.quadrature()
    reach = max(abs(end) for end in spectrum.support())
    for k, moment in enumerate(moments(law, 6), 1):
        value = x**k @ weights + sum(atom.mass * atom.location**k for atom in spectrum.atoms)
        assert value == pytest.approx(moment, rel=1e-11, abs=1e-11 * reach**k)


@every_law
def test_distribution_function_and_quantiles_belong_to_the_density(text: str) -> None:
    spectrum = law_of(text).spectrum()
    low, high = spectrum.support()
    assert spectrum.cdf([low - 1.0, high, high + 1.0]) == pytest.approx([0.0, 1.0, 1.0], abs=1e-11)
    for a, b in spectrum.bulks:
        x = a + (b - a) * np.array([0.11, 0.37, 0.52, 0.83])
        x = x[np.all(np.abs(x[:, None] - [atom.location for atom in spectrum.atoms]) > 1e-3, axis=1)]
        h = 1e-4 * (b - a)
        slope = (
            8 * (spectrum.cdf(x + h) - spectrum.cdf(x - h)) - spectrum.cdf(x + 2 * h) + spectrum.cdf(x - 2 * h)
        ) / (12 * h)
        assert slope == pytest.approx(spectrum.pdf(x), rel=1e-7, abs=1e-10)
        assert spectrum.icdf(spectrum.cdf(x)) == pytest.approx(x, rel=1e-10, abs=1e-10)
    for (_, end), (start, _) in pairwise(spectrum.bulks):
        assert np.all(spectrum.pdf(np.linspace(end, start, 9)[1:-1]) == 0.0)
    assert np.all(spectrum.pdf([low - 1e-6, high + 1e-6]) == 0.0)
    assert np.isnan(spectrum.pdf(np.nan))
    assert np.isnan(spectrum.cdf(np.nan))
    assert spectrum.pdf(np.full((2, 3), high + 1.0)).shape == (2, 3)


@every_law
def test_stieltjes_transform_is_that_of_the_density(text: str) -> None:
    law, spectrum = law_of(text), law_of(text).spectrum()
    low, high = spectrum.support()
    z = 0.5 * (low + high) + (high - low) * np.array([0.3 + 0.9j, -0.8 + 0.4j, 0.2 - 0.7j])
    x, weights = spectrum.quadrature()
    expected = (weights / (z[:, None] - x)).sum(axis=1)
    expected = expected + sum(atom.mass / (z - atom.location) for atom in spectrum.atoms)
    assert stieltjes(law, z) == pytest.approx(expected, rel=1e-10)


@every_law
def test_hull_holds_the_support(text: str) -> None:
    law = law_of(text)
    low, high = law.hull
    a, b = law.spectrum().support()
    assert low <= a + 1e-12
    assert b <= high + 1e-12


# ---- closed forms --------------------------------------------------------------------------------------------------


def test_two_coins_make_an_arcsine_law() -> None:
    # Nica and Speicher (2006), Example 12.8
    spectrum = free_sum(COIN, COIN).spectrum()
    x = np.array([-1.999, -1.0, 0.0, 0.7, 1.9999])
    assert spectrum.pdf(x) == pytest.approx(1.0 / (np.pi * np.sqrt(4.0 - x**2)), rel=1e-11)
    assert spectrum.support() == pytest.approx((-2.0, 2.0), abs=1e-15)
    assert spectrum.atoms == ()


@pytest.mark.parametrize("count", [Fraction(3, 2), 3, 7])
def test_many_coins_make_the_law_of_kesten(count: Fraction) -> None:
    # Kesten, Trans. Amer. Math. Soc. 92 (1959): n √(4(n − 1) − x²)/(2π(n² − x²)), atoms 1 − n/2 at ±n for n < 2.
    spectrum = free_sum_power(COIN, count).spectrum()
    n = float(count)
    end = 2.0 * (n - 1.0) ** 0.5
    x = end * np.array([-0.99, -0.5, 0.0, 0.3, 0.999])
    assert spectrum.bulks[0] == pytest.approx((-end, end), rel=1e-14)
    assert spectrum.pdf(x) == pytest.approx(n * np.sqrt(end**2 - x**2) / (2 * np.pi * (n**2 - x**2)), rel=1e-11)
    found = [(atom.location, atom.mass) for atom in spectrum.atoms]
    expected = [(-n, 1 - n / 2), (n, 1 - n / 2)] if n < 2 else []
    assert np.array(found) == pytest.approx(np.array(expected), rel=1e-15)


def test_semicircles_add_up_and_compress_to_semicircles() -> None:
    whole = free_sum(Semicircle(1), Semicircle(Fraction(1, 4)))
    x = np.linspace(-2.0, 2.0, 7)
    density = np.sqrt(5.0 - x**2) / (2.5 * np.pi)
    assert whole.spectrum().pdf(x) == pytest.approx(density, rel=1e-12)
    part = compression(Semicircle(5), Fraction(1, 4))
    assert part.spectrum().pdf(x) == pytest.approx(density, rel=1e-12)


def test_coins_that_differ_by_little_make_a_law_in_closed_form() -> None:
    # Two free projections of ranks p ≤ q: PQP has a density √((λ₊ − x)(x − λ₋))/(2π x(1 − x)) between
    # p + q − 2pq ± √(4pq(1 − p)(1 − q)) (Voiculescu, Dykema, Nica (1992), Example 3.6.7).
    p, q = Fraction(1, 5), Fraction(7, 10)
    spectrum = Product(Bernoulli(p), Bernoulli(q)).spectrum()
    middle, half = float(p + q - 2 * p * q), 2.0 * float(p * q * (1 - p) * (1 - q)) ** 0.5
    assert spectrum.bulks[0] == pytest.approx((middle - half, middle + half), rel=1e-13)
    x = middle + half * np.array([-0.9, -0.2, 0.6, 0.99])
    expected = np.sqrt(half**2 - (x - middle) ** 2) / (2 * np.pi * x * (1 - x))
    assert spectrum.pdf(x) == pytest.approx(expected, rel=1e-11)
    assert [(atom.location, atom.mass) for atom in spectrum.atoms] == [(0.0, pytest.approx(0.8))]


def test_compound_poisson_of_one_jump_is_marchenko_pastur() -> None:
    x = np.linspace(0.2, 5.0, 6)
    general = compound_poisson(2, Discrete((1, 1 + Fraction(1, 10**9))))
    assert general.spectrum().pdf(x) == pytest.approx(MarchenkoPastur(HALF, 2).spectrum().pdf(x), rel=1e-7)
    assert compound_poisson(2, Dirac(1)) == free_poisson(2) == MarchenkoPastur(HALF, Fraction(2))
    law = free_poisson(Fraction(1, 3), -2)
    assert free_cumulants(law, 4) == pytest.approx([(-2.0) ** k / 3 for k in range(1, 5)])


def test_square_of_a_product_with_a_symmetric_law() -> None:
    # Arizmendi and Pérez-Abreu (2009): the square of √A S √A, S a coin, has the law A ⊠ A; of MP(1) a Fuss-Catalan law.
    law = free_product(MarchenkoPastur(1), COIN)
    x = np.array([-2.0, -0.4, 0.1, 1.3])
    assert law.spectrum().pdf(x) == pytest.approx(np.abs(x) * FussCatalan(2).spectrum().pdf(x**2), rel=1e-12)
    assert moments(law, 6) == pytest.approx([0, 1, 0, 3, 0, 12])


@pytest.mark.parametrize("t", [Fraction(1, 4), 1, 3])
def test_one_residual_block_by_symmetrised_singular_values(t: Fraction) -> None:
    # |1 + X| symmetrised is a coin ⊞ |X| symmetrised (Haagerup and Schultz, Proc. Amer. Math. Soc. 135 (2007)).
    # X = √t Ginibre: squared edges 1 + 5t/2 − t²/8 ± √t (t + 8)^{3/2}/8, the lower one until the gap closes at t = 1.
    spectrum = free_sum(COIN, Semicircle(t)).spectrum()
    top = 1 + 2.5 * t - t**2 / 8 + t**0.5 * (t + 8) ** 1.5 / 8
    low = 1 + 2.5 * t - t**2 / 8 - t**0.5 * (t + 8) ** 1.5 / 8
    assert spectrum.support()[1] ** 2 == pytest.approx(float(top), rel=1e-13)
    if t < 1:
        assert spectrum.bulks[1][0] ** 2 == pytest.approx(float(low), rel=1e-12)
    # E s² = 1 + t, E s⁴ = 1 + 4t + 2t²
    assert [spectrum.moment(2), spectrum.moment(4)] == pytest.approx([float(1 + t), float(1 + 4 * t + 2 * t**2)])
    # X = √t Haar: the squares have an arcsine law on 1 + t ± 2√t.
    spectrum = free_sum(COIN, affine(COIN, Fraction(1, 2))).spectrum()
    x = np.array([0.51, 0.9, 1.3, 1.49])
    expected = 1 / (np.pi * np.sqrt(1 - (x**2 - 1.25) ** 2))
    assert spectrum.pdf(x) == pytest.approx(x * expected, rel=1e-11)
    assert np.array(spectrum.bulks) == pytest.approx(np.array([[-1.5, -0.5], [0.5, 1.5]]), rel=1e-14)


# ---- equations in 40 digits ----------------------------------------------------------------------------------------


HEIGHTS = [8 * mp.mpf("0.7") ** k for k in range(40)] + [mp.mpf(10) ** -k for k in (6, 7, 9, 12, 17, 25, 36)]


def sum_by_continuation(first: Any, second: Any, x: Fraction, heights: Any = None) -> Any:
    """Density of a sum of two laws: G_1(ω) = G_2(z + 1/G_1(ω) − ω), led down from far above, where ω ~ z.

    All solutions on the way lie in the upper half plane, where there is one for every z (Belinschi and Bercovici, J.
    Anal. Math. 101 (2007), 357-365).
    """
    omega = mp.mpc(0, 10)
    for height in heights or HEIGHTS:
        z = mp.mpf(x.numerator) / x.denominator + mp.mpc(0, height)
        omega = mp.findroot(lambda o, z=z: 1 / first(o) - 1 / second(z + 1 / first(o) - o), omega, maxsteps=100)
        assert mp.im(omega) > 0
        assert mp.im(z + 1 / first(omega) - omega) > 0
    return -mp.im(first(omega)) / mp.pi


def atoms_in_mp(*pairs: tuple[Any, Any]) -> Any:
    return lambda z: mpmath.fsum(
        mp.mpf(p.numerator) / p.denominator / (z - mp.mpf(a.numerator) / a.denominator) for a, p in pairs
    )


def arcsine_in_mp(r: Fraction) -> Any:
    end = mp.mpf(r.numerator) / r.denominator
    return lambda z: 1 / (mp.sqrt(z - end) * mp.sqrt(z + end))


def semicircle_in_mp(v: Fraction) -> Any:
    end = 2 * mp.sqrt(mp.mpf(v.numerator) / v.denominator)
    return lambda z: 2 / (z + mp.sqrt(z - end) * mp.sqrt(z + end))


F = Fraction
THIRD = F(1, 3)


@pytest.mark.parametrize(
    ("text", "first", "second", "points"),
    [
        (
            "semicircle(1) + bernoulli(1/2)",
            lambda: semicircle_in_mp(F(1)),
            lambda: atoms_in_mp((F(0), HALF), (F(1), HALF)),
            (F(-3, 2), F(-1, 3), F(1, 7), F(9, 4)),
        ),
        (
            "semicircle(1/10) + discrete([-1, 0, 2])",
            lambda: semicircle_in_mp(F(1, 10)),
            lambda: atoms_in_mp((F(-1), THIRD), (F(0), THIRD), (F(2), THIRD)),
            (F(-5, 4), F(-3, 10), F(1, 3), F(7, 4), F(23, 10)),
        ),
        (
            "discrete([-1, 0, 2]) + discrete({-1: 1/10, 0: 4/5, 2.5: 1/10})",
            lambda: atoms_in_mp((F(-1), THIRD), (F(0), THIRD), (F(2), THIRD)),
            lambda: atoms_in_mp((F(-1), F(1, 10)), (F(0), F(4, 5)), (F(5, 2), F(1, 10))),
            (F(-3, 2), F(-9, 10), F(-1, 10), F(1, 5), F(7, 4), F(7, 2)),
        ),
        (
            "arcsine(17/20) - discrete([0, 1, 3])",
            lambda: arcsine_in_mp(F(17, 20)),
            lambda: atoms_in_mp((F(0), THIRD), (F(-1), THIRD), (F(-3), THIRD)),
            (F(-36, 10), F(-3), F(-3, 2), F(-1, 2), F(-2, 5), F(1, 2)),
        ),
        (
            "bernoulli(3/5) + bernoulli(7/10)",
            lambda: atoms_in_mp((F(0), F(2, 5)), (F(1), F(3, 5))),
            lambda: atoms_in_mp((F(0), F(3, 10)), (F(1), F(7, 10))),
            (F(1, 20), F(1, 2), F(17, 20), F(6, 5), F(19, 10)),
        ),
    ],
)
def test_densities_of_sums_are_those_of_subordination_in_40_digits(
    text: str, first: Any, second: Any, points: tuple[Fraction, ...]
) -> None:
    with mp.workdps(40):
        expected = [float(sum_by_continuation(first(), second(), x)) for x in points]
    assert law_of(text).spectrum().pdf([float(x) for x in points]) == pytest.approx(expected, rel=1e-10)


def silverstein(x: float, ratio: Fraction, atoms: Any) -> Any:
    """Density of √T XXᵀ/n √T by its companion transform m, led down from m ~ −1/z; one root has Im m > 0."""
    c = mp.mpf(ratio.numerator) / ratio.denominator
    pairs = [(mp.mpf(a.numerator) / a.denominator, mp.mpf(p.numerator) / p.denominator) for a, p in atoms]
    m = -1 / mp.mpc(x, 80)
    for height in (80, 60, 40, 30, 20, 14, 10, *HEIGHTS):
        z = mp.mpc(x, height)
        for _ in range(200):
            miss = -1 / m + c * mpmath.fsum(p * a / (1 + a * m) for a, p in pairs) - z
            slope = 1 / m**2 - c * mpmath.fsum(p * (a / (1 + a * m)) ** 2 for a, p in pairs)
            m -= miss / slope
            if abs(miss) < mp.mpf(10) ** -34 * abs(z):
                break
        else:
            raise AssertionError("Newton's method did not arrive")
        assert mp.im(m) > 0
    return mp.im(m) / (c * mp.pi)


@pytest.mark.parametrize(
    ("text", "ratio", "atoms"),
    [
        ("MP(1/10) * discrete([-1, 10])", F(1, 10), ((F(-1), HALF), (F(10), HALF))),
        ("MP(2) * discrete({-1: 1/4, 1/2: 1/2, 3: 1/4})", F(2), ((F(-1), F(1, 4)), (HALF, HALF), (F(3), F(1, 4)))),
    ],
)
def test_products_with_signed_laws_solve_the_equation_of_silverstein(text: str, ratio: Fraction, atoms: Any) -> None:
    # √T XXᵀ/n √T, X of size cn×n: the companion transform m solves z = −1/m + c Σ p a/(1 + a m), one root with
    # Im m > 0 (Silverstein and Choi, J. Multivariate Anal. 54 (1995)); density = Im m/(c π), x ≠ 0.
    spectrum = law_of(text).spectrum()
    for low, high in spectrum.bulks:
        for share in (0.07, 0.4, 0.9):
            x = low + share * (high - low)
            if abs(x) < 1e-3:
                continue
            with mp.workdps(40):
                expected = float(silverstein(x, ratio, atoms))
            assert spectrum.pdf(x) == pytest.approx(expected, rel=1e-9)


# ---- two engines, and the algebra ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "factors",
    [
        (MarchenkoPastur(HALF), MarchenkoPastur(Fraction(1, 5))),
        (MarchenkoPastur(Fraction(1, 10)), Discrete((1, 10))),
        (Bernoulli(Fraction(2, 5)), MarchenkoPastur(Fraction(1, 3))),
    ],
    ids=str,
)
def test_products_by_their_curves_are_those_of_their_s_transforms(factors: tuple[Any, Any]) -> None:
    curves, known = Product(*factors).spectrum(), free_product(*factors).spectrum()
    assert np.array(curves.bulks) == pytest.approx(np.array(known.bulks), rel=1e-12)
    for low, high in known.bulks:
        x = low + (high - low) * np.linspace(0.01, 0.99, 23)
        assert curves.pdf(x) == pytest.approx(known.pdf(x), rel=1e-10)
    power = ProductPower(factors[0], Fraction(5, 2)).spectrum()
    known = free_power(factors[0], Fraction(5, 2)).spectrum()
    x = known.icdf(np.linspace(0.7, 0.99, 5))
    assert power.pdf(x) == pytest.approx(known.pdf(x), rel=1e-9)


def test_r_transforms_add_up_and_s_transforms_multiply() -> None:
    a, b = Atomic((-1, 0, 2)), MarchenkoPastur(HALF)
    g = np.array([0.05, -0.08, 0.03 + 0.1j, 0.02 - 0.05j])
    assert r_transform(free_sum(a, b), g) == pytest.approx(r_transform(a, g) + r_transform(b, g), rel=1e-11)
    assert r_transform(Semicircle(3), g) == pytest.approx(3 * g)
    w = np.array([0.04, -0.06, 0.02 + 0.03j])
    shifted = affine(Semicircle(1), 1, 3)
    assert s_transform(free_product(b, shifted), w) == pytest.approx(
        s_transform(b, w) * s_transform(shifted, w), rel=1e-11
    )
    # w = g R(g), g = w S(w): the semicircle shifted by 3 has w = 3g + g².
    assert s_transform(shifted, w) == pytest.approx((-3 + np.sqrt(9 + 4 * w)) / (2 * w), rel=1e-12)


def r_of_bernoulli(p: float, g: Any) -> Any:
    """R = (g − 1 + √((g − 1)² + 4pg))/(2g): on the real line no branch point is met."""
    return (g - 1 + np.sqrt((g - 1) ** 2 + 4 * p * g)) / (2 * g)


def test_r_transforms_are_continued_along_their_rays_as_far_as_one_likes() -> None:
    quarter, half = Bernoulli(Fraction(1, 4)), Bernoulli(HALF)
    g = np.array([1.5, 2.0, 10.0])
    twice = r_transform(free_sum(quarter, quarter), g)
    assert twice == pytest.approx(2 * r_of_bernoulli(0.25, g), rel=1e-10)
    assert r_transform(free_sum(Semicircle(1), half), g) == pytest.approx(g + r_of_bernoulli(0.5, g), rel=1e-10)
    expected = 1 / (1 - 0.5 * g[:1]) + r_of_bernoulli(0.25, g[:1])
    assert r_transform(free_sum(MarchenkoPastur(HALF), quarter), g[:1]) == pytest.approx(expected, rel=1e-10)
    assert r_transform(affine(quarter, -1), -g) == pytest.approx(-r_of_bernoulli(0.25, g), rel=1e-10)
    # A coin: R = (√(1 + 4g²) − 1)/(2g), branch points ±i/2.
    g = np.array([2.0 - 0.5j, -3.0 + 0.2j])
    assert r_transform(COIN, g) == pytest.approx((np.sqrt(1 + 4 * g**2) - 1) / (2 * g), rel=1e-10)


def test_transforms_on_the_axis_are_limits_from_above() -> None:
    law = law_of("semicircle(1) + bernoulli(1/2)")
    x = np.array([-1.0, 0.5, 2.0])
    assert -stieltjes(law, x).imag / np.pi == pytest.approx(law.spectrum().pdf(x), rel=1e-10)
    # ψ(u) = zG(z) − 1 at z = 1/u, from above in u: from below in z.
    assert psi(law, 1 / x) == pytest.approx(x * stieltjes(law, x).conj() - 1, rel=1e-10)
    assert stieltjes(Semicircle(1), 0.0) == pytest.approx(-1j)


def test_quantiles_are_the_smallest_points_with_as_much_below() -> None:
    law = affine(Bernoulli(HALF), -1).spectrum()
    assert law.icdf([0.0, 0.25, 0.5, 0.75, 1.0]) == pytest.approx([-1.0, -1.0, -1.0, 0.0, 0.0])
    assert law.cdf([-1.5, -1.0, -0.5, 0.0]) == pytest.approx([0.0, 0.5, 0.5, 1.0])
    law = free_product(MarchenkoPastur(HALF), COIN).spectrum()
    assert law.icdf(0.5) == pytest.approx(law.bulks[0][1], abs=1e-9)
    assert law.bulks[0][1] < -0.1
    assert law.cdf([-np.inf, 0.0, np.inf]) == pytest.approx([0.0, 0.5, 1.0])
    assert law.pdf(np.inf) == 0.0
    law = free_product(Bernoulli(HALF), Atomic((-1, 0, 1), (Fraction(3, 8), Fraction(1, 4), Fraction(3, 8)))).spectrum()
    assert [(atom.location, atom.mass) for atom in law.atoms] == [(0.0, pytest.approx(0.5))]


@pytest.mark.parametrize(
    ("text", "atoms"),
    [
        ("compound(1/2, bernoulli(1/2))", [(0.0, 0.75)]),
        ("MP(1/2) * (discrete({-1: 1/4, 0: 1/2, 2: 1/4}) + 0)", [(0.0, 0.5)]),
        ("discrete({1: 9/10, 2: 1/10}) * discrete({-3: 4/5, 1: 1/5})", [(-3.0, 0.7), (1.0, 0.1)]),
        ("-(bernoulli(3/4) + bernoulli(3/4))", [(-2.0, 0.5)]),
        ("sum_power(MP(1/2), 1/4)", [(0.0, 0.5)]),
    ],
)
def test_atoms_have_the_masses_of_bercovici_and_voiculescu(text: str, atoms: Any) -> None:
    spectrum = law_of(text).spectrum()
    found = [(atom.location, atom.mass) for atom in spectrum.atoms]
    assert np.array(found) == pytest.approx(np.array(atoms), abs=1e-14)
    for place, mass in atoms:
        assert spectrum.cdf(place) - spectrum.cdf(np.nextafter(place, -9)) == pytest.approx(mass, abs=1e-10)


def test_a_bulk_of_next_to_no_mass_far_out_is_not_passed_over() -> None:
    # Its mass is 1e-11, a tenth of what the mass may be off by; m_4 tells.
    law = parse_law("semicircle(1/10000) + discrete({0: 99999999999/100000000000, 10: 1/100000000000})")
    found = None
    with suppress(ConvergenceError):
        found = law.spectrum()
    assert found is None or found.support()[1] > 9.9


def test_moments_are_exact_fractions() -> None:
    law = free_sum(Bernoulli(Fraction(1, 3)), Semicircle(Fraction(1, 7)))
    # m_2 = κ_2 + κ_1² with κ_2 = p(1 − p) + v
    assert moments(law, 2) == pytest.approx([1 / 3, 2 / 9 + 1 / 7 + 1 / 9], rel=1e-15)
    assert free_cumulants(Arcsine(-2, 2), 6) == pytest.approx([0, 2, 0, -2, 0, 4])
    assert moments(compound_poisson(1, COIN), 6) == pytest.approx([0, 1, 0, 3, 0, 12])


def test_equal_terms_constants_and_signs_are_gathered() -> None:
    assert free_sum(COIN, Dirac(2), COIN) == affine(free_sum_power(COIN, 2), 1, 2)
    assert free_sum(Dirac(1), Dirac(2)) == Dirac(3)
    assert free_product(Dirac(2), COIN) == affine(COIN, 2)
    assert affine(affine(COIN, 2, 1), HALF, 3) == affine(COIN, 1, Fraction(7, 2))
    assert affine(Semicircle(1), -1) == Semicircle(1)
    assert free_sum(Semicircle(1), Semicircle(HALF)) == Semicircle(Fraction(3, 2))
    assert free_sum_power(MarchenkoPastur(HALF), Fraction(1, 4)) == MarchenkoPastur(2, Fraction(1, 4))
    assert free_product(Dirac(3), affine(MarchenkoPastur(1), -1)) == affine(MarchenkoPastur(1), -3)


# ---- samples -------------------------------------------------------------------------------------------------------


def test_sums_and_products_of_sampled_matrices_have_these_moments() -> None:
    """Complex matrices of size 48, 30 of them: the bias is of order 1/48² = 4e-4, and 4 standard errors are allowed."""
    rng = np.random.default_rng(7)
    n, samples = 48, 30

    def haar() -> Any:
        q, r = np.linalg.qr(rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n)))
        return q * (np.diag(r) / np.abs(np.diag(r)))

    def turned(places: list[float]) -> Any:
        q = haar()
        return (q * np.repeat(places, n // len(places))) @ q.conj().T

    def semicircle() -> Any:
        a = rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))
        return (a + a.conj().T) / (2.0 * n**0.5)

    cases = {
        "discrete([-1, 0, 2]) + discrete([0, 1, 3])": lambda: turned([-1, 0, 2]) + turned([0, 1, 3]),
        "semicircle(1) + bernoulli(1/2)": lambda: semicircle() + turned([0, 1]),
        "discrete([1, 4]) * (semicircle(1) + 1/2)": lambda: (
            (root := turned([1, 2])) @ (semicircle() + 0.5 * np.eye(n)) @ root
        ),
    }
    for text, draw in cases.items():
        traces = np.array(
            [
                [np.trace(np.linalg.matrix_power(x, k)).real / n for k in range(1, 5)]
                for x in (draw() for _ in range(samples))
            ]
        )
        error = traces.std(axis=0, ddof=1) / samples**0.5
        exact = moments(law_of(text), 4)
        assert np.all(np.abs(traces.mean(axis=0) - exact) < 4.0 * error + 20.0 / n**2)


def test_a_tail_that_fades_is_followed_as_far_as_it_can_be_told_and_said() -> None:
    # The law of φ'² of tanh reaches down to 0 with a density like exp(−log² φ'²/8q): no edge is there to be found.
    law = law_of("slope(tanh, 1/100) + semicircle(1/1000)")
    spectrum = law.spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-11)
    assert spectrum.bulks[0][0] < 0.4
    assert "the density fades" in law.notes[0]


def test_laws_of_slopes_are_as_fine_as_their_sums_need() -> None:
    # With the coarsest nodes of φ'² of softsign this is off by 8e-11; by mpmath: G = E 1/(ω − φ'²).
    law, q = law_of("slope(softsign, 1/2) + bernoulli(1/2)"), mp.mpf(1) / 2
    with mp.workdps(20):

        def first(z: Any) -> Any:
            return 2 * mp.quad(lambda h: mp.npdf(h, 0, mp.sqrt(q)) / (z - (1 + h) ** -4), [0, 0.2, 0.5, 1, 2, 4, 8])

        second = atoms_in_mp((F(0), HALF), (F(1), HALF))
        heights = [mp.mpf(h) for h in ("8", "3", "1", "0.4", "0.15", "0.05", "0.01", "1e-3", "1e-6", "1e-17")]
        expected = float(sum_by_continuation(first, second, F(17, 10), heights))
    assert law.spectrum().pdf(1.7) == pytest.approx(expected, rel=1e-11)


# ---- what cannot be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Semicircle(0), "`variance` must be positive"),
        (lambda: Arcsine(2, 1), "`low` must be below `high`"),
        (lambda: Atomic(()), "at least one location"),
        (lambda: Atomic((1, float("nan"))), "must be finite"),
        (lambda: free_sum(), "at least one law"),
        (lambda: free_sum(COIN, 3), "must be a `Law`, not 3"),  # type: ignore[arg-type]
        (lambda: free_product(COIN, Semicircle(1)), "at most one factor may reach below zero"),
        (lambda: free_power(COIN, 2), "laws on \\[0, ∞\\)"),
        (lambda: free_power(free_sum(Bernoulli(HALF), Bernoulli(HALF)), HALF), "finite number ≥ 1"),
        (lambda: free_sum_power(COIN, HALF), "finite number ≥ 1"),
        (lambda: free_sum_power(Semicircle(1), 0), "finite number > 0"),
        (lambda: affine(COIN, 0), "`scale` not 0"),
        (lambda: compression(COIN, 2), r"must lie in \(0, 1\]"),
        (lambda: compound_poisson(-1, COIN), "`rate` must be positive"),
        (lambda: s_transform(Semicircle(1), 0.1), "the mean is 0"),
        (lambda: Semicircle(1).spectrum().moment(-1), "whole number"),
    ],
)
def test_what_cannot_be_is_said(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_an_atom_has_no_value() -> None:
    with pytest.raises(ConvergenceError, match="an edge of the law, or an atom"):
        stieltjes(free_sum_power(COIN, Fraction(3, 2)), 1.5)
