"""Two engines for one law, transforms and their algebra, atoms, quantiles, exact moments."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from laws import law_of

from spectra import (
    ConvergenceError,
    affine,
    compound_poisson,
    free_cumulants,
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
from spectra.laws import Arcsine, Atomic, Bernoulli, Dirac, Discrete, MarchenkoPastur, Semicircle
from spectra.line.products import Product, ProductPower
from spectra.transforms import psi

HALF = Fraction(1, 2)
COIN = Atomic((-1, 1))


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
    # Free Poisson laws of rates 1/c and the jump c v: MP(1/4, 2) is twice MP(1/2), and must not stand for it.
    for terms in ("MP(1/4, 2) + MP(1/2) + MP(1/2)", "MP(1/2) + MP(1/4, 2) + MP(1/2)", "MP(1/2) + MP(1/2) + MP(1/4, 2)"):
        assert parse_law(terms) == MarchenkoPastur(Fraction(1, 8), 4)
    assert parse_law("MP(1/2) + MP(1/3, 3/2) + MP(1/2, 2)") == free_sum(
        MarchenkoPastur(Fraction(1, 5), Fraction(5, 2)), MarchenkoPastur(HALF, 2)
    )
    assert free_product(Dirac(3), affine(MarchenkoPastur(1), -1)) == affine(MarchenkoPastur(1), -3)


def test_however_terms_are_gathered_their_cumulants_add_up() -> None:
    # Many laws here are sums of others: what is gathered under one name must be counted, not replaced.
    pool = [
        *(MarchenkoPastur(Fraction(1, 2 * k), k) for k in (1, 2, 3, 4)),
        *(Semicircle(v) for v in (HALF, 1)),
        free_sum_power(COIN, 2),
        affine(COIN, 1, 1),
    ]
    rng = np.random.default_rng(3)
    for _ in range(200):
        terms = [pool[k] for k in rng.integers(len(pool), size=rng.integers(2, 9))]
        expected = sum(free_cumulants(law, 5) for law in terms)
        assert free_cumulants(free_sum(*terms), 5) == pytest.approx(expected, rel=1e-13, abs=1e-13), terms


@pytest.mark.parametrize(
    "text",
    [
        "arcsine(1/10, 27/20) + FC(2)",
        "(7/4 * (arcsine(1/10, 27/20) + FC(2)) + 7/10)^2",
        "(arcsine(11/20, 11/4) + free_poisson(3/2, -13/10)) * MP(9/4, 19/20)",
        "bernoulli(1/10) * (semicircle(1) + discrete([0, 1]) + 2)",
        "compound(3/2, MP(1/2) + bernoulli(1/3))",
        "slope(tanh, 1/2) + bernoulli(1/3) + semicircle(1)",
        "-(MP(1/2) * (bernoulli(1/2) + MP(2)))",
    ],
)
def test_derivatives_are_right_off_the_curve_too(text: str) -> None:
    # Newton's method goes by them between solutions; by central differences, relative to the largest of each kind.
    law, rng = law_of(text), np.random.default_rng(11)
    z = np.array([3.0 + 2.0j, -1.0 + 4.0j, 9.0 + 0.5j])
    t = law.start(z)
    t = t * (1 + 0.05 * rng.normal(size=t.shape))
    trace = law.trace(t)
    for k in range(len(t)):
        h = 1e-5 * t[k]
        ahead, behind = (law.trace(np.where(np.arange(len(t))[:, None] == k, t + s * h, t)) for s in (1, -1))
        for name in ("z", "g", "w"):
            expected = (getattr(ahead, name) - getattr(behind, name)) / (2 * h)
            found = getattr(trace, f"d{name}")
            scale = np.abs(getattr(trace, name) / t[k]) + np.abs(found[k])
            assert np.all(np.abs(found[k] - expected) < 1e-7 * scale), (name, k)
        for row, (a, b) in enumerate(zip(ahead.equations, behind.equations, strict=True)):
            expected = (a - b) / (2 * h)
            assert trace.slopes[row, k] == pytest.approx(expected, rel=1e-6, abs=1e-7 * float(np.max(np.abs(expected))))
