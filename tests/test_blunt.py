"""Past an edge that the thin tail of a law blunts: both sides against the sure way, and against a sweep without."""

from __future__ import annotations

import numpy as np
import pytest
from networks import equation_of, layer

from spectra import Network, predict
from spectra.bulk import BulkWalker
from spectra.continuation import locate
from spectra.solve import certify
from spectra.survey import survey

SOFTSIGN = [layer("softsign", 1.0, "orthogonal", 100)]


@pytest.fixture(scope="module")
def found():
    """The edge is at log u = 156.1537, 7e-9 off the axis."""
    return predict(Network(depth=100, activation="softsign", weights="orthogonal", sigma_w="critical", q_star=1.0))


def edge_of(equation):
    """Real part of log u at the critical point next to the axis, by Newton's method from the sweep's points."""
    walker = BulkWalker(equation)
    (arc,) = survey(equation).arcs
    k = int(np.argmin(np.abs(arc.zeta.imag / np.abs(arc.zeta) - 1e-4)))
    with np.errstate(all="ignore"):
        edge = walker._critical(complex(arc.zeta[k]), arc.v[:, k])
    assert edge is not None
    return edge


def test_points_on_both_sides_are_solutions() -> None:
    equation = equation_of(SOFTSIGN)
    (arc,) = survey(equation).arcs
    assert np.all(np.diff(arc.log_u) > 0.0)
    edge = edge_of(equation)
    near = np.abs(arc.log_u - edge.log_u) < 1e-3
    assert np.sum(arc.log_u[near] < edge.log_u) > 3
    assert np.sum(arc.log_u[near] > edge.log_u) > 3
    assert np.min(np.abs(arc.log_u - edge.log_u)) < 1e-8
    roots = certify(equation, arc.log_u[near], arc.zeta[near], arc.v[:, near])
    assert np.all(roots.residual < 1e-10)


def test_density_is_that_of_the_sure_way(found) -> None:
    """Continued from the negative axis, without a starting value: there is one root in the upper half plane."""
    equation = equation_of(SOFTSIGN)
    place = edge_of(equation).log_u
    # q* = 1 in the network, and 1 here: but for rounding of 1e-13 in the place.
    u = place + np.array([-0.1, -1e-2, -1e-3, -1e-4, 1e-4, 1e-3, 1e-2])
    roots = locate(equation, u)
    assert roots.certified.all()
    expected = equation.log_density(roots.zeta)
    # What is steep inherits the rounding of log u; in the tail the density is good to 1e-16 over itself.
    rounding = 1e-12 / np.abs(u - place) + 1e-15 * np.exp(-expected)
    assert np.all(np.abs(found.spectrum.log_density_at(u) - expected) < 1e-10 + rounding)


def test_a_sweep_without_finds_the_same_law(found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BulkWalker, "_past_turn", lambda *_: None)
    other = predict(found.network)
    assert found.checks.certified
    assert other.checks.certified
    p = np.linspace(0.01, 0.99, 25)
    np.testing.assert_allclose(found.spectrum.quantile_at(p), other.spectrum.quantile_at(p), rtol=1e-12)
    (arc,) = found.spectrum.arcs
    u = np.linspace(arc.low, arc.high, 401)[1:-60]
    one, two = found.spectrum.log_density_at(u), other.spectrum.log_density_at(u)
    assert np.all(np.abs(one - two) < 1e-10 + 1e-15 * np.exp(-one))
