"""Lower edges in tails too thin to be followed: against the real equation beyond them."""

from dataclasses import replace
from itertools import pairwise
from typing import cast

import numpy as np
import pytest
from scipy.optimize import brentq

from spectra import Network, predict
from spectra.assembly import UNTOLD, spectrum_of
from spectra.lowest_gap import Untold, lowest_edge
from spectra.master import MasterEquation
from spectra.network.jacobian import jacobian_equation

_X, _W = np.polynomial.legendre.leggauss(120)
_ENDS = (-13.0, -9.0, -5.0, -2.0, 0.0, 2.0, 5.0, 9.0, 13.0)
Z = np.concatenate([0.5 * (a + b) + 0.5 * (b - a) * _X for a, b in pairwise(_ENDS)])
WEIGHTS = np.concatenate([0.5 * (b - a) * _W for a, b in pairwise(_ENDS)]) * np.exp(-0.5 * Z * Z) / np.sqrt(2.0 * np.pi)
SMALL = {"sigma_w": 0.877, "sigma_b": 0.2, "input_variance": 0.015}
SLOPES = {
    "tanh": lambda x: 1.0 / np.cosh(x) ** 2,
    "softplus": lambda x: 1.0 / (1.0 + np.exp(-x)),
    "softsign": lambda x: (1.0 + np.abs(x)) ** -2.0,
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0.0, 1.0, 1.6732632423543772 * np.exp(np.minimum(x, 0.0))),
}


def _edge(activation: str, widths: tuple[int, int], sigma_w: float, q: float) -> float:
    """JJᵀ off zero is s²D² compressed to the part p = N_0/N_1: R_p(g) = R(pg), Nica and Speicher (1996).

    λ(y) = s² p (y/p − (1/p − 1)/G(y)), real y < 0, G(y) = E 1/(y − t); it grows until y = 0 or dλ/dy = 0.
    """
    share = widths[0] / widths[1]
    t = SLOPES[activation](np.sqrt(q) * Z) ** 2

    def g(y: float) -> float:
        return float(WEIGHTS @ (1.0 / (y - t)))

    def rate(y: float) -> float:
        return 1.0 / share - (1.0 / share - 1.0) * float(WEIGHTS @ (y - t) ** -2.0) / g(y) ** 2

    y = 0.0 if rate(0.0) > 0.0 else cast(float, brentq(rate, -1e3, 0.0, xtol=1e-15))
    return sigma_w**2 * (y / share - (1.0 / share - 1.0) / g(y))


@pytest.mark.parametrize(
    ("activation", "widths", "sigma_w", "sigma_b", "variance"),
    [
        # Ends where a slope may be 0, the density there e^{-145} or so.
        ("softplus", (399, 1185), 0.827, 0.05, 0.0149),
        ("tanh", (226, 234), 0.877, 0.2, 0.015),
        ("softsign", (319, 611), 1.932, 0.2, 0.0116),
        # Behind an edge that a density of e^{-40} blunts; beyond the nodes' reach.
        ("selu", (171, 652), 1.197, 0.05, 0.0045),
        ("selu", (190, 233), 0.787, 0.05, 0.0677),
        # A critical point.
        ("tanh", (100, 130), 1.5, 0.1, 0.5),
    ],
)
def test_one_widening_layer(activation, widths, sigma_w, sigma_b, variance) -> None:
    exact = _edge(activation, widths, sigma_w, sigma_w**2 * variance + sigma_b**2)
    keys = {"sigma_w": sigma_w, "sigma_b": sigma_b, "input_variance": variance, "weights": "orthogonal"}
    found = predict(Network(layers=[{"width": widths[1]}], input_width=widths[0], activation=activation, **keys))
    assert found.checks.certified
    assert not found.checks.notes
    assert found.spectrum.bulks[0][0] == pytest.approx(exact, rel=1e-12)
    # By the gap from λ = 0 alone, too, where the sweep sees the edge itself.
    assert lowest_edge(jacobian_equation(found.mean_field)) == pytest.approx(-np.log(exact), abs=1e-12)
    assert found.spectrum.pdf(np.array([0.01, 0.5, 1.0 - 1e-11]) * exact).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("widths", "activations", "weights", "variance", "exact"),
    [
        ((100, 200, 400), ("tanh", "tanh"), "orthogonal", 0.05, 2.22612947870313),
        ((100, 200, 300), ("softplus", "tanh"), "orthogonal", 0.3, 0.1198074749516763),
        ((50, 200, 250), ("tanh", "sigmoid"), "gaussian", 0.05, 0.0978586918279564),
    ],
)
def test_two_widening_layers(widths, activations, weights, variance, exact) -> None:
    """Least u(τ) over real τ = N_l w_l < −N_0, Π C_l of independent factors, in mpmath with 25 digits."""
    kinds = (weights, "orthogonal")
    layers = [
        {"width": n, "activation": a, "weights": k} for n, a, k in zip(widths[1:], activations, kinds, strict=True)
    ]
    found = predict(Network(layers=layers, input_width=widths[0], sigma_w=1.1, sigma_b=0.05, input_variance=variance))
    assert found.checks.certified
    assert found.spectrum.bulks[0][0] == pytest.approx(exact, rel=1e-12)
    assert lowest_edge(jacobian_equation(found.mean_field)) == pytest.approx(-np.log(exact), abs=1e-12)


def test_an_end_that_cannot_be_told_is_said_to_be_so() -> None:
    """Slopes that were left out might reach down to any place."""
    found = predict(Network(layers=[{"width": 234}], input_width=226, weights="orthogonal", activation="tanh", **SMALL))
    (factor,) = jacobian_equation(found.mean_field).factors
    equation = jacobian_equation(found.mean_field)
    unknown = replace(factor, law=replace(factor.law, neglected=1e-9))
    doubtful = MasterEquation(equation.shifts, (unknown,), equation.constant)
    with pytest.raises(Untold):
        lowest_edge(doubtful)
    assert not spectrum_of(equation).notes
    assert UNTOLD in spectrum_of(doubtful).notes


def test_square_layers_reach_zero() -> None:
    found = predict(Network(activation="tanh", weights="orthogonal", sigma_w=1.1, input_variance=0.01, depth=2))
    assert found.spectrum.bulks[0][0] == 0.0
