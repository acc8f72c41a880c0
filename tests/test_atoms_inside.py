"""Atoms of JJᵀ inside a bulk: φ' is constant on an interval, and takes values on both sides of that one elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from mpmath import fp, mp
from reference import SELU_SCALE, SELU_SLOPE, Layer, SquaredSlope, continuation, newton

from spectra import Network, predict
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.pole import poles_of
from spectra.survey import survey

# φ' = 1 above −1, and 2e^{x+1} below.
KINKED = {"expr": "Piecewise((x, x > -1), (2*(exp(x+1)-1)-1, True))"}


def kinked_masses(q) -> tuple:
    """P(φ' = 1), the density of log φ'² at 0, E φ'² and E φ² of KINKED, h ~ N(0, q)."""
    q = mp.mpf(q)
    root = mp.sqrt(q)
    # φ'² = 1 where x = −1 − log 2; d log φ'²/dx = 2.
    beside = mp.npdf(-1 - mp.log(2), 0, root) / 2
    second = mp.ncdf(1 / root) + 4 * mp.exp(2 + 2 * q) * mp.ncdf(-(1 + 2 * q) / root)
    values = [lambda x: x, lambda x: 2 * mp.exp(x + 1) - 3]
    ends = [-1, 0, 2, 20 * root], [-20 * root, -3, -1]
    square: Any = 0
    for f, cuts in zip(values, ends, strict=True):
        square += mp.quad(lambda x, f=f: f(x) ** 2 * mp.npdf(x, 0, root), cuts)
    return mp.ncdf(1 / root), beside, second, square


def selu_masses(q) -> tuple:
    """The same, but for E φ², of selu."""
    q, alpha = mp.mpf(q), mp.mpf("1.6732632423543772848170429916717")
    beside = mp.npdf(-mp.log(alpha), 0, mp.sqrt(q)) / 2
    return mp.mpf(1) / 2, beside, None, None


def one_layer(width, start=200):
    return Network(
        layers=[{"activation": "selu", "weights": "orthogonal", "sigma_w": 1.0, "width": width}],
        input_width=start, input_variance=0.5, sigma_b=0.2,
    )  # fmt: skip


def two_layers():
    """KINKED 300 → 300, then selu 300 → 315."""
    layers = [{"activation": KINKED, "weights": "orthogonal", "sigma_w": 0.8, "width": 300},
              {"activation": "selu", "weights": "orthogonal", "sigma_w": 1.1, "width": 315}]  # fmt: skip
    return Network(layers=layers, input_width=300, input_variance=0.5, sigma_b=0.3)


def expected(case):
    """The place of the atom, its mass and the density of log λ beside it, all from counting and from 1/w = 0.

    Eigenvectors of D_l² at the atom, a share p_l of N_l dimensions, and the image of all before meet in N_0 −
    Σ N_l (1 − p_l) dimensions.  At w → ∞ every ψ_l(y) = p_l/ε + r_l with y = (1 − ε)/a_l, Im r_l = π g_l, g_l the
    density of log φ'² at the atom: log u − log u_0 = −m/w − Σ (N_l/N_L)² p_l r_l/w² but for real terms of second
    order, so that the density Im w/π is Σ (N_l/N_L)² p_l g_l/m.
    """
    if case == "two layers":
        first, second = mp.mpf("0.64") / 2 + mp.mpf("0.09"), None
        p, g, _, square = kinked_masses(first)
        second = mp.mpf("1.21") * square + mp.mpf("0.09")
        rows = [(300, p, g), (315, *selu_masses(second)[:2])]
        place = mp.mpf("0.64") * mp.mpf("1.21") * SELU_SCALE**2 * mp.mpf(315) / 300
        start = 300
    elif isinstance(case, int):
        rows, start = [(case, *selu_masses(mp.mpf("0.54"))[:2])], 200
        place = SELU_SCALE**2 * mp.mpf(case) / 200
    else:
        depth, q = case
        p, g, second, _ = kinked_masses(q)
        rows, start, place = [(1, p, g)] * depth, 1, second**-depth
    last = rows[-1][0]
    mass = (start - sum(n * (1 - p) for n, p, _ in rows)) / mp.mpf(last)
    return place, mass, sum(n**2 * p * g for n, p, g in rows) / last**2 / mass


def predicted(case):
    if case == "two layers":
        return predict(two_layers())
    if isinstance(case, int):
        return predict(one_layer(case))
    return predict(Network(depth=case[0], activation=KINKED, weights="orthogonal", sigma_w="critical", q_star=case[1]))


@pytest.mark.parametrize("case", [204, 220, 300, (2, 0.1), (2, 0.5), (3, 0.5), (5, 0.3), "two layers"])
def test_place_mass_and_the_density_beside_it_are_closed_form(case):
    found = predicted(case)
    law = found.spectrum
    place, mass, beside = (float(x) for x in expected(case))
    assert found.checks.certified
    assert abs(law.total_mass - 1.0) < 1e-12
    # Moments of density and atoms against the series that knows of neither.
    for k in (1, 2, 3):
        assert law.log_moment_by_quadrature(k) == pytest.approx(math.log(law.moment(k)), abs=1e-11)
    (atom,) = [one for one in law.atoms if one.location > 0.0]
    assert (atom.location, atom.mass) == (pytest.approx(place, rel=1e-13), pytest.approx(mass, abs=1e-13))
    assert any(low < place < high for low, high in law.bulks)
    jump = law.cdf(atom.location) - law.cdf(atom.location * (1.0 - 1e-12))
    assert jump == pytest.approx(mass, abs=1e-11 * (1.0 + beside))
    # The next order of the expansion is d log d of this, times constants of order 1/m.
    for distance in (1e-9, -1e-9):
        x = place * (1.0 + distance)
        assert x * law.pdf(x) == pytest.approx(beside, rel=1e-6)


class Exponential(SquaredSlope):
    """The law of φ'², φ'(x) = `top`·e^{x − x_0} below x_0 and `flat` above, h ~ N(0, q): Gauss rules on a path above x.

    φ'² = 1/y at an Im x = −arg(y)/2 below the path, so that the rules hold for y on the real axis as above it.
    """

    def __init__(self, q, end, top, flat):
        super().__init__("exponential", q)
        root = math.sqrt(q)
        nodes, weights = np.polynomial.legendre.leggauss(24)
        cuts = np.concatenate([[0.0], 0.5 ** np.arange(50.0, 3.0, -1.0), np.linspace(0.125, 1.0, 41)])
        half = 0.5 * np.diff(cuts)[:, None]
        part = (cuts[:-1, None] + half + half * nodes).ravel()
        # The Gaussian weight is below 1e-30 where the path ends; beside the kink it rises at 45 degrees.
        length = 12.0 * root + end
        away, rate = length * part, length * (half * weights).ravel()
        x, dx = end - away + 0.5j * away / (1.0 + away), rate * (1.0 - 0.5j / (1.0 + away) ** 2)
        density = np.exp(-x * x / (2.0 * q)) / (root * math.sqrt(2.0 * math.pi)) * dx
        p = np.append(density, float(mp.ncdf(-end / root)))
        self._cache["rule"] = p, np.append(top**2 * np.exp(2.0 * (x - end)), flat**2)

    def mu(self, k, level=0):
        p, t = self._cache["rule"]
        return mp.mpf(float((p @ t**k).real))

    def psi(self, y, level):
        p, t = self._cache["rule"]
        part = p * y * t / (1.0 - y * t)
        return complex(part.sum()), complex((part / (1.0 - y * t)).sum())


def plain_density(layers, x):
    """Im w/(πλ), the root followed from λ = ∞ in doubles, and polished."""
    a, b = continuation(layers, x)
    for _ in range(3):
        a, b, _, _ = newton(layers, -math.log(x), a, b, 0, fp)
    return np.exp(a).imag / (layers[-1].fan_out * math.pi * x)


def kinked(q):
    return Exponential(q, -1.0, 2.0, 1.0)


def selu(q):
    return Exponential(q, 0.0, float(SELU_SLOPE), float(SELU_SCALE))


@pytest.mark.parametrize("case", [220, "two layers", (2, 0.5)])
def test_the_density_on_either_side_agrees_with_a_plain_continuation(case):
    if case == "two layers":
        second = float(mp.mpf("1.21") * kinked_masses("0.41")[3] + mp.mpf("0.09"))
        twin = [Layer(kinked(0.41), "orthogonal", 1, "0.64", 300, 300),
                Layer(selu(second), "orthogonal", 1, "1.21", 300, 315)]  # fmt: skip
    elif isinstance(case, int):
        twin = [Layer(selu(0.54), "orthogonal", 1, 1, 200, case)]
    else:
        twin = [Layer(kinked(0.5), "orthogonal", 2)]
    law, place = predicted(case).spectrum, float(expected(case)[0])
    # A rounding of log u counts as its ratio to the square of the distance.
    for factor in (0.5, 0.97, 0.99, 1.005, 1.3):
        assert law.pdf(factor * place) == pytest.approx(plain_density(twin, factor * place), rel=1e-10)


@pytest.mark.parametrize("steeper", [1.1, 1.001])
def test_two_atoms_beside_each_other_end_an_arc_each(steeper):
    """φ' = 1 above 0.3 and a little more below −0.3; between, from 0.5 to 3.5."""
    left = f"({steeper}*x + {0.3 * steeper - 0.375}, x < -0.3)"
    phi = {"expr": f"Piecewise((x + 0.525, x > 0.3), {left}, (2*x + 2.5*x**2, True))"}
    layer = {"activation": phi, "weights": "orthogonal", "sigma_w": 1.0, "width": 220}
    net = Network(layers=[layer], input_width=200, input_variance=0.5, sigma_b=0.2)
    found = predict(net)
    mass = float(mp.ncdf(-mp.mpf("0.3") / mp.sqrt(mp.mpf("0.54")))) + 200 / 220 - 1.0
    _, *atoms = found.spectrum.atoms
    for atom, slope in zip(atoms, (1.0, steeper), strict=True):
        assert (atom.location, atom.mass) == pytest.approx((1.1 * slope**2, mass), rel=1e-12)
    # Between atoms that are close together w is large, and its imaginary part has few digits: that is said.
    assert found.checks.certified or steeper < 1.1
    assert abs(found.spectrum.total_mass - 1.0) < (1e-12 if found.checks.certified else 1e-7)
    arcs = survey(jacobian_equation(mean_field(net))).arcs
    assert [arc.last is not None and arc.last.at_pole for arc in arcs] == [True, True, False]
    for arc in arcs:
        end = math.inf if arc.last is None else arc.last.log_u
        assert arc.first is not None
        assert np.all((arc.log_u > arc.first.log_u) & (arc.log_u < end))


def test_seven_layers_with_two_atoms_each_have_the_atom_of_the_heaviest():
    """2^7 products of atoms: φ' = 1 above −1, 1.5 below −2, from 0.3 to 2.3 between."""
    phi = {"expr": "Piecewise((x, x > -1), (1.5*x + 0.7, x < -2), (4.3*x + x**2 + 2.3, True))"}
    layers = [{"activation": phi, "weights": "orthogonal", "sigma_w": 0.5, "sigma_b": 0.4 + 0.01 * k, "width": 100}
              for k in range(7)]  # fmt: skip
    net = Network(layers=layers, input_width=100, input_variance=1.0)
    found = predict(net)
    assert found.checks.certified
    field = mean_field(net)
    shares = [mp.ncdf(1 / mp.sqrt(mp.mpf(q))) for q in field.q]
    assert float(shares[0]) == pytest.approx(float(mp.ncdf(1 / mp.sqrt(mp.mpf("0.41")))), abs=1e-14)
    (atom,) = found.spectrum.atoms
    assert atom.mass == pytest.approx(float(1 - sum(1 - p for p in shares)), abs=1e-13)
    (pole,) = poles_of(jacobian_equation(field))
    assert (pole.mass, -pole.log_u) == pytest.approx((atom.mass, math.log(atom.location)), rel=1e-12)
    assert atom.location == pytest.approx(0.5**14, rel=1e-12)


@pytest.mark.parametrize("few", [10**-6, 10**-8])
def test_beside_an_atom_of_hardly_any_mass_the_mass_closes(few):
    """There the density is an inverse square root, but for distances below the square of the mass."""
    width = round(2 / few)
    found = predict(one_layer(width, width // 2 + 2))
    assert found.checks.certified
    assert abs(found.spectrum.total_mass - 1.0) < 1e-12
    assert found.spectrum.atoms[-1].mass == pytest.approx(2 / width, abs=1e-15)


def test_sampled_matrices_have_the_atom_and_the_law_beside_it():
    """Counts of singular values of D W, D of a random h, between places: standard errors over the samples."""
    rng = np.random.default_rng(5)
    n_in, n_out, samples = 300, 330, 24
    law = predicted(220).spectrum
    place = float(expected(220)[0])
    alpha = float(SELU_SLOPE)
    at = place * np.array([0.4, 0.8, 1.0 - 1e-9, 1.0 + 1e-9, 1.5, 2.2])
    shares = np.empty((samples, at.size))
    atoms = np.empty((samples, 2))
    for k in range(samples):
        q, r = np.linalg.qr(rng.standard_normal((n_out, n_in)))
        q *= np.sign(np.diag(r)) * math.sqrt(n_out / n_in)
        h = math.sqrt(0.54) * rng.standard_normal(n_out)
        slope = np.where(h > 0.0, float(SELU_SCALE), alpha * np.exp(np.minimum(h, 0.0)))
        values = np.linalg.svd(slope[:, None] * q, compute_uv=False) ** 2
        shares[k] = (n_out - n_in + np.searchsorted(np.sort(values), at)) / n_out
        atoms[k] = np.count_nonzero(np.abs(values / place - 1.0) < 1e-9), np.count_nonzero(h > 0.0) + n_in - n_out
    # Of each sample the multiplicity is known exactly.
    np.testing.assert_array_equal(atoms[:, 0], atoms[:, 1])
    error = shares.std(axis=0, ddof=1) / math.sqrt(samples)
    # Eigenvalues of one sample fluctuate by the order of one; five standard errors, six places.
    assert np.all(np.abs(shares.mean(axis=0) - law.cdf(at)) < 5.0 * error + 1.0 / n_out)


def test_an_atom_beyond_the_density_is_in_a_gap():
    """Elu with α = 1/2: φ'² = 1 or below 1/4; the bulk ends where λ(y) has its maximum between."""
    layer = {"activation": {"name": "elu", "alpha": 0.5}, "weights": "orthogonal", "sigma_w": 1.0}
    net = Network(layers=[layer | {"width": 260}], input_width=200, input_variance=0.5, sigma_b=0.2)
    found = predict(net)
    law = found.spectrum
    assert found.checks.certified
    (low, high) = law.bulks[-1]
    # λ = (1 + w N_1/N_0)/(y (1 + w)), w = ψ(y), at real y = 1/t beyond the atom, before w = −1.
    below = Exponential(0.54, 0.0, 0.5, 1.0)
    y = np.linspace(1.0001, 2.0, 5001)
    w = np.array([below.psi(complex(x), 0)[0].real for x in y])
    places = ((1.0 + 1.3 * w) / (y * (1.0 + w)))[w < -1.0]
    k = int(np.argmin(places))
    # Of the parabola through three points.
    left, middle, right = places[k - 1 : k + 2]
    assert high == pytest.approx(middle - (right - left) ** 2 / (8.0 * (right + left - 2.0 * middle)), rel=1e-8)
    assert low > 0.0
    assert law.atoms[-1].location == pytest.approx(1.3, rel=1e-14)
    assert law.pdf(0.5 * (high + 1.3)) == 0.0


@pytest.mark.parametrize("q", [0.02, 0.03, 0.05])
def test_an_atom_that_only_a_thin_tail_reaches_is_found(q):
    """φ'² from 4 down to 1 has next to nothing left at 1: the bulk fades before the atom, or beside it."""
    found = predicted((2, q))
    assert found.checks.certified
    assert abs(found.spectrum.total_mass - 1.0) < 1e-12
    place, mass, _ = expected((2, q))
    (atom,) = found.spectrum.atoms
    assert (atom.location, 1.0 - atom.mass) == (pytest.approx(float(place)), pytest.approx(float(1 - mass), abs=1e-14))


@pytest.mark.parametrize("q", [0.06, 0.1, 0.2])
def test_few_large_slopes_make_a_bulk_of_their_own(q):
    """φ' = 1 above −1, between 2 and 3 below: the share of the upper bulk is P(h < −1), by counting."""
    phi = {"expr": "Piecewise((x, x > -1), (2*(x+1) + exp(x+1) - 2, True))"}
    layer = {"activation": phi, "weights": "orthogonal", "sigma_w": 1.0, "width": 220}
    found = predict(Network(layers=[layer], input_width=200, input_variance=q, sigma_b=0.0))
    law = found.spectrum
    assert found.checks.certified
    few = float(mp.ncdf(-1 / mp.sqrt(mp.mpf(q))))
    assert law.atoms[-1].mass == pytest.approx(200 / 220 - few, abs=1e-13)
    between = 0.5 * (law.bulks[-1][0] + law.atoms[-1].location)
    assert 1.0 - law.cdf(between) == pytest.approx(few, rel=1e-9)
