"""Beside atoms of mass zero: an inverse square root in the density, with logarithms where the laws have densities."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from mpmath import mp
from reference import Layer, SquaredSlope, density

from spectra import Network, predict
from spectra.beside import log_less_linear
from spectra.convolve import free_product
from spectra.laws import Discrete
from spectra.network.jacobian import ends_at_atom, jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.pole import MARGINAL, heaviest_pole


class TwoPoints:
    """(δ_{1−b} + δ_{1+b})/2 ⊠ itself: two free projections of trace 1/2 meet at uniform angles θ.

    On the plane of one angle the product has determinant (1 − b²)² and trace T = 2(1 − b²) + 4b² cos² θ.
    """

    def __init__(self, b: float) -> None:
        self.middle, self.b = 1 - mp.mpf(b) ** 2, mp.mpf(b)

    def cdf(self, x):
        x = mp.mpf(x)
        share = (x + self.middle**2 / x - 2 * self.middle) / (4 * self.b**2)
        angle = mp.acos(mp.sqrt(min(max(share, 0), 1))) / mp.pi
        return 1 - angle if x > self.middle else angle

    def pdf(self, x):
        x = mp.mpf(x)
        share = (x + self.middle**2 / x - 2 * self.middle) / (4 * self.b**2)
        return abs(1 - self.middle**2 / x**2) / (8 * mp.pi * self.b**2 * mp.sqrt(share * (1 - share)))


@pytest.mark.parametrize("b", [0.1, 0.5, 0.9])
def test_product_of_two_equal_pairs_of_points_is_closed_form(b):
    exact = TwoPoints(b)
    half = Discrete([1 - b, 1 + b])
    law = free_product(half, half).spectrum()
    assert law.total_mass == pytest.approx(1.0, abs=1e-14)
    assert law.atoms == ()
    low, high = (1 - b) ** 2, (1 + b) ** 2
    assert law.support() == pytest.approx((low, high), rel=1e-14)
    middle = 1 - b * b
    inside = [low + (middle - low) * 0.01, low + 0.7 * (middle - low), middle + 0.2 * (high - middle)]
    for x in [*inside, high * (1 - 1e-4), high * (1 - 1e-8), low * (1 + 1e-8)]:
        # The distance from the edge, and with it the density, inherits the rounding of x and of the edge.
        rounding = 1e-15 * x / min(high - x, x - low)
        assert law.pdf(x) == pytest.approx(float(exact.pdf(x)), rel=1e-11 + rounding)
        assert law.cdf(x) == pytest.approx(float(exact.cdf(x)), abs=1e-13 + rounding * math.sqrt((high - x) / high))
    # Nearer to the ends λ itself cannot tell the quantiles apart: p goes like the root of the distance.
    for p in (1e-3, 0.3, 0.999):
        assert float(exact.cdf(law.icdf(p))) == pytest.approx(p, abs=1e-12)


def test_leaky_relu_of_two_orthogonal_layers_is_closed_form():
    phi = {"name": "leaky_relu", "negative_slope": 0.2}
    found = predict(Network(depth=2, activation=phi, weights="orthogonal", sigma_w="critical", q_star=1.0))
    b = (1 - 0.04) / (1 + 0.04)
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-14
    for x in (0.01, 0.1, 1.0, 3.0, 3.69):
        assert found.spectrum.pdf(x) == pytest.approx(float(TwoPoints(b).pdf(x)), rel=1e-11)


@pytest.mark.parametrize(("name", "q"), [("elu", 1.0), ("elu", 4.0), ("selu", 1.0), ("selu", 4.0)])
def test_mass_and_moments_close_beside_an_atom_of_mass_zero(name, q):
    """φ' = const. on a half-line: an atom of mass 1/2 of D², and 1/2 + 1/2 − 1 = 0 for two layers."""
    found = predict(Network(depth=2, activation=name, weights="orthogonal", sigma_w="critical", q_star=q))
    law = found.spectrum
    assert found.checks.certified
    assert law.atoms == ()
    assert abs(law.total_mass - 1) < 1e-12
    left = mp.mpf("1.6732632423543772848170429916717") if name == "selu" else mp.mpf(1)
    # E e^{2kx} over x < 0, x ~ N(0, q); μ_k = E φ'^{2k}, less the common factor.
    mu = [mp.mpf(1) / 2 + left ** (2 * k) * mp.exp(2 * k * k * q) * mp.erfc(k * mp.sqrt(2 * q)) / 2 for k in (1, 2)]
    second = float(1 + 2 * (mu[1] / mu[0] ** 2 - 1))
    assert math.exp(law.log_moment_by_quadrature(1)) == pytest.approx(1.0, rel=1e-11)
    assert math.exp(law.log_moment_by_quadrature(2)) == pytest.approx(second, rel=1e-11)


def test_density_beside_the_logarithm_agrees_with_fifty_digits():
    """elu: v ψ(v) = the atom's pole, and a logarithm from the density that ends at the atom."""
    q = 1.0
    found = predict(Network(depth=2, activation="elu", weights="orthogonal", sigma_w="critical", q_star=q))
    with mp.workdps(40):
        mean = mp.mpf(1) / 2 + mp.exp(2 * q) * mp.erfc(mp.sqrt(2 * q)) / 2
        top = 2 * mp.log(mean)

        def log_u(epsilon):
            # v = mean·(1 − ε) in units of φ'² = t ≤ 1.
            reach = mp.log(abs(epsilon)) / mp.log(10)
            cuts = [-mp.inf, -10, -1, *(-(mp.mpf(10) ** -k) for k in range(1, int(-reach) + 4)), 0]
            rest = mp.quad(lambda x: mp.npdf(x, 0, mp.sqrt(q)) / (-mp.expm1(2 * x) + epsilon * mp.exp(2 * x)), cuts)
            w = 1 / (2 * epsilon) + rest - 1
            return 2 * mp.log1p(-epsilon) + mp.log1p(1 / w), w

        for distance in (1e-2, 1e-5, 1e-9):
            u = float(top) + distance
            goal = mp.mpf(u) - top
            start = mp.mpc(-0.05j) * mp.sqrt(goal)
            epsilon = mp.findroot(lambda e, goal=goal: log_u(e)[0] - goal, start)
            exact = float(mp.log(mp.im(log_u(epsilon)[1]) / mp.pi))
            rounding = 4e-16 / distance
            assert found.spectrum.log_density_at(np.array([u]))[0] == pytest.approx(exact, abs=1e-10 + rounding)


@pytest.mark.parametrize("name", ["elu", "selu"])
def test_an_atom_that_touches_the_continuum_agrees_with_the_twin(name):
    """D² has an atom of mass 1/2 at the end of its density (elu) or within it (selu); 2 of 5 directions are lost."""
    found = predict(
        Network(depth=1, activation=name, weights="orthogonal", sigma_w=1.0, input_variance=1.0, width=500,
                input_width=300)
    )  # fmt: skip
    law = found.spectrum
    assert found.checks.certified
    assert abs(law.total_mass - 1.0) < 1e-12
    place = (1.0507009873554804934193349852946**2 if name == "selu" else 1.0) * 5.0 / 3.0
    zero, atom = law.atoms
    assert zero.mass == pytest.approx(0.4, abs=1e-15)
    assert (atom.location, atom.mass) == (pytest.approx(place, rel=1e-14), pytest.approx(0.1, abs=1e-14))
    twin = [Layer(SquaredSlope(name, "1"), "orthogonal", 1, 1, 300, 500)]
    # On both sides of the atom where there are two; near it, the density is bounded.
    for factor in (0.3, 0.9, 0.99) if name == "elu" else (0.3, 0.9, 1.1):
        expected = density(twin, factor * place, 11).density
        assert law.pdf(factor * place) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("q", [0.9, 1.0, 1.5])
def test_an_edge_hidden_beside_an_atom_of_almost_no_mass_is_closed_form(q):
    """relu6: two free projections of rank p just below 1/2; the edge lies (1 − 2p)² from the place of the atom."""
    found = predict(Network(depth=2, activation="relu6", weights="orthogonal", sigma_w="critical", q_star=q))
    law = found.spectrum
    assert found.checks.certified
    assert abs(law.total_mass - 1.0) < 1e-13
    with mp.workdps(30):
        p = mp.mpf(1) / 2 - mp.ncdf(-6 / mp.sqrt(mp.mpf(q)))
        edge = 4 * p * (1 - p)
        for x in (0.01, 0.5, 0.99, 1 - 1e-6, 1 - 1e-9):
            # λ = x/p²; ∫ of the density √((x₊ − x)/x)/(2π(1 − x)) from there to the edge, by x = x₊ sin²θ.
            angle = mp.asin(mp.sqrt(x / edge))
            above = mp.quad(lambda t: edge * mp.cos(t) ** 2 / (1 - edge * mp.sin(t) ** 2), [angle, mp.pi / 2]) / mp.pi
            assert law.cdf(x / float(p) ** 2) == pytest.approx(1 - float(above), abs=2e-12 + 1e-16 / math.sqrt(1 - x))
            if x < 0.999:
                expected = mp.sqrt((edge - x) / x) / (2 * mp.pi * (1 - x)) * p**2
                assert law.pdf(x / float(p) ** 2) == pytest.approx(float(expected), rel=1e-11)


def test_logarithm_less_its_linear_part_keeps_all_digits():
    for x in (1e-12, -3e-5, 0.0099, 0.0999, -0.2, 0.49, -0.45, 0.05 + 0.05j, 0.3 - 0.35j, 1e-8j, 0.8):
        with mp.workdps(50):
            exact = complex(mp.log1p(mp.mpc(x)) - mp.mpc(x))
        assert complex(log_less_linear(np.array([x]))[0]) == pytest.approx(exact, rel=3e-15)


@pytest.mark.parametrize(("name", "ends"), [("elu", True), ("celu", True), ("selu", False), ("leaky_relu", False)])
def test_where_the_density_of_a_law_ends_at_its_atom_is_known_beforehand(name, ends):
    field = mean_field(Network(depth=2, activation=name, weights="orthogonal", sigma_w=1.0, input_variance=1.0))
    pole = heaviest_pole(jacobian_equation(field))
    assert pole is not None
    assert abs(pole.mass) < MARGINAL
    assert pole.ends_density is ends


def test_predictions_with_an_atom_of_mass_zero_can_be_pickled():
    found = predict(Network(depth=2, activation="elu", weights="orthogonal", sigma_w=1.0, input_variance=1.0))
    again = pickle.loads(pickle.dumps(found)).spectrum
    assert np.array_equal(again.pdf(np.array([0.1, 0.9])), found.spectrum.pdf(np.array([0.1, 0.9])))


def test_laws_without_atoms_have_no_pole_of_their_own():
    field = mean_field(Network(depth=2, activation="tanh", weights="orthogonal", sigma_w=1.0, input_variance=1.0))
    assert heaviest_pole(jacobian_equation(field)) is None


@pytest.mark.parametrize("names", [("relu", "leaky_relu"), ("leaky_relu", "selu"), ("elu", "celu"), ("selu", "relu")])
def test_atoms_of_mass_zero_of_unlike_layers(names):
    """The second atom of leaky_relu is one of mass zero as well, of almost no curvature with relu."""
    layers = [{"activation": name, "weights": "orthogonal"} for name in names]
    found = predict(Network(layers=layers, sigma_w=1.2, input_variance=0.7))
    assert found.checks.certified
    assert abs(found.checks.mass_defect) < 1e-12


@pytest.mark.parametrize(("names", "q"), [(("elu", "leaky_relu"), 0.3), (("leaky_relu", "celu"), 1.0)])
def test_a_tail_of_next_to_no_density_ends_at_an_atom_of_mass_zero(names, q):
    """Two bulks, each up to an atom of mass zero, and a density of 1e-15 or less between them: the mass closes."""
    layers = [{"activation": name, "weights": "orthogonal"} for name in names]
    found = predict(Network(layers=layers, sigma_w=1.0, input_variance=q))
    assert abs(found.checks.mass_defect) < 1e-11
    assert max(map(abs, found.checks.moment_defects)) < 1e-11


@pytest.mark.parametrize(("activation", "q_star"), [("selu", 0.004), ({"name": "elu", "alpha": 2.0}, 0.00677)])
def test_beyond_an_atom_of_mass_zero_there_may_be_next_to_nothing(activation: Any, q_star: float) -> None:
    """All of the mass is on one side, but for 1e-12; the law still reaches 0, where φ' does."""
    net = Network(depth=2, activation=activation, weights="orthogonal", sigma_w="critical", q_star=q_star)
    found = predict(net)
    assert found.checks.certified
    assert found.spectrum.support()[0] == 0.0


@pytest.mark.parametrize("name", ["elu", "celu", "selu", "tanh", "leaky_relu", "hardtanh", "softsign", "shifted_relu"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("depth", [2, 3])
def test_laws_that_end_at_an_atom_of_mass_zero_are_known_beforehand(name, weights, depth):
    """From the activation alone, before there is an equation with such an atom."""
    field = mean_field(Network(depth=depth, activation=name, weights=weights, sigma_w=1.0, sigma_b=0.3))
    equation = jacobian_equation(field)
    pole = heaviest_pole(equation) if equation.factors else None
    assert ends_at_atom(field) == (pole is not None and pole.ends_density)
    if ends_at_atom(field):
        assert (name, weights, depth) in {("elu", "orthogonal", 2), ("celu", "orthogonal", 2)}
