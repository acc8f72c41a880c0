"""The Gaussian weight of the law of D², folded over a period and not, against plain sums and mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from spectra.laws import gauss


@pytest.mark.parametrize("spread", [0.25, 0.4, 1.0, 1.7, 6.0])
def test_folded_density_is_the_sum_over_all_periods(spread: float) -> None:
    period, copies = 2.3, np.arange(-80, 81)
    variance = (spread * period) ** 2
    for x in (np.linspace(-1.1, 1.2, 9), np.linspace(-1.1, 1.2, 9) + 0.4j):
        plain = gauss.density(x[:, None] + period * copies, variance, None).sum(-1)
        np.testing.assert_allclose(gauss.density(x, variance, period), plain, rtol=1e-14)
    lower, upper = np.array([-1.0, 0.3]), np.array([1.3, 0.9])
    plain = gauss.mass(lower[:, None] + period * copies, upper[:, None] + period * copies, variance, None).sum(-1)
    np.testing.assert_allclose(gauss.mass(lower, upper, variance, period), plain, rtol=1e-13)
    # Between ends that are near each other it is the density times their distance.
    near = gauss.mass(lower, lower + 2.0**-30, variance, period)
    np.testing.assert_allclose(near, gauss.density(lower + 2.0**-31, variance, period) * 2.0**-30, rtol=1e-15)


def test_folded_over_any_number_of_periods_it_is_uniform() -> None:
    x = np.linspace(0.0, math.pi, 5)
    np.testing.assert_allclose(gauss.density(x, 1e20, math.pi), 1.0 / math.pi, rtol=1e-15)
    np.testing.assert_allclose(gauss.mass(x[:-1], x[1:], 1e20, math.pi), 0.25, rtol=1e-14)


def test_masses_keep_their_digits_in_both_tails() -> None:
    for lower, upper in ((7.0, 7.5), (-30.0, -11.0), (-1.0, 2.0), (9.0, math.inf)):
        with mpmath.workdps(40):
            exact = float(mpmath.ncdf(upper / mpmath.sqrt(2)) - mpmath.ncdf(lower / mpmath.sqrt(2)))
            if lower > 0:
                exact = float((mpmath.erfc(mpmath.mpf(lower) / 2) - mpmath.erfc(mpmath.mpf(upper) / 2)) / 2)
        assert gauss.mass_between(lower, upper, 2.0) == pytest.approx(exact, rel=1e-13)
        array = gauss.mass(np.array([lower]), np.array([upper]), 2.0, None)
        np.testing.assert_allclose(array, exact, rtol=1e-13)
