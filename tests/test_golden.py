"""Every golden spectrum of the mpmath twins: density, edges, atoms, moments and mass of the package's law."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks import GOLDEN, equation_of, golden_law, golden_layers

from spectra import Network, predict
from spectra.laws.pushforward import slope_law
from spectra.series import scaled_moments

# Cases that a configuration can state as such: σ_w critical at q*, one activation, on the edge-of-chaos curve.
STATABLE = [
    "tanh_q0.01_orthogonal_L64",
    "tanh_q1_gaussian_L2",
    "tanh_q1_orthogonal_L256",
    "softsign_q1_orthogonal_L16",
    "hardtanh_q0.1_orthogonal_L5",
    "hardtanh_q1_gaussian_L2",
    "sin_q1_gaussian_L5",
]

# What is asked of the package, relative: interior density 1e-10, edges 1e-12. Golden points keep 1 % from the edges,
# where rounding λ costs 1e-16/0.02. The golden numbers carry 21 digits.
DENSITY, EDGE = 1e-10, 1e-12
# m_k is a sum of L logarithms: L rounding errors of log S, at most 256 · 2e-16 here, times the order.
MOMENT = 3 * 256 * 2.2e-16


# One net, narrowed by gelu layers after gelu layers, has a far tail that takes a minute (see benchmarks/accuracy.py).
# The density of D² reaches up to its atom: the coarsest law of D² does not resolve that.
NEEDS_FINER_LAWS = ["elu_q1_orthogonal_L2"]
SLOW = ["rect_gelu_mixed_64-128-128-32"]


def test_density_beside_an_atom_of_mass_zero_agrees_with_the_mpmath_twin():
    case = GOLDEN["elu_q1_orthogonal_L2"]
    # σ_b keeps q at 1; χ_1 is not 1 there.
    found = predict(Network(depth=2, activation="elu", weights="orthogonal", sigma_w=1.0, sigma_b=0.7))
    assert found.checks.certified
    built = golden_law("elu_q1_orthogonal_L2", refined=True)
    assert built.uncertified == 0
    assert abs(built.spectrum.total_mass - 1) < 1e-12
    for point in case["points"]:
        assert built.spectrum.pdf(float(point["lambda"])) == pytest.approx(float(point["density"]), rel=DENSITY, abs=0)


@pytest.mark.parametrize("name", [name for name in GOLDEN if name not in [*NEEDS_FINER_LAWS, *SLOW]])
def test_law_agrees_with_the_mpmath_twin(name):
    case, built = GOLDEN[name], golden_law(name)
    law = built.spectrum
    assert built.uncertified == 0
    assert built.residual < 1e-11
    assert abs(law.total_mass - 1) < 1e-10
    for point in case["points"]:
        assert law.pdf(float(point["lambda"])) == pytest.approx(float(point["density"]), rel=DENSITY, abs=0)
    low, high = law.support()
    assert high == pytest.approx(float(case["lambda_max"]), rel=EDGE, abs=0)
    if "lambda_min" in case:
        assert low == pytest.approx(float(case["lambda_min"]), rel=EDGE, abs=0)
        assert law.pdf(low * (1 - 1e-11)) == 0.0
    assert law.pdf(high * (1 + 1e-11)) == 0.0
    assert law.atom_at_zero == pytest.approx(float(case["atom_at_zero"]), rel=1e-14, abs=1e-15)


@pytest.mark.parametrize("name", [name for name in GOLDEN if "atom_at_lambda_max" in GOLDEN[name]])
def test_atom_at_the_top_stands_above_a_gap(name):
    case, law = GOLDEN[name], golden_law(name).spectrum
    (place, mass), edge = law.log_atoms[0], float(case["bulk_edge"])
    assert len(law.log_atoms) == 1
    # p^{-L} and 1 − L(1 − p): L times the rounding of p, and the cancellation in the second.
    assert math.exp(-place) == pytest.approx(float(case["lambda_max"]), rel=EDGE)
    assert mass == pytest.approx(float(case["atom_at_lambda_max"]), rel=0, abs=256 * 2.2e-16)
    assert law.bulks[-1][1] == pytest.approx(edge, rel=EDGE)
    gap = np.linspace(edge * (1 + 1e-11), float(case["lambda_max"]), 7)
    assert np.all(law.pdf(gap) == 0.0)
    assert np.all(law.cdf(gap[:-1]) == pytest.approx(1 - mass, abs=1e-10))


@pytest.mark.parametrize("name", GOLDEN)
def test_moments_agree_with_the_mpmath_twin(name):
    case, equation = GOLDEN[name], equation_of(golden_layers(name))
    first, second, third = scaled_moments(equation, 3)
    assert first == pytest.approx(1.0, rel=1e-15)
    # m_1 = Π χ of the twins' own χ: the rounding of a sum of logarithms.
    assert math.exp(-equation.constant) == pytest.approx(float(case["m_1"]), rel=1e-13)
    assert second == pytest.approx(float(case["m_2_over_m_1_squared"]), rel=MOMENT)
    assert third * math.exp(-3 * equation.constant) == pytest.approx(float(case["m_3"]), rel=MOMENT)


@pytest.mark.parametrize("name", GOLDEN)
def test_mean_squared_slope_agrees_with_the_mpmath_twin(name):
    for state, x in zip(golden_layers(name), GOLDEN[name]["layers"], strict=True):
        # 1e-13 is asked; a sum of some 10² terms of rounding 1e-16 each, along a path in the complex plane.
        assert slope_law(state.spec.activation, state.q).mean == pytest.approx(float(x["mu_1"]), rel=2e-14)


@pytest.mark.parametrize("name", STATABLE)
def test_prediction_from_a_configuration_agrees_with_the_mpmath_twin(name):
    """The same numbers through configuration, mean field and `predict`, which the other tests go round."""
    case = GOLDEN[name]
    (x,) = case["layers"]
    net = Network(
        depth=x["repeat"],
        activation=x["activation"],
        weights=x["weights"],
        sigma_w="critical",
        q_star=float(x["q"]),
    )
    found = predict(net)
    assert found.checks.certified
    assert found.mean_field.runs[0].spec.sigma_w == pytest.approx(math.sqrt(float(x["sigma_w2"])), rel=1e-13)
    for point in case["points"]:
        assert found.spectrum.pdf(float(point["lambda"])) == pytest.approx(float(point["density"]), rel=DENSITY, abs=0)
    assert found.spectrum.support()[1] == pytest.approx(float(case["lambda_max"]), rel=EDGE)
    assert found.moments(3)[2] == pytest.approx(float(case["m_3"]), rel=MOMENT)
