"""The master equation in scalar arithmetic against the same equation on arrays."""

from __future__ import annotations

import numpy as np
import pytest
from networks import equation_of, golden_layers

from spectra._types import Array
from spectra.pointwise import PointEvaluator

NAMES = [
    "tanh_q1_orthogonal_L16",
    "gelu_q1_gaussian_L64",
    "identity_q1_gaussian_L5",
    "hardtanh_q0.1_orthogonal_L5",
    "rect_leaky_orthogonal_300-100-400",
    "rect_silu_orthogonal_100-150-200",
]
# Sums of a few hundred terms in another order; second derivatives lose a digit to cancellation.
ROUNDING = 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_scalar_route_agrees_with_arrays(name):
    equation = equation_of(golden_layers(name))
    at = PointEvaluator(equation)
    rng = np.random.default_rng(7)
    for _ in range(60):
        zeta = complex(3 * rng.normal(), 2 * abs(rng.normal()))
        count = len(equation.factors)
        v = 2 * rng.normal(size=count) + 1j * np.abs(rng.normal(size=count))
        one, many = at(zeta, v), equation.evaluate(np.array([zeta]), v.reshape(-1, 1), curvature=True)
        for field in ("log_u", "slope", "bend", "rates", "curls", "mismatch", "pull", "steepness"):
            np.testing.assert_allclose(getattr(one, field), getattr(many, field), rtol=ROUNDING, atol=1e-13)


def test_extended_precision_stays_extended():
    equation = equation_of(golden_layers("identity_q1_gaussian_L5"))
    zeta: Array = np.clongdouble(0.1 + 0.2j)
    point = PointEvaluator(equation)(zeta, np.zeros(0, complex))
    assert point.log_u.dtype == np.clongdouble
