"""Plain laws whose density fades, or whose w falls to −1: where an unknown is infinite; fixed points and mpmath."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp

from spectra import parse_law
from spectra.line.bulks import Search


def slopes(squares: Any) -> Any:
    """G = E 1/(z − φ'²) over |h| by Gauss and Legendre; `squares` of |h|."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    h = (0.025 * np.arange(360)[:, None] + 0.0125 * (1.0 + nodes)).ravel()
    masses = np.tile(0.0125 * weights, 360) * 2 * np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi)
    return lambda z: (masses / (z[:, None] - squares(h))).sum(axis=1)


def celu(z: Any) -> Any:
    return 0.5 / (z - 1) + 0.5 * slopes(lambda h: np.exp(-2 * np.sqrt(0.2) * h))(z)


def atoms_rest(g: Any, omega: Any, x: Any) -> Any:
    other = x + 1 / g - omega
    return 1 / (0.75 / other + 0.25 / (other - 1)) - other


@pytest.mark.parametrize(
    ("text", "green", "rest", "points"),
    [
        ("discrete({0: 3/4, 1: 1/4}) + slope(celu, 1/5)", celu, atoms_rest, (0.12, 0.15, 0.18, 0.3)),
        # R of MP(c) is 1/(1 − c g).
        (
            "slope(tanh, 1/5) + MP(1/10)",
            slopes(lambda h: np.cosh(np.sqrt(0.2) * h) ** -4),
            lambda g, omega, x: -1 / (1 - g / 10),
            (0.855, 0.87, 1.2, 2.4),
        ),
    ],
)
def test_where_a_density_fades_it_is_that_of_a_fixed_point(text: str, green: Any, rest: Any, points: Any) -> None:
    """ω = x + F_B(ω_B) − ω_B, or x − R_B(g), g = G(ω), of the slopes' ω."""
    spectrum: Any = parse_law(text).spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-11)
    x = np.array(points)
    omega = x + 1j
    for _ in range(150):
        omega = 0.5 * (omega + x + rest(green(omega), omega, x))
    assert spectrum.pdf(x) == pytest.approx(-green(omega).imag / np.pi, rel=1e-9)


def test_gaps_about_a_zero_of_g_and_an_end_at_zero_with_a_power_of_its_own() -> None:
    """As the fixed point v = u h_A(u h_B(v)), u = 1/z, h = η/v, 1 − η(v) = v/G(1/v)."""
    spectrum: Any = parse_law("discrete([-1, 1/5, 1]) * slope(erf, 1/6)").spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-11)
    first = slopes(lambda h: np.exp(-np.pi * h**2 / 12))

    def eta(green: Any, v: Any) -> Any:
        return 1 - v / green(1 / v)

    def second(z: Any) -> Any:
        return (1 / (z + 1) + 1 / (z - 0.2) + 1 / (z - 1)) / 3

    x = np.array([-0.9, -0.5, -0.37, 0.05, 0.15, 0.5, 0.9])
    v = u = 1 / (x + 1e-13j)
    v = v - 1j
    for _ in range(150):
        other = u * eta(second, v) / v
        v = 0.5 * (v + u * eta(first, other) / other)
    green = u / (1 - eta(second, v))
    assert spectrum.pdf(x) == pytest.approx(-green.imag / np.pi, rel=1e-8)


def test_limits_of_depth_keep_the_digits_of_one_more_than_w() -> None:
    """By z = (1 + w)^{7/3} e^{tw}/w, of S = e^{−tw}/(1 + w)^{4/3}, in 40 digits: w falls to −1 with z to 0."""
    spectrum: Any = parse_law("MP(1) * FC(1/3) * smooth_limit(187/40)").spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-12)
    with mp.workdps(40):
        t, power = mp.mpf(187) / 40, mp.mpf(7) / 3
        # y = 1 + w, from the leading order up.
        log_y = (t - 80 - mp.mpc(0, mp.pi)) / power
        for u in range(80, -3, -1):
            log_y = mp.findroot(
                lambda s, u=u: power * s + t * (mp.exp(s) - 1) - mp.log(1 - mp.exp(s)) + mp.mpc(0, mp.pi) + u, log_y
            )
            if u in (35, 20, 5, -2):
                expected = -mp.im(mp.exp(log_y)) / mp.pi * mp.exp(u)
                assert spectrum.pdf(math.exp(-u)) == pytest.approx(float(expected), rel=1e-9)


def test_rounding_in_a_gap_is_no_density() -> None:
    """12 atoms: about z = −0.096722 the fixed point is real, about −0.096732 it is not; one unknown is 10⁵ there."""
    places = [-1.17670048, -0.78864707, -0.51048464, -0.25803342, -0.00564104, 0.62277752]
    places += [0.73798462, 0.75852837, 0.89392208, 1.16891678, 1.56739654, 2.52441621]
    law: Any = parse_law(f"discrete({places}) * slope(erf, 1/6)")
    search = Search(law)
    search.first(32)
    ends = [(bulk.low.place, bulk.high.place) for bulk in search.bulks()]
    first = slopes(lambda h: np.exp(-np.pi * h**2 / 12))
    x = np.array([-0.096732, -0.096722])
    v, u = 1 / x - 1j, 1 / (x + 1e-13j)
    for _ in range(400):
        other = u * (1 - v / (1 / (1 / v[:, None] - np.array(places))).mean(axis=1)) / v
        v = 0.5 * (v + u * (1 - other / first(1 / other)) / other)
    assert (np.abs(v.imag / v.real) > 1e-7).tolist() == [True, False]
    assert [any(low < place < high for low, high in ends) for place in x] == [True, False]
