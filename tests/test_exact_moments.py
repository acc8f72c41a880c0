"""Moments of JJᵀ by exact series: closed forms, published numbers, and the engine in doubles."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any

import pytest
import sympy
from flint import acb, arb

from spectra import ConfigError, Network, predict
from spectra.activations import get_activation
from spectra.exact.closed_forms import K, Q, W, Z, closed_form
from spectra.exact.moments import jacobian_moments
from spectra.exact.power_series import working_precision
from spectra.exact.slope_balls import SlopeBalls
from spectra.exact.symbolic import depth_moments, moment_polynomials, shape_formulas


def he(depth: int, weights: str = "gaussian", activation: object = "relu") -> Network:
    """A critical network whose moments are rational."""
    return Network(depth=depth, activation=activation, weights=weights, sigma_w="critical", sigma_b=0.0)


@pytest.mark.parametrize("depth", [1, 2, 5, 10, 50])
def test_products_of_gaussian_matrices_have_the_moments_of_fuss_and_catalan(depth: int) -> None:
    found = jacobian_moments(he(depth, activation="identity"), 30)
    assert found.exact
    assert list(found.values) == [Fraction(comb((depth + 1) * k, k), depth * k + 1) for k in range(1, 31)]


@pytest.mark.parametrize(
    ("depth", "weights", "moments"),
    [(4, "orthogonal", (1, 5, 31)), (5, "orthogonal", (1, 6, 46, 396)), (5, "gaussian", (1, 11, 171, 3101))],
)
def test_relu_moments_are_the_integers_of_noncrossing_partitions(depth, weights, moments) -> None:
    assert jacobian_moments(he(depth, weights), len(moments)).values == moments


def test_two_hundred_moments_of_a_relu_net_are_finite_sums() -> None:
    """m_k = (2^{3k}/k) Σ_j C(k, k−1−j) C(3k, j) 2^{j−3k}: Lagrange on S = Π 1/(σ_w² (½ + w)), three layers."""
    found = jacobian_moments(he(3), 200).values
    for k in (1, 2, 7, 100, 200):
        total = sum(comb(k, k - 1 - j) * comb(3 * k, j) * Fraction(2) ** (j - 3 * k) for j in range(k))
        assert found[k - 1] == Fraction(2) ** (3 * k) * total / k


def test_one_gaussian_layer_of_any_width_is_marchenko_and_pastur() -> None:
    """Of WWᵀ/n, m_k = Σ_j N(k, j) c^{j−1}..., Narayana numbers; here N_out/N_in = 2/3, σ_w = 1."""
    net = Network(
        layers=[{"activation": "identity", "width": 200}], input_width=300, sigma_w=1.0, sigma_b=0.0, input_variance=1.0
    )
    ratio = Fraction(2, 3)
    narayana = [
        sum(Fraction(comb(k, j) * comb(k, j - 1), k) * ratio ** (j - 1) for j in range(1, k + 1)) for k in range(1, 9)
    ]
    assert list(jacobian_moments(net, 8).values) == narayana


@pytest.mark.parametrize(
    "net",
    [
        Network(depth=10, activation="tanh", sigma_w="critical", q_star=0.1, weights="orthogonal"),
        Network(depth=7, activation="gelu", sigma_w=1.5, sigma_b=0.2, input_variance=1.0),
        Network(depth=3, activation="hardswish", sigma_w=1.7, sigma_b=0.3, input_variance=0.5),
        Network(
            layers=[
                {"activation": "leaky_relu", "width": 300},
                {"activation": "erf", "width": 500, "weights": "orthogonal"},
                {"activation": {"expr": "tanh(x) + x/10"}, "width": 200, "weights": "orthogonal"},
            ],
            input_width=100,
            sigma_w=1.3,
            sigma_b=0.1,
            input_variance=1.0,
        ),
    ],
    ids=["tanh", "gelu", "hardswish", "mixed"],
)
def test_the_engine_in_doubles_has_the_same_moments(net: Network) -> None:
    found = jacobian_moments(net, 12, digits=25)
    assert [float(m.mid()) for m in found.values] == pytest.approx(predict(net).moments(12), rel=1e-12)
    # The slope of the expression is at most 1.1.
    assert found.proven


def test_numbers_of_a_configuration_are_decimals() -> None:
    net = Network(depth=1, activation="identity", weights="orthogonal", sigma_w=1.1, sigma_b=0.0, input_variance=1.0)
    assert jacobian_moments(net, 1).values == (Fraction(121, 100),)
    leaky = {"name": "leaky_relu", "negative_slope": 0.1}
    net = Network(depth=1, activation=leaky, weights="orthogonal", sigma_w=1.0, sigma_b=0.0, input_variance=1.0)
    assert jacobian_moments(net, 2).values == (Fraction(101, 200), Fraction(10001, 20000))


def test_polynomials_with_symbols_are_the_published_ones() -> None:
    """Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 21-22; m_3 of one Gaussian and one linear layer: 5, 12."""
    depth = sympy.Symbol("L", positive=True, integer=True)
    mu = sympy.symbols("mu_1:5", positive=True)
    sigma, s1 = sympy.Symbol("sigma_w", positive=True), sympy.Symbol("s_1", real=True)
    m = moment_polynomials(3)
    assert sympy.simplify(m[0] - (mu[0] * sigma**2) ** depth) == 0
    second = (sigma**2 * mu[0]) ** (2 * depth) * depth * (mu[1] / mu[0] ** 2 + 1 / depth - 1 - s1)
    assert sympy.simplify(m[1] - second) == 0
    linear = {mu[0]: 1, mu[1]: 1, mu[2]: 1, sigma: 1, s1: -1, sympy.Symbol("s_2", real=True): 1}
    assert [m[2].subs(linear).subs(depth, n) for n in (1, 2)] == [5, 12]


def test_polynomials_with_numbers_are_the_moments_at_every_depth() -> None:
    polynomials = depth_moments(he(1), 30)
    assert polynomials.exact
    for depth in (1, 4, 13):
        values = [int(p.subs(polynomials.depths[0], depth)) for p in polynomials.moments]
        assert values == list(jacobian_moments(he(depth), 30).values)


def test_polynomials_of_several_runs_and_of_numbers_that_are_not_rational() -> None:
    layers = [
        {"activation": "tanh", "width": 300, "repeat": 3},
        {"activation": "erf", "width": 500, "weights": "orthogonal", "repeat": 2},
    ]
    net = Network(layers=layers, input_width=100, sigma_w="critical", q_star=0.1)
    polynomials = depth_moments(net, 4, digits=20)
    at: Any = dict(zip(polynomials.depths, (3, 2), strict=True))
    exact = [float(m.mid()) for m in jacobian_moments(net, 4).values]
    assert [float(p.subs(at)) for p in polynomials.moments] == pytest.approx(exact, rel=1e-15)
    with pytest.raises(ConfigError, match="variance changes from layer to layer"):
        depth_moments(Network(depth=3, activation="tanh", sigma_w=1.5, sigma_b=0.1, input_variance=3.0), 2)


def test_shape_formulas_are_those_of_the_moments() -> None:
    shape = shape_formulas()
    depth = sympy.Symbol("L", positive=True, integer=True)
    # ReLU, Gaussian weights, critical: μ_k = ½, σ_w² = 2, S = 1/(1 + w).
    values: Any = {sympy.Symbol(f"mu_{k}", positive=True): sympy.Rational(1, 2) for k in (1, 2, 3, 4)}
    values |= {sympy.Symbol(f"s_{k}", real=True): (-1) ** k for k in (1, 2, 3)}
    values |= {sympy.Symbol("sigma_w", positive=True): sympy.sqrt(2), depth: 6}
    m1, m2, m3, m4 = (sympy.Rational(int(m)) for m in jacobian_moments(he(6), 4).values)
    variance = m2 - m1**2
    third, fourth = m3 - 3 * m2 * m1 + 2 * m1**3, m4 - 4 * m3 * m1 + 6 * m2 * m1**2 - 3 * m1**4
    assert sympy.simplify(shape.variance.subs(values) - variance) == 0
    assert sympy.simplify(shape.skewness.subs(values) - third / variance ** sympy.Rational(3, 2)) == 0
    assert sympy.simplify(shape.excess_kurtosis.subs(values) - (fourth / variance**2 - 3)) == 0


CLOSED = (
    "identity", "relu", "leaky_relu", "prelu", "relu6", "hardtanh", "hardsigmoid", "shifted_relu", "erf", "sin", "elu",
    "selu", "celu", {"name": "celu", "alpha": 2.0}, {"name": "elu", "alpha": 0.5},
)  # fmt: skip


@pytest.mark.parametrize("activation", CLOSED, ids=str)
def test_closed_forms_are_what_quadrature_gives(activation) -> None:
    phi = get_activation(activation)
    known = closed_form(phi)
    assert known is not None
    q = sympy.Rational(7, 10)
    with working_precision(120):
        law = SlopeBalls(phi, arb(7) / 10)
        for k in (1, 2, 5):
            # By quadrature also where `moment` knows better.
            value = law._expected(lambda t, k=k: t**k, law.largest**k).real
            formula = known.moment.subs(K, k).doit().subs(Q, q)
            assert float(sympy.N(formula, 25)) == pytest.approx(float(value.mid()), rel=1e-14)
        place = 3 * float(law.largest.mid())
        if known.generator is not None:
            value = complex(sympy.N(known.generator.subs({Q: q, Z: place}), 20)).real
            assert value == pytest.approx(float(law.psi(acb(1 / arb(place))).real.mid()), rel=1e-13)
        if known.s_transform is not None:
            value = complex(sympy.N(known.s_transform.subs({Q: q, W: sympy.Rational(1, 5)}), 20)).real
            chi = law.chi(arb(1) / 5, arb(1) / 10)
            assert value == pytest.approx(float((6 * chi).mid()), rel=1e-13)


def test_smooth_activations_without_a_closed_form_have_none() -> None:
    assert closed_form(get_activation("gelu")) is None


def test_what_has_no_moments_here_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        jacobian_moments(he(2), 0)
    with pytest.raises(ValueError, match="at least 1"):
        moment_polynomials(0)
