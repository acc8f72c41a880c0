"""Chains of blocks: states, slopes and what fades towards λ = 0 as finely as they need."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from threadpoolctl import threadpool_info

import spectra
from spectra import Network
from spectra.correlated import BlockEquation

KEYS = {"sigma_w": 1.0, "input_variance": 1.0}


def slope_moments(slope: Callable[[float], float], variance: float) -> tuple[float, float]:
    """E φ'², E φ'⁴ under N(0, variance)."""
    law = lambda z: math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)  # noqa: E731
    first, second = (
        quad(lambda z, k=k: slope(math.sqrt(variance) * z) ** k * law(z), -9.0, 9.0, epsabs=1e-13)[0] for k in (2, 4)
    )
    return first, second


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize(("activation", "order"), [("gelu", "pre"), ("elu", "pre"), ("elu", "post")])
def test_two_blocks_of_many_slopes_are_certified(activation: str, order: str, weights: str) -> None:
    """A slope that counts much needs more than the 16 values that do for many blocks: the error was 1e-7 to 3e-6."""
    net = Network(kind="residual", depth=2, activation=activation, order=order, weights=weights, alpha=1.7, **KEYS)
    checks = spectra.predict(net).checks
    assert checks.certified
    assert checks.residual < 1e-8


@pytest.mark.parametrize(("weights", "depth"), [("orthogonal", 4), ("gaussian", 2)])
def test_a_density_that_fades_has_the_slope_of_its_power(weights: str, depth: int) -> None:
    """With α > β the law reaches λ = 0, where L blocks have the density λ^{−L/(L+1)}: e^{−U/(L+1)} of U = −log λ.

    What comes next is a factor 1 + O(λ^{1/(L+1)}), which is 3e-6 and 1e-6 at the end.
    """
    net = Network(kind="residual", depth=depth, activation="relu", order="post", weights=weights, alpha=1.7, **KEYS)
    prediction = spectra.predict(net)
    assert prediction.checks.certified
    arc = prediction.spectrum.arcs[-1]
    assert getattr(arc, "slope") == pytest.approx(-1.0 / (depth + 1), rel=2e-5)  # noqa: B009
    assert abs(prediction.checks.mass_defect) < 5e-12


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_tanh_layer_beside_blocks_is_free_of_them(place: str) -> None:
    """m_2(AB) = m_1(A)² m_2(B) + m_2(A) m_1(B)² − m_1(A)² m_1(B)², of D W with σ_w = 1 μ_1 and μ_1² + μ_2."""
    blocks = {"kind": "residual", "activation": "relu", "alpha": 0.6, "repeat": 2}
    dense = {"activation": "tanh"}
    if place == "before":
        blocks["order"] = "post"
        variance = 1.0
    else:
        variance = (1.0 + 0.5 * 0.36) ** 2
    alone = spectra.predict(Network(layers=[blocks], **KEYS)).moments(2)
    layers = [dense, blocks] if place == "before" else [blocks, dense]
    prediction = spectra.predict(Network(layers=layers, **KEYS))
    first, second = slope_moments(lambda x: 1.0 / math.cosh(x) ** 2, variance)
    own = first, first**2 + second
    expected = own[0] * alone[0], own[0] ** 2 * alone[1] + own[1] * alone[0] ** 2 - own[0] ** 2 * alone[0] ** 2
    np.testing.assert_allclose(prediction.moments(2), expected, rtol=1e-9)
    # The density fades by no power, and mass is left where slopes lose their digits.
    assert abs(prediction.checks.mass_defect) < 1e-6
    assert max(map(abs, prediction.checks.moment_defects)) < 1e-9


def test_small_matrices_take_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[int] = set()
    step = BlockEquation.step

    def watched(self: BlockEquation, zeta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        threads.update(info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas")
        return step(self, zeta, x)

    monkeypatch.setattr(BlockEquation, "step", watched)
    spectra.predict(Network(kind="residual", depth=2, activation="relu", alpha=0.5, **KEYS))
    assert threads == {1}
