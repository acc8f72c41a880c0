"""Densities beside an atom, bulks that begin next to 0 or fade there slowly: closed forms and fixed points."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import mp

from spectra import parse_law

# Slopes of ELU and CELU, squared: e^{2h} for h < 0, and 1 else.


def _slope_at_the_atom(variance: float) -> float:
    """Density of e^{2h}, h normal, at 1."""
    return 1.0 / (2.0 * math.sqrt(2.0 * math.pi * variance))


@pytest.mark.parametrize(
    ("text", "atom", "side", "share", "density"),
    [
        # Masses 2/3 + 1/2 − 1; G = m/(z − a) + (p A + q B)/m where those of the terms are p/z + A, q/(z − 1) + B.
        ("MP(3) + slope(elu, 1.85)", 1.0, -1.0, 1 / 6, 3.0 * _slope_at_the_atom(1.85)),
        ("slope(celu, 1) - discrete({0: 3/4, 1: 1/4})", 1.0, -1.0, 1 / 4, 2.0 * _slope_at_the_atom(1.0)),
        # t copies: an atom of mass 1 − t/2 at t, and t q B/m.
        ("sum_power(slope(elu, 1), 3/2)", 1.5, -1.0, 1 / 4, 2.0 * _slope_at_the_atom(1.0) * 1.5),
    ],
)
def test_density_at_an_atom_is_that_of_the_term_it_comes_from(
    text: str, atom: float, side: float, share: float, density: float
) -> None:
    spectrum: Any = parse_law(text).spectrum()
    assert (atom, pytest.approx(share)) in [(one.location, one.mass) for one in spectrum.atoms]
    # What `spectra.line.beside_atoms` says of its accuracy.
    assert spectrum.pdf(atom + side * 1e-11) == pytest.approx(density, rel=1e-5)
    assert spectrum.pdf(atom - side * 1e-11) == 0.0
    assert spectrum.total_mass == pytest.approx(1.0, abs=2e-11)


def test_density_near_an_atom_by_a_fixed_point() -> None:
    """MP(3) + slope(elu, 1.85): ω = z + h_B(z + h_A(ω)), h = 1/G − z, above the axis; G from the density."""
    spectrum: Any = parse_law("MP(3) + slope(elu, 1.85)").spectrum()
    nodes, weights = np.polynomial.legendre.leggauss(400)
    h = 6.0 * (nodes - 1.0)
    slopes, masses = np.exp(2.0 * math.sqrt(1.85) * h), 6.0 * weights * np.exp(-0.5 * h**2) / math.sqrt(2.0 * math.pi)

    def marchenko_pastur(z: complex) -> Any:
        ends = [(1.0 + side * math.sqrt(3.0)) ** 2 for side in (-1.0, 1.0)]
        return (z + 2.0 - np.sqrt(z - ends[0]) * np.sqrt(z - ends[1])) / (6.0 * z)

    def elu(z: complex) -> Any:
        return 0.5 / (z - 1.0) + masses @ (1.0 / (z - slopes))

    x, shares = spectrum.quadrature()
    for z in (0.5 + 1.0j, 1.0 + 1.0j, 6.0 + 2.0j):
        omega = z
        for _ in range(200):
            other = z + 1.0 / elu(omega) - omega
            omega = z + 1.0 / marchenko_pastur(other) - other
        ours = shares @ (1.0 / (z - x)) + sum(atom.mass / (z - atom.location) for atom in spectrum.atoms)
        assert abs(ours / elu(omega) - 1.0) < 1e-10


@pytest.mark.parametrize("power", ["1.1", "1.01", "1.002"])
def test_a_bulk_that_begins_next_to_zero(power: str) -> None:
    """(Bernoulli limit of variance 1)^{⊞t}: z = e^η (1 + (t − 1) η)/η, G = η e^{−η}/(1 − η), in 40 digits."""
    spectrum: Any = parse_law(f"sum_power(bernoulli_limit(1), {power})").spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-13)
    with mp.workdps(40):
        s = mp.mpf(power) - 1

        def place(eta: Any) -> Any:
            return mp.exp(eta) * (1 + s * eta) / eta

        # d log z/dη = 0: s η² + η − 1 − s η + s η = 0.
        low = place((-1 - mp.sqrt(1 + 4 * s)) / (2 * s))
        assert float(spectrum.support()[0] / low) == pytest.approx(1.0, rel=1e-9)
        for share in (0.2, 0.6, 0.9):
            x = mp.exp(share * mp.log(low))
            about = (-1 - mp.sqrt(1 + 4 * s)) / (2 * s) * share
            eta = mp.findroot(lambda eta, x=x: mp.log(place(eta)) - mp.log(x), mp.mpc(about, -2.5))
            assert abs(place(eta) / x - 1) < 1e-30
            density = abs(mp.im(eta * mp.exp(-eta) / (1 - eta))) / mp.pi
            # x has as many digits as a double.
            assert float(spectrum.pdf(float(x)) / density) == pytest.approx(1.0, rel=1e-9)


# Log S(w) but for the −t w/(1 + w) of the Bernoulli limit, in closed form, at w = −1 + y.
FACTORS = {
    "MP(1)": lambda y: -mp.log(y),
    "smooth_limit(1)": lambda y: 1 - y,
    # ψ = u/2/(1 − u) + u/(1 − 2u), so that w (1 − u)(1 − 2u) = u/2 (1 − 2u) + u (1 − u), u = χ.
    "discrete([1, 2])": lambda y: mp.log(
        y / (y - 1) * ((3 * y - 1.5) - mp.sqrt((3 * y - 1.5) ** 2 - 8 * y * (y - 1))) / (4 * y)
    ),
}


@pytest.mark.parametrize("text", FACTORS)
def test_a_density_that_fades_slowly_towards_zero(text: str) -> None:
    """λρ = Im (1 + w)/π and P(λ < e^{−U}) by quadrature, of 1/λ = w/(1 + w) S(w), in 30 digits; U to 690."""
    spectrum: Any = parse_law(f"{text} * bernoulli_limit(2)").spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-12)
    with mp.workdps(30):

        def y_at(u: Any) -> Any:
            def miss(inverse: Any) -> Any:
                y = 1 / inverse
                return mp.log(1 - y) + mp.mpc(0, mp.pi) - mp.log(y) - 2 + 2 / y + FACTORS[text](y) - u

            # In 1/y all but linear.
            inverse = mp.findroot(miss, (u - mp.mpc(0, mp.pi)) / 2)
            assert abs(miss(inverse)) < 1e-18 * u
            return 1 / inverse

        for u in (40.0, 300.0, 690.0):
            found = float(spectrum.pdf(math.exp(-u)))
            # e^{−U} is rounded, and U by as much.
            expected = float(y_at(mp.mpf(-math.log(math.exp(-u)))).imag / mp.pi * mp.exp(u))
            assert found == pytest.approx(expected, rel=1e-9)
        # P(λ < e^{−U}), by U = 40/s.
        mass: Any = mp.quad(lambda s: y_at(40 / s).imag / mp.pi * 40 / s**2, [1e-9, 1e-6, 1e-3, 0.1, 1])
        assert spectrum.cdf(math.exp(-40.0)) == pytest.approx(float(mass), abs=1e-9)
        assert spectrum.icdf(float(mass)) == pytest.approx(math.exp(-40.0), rel=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 56 / 61])
def test_a_symmetric_arcsine_law_times_marchenko_and_pastur(ratio: float) -> None:
    """By y = z/(1 + c w), 1 + w = y G_B(y) = z G(z): the density where G_B = 1/√(y² − r²), at z on the axis."""
    spectrum: Any = parse_law(f"MP({ratio}) * arcsine(5/7)").spectrum()
    for x in (0.05, 0.4, 1.0):
        y = x + 1j
        for _ in range(2000):
            w = y / (np.sqrt(y - 5 / 7) * np.sqrt(y + 5 / 7)) - 1.0
            y = 0.5 * (y + x / (1.0 + ratio * w))
        green = y / (np.sqrt(y - 5 / 7) * np.sqrt(y + 5 / 7)) / x
        assert spectrum.pdf(x) == pytest.approx(-green.imag / np.pi, rel=1e-9)


def test_a_bulk_next_to_zero_that_is_narrower_by_orders_of_magnitude_is_found() -> None:
    """S_ν(w/λ)/(λ + w) for λ jumps of law ν = MP(1/3) ⊠ two atoms: ends are where d log z/dw = 0, in 30 digits."""
    spectrum: Any = parse_law("compound(3/2, MP(1/3) * discrete([1/10000, 1]))").spectrum()
    assert spectrum.total_mass == pytest.approx(1.0, abs=1e-10)
    with mp.workdps(30):
        a, b, rate, half = mp.mpf("1e-4"), mp.mpf(1), mp.mpf("1.5"), mp.mpf("0.5")

        def log_place(w: Any, sign: int) -> Any:
            v = w / rate
            # a b (v + 1) u² − (a + b)(v + 1/2) u + v = 0: u = χ of the two atoms.
            root = mp.sqrt(((a + b) * (v + half)) ** 2 - 4 * a * b * (v + 1) * v)
            u = ((a + b) * (v + half) + sign * root) / (2 * a * b * (v + 1))
            s = u * (1 + v) / v / (1 + v / 3) / (rate + w)
            return mp.log((1 + w) / (w * s))

        # With which root, and about where, the four are.
        ends = []
        for start, sign in ((-1.2, -1), (-0.4, 1), (-0.86, 1), (0.67, -1)):
            w = mp.findroot(lambda w, sign=sign: mp.diff(lambda x: log_place(x, sign), w), start)
            ends.append(float(mp.exp(mp.re(log_place(w, sign)))))
    assert [end for bulk in spectrum.bulks for end in bulk] == pytest.approx(ends, rel=1e-9)
