"""Nodes on arcs of circles: where they lie, and what polynomials through them are worth."""

import cmath
import math

import numpy as np
import pytest

from spectra.chebyshev import nodes
from spectra.correlated.arc import Arcs

COUNT = 24


def arc(half_angle: float, count: int = COUNT) -> Arcs:
    """Of the unit circle about i, from one side of its lowest point to the other."""
    ends = [1j + cmath.exp(1j * (-0.5 * math.pi + t)) for t in (-half_angle, half_angle)]
    return Arcs(np.array(ends[:1]), np.array(ends[1:]), np.zeros(1, complex), nodes(count))


@pytest.mark.parametrize("half_angle", [1e-6, 0.1, 1.0, 2.0, 2.8])
def test_nodes_lie_on_the_circle_between_the_ends(half_angle: float) -> None:
    found = arc(half_angle).nodes[0]
    assert np.abs(found - 1j) == pytest.approx(np.ones(COUNT), abs=1e-13)
    angles = np.angle(1j * (found - 1j))
    assert (np.diff(angles) > 0.0).all()
    assert abs(angles).max() < half_angle
    # The equilibrium of an arc: the sine of half the angle, over that of the end, is a Chebyshev node.
    rounding = 1e-15 / half_angle
    assert np.sin(0.5 * angles) / math.sin(0.5 * half_angle) == pytest.approx(nodes(COUNT), abs=1e-13 + rounding)


@pytest.mark.parametrize("half_angle", [0.1, 1.0, 2.0, 2.6])
def test_polynomials_are_reproduced_and_poles_converge_as_their_distance_says(half_angle: float) -> None:
    t = np.linspace(-half_angle, half_angle, 101)
    z = (1j + np.exp(1j * (t - 0.5 * math.pi)))[None]
    one = arc(half_angle)
    basis = one.lagrange(z)[0]
    assert basis.sum(axis=0) == pytest.approx(np.ones(t.size), abs=1e-12)
    assert one.nodes[0] ** 7 @ basis == pytest.approx(z[0] ** 7, abs=1e-11)
    # Beyond the far side of the circle, which the arc does not reach.
    pole = 8j
    errors = []
    for count in (8, 16):
        coarse = arc(half_angle, count)
        errors.append(np.abs(1.0 / (coarse.nodes[0] - pole) @ coarse.lagrange(z)[0] - 1.0 / (z[0] - pole)).max())
    assert errors[1] < 1e-3 * errors[0] or errors[0] < 1e-14


def test_at_a_node_its_polynomial_is_one() -> None:
    one = arc(1.0, 5)
    assert one.lagrange(one.nodes)[0] == pytest.approx(np.eye(5), abs=1e-12)


def test_what_is_no_arc_between_the_ends_is_a_segment() -> None:
    found = Arcs(np.array([-1.0 + 0j]), np.array([1.0 + 0j]), np.array([3.0 + 0j]), nodes(6)).nodes[0]
    assert found == pytest.approx(nodes(6), abs=1e-15)
