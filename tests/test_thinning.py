"""Few laws that stand for many layers: the rule itself, and laws with every layer in its own right."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spectra import Network, predict
from spectra.assembly import spectrum_of
from spectra.network.jacobian import jacobian_equation
from spectra.network.meanfield import mean_field
from spectra.network.rule import FAR, gauss_rule, position, variance_at
from spectra.survey import survey
from spectra.thinning import _Along, along, is_thinned

DRIFTING = [{"sigma_w": 1.2 + 0.4 * i / 40} for i in range(40)]
NETS = {
    "tanh, drifting": {"activation": "tanh", "weights": "orthogonal", "sigma_b": 0.1, "input_variance": 1.0,
                       "layers": DRIFTING},
    "tanh, ordered": {"activation": "tanh", "weights": "gaussian", "sigma_w": 0.9, "sigma_b": 0.0, "depth": 30,
                      "input_variance": 2.0},
    "logsigmoid, diverging": {"activation": "logsigmoid", "weights": "orthogonal", "sigma_w": 1.822, "sigma_b": 0.522,
                              "input_variance": 1e-3, "depth": 40},
    "hardswish, narrow": {"activation": "hardswish", "weights": "orthogonal", "sigma_w": 0.823, "sigma_b": 0.0,
                          "input_variance": 1.904e-6, "depth": 22},
    # Its bulk lies between the first two points of the sweep, which say nothing of it.
    "silu, narrow": {"activation": "silu", "weights": "orthogonal", "sigma_w": 1.445, "sigma_b": 0.0,
                     "input_variance": 2.297e-6, "depth": 87},
}  # fmt: skip


def test_rule_is_exact_for_polynomials_of_twice_its_degree() -> None:
    rng = np.random.default_rng(5)
    places, counts = rng.uniform(0.3, 2.7, 80), rng.integers(1, 9, 80).astype(float)
    nodes, weights = gauss_rule(places, counts, 7)
    assert nodes.size == 7
    assert np.all(weights > 0)
    for degree in range(14):
        assert weights @ (nodes - 1.5) ** degree == pytest.approx(
            counts @ (places - 1.5) ** degree, rel=1e-12, abs=1e-9
        )
    # One degree more shows that the test can fail.
    assert weights @ (nodes - 1.5) ** 14 != pytest.approx(counts @ (places - 1.5) ** 14, rel=1e-9)


def test_rule_of_few_places_is_the_measure_itself() -> None:
    places, counts = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    assert gauss_rule(places, counts, 5)[0] is places
    nodes, weights = gauss_rule(np.repeat(places, 4), np.ones(8), 5)
    assert nodes == pytest.approx([1.0, 2.0], abs=1e-14)
    assert weights == pytest.approx([4.0, 4.0], rel=1e-14)


@pytest.mark.parametrize("q", [0.0, 1e-12, 0.3, 1e6, 1e8])
def test_variance_and_its_place_are_inverse(q: float) -> None:
    assert variance_at(position(q)) == pytest.approx(q, rel=1e-12)


def test_places_end_where_q_is_as_good_as_infinite() -> None:
    assert position(1e40) == pytest.approx(math.asinh(FAR), rel=1e-12)
    assert variance_at(position(1e40)) > 1e30


@pytest.mark.parametrize("name", NETS)
def test_law_agrees_with_that_of_every_layer_in_its_own_right(name: str) -> None:
    net = Network(**NETS[name])
    found = predict(net)
    assert found.checks.certified
    field = mean_field(net)
    assert is_thinned(jacobian_equation(field))
    whole = jacobian_equation(field, extra=len(field.runs))
    assert not is_thinned(whole)
    expected = spectrum_of(whole).spectrum
    u = expected.quantile_at(np.array([0.55, 0.7, 0.9, 0.99, 0.9999]))
    here, there = found.spectrum.log_density_at(u), expected.log_density_at(u)
    # Of a narrow law log p is known to the rounding of U times its slope; that of both.
    away = 1e-9
    slope = (expected.log_density_at(u + away) - expected.log_density_at(u - away)) / (2.0 * away)
    assert np.all(np.abs(here - there) < 1e-11 * (1.0 + np.abs(there)) + 2.0 * np.spacing(np.abs(u)) * np.abs(slope))
    assert found.spectrum.log_support[1] == pytest.approx(expected.log_support[1], rel=1e-12, abs=1e-12)


def test_too_few_nodes_are_noticed() -> None:
    field = mean_field(Network(**NETS["tanh, drifting"]))
    few, more = jacobian_equation(field, extra=-7), jacobian_equation(field, extra=0)
    assert len(few.factors) < len(more.factors)
    here = _Along.of(few, [along(arc) for arc in survey(few).arcs])
    assert here.carried_to(more).error(here) > 1e-11
