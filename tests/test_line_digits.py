"""Densities of free sums and products on the real line against their equations, solved by mpmath in 40 digits."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import pytest
from laws import law_of
from mpmath import mp

from spectra import stieltjes

HALF = Fraction(1, 2)

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


@pytest.mark.parametrize("distance", [F(1, 100), F(1, 10**6), F(1, 10**8), F(1, 10**12), F(0)])
def test_digits_stay_where_z_times_g_is_one(distance: Fraction) -> None:
    # At z = −4 w = zG − 1 vanishes, and one subordination point is infinite.  S of MP(c) is 1/(1 + c w), so that
    # w = ω G(ω) − 1 of the other factor at ω = z/(1 + c w).
    z = -4.0 + float(distance)
    semicircle = semicircle_in_mp(F(1))
    with mp.workdps(40):

        def miss(w: Any) -> Any:
            omega = mp.mpf(z) / (1 + w / 10)
            return omega * semicircle(mp.mpc(omega - mp.mpf(1) / 4)) - 1 - w

        w = mp.re(mp.findroot(miss, mp.mpf(z + 4) / 40 + mp.mpf(10) ** -25))
        expected = float((1 + w) / mp.mpf(z))
    found = stieltjes(law_of("MP(1/10) * (semicircle(1) + 1/4)"), z)
    assert found == pytest.approx(expected, rel=1e-13)


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
