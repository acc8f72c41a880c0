"""The infinitely deep residual net: its law, its one number, how nets come to it, and bounds beside the law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import spectra
from spectra import Network, moments, residual_limit, residual_strength, s_transform, stieltjes
from spectra.correlated import BlockEquation, blocks_of
from spectra.correlated.moments import block_moments
from spectra.correlated.network import layers_of
from spectra.errors import ConfigError
from spectra.network.branch_bounds import branch_bounds
from spectra.network.meanfield import mean_field

KEYS: dict[str, Any] = {"sigma_w": 1.0, "kind": "residual", "alpha": "1/sqrt(depth)", "input_variance": 1.0}


@pytest.mark.parametrize(
    ("c", "top"),
    # λ_+ = (1 + c + r) e^r, r = √(c (c + 2)), evaluated with 30 digits.
    [(0.125, 2.74648284), (0.5, 8.00813291), (1, 21.09442325), (2.0, 98.61015999)],
)
def test_the_limit_has_its_edges_and_moments(c: float, top: float) -> None:
    law = residual_limit(c)
    spectrum = law.spectrum()
    assert spectrum.support() == pytest.approx((1.0 / top, top), rel=1e-9)
    # m_n = (e^{nc}/n) Σ binom(n, k + 1) (2nc)^k/k!
    terms = [[math.comb(n, k + 1) * (2 * n * c) ** k / math.factorial(k) for k in range(n)] for n in (1, 2, 3, 4)]
    assert moments(law, 4) == pytest.approx([math.exp(n * c) / n * sum(t) for n, t in enumerate(terms, 1)], rel=1e-13)
    assert spectrum.cdf(1.0) == pytest.approx(0.5, abs=1e-12)
    assert s_transform(law, 0.3) == pytest.approx(math.exp(-1.6 * c), rel=1e-13)
    # zG − 1 = G e^{c (2zG − 1)}, and the density is −Im G/π.
    z = np.array([0.4 + 0.1j, 1.0, 2.2, 9.0 - 3.0j])
    g = stieltjes(law, z)
    np.testing.assert_allclose(z * g - 1.0, g * np.exp(c * (2.0 * z * g - 1.0)), rtol=1e-11)
    assert spectrum.pdf(1.0) == pytest.approx(-g[1].imag / math.pi, rel=1e-11)


@pytest.mark.parametrize("c", [0.0, -1.0, math.inf, math.nan])
def test_a_strength_that_is_none_is_refused(c: float) -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        residual_limit(c)


def test_the_strength_is_known_where_slopes_do_not_depend_on_the_variance() -> None:
    """Linear σ_w², ReLU σ_w²/2, leaky ReLU σ_w² (1 + a²)/2."""
    leaky = {"name": "leaky_relu", "negative_slope": 0.2}
    for activation, share in (("identity", 1.0), ("relu", 0.5), (leaky, (1.0 + 0.2**2) / 2.0)):
        for order in ("pre", "post"):
            net = Network(**KEYS | {"sigma_w": 1.3}, activation=activation, depth=50, order=order)
            assert residual_strength(net) == pytest.approx(1.3**2 * share, rel=1e-13)
    halved = Network(**KEYS | {"skip": 0.5}, activation="relu", depth=10)
    assert residual_strength(halved) == pytest.approx(2.0, rel=1e-13)
    with pytest.raises(ConfigError, match="residual blocks alone"):
        residual_strength(Network(**KEYS, layers=[{"kind": "dense", "alpha": None}, {}], activation="identity"))


def ratios(net: Network) -> np.ndarray:
    """m_k/m_1^k, k = 2, 3."""
    found = block_moments(BlockEquation(blocks_of(layers_of(mean_field(net))), 8), 3, 10.0)
    return found[1:] / found[0] ** np.array([2, 3])


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_nets_with_fresh_slopes_come_to_the_limit_like_one_over_the_depth(weights: str) -> None:
    exact = moments(residual_limit(0.5), 3)
    limit = exact[1:] / exact[0] ** np.array([2, 3])
    errors = []
    for depth in (8, 16):
        net = Network(**KEYS, activation="relu", weights=weights, order="post", depth=depth)
        errors.append(ratios(net) - limit)
    assert np.all(np.abs(errors[0]) > 1e-3)
    # Of a/L + b/L² doubling the depth leaves half and takes the rest to second order.
    assert np.all(np.abs(2.0 * errors[1] - errors[0]) < 0.15 * np.abs(errors[0]))


def test_nets_with_correlated_slopes_do_not() -> None:
    """Sampled at L = 16: m_2/m_1² = 5.66(4)/1.637² = 2.11, of the limit 2; the difference grows with the depth."""
    errors = [float(ratios(Network(**KEYS, activation="relu", depth=depth))[0]) - 2.0 for depth in (2, 4, 6)]
    assert errors[-1] > 0.03
    assert errors[0] < errors[1] < errors[2]


def test_nets_of_tanh_come_to_the_limit_of_their_strength() -> None:
    net = Network(**KEYS, activation="tanh", order="post", depth=8)
    c = residual_strength(net)
    assert c == pytest.approx(float(np.sum(mean_field(net).chi - 1.0)), rel=1e-12)
    exact = moments(residual_limit(c), 3)
    np.testing.assert_allclose(ratios(net), exact[1:] / exact[0] ** np.array([2, 3]), rtol=2.0 / 8)


# bounds -----------------------------------------------------------------------------------------------------------


def test_one_linear_orthogonal_block_fills_its_bounds() -> None:
    """β + αW has singular values |β + α e^{iθ}|."""
    field = mean_field(
        Network(**KEYS | {"alpha": 0.3, "skip": -0.8}, activation="identity", weights="orthogonal", depth=1)
    )
    assert np.exp(branch_bounds(field)) == pytest.approx([0.5, 1.1], rel=1e-14)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_bounds_hold_the_law(order: str) -> None:
    """Gaussian ReLU, α = 0.3: (1 ∓ 0.6)² in all; the law is well inside."""
    pred = spectra.predict(Network(**KEYS | {"alpha": 0.3}, activation="relu", depth=2, order=order))
    low, high = np.exp(branch_bounds(pred.mean_field))
    assert (low, high) == pytest.approx((0.4**2, 1.6**2), rel=1e-14)
    bottom, top = pred.singular_values.support()
    assert low < bottom < 0.7
    assert 1.5 < top < high
    assert pred.to_dict(points=4)["singular_values"]["bounds"] == [low, high]


def test_a_branch_that_may_undo_the_skip_bounds_nothing_from_below() -> None:
    net = Network(**KEYS | {"alpha": 0.5}, activation="relu", depth=3)
    assert branch_bounds(mean_field(net)) == (-math.inf, pytest.approx(3.0 * math.log(2.0)))
