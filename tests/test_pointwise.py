"""The master equation in scalar arithmetic against the same equation on arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from networks import equation_of, golden_layers

from spectra._types import Array
from spectra.pointwise import PointEvaluator
from spectra.solve import measure

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


@pytest.mark.parametrize("name", NAMES)
def test_plain_numbers_measure_and_step_like_arrays(name):
    equation = equation_of(golden_layers(name))
    at = PointEvaluator(equation)
    rng = np.random.default_rng(8)
    for _ in range(40):
        zeta, log_u = complex(3 * rng.normal(), 2 * abs(rng.normal())), 4 * rng.normal()
        v = 2 * rng.normal(size=len(equation.factors)) + 1j * np.abs(rng.normal(size=len(equation.factors)))
        spot = at.spot(zeta, v.tolist())
        point = equation.evaluate(np.array([zeta]), v.reshape(-1, 1), curvature=True)
        target = np.array([log_u])
        assert at.size(spot, log_u) == pytest.approx(measure(equation, point, target)[0], rel=1e-9)
        dzeta, dv = at.newton_step(spot, log_u)
        all_dzeta, all_dv = equation.newton_step(point, target)
        assert dzeta == pytest.approx(all_dzeta[0], rel=1e-9)
        np.testing.assert_allclose(dv, all_dv[:, 0], rtol=1e-9)


def test_nan_is_no_small_residual():
    equation = equation_of(golden_layers("rect_leaky_orthogonal_300-100-400"))
    at = PointEvaluator(equation)
    spot = at.spot(0.5 + 0.1j, [0.3 + 0.1j] * len(equation.factors))
    spot.mismatch[0] = complex("nan")
    assert at.size(spot, 1.0) == math.inf
