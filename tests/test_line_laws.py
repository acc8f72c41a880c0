"""Free sums, products and powers on the real line: one battery for all, closed forms, samples, and what cannot be."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from laws import law_of
from scipy import stats

from spectra import (
    ConvergenceError,
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
    s_transform,
    stieltjes,
)
from spectra.laws import Arcsine, Atomic, Bernoulli, Dirac, Discrete, FussCatalan, MarchenkoPastur, Semicircle
from spectra.line.newton import descend
from spectra.line.products import Product

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


@pytest.mark.parametrize("text", ["discrete([2, 1]) * bernoulli(1/10)", "compress(discrete([2, 1]), 1/10)"])
def test_an_edge_at_which_a_subordination_function_is_zero(text: str) -> None:
    """1 + Q seen from a projection of rank 1/10, Q of rank 1/2: at 1.2 and 1.8 the point ω of 1 + Q is 0 and 3.

    Two projections of ranks p ≤ q ≤ 1 − p: √((λ_+ − x)(x − λ_−))/(2πx(1 − x)), λ_± = p + q − 2pq ± √(4pq(1 − p)(1 −
    q)): Voiculescu, Dykema, Nica (1992), Example 3.6.7.
    """
    spectrum = law_of(text).spectrum()
    share = 0.1 if "*" in text else 1.0
    assert spectrum.bulks == (pytest.approx((1.2, 1.8), rel=1e-12),)
    x = np.array([1.21, 1.5, 1.7, 1.7999])
    q = x - 1.0
    expected = np.sqrt((0.8 - q) * (q - 0.2)) / (2.0 * np.pi * q * (1.0 - q)) / 0.1
    assert spectrum.pdf(x) == pytest.approx(share * expected, rel=1e-10)
    assert float(spectrum.cdf(0.5)) == pytest.approx(1.0 - share, abs=1e-14)


def test_an_edge_at_infinity_of_a_scaled_law() -> None:
    low, high = law_of("1.21 * discrete([3, 1]) * bernoulli(0.2)").spectrum().bulks[0]
    # 1 + 2Q, ranks 1/2 and 1/5: q = 1/2 ± 2/5
    assert (low, high) == pytest.approx((1.21 * 1.2, 1.21 * 2.8), rel=1e-12)


@pytest.mark.parametrize("exponent", [2, Fraction(7, 2), 5])
def test_powers_of_an_arcsine_law_from_zero(exponent: Fraction) -> None:
    """S = ((2 + w)/(1 + w))^t: λ = (1 + w)^{t+1}/(w (2 + w)^t) is least at w = 2/(t − 1), and that is λ_max."""
    spectrum = law_of(f"arcsine(0, 1)^({exponent})").spectrum()
    t = float(exponent)
    w = 2.0 / (t - 1.0)
    assert spectrum.support() == (0.0, pytest.approx((1.0 + w) ** (t + 1.0) / (w * (2.0 + w) ** t), rel=1e-13))
    # m_2/m_1² = 1 + t Var/mean², of arcsine 1/2
    assert spectrum.moment(2) / spectrum.moment(1) ** 2 == pytest.approx(1.0 + t / 2.0, rel=1e-12)
    x, weights = spectrum.quadrature()
    assert x**2 @ weights == pytest.approx(spectrum.moment(2), rel=1e-12)


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


def test_a_compressed_law_ends_where_its_own_formula_says() -> None:
    # PXP of rank p has κ_k p^{k−1}, seen from its range: of 4 + MP(c) it is 4 + MP(pc), beside (1 − p) δ_0.
    c = 0.53 * 3.7
    low, high = law_of("bernoulli(0.53) * (MP(3.7) + 4)").spectrum().bulks[0]
    assert low == pytest.approx(4.0 + (1.0 - c**0.5) ** 2, rel=1e-14)
    assert high == pytest.approx(4.0 + (1.0 + c**0.5) ** 2, rel=1e-14)


@pytest.mark.parametrize(("rate", "c", "v"), [(0.3, 0.95, 0.45), (0.7, 0.9, 1.0), (1.4, 0.5, 1.0)])
def test_edges_beside_an_atom_at_zero_are_not_taken_for_it(rate: float, c: float, v: float) -> None:
    # R of the compound law of jumps J at 1/ω is λ ω ψ_J(1/ω); S of J = MP(c)² v² is (1 + c w)^−2 v^−2, so that
    # z = v² (1 + w)(1 + λ w)(1 + c w)²/w, and edges are its critical values.
    z = np.polynomial.Polynomial([1.0, 1.0]) * [1.0, rate] * [1.0, c] * [1.0, c] * v**2
    w = (z.deriv() * [0.0, 1.0] - z).roots()
    values = np.sort((z(w) / w).real[np.abs(w.imag) < 1e-9])
    spectrum = parse_law(f"compound({rate}, MP({c}, {v})^2)").spectrum()
    for end in spectrum.bulks[0]:
        assert np.min(np.abs(values / end - 1.0)) < 1e-9
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-10)


def eta_over(u: complex, atoms: list[tuple[float, float]]) -> complex:
    """η(u)/u, η = ψ/(1 + ψ), of some atoms."""
    total = sum(p / (1.0 - u * a) for a, p in atoms)
    return (total - 1.0) / (total * u)


@pytest.mark.parametrize("x", [3.0004, 3.0008, 3.00083, 3.0009, 3.00115, 3.002])
def test_one_sheet_only_is_certified_beside_a_narrow_gap(x: float) -> None:
    # By the fixed point of the subordination functions a little above the axis (Belinschi and Bercovici, 2007); the gap
    # is 8e-5 wide, and real points of another sheet lie beside it.
    first, second = [(0.5, 5 / 9), (5.0, 4 / 9)], [(5.0, 1 / 7), (6.0, 3 / 7), (9.0, 3 / 7)]
    height = 1e-8
    u = 1.0 / complex(x, height)
    one = other = u
    for _ in range(400_000):
        before, one = one, u * eta_over(other, second)
        other = u * eta_over(one, first)
        if abs(one - before) < 1e-15 * abs(one):
            break
    g = (sum(p / (1.0 - one * a) for a, p in first)) * u
    points = descend(
        law_of("discrete([0.5, 5], [5/9, 4/9]) * (discrete([1, 2, 5], [1/7, 3/7, 3/7]) + 4)"), np.array([x])
    )
    assert points.good[0]
    # What the height does, and that the iteration creeps, is far less than the distance to another sheet.
    assert abs(points.trace.g[0] - g.conjugate() if g.imag > 0 else points.trace.g[0] - g) < 1e-3 * abs(g)


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


# ---- push-forwards -------------------------------------------------------------------------------------------------


def test_squares_of_any_function_of_a_normal_variable_are_slopes() -> None:
    # φ = x²/2: φ'² = h² has the law of χ² with moments 1, 3, 15, 105; times MP(c) m_2 = 3 + c, for κ_2 + m_1² c.
    chi = parse_law('slope("x**2/2", 1)')
    assert moments(chi, 4) == pytest.approx([1, 3, 15, 105], rel=1e-12)
    x = np.array([0.01, 0.5, 2.0, 9.0])
    assert chi.spectrum().pdf(x) == pytest.approx(stats.chi2.pdf(x, 1), rel=1e-11)
    assert moments(parse_law('slope("x**2/2", 1) * MP(1/2)'), 2) == pytest.approx([1, 3.5], rel=1e-12)
    # φ = eˣ: φ'² is log-normal, E φ'^{2k} = exp(2 k² q).
    expected = np.exp(2 * 0.05 * np.arange(1, 4) ** 2)
    assert moments(parse_law('slope("exp(x)", 1/20)'), 3) == pytest.approx(expected, rel=1e-12)
    # (As far as 9.5 standard deviations reach.)
    x, spectrum = x + 0.05, parse_law('slope("exp(x)", 1/20)').spectrum()
    assert spectrum.pdf(x) == pytest.approx(stats.lognorm.pdf(x, 2 * 0.05**0.5), rel=1e-11)
    with pytest.raises(ConvergenceError, match="reaches to infinity"):
        parse_law('slope("x**2/2", 1) + semicircle(1)').spectrum()
