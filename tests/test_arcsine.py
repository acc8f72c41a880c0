"""One orthogonal block with a slope of one size: λ = |β + s e^{iθ}|², whose law has a closed form."""

from __future__ import annotations

import numpy as np
import pytest

import spectra
from spectra import Network


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("slope", [1.0, -1.0, "abs"])
@pytest.mark.parametrize("alpha", [1e-3, 0.3, 1.0, 1.7])
def test_density_moments_and_ends(order: str, slope: float | str, alpha: float) -> None:
    """(λ_max − λ)(λ − λ_min) is under the root; E λ = β² + s², E λ² = (β² + s²)² + 2 β² s²."""
    beta, activation = -0.8, {"expr": "Abs(x)" if slope == "abs" else f"{slope}*x"}
    keys = {"kind": "residual", "depth": 1, "skip": beta, "weights": "orthogonal", "sigma_w": 0.8, "order": order}
    prediction = spectra.predict(Network(activation=activation, alpha=alpha, input_variance=1.0, **keys))
    assert prediction.checks.certified
    s = 0.8 * alpha
    low, high = (0.8 - s) ** 2, (0.8 + s) ** 2
    assert prediction.spectrum.support() == pytest.approx((low, high), rel=1e-12, abs=1e-15)
    where = low + (high - low) * np.array([1e-4, 0.02, 0.3, 0.77, 0.999])
    density = 1.0 / (np.pi * np.sqrt((where - low) * (high - where)))
    # At 1e-4 of a width of 2.5e-3 beside 0.64 λ − λ_min has lost nine digits.
    np.testing.assert_allclose(prediction.spectrum.pdf(where), density, rtol=1e-8)
    np.testing.assert_allclose(
        prediction.spectrum.cdf(where), 0.5 + np.arcsin((2.0 * where - low - high) / (high - low)) / np.pi, atol=1e-9
    )
    mean = 0.64 + s**2
    np.testing.assert_allclose(prediction.moments(2), [mean, mean**2 + 2.0 * 0.64 * s**2], rtol=1e-11)


def test_blocks_of_constant_slope_are_free_of_each_other() -> None:
    """m_1 = (1 + s²)^L; m_2/m_1² − 1 = L · 2s²/(1 + s²)², as 1 − s_1 adds up, whatever the size of x may do to φ."""
    prediction = spectra.predict(
        Network(
            kind="residual",
            depth=6,
            activation="identity",
            weights="orthogonal",
            alpha=1.0,
            sigma_w=1.0,
            input_variance=1.0,
        )
    )
    assert prediction.checks.certified
    np.testing.assert_allclose(prediction.moments(2), [64.0, 64.0**2 * (1.0 + 6 * 0.5)], rtol=1e-11)
