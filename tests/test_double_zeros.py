"""Slopes with double zeros: their digits beside them, and the networks that have them."""

from __future__ import annotations

import json
import math

import mpmath
import numpy as np
import pytest

from spectra import Network, predict
from spectra.activations import get_activation

DOUBLE = [
    ("x-tanh(x-1)", 1.0),
    ("x+log(1+x**2)", -1.0),
    ("x+sin(x)**2", -math.pi / 4),
    ("x+sin(x)", math.pi),
    ("x+cos(x)", math.pi / 2),
    ("x+sin(x)", 5 * math.pi),
]


@pytest.mark.parametrize(("text", "place"), DOUBLE)
def test_slopes_keep_their_digits_beside_double_zeros(text: str, place: float) -> None:
    # 1 + cos x has none of them at a distance of 1e-8 from π.
    activation = get_activation({"expr": text})
    for distance in (1e-12, 1e-8, 1e-4, 0.01, 0.2):
        x = place + distance
        with mpmath.workdps(60):
            slope, curvature = activation.mp(x, 1), activation.mp(x, 2)
            # What a rounding of x does is not asked for: the distance of x from the zero, in units of its own rounding.
            blur = 8 * np.spacing(abs(place)) / distance if abs(place) > 4.0 else 0.0
        assert activation.derivative(x) == pytest.approx(float(slope), rel=1e-12 + 2 * blur, abs=0.0)
        assert activation.second_derivative(x) == pytest.approx(float(curvature), rel=1e-12 + blur, abs=0.0)


@pytest.mark.parametrize(("weights", "depth"), [("gaussian", 1), ("orthogonal", 1), ("orthogonal", 3)])
@pytest.mark.parametrize("text", ["x-tanh(x-1)", "x+log(1+x**2)", "x+sin(x)**2", "x+cos(x)"])
def test_networks_whose_slopes_have_double_zeros(text: str, weights: str, depth: int) -> None:
    net = Network(depth=depth, activation={"expr": text}, weights=weights, sigma_w=0.7, sigma_b=0.1, input_variance=1.0)
    pred = predict(net)
    assert pred.checks.certified
    assert abs(pred.checks.mass_defect) < 1e-10
    json.dumps(pred.to_dict())
