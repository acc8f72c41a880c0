"""Power series over every ring: identities that define the operations, and sympy's series beside them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import pytest
import sympy
from flint import acb, arb, fmpq
from hypothesis import given
from hypothesis import strategies as st

from spectra.exact import chain
from spectra.exact.power_series import (
    PlainSeries,
    Ring,
    balls,
    complex_balls,
    mp_numbers,
    polynomials,
    rational_functions,
    rationals,
)

ORDER = 7
RINGS = {"rationals": rationals, "balls": balls, "complex balls": complex_balls, "mpmath": mp_numbers}
COEFFICIENTS = [Fraction(0), Fraction(3, 2), Fraction(-1, 3), Fraction(2), Fraction(5, 7), Fraction(-1), Fraction(1, 9)]


def close(found: Any, expected: Fraction) -> bool:
    """Whether a coefficient of any kind is this number: exactly, within its ball, or to rounding."""
    if isinstance(found, (arb, acb)):
        return found.contains(fmpq(*expected.as_integer_ratio()))
    if isinstance(found, mpmath.mpf):
        return abs(found - mpmath.mpf(expected.numerator) / expected.denominator) < 1e-13
    return found == fmpq(*expected.as_integer_ratio())


def is_like(found: list[Any], expected: list[Fraction]) -> bool:
    return len(found) == len(expected) and all(map(close, found, expected))


def series_of(ring: Ring) -> Any:
    return ring.series([ring.number(c) for c in COEFFICIENTS])


IDENTITY = [Fraction(0), Fraction(1), *[Fraction(0)] * (ORDER - 2)]
ONE = [Fraction(1), *[Fraction(0)] * (ORDER - 1)]


@pytest.mark.parametrize("name", RINGS)
def test_operations_undo_each_other_over_every_ring(name: str) -> None:
    ring = RINGS[name]()
    a = series_of(ring)
    one_plus = a + ring.number(1)
    assert is_like(a.revert().compose(a).coefficients, IDENTITY)
    assert is_like(a.compose(a.revert()).coefficients, IDENTITY)
    assert is_like((one_plus * one_plus.inverse()).coefficients, ONE)
    assert is_like(one_plus.log().exp().coefficients, [Fraction(1), *COEFFICIENTS[1:]])
    root = one_plus.power(ring.number(Fraction(1, 2)))
    assert is_like((root * root).coefficients, one_plus_of())
    # A fraction will do wherever an element of the ring does.
    assert is_like(one_plus.power(Fraction(1, 2)).coefficients, [fraction_of(c) for c in rational_root().coefficients])
    assert is_like((a + Fraction(1, 3)).coefficients, [Fraction(1, 3), *COEFFICIENTS[1:]])
    assert is_like(a.times_x().over_x().coefficients, COEFFICIENTS)
    doubled = [c * 2**k for k, c in enumerate(COEFFICIENTS)]
    assert is_like(a.at_multiple(ring.number(2)).coefficients, doubled)


def rational_root() -> Any:
    ring = rationals()
    return (series_of(ring) + ring.number(1)).power(ring.number(Fraction(1, 2)))


def fraction_of(number: Any) -> Fraction:
    return Fraction(int(number.p), int(number.q))


def one_plus_of() -> list[Fraction]:
    return [Fraction(1), *COEFFICIENTS[1:]]


def test_logarithm_and_composition_are_sympys() -> None:
    x = sympy.Symbol("x")
    text = sum(sympy.Rational(c.numerator, c.denominator) * x**k for k, c in enumerate(COEFFICIENTS))
    expected = sympy.series(sympy.log(1 + text), x, 0, ORDER).removeO()
    ring = rationals()
    found = (series_of(ring) + ring.number(1)).log()
    wanted = [fraction_of(c) for c in (expected.coeff(x, k) for k in range(ORDER))]
    assert is_like(found.coefficients, wanted)


def test_symbols_are_coefficients_as_well() -> None:
    ring, (a, b) = polynomials(["a", "b"])
    series = ring.series([ring.number(0), ring.number(1), a, b])
    # x = y − a y² + (2a² − b) y³
    assert series.revert().coefficients == [ring.number(0), ring.number(1), -a, 2 * a * a - b]
    assert (series * b).exp().coefficients[2] == b * a + b * b * fmpq(1, 2)


@given(st.lists(st.fractions(min_value=-5, max_value=5, max_denominator=9), min_size=6, max_size=6))
def test_moments_and_free_cumulants_determine_each_other(numbers: list[Fraction]) -> None:
    ring = rationals()
    cumulants = chain.cumulants_from_moments(ring, numbers)
    assert is_like(chain.moments_from_cumulants(ring, cumulants), numbers)
    if numbers[0]:
        s = chain.s_from_chi(chain.chi_from_psi(chain.psi_from_moments(ring, numbers)))
        assert is_like(chain.cumulants_from_r(chain.r_from_s(s)), [Fraction(int(c.p), int(c.q)) for c in cumulants])
        assert is_like(chain.moments_from_psi(chain.psi_from_chi(chain.chi_from_s(s))), numbers)
        assert chain.s_from_r(chain.r_from_s(s)).coefficients == s.coefficients
        again = chain.s_from_log_s(chain.log_s_from_s(s), ring.number(numbers[0]))
        assert again.coefficients == s.coefficients


def test_known_chains() -> None:
    """Free Poisson: m_k Catalan numbers, κ_k = 1, S = 1/(1 + w); semicircle: κ_2 = 1 alone; projections compressed."""
    ring = rationals()
    catalan = [1, 2, 5, 14, 42, 132]
    assert chain.cumulants_from_moments(ring, catalan) == [fmpq(1)] * 6
    s = chain.s_from_chi(chain.chi_from_psi(chain.psi_from_moments(ring, catalan)))
    assert s.coefficients == [fmpq((-1) ** k) for k in range(6)]
    assert s.at_multiple(fmpq(1, 2)).coefficients == [fmpq((-1) ** k, 2**k) for k in range(6)]
    assert chain.moments_from_cumulants(ring, [0, 1, 0, 0, 0, 0]) == [fmpq(m) for m in (0, 1, 0, 2, 0, 5)]


def test_plain_series_take_python_integers() -> None:
    assert PlainSeries([2, 1, 0]).inverse().coefficients == [Fraction(1, 2), Fraction(-1, 4), Fraction(1, 8)]


@pytest.mark.parametrize("name", RINGS)
def test_every_conversion_over_every_ring(name: str) -> None:
    """Marchenko-Pastur of ratio 1/2: m_k by Narayana numbers, κ_k = 2^{1−k}, S = 1/(1 + w/2)."""
    ring = RINGS[name]()
    moments = [Fraction(1), Fraction(3, 2), Fraction(11, 4), Fraction(45, 8), Fraction(197, 16)]
    cumulants, s = [Fraction(1, 2**k) for k in range(5)], [Fraction(-1, 2) ** k for k in range(5)]
    psi = chain.psi_from_moments(ring, moments)
    found = chain.s_from_chi(chain.chi_from_psi(psi))
    assert is_like(found.coefficients, s)
    # log 1/(1 + w/2)
    logarithm = chain.log_s_from_s(found)
    assert is_like(logarithm.coefficients, [Fraction(0), *(Fraction((-1) ** k, k * 2**k) for k in range(1, 5))])
    assert is_like(chain.s_from_log_s(logarithm, ring.number(1)).coefficients, s)
    assert is_like(chain.cumulants_from_r(chain.r_from_s(found)), cumulants)
    assert is_like(chain.s_from_r(chain.r_from_cumulants(ring, cumulants)).coefficients, s)
    assert is_like(chain.moments_from_psi(chain.psi_from_chi(chain.chi_from_s(found))), moments)
    assert is_like(chain.cumulants_from_moments(ring, moments), cumulants)
    assert is_like(chain.moments_from_cumulants(ring, cumulants), moments)
    # XᵀX/n beside XXᵀ/n, n×n beside n/2×n/2: the moments are half of these, S(w) = 2 (1 + w) S(2w)/(1 + 2w) = 2.
    w = ring.variable(5)
    wide = found.at_multiple(ring.number(2)) * (w + ring.number(1)) * 2 / (w * 2 + ring.number(1))
    assert is_like(chain.moments_from_psi(chain.psi_from_chi(chain.chi_from_s(wide))), [m / 2 for m in moments])


def test_symbols_may_be_divided_by() -> None:
    """Fact sheet §0: with S = a + bw + cw², m_1 = 1/a, m_2 = 1/a² − b/a³, m_3 = 1/a³ − 3b/a⁴ + (2b² − ac)/a⁵."""
    ring, (a, b, c) = rational_functions(["a", "b", "c"])
    s = ring.series([a, b, c])
    moments = chain.moments_from_psi(chain.psi_from_chi(chain.chi_from_s(s)))
    third = 1 / a**3 - 3 * b / a**4 + (2 * b * b - a * c) / a**5
    assert moments == [1 / a, 1 / a**2 - b / a**3, third]
    assert chain.s_from_chi(chain.chi_from_psi(chain.psi_from_moments(ring, moments))).coefficients == [a, b, c]
    assert chain.s_from_log_s(chain.log_s_from_s(s), 1 / a).coefficients == [a, b, c]
    # κ_2 of any law: m_2 − m_1²
    assert chain.cumulants_from_moments(ring, [a, b]) == [a, b - a * a]


@pytest.mark.parametrize("name", [*RINGS, "integers", "polynomials"])
def test_what_a_series_cannot_do_is_said(name: str) -> None:
    rings = RINGS | {"integers": lambda: Ring(int, PlainSeries), "polynomials": lambda: polynomials(["a"])[0]}
    ring = rings[name]()
    zero, two = ring.number(0), ring.number(2)
    even, shifted = ring.series([zero, zero, two]), ring.series([two, two, two])
    with pytest.raises(ValueError, match="mean of a law with an S-transform must have an inverse, and 0"):
        chain.chi_from_psi(even)
    with pytest.raises(ValueError, match="mean of a law with an S-transform"):
        chain.s_from_r(even)
    for operation, series in (("log", shifted), ("exp", shifted), ("revert", shifted)):
        with pytest.raises(ValueError, match=f"`{operation}`: the series must begin with"):
            getattr(series, operation)()
    with pytest.raises(ValueError, match="`compose`"):
        even.compose(shifted)
    for refused in (even.revert, even.inverse):
        with pytest.raises(ValueError, match="must have an inverse"):
            refused()


def test_a_symbol_has_no_inverse_among_polynomials() -> None:
    ring, (a,) = polynomials(["a"])
    with pytest.raises(ValueError, match="must have an inverse, and a has none"):
        chain.chi_from_psi(chain.psi_from_moments(ring, [a, a * a]))
    # Free cumulants need none.
    assert chain.cumulants_from_moments(ring, [a, a * a]) == [a, a * 0]


def test_integers_stay_exact() -> None:
    s = chain.log_s_from_s(PlainSeries([2, 1]))
    assert s.coefficients == [0, Fraction(1, 2)]
    assert chain.s_from_log_s(s, Fraction(1, 2)).coefficients == [2, 1]


@pytest.mark.parametrize("names", [("s", "s"), ("s", "2t"), ("",)])
def test_symbols_that_clash_are_refused(names: tuple[str, ...]) -> None:
    for ring in (rational_functions, polynomials):
        with pytest.raises(ValueError, match="stands twice, or is no name"):
            ring(names)
