"""Slopes that grow without bound: what a prediction knows of its moments, and what it says of the others."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from spectra import ConvergenceError, Network, predict
from spectra.activations import Activation
from spectra.network.meanfield import mean_field
from spectra.network.reach import reach_of


def net(activation: Any, q: float) -> Network:
    return Network(depth=1, activation=activation, weights="orthogonal", sigma_w=1.0, sigma_b=0.0, input_variance=q)


@pytest.mark.parametrize(("q", "known"), [(0.05, 6), (0.3, 3), (0.6, 2)])
def test_moments_are_right_or_null(q: float, known: int) -> None:
    """Of sinh E φ'^2k = E cosh^2k(√q z) = 4^−k Σ_j binom(2k, j) e^{q(2k − 2j)²/2}: m_4 at q = 0.6 was off by 5e-4."""
    found = predict(net({"expr": "sinh(x)"}, q))
    values = found.moments(6)
    with mpmath.workdps(30):
        expected = [
            float(mpmath.fsum(mpmath.binomial(2 * k, j) * mpmath.exp((2 * k - 2 * j) ** 2 * mpmath.mpf(q) / 2)
                              for j in range(2 * k + 1)) / mpmath.mpf(4) ** k)
            for k in range(1, 7)
        ]  # fmt: skip
    assert values[:known] == pytest.approx(expected[:known], rel=1e-9)
    assert np.all(np.isnan(values[known:]))
    said = [note for note in found.checks.notes if "standard deviations" in note]
    assert len(said) == (known < 6)
    assert found.to_dict()["jacobian"]["moments"][known:] == [None] * (6 - known)


@pytest.mark.parametrize("q", [1.0, 3.0, 30.0])
def test_without_a_variance_there_is_no_prediction(q: float) -> None:
    with pytest.raises(ConvergenceError, match=r"slopes of sinh\(x\) grow so fast.*`spectra moments`"):
        predict(net({"expr": "sinh(x)"}, q))


def test_bounded_slopes_and_powers_are_within_reach() -> None:
    softplus = Activation.from_callable(lambda x: np.logaddexp(0.0, x), lambda x: 0.5 + 0.5 * np.tanh(0.5 * x))
    for activation in ("tanh", softplus, {"expr": "x + x**2/10"}):
        found = reach_of(mean_field(net(activation, 2.0)))
        assert found is None or found.order >= 6
