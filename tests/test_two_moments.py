"""m_1 and m_2 of chains of blocks: closed forms, sampled matrices, published numbers, the equation of the blocks."""

from __future__ import annotations

import numpy as np
import pytest

import spectra
from spectra.correlated.equation import BlockEquation
from spectra.correlated.layers import blocks_of
from spectra.correlated.moments import block_moments
from spectra.correlated.network import first_two_moments, layers_of
from spectra.correlated.two_moments import two_moments
from spectra.network.meanfield import mean_field


def found(**keys: object) -> tuple[float, float]:
    net = spectra.Network(
        **({"kind": "residual", "activation": "identity", "sigma_w": 1.0, "input_variance": 1.0} | keys)
    )
    return first_two_moments(mean_field(net))


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("depth", [1, 7])
def test_linear_gaussian_blocks(depth: int, order: str) -> None:
    # Factsheet D.5: m_1 = (1 + t)^L, m_2/m_1² = 1 + L (2t + t²)/(1 + t)².
    t = 0.3
    first, second = found(depth=depth, order=order, alpha=t**0.5)
    assert first == pytest.approx((1 + t) ** depth, rel=1e-10)
    assert second / first**2 == pytest.approx(1 + depth * (2 * t + t * t) / (1 + t) ** 2, rel=1e-10)


@pytest.mark.parametrize("order", ["pre", "post"])
def test_linear_orthogonal_blocks(order: str) -> None:
    # 1 + √t O: arcsine law on 1 + t ± 2√t, of variance 2t; relative variances add over free factors.
    t = 0.3
    first, second = found(depth=5, order=order, alpha=t**0.5, weights="orthogonal")
    assert second / first**2 == pytest.approx(1 + 5 * 2 * t / (1 + t) ** 2, rel=1e-10)


@pytest.mark.parametrize(("skip", "weights"), [(1.0, "gaussian"), (0.7, "orthogonal")])
def test_relu_blocks_with_fresh_slopes(skip: float, weights: str) -> None:
    # Of β + X: m_1 = β² + b_2, m_2 = β⁴ + b_4 + 4 β² b_2, b_2 = t/2, b_4 = t² (E D⁴ + (E D²)², or E D⁴ of Haar W).
    t = 0.4
    first, second = found(activation="relu", depth=6, order="post", alpha=t**0.5, skip=skip, weights=weights)
    b2, b4 = t / 2, t * t * (0.75 if weights == "gaussian" else 0.5)
    one = (skip**4 + b4 + 4 * skip**2 * b2) / (skip**2 + b2) ** 2 - 1
    assert first == pytest.approx((skip**2 + b2) ** 6, rel=1e-10)
    assert second / first**2 - 1 == pytest.approx(6 * one, rel=1e-9)


@pytest.mark.parametrize(
    ("depth", "first", "second"),
    # ReLU, σ_w = 1, α = 1/√L, sampled and extrapolated in 1/N, with the standard errors (theory sheet, section 5).
    [(4, (1.600, 0.004), (5.06, 0.03)), (16, (1.637, 0.004), (5.66, 0.04))],
)
def test_relu_blocks_whose_slopes_are_correlated(
    depth: int, first: tuple[float, float], second: tuple[float, float]
) -> None:
    moments = found(activation="relu", depth=depth, alpha="1/sqrt(depth)")
    for value, (sampled, error) in zip(moments, (first, second), strict=True):
        assert abs(value - sampled) < 3 * error


@pytest.mark.parametrize(
    "keys",
    [
        {"activation": "tanh", "weights": "orthogonal", "alpha": 0.5},
        {"activation": "gelu", "skip": 0.9, "alpha": 0.4, "sigma_w": 1.2, "sigma_b": 0.1},
    ],
)
def test_the_equation_of_the_blocks_has_the_same_two(keys: dict[str, object]) -> None:
    base = {"kind": "residual", "depth": 3, "sigma_w": 1.0, "input_variance": 1.0}
    blocks = blocks_of(layers_of(mean_field(spectra.Network(**(base | keys)))))
    np.testing.assert_allclose(two_moments(blocks), block_moments(BlockEquation(blocks, 12), 2, 40.0), rtol=1e-9)


AFTER_SUM = {"order": "sum", "depth": 3, "alpha": 0.6, "sigma_w": 1.1, "sigma_b": 0.2}


@pytest.mark.parametrize(
    "keys",
    [
        {"activation": "relu"},
        {"activation": "leaky_relu", "skip": 0.8, "weights": "orthogonal"},
        {"activation": "hardtanh", "branch_layers": 2},
        {"activation": "relu", "branch_layers": 3, "weights": "orthogonal"},
    ],
)
def test_the_equation_of_the_blocks_has_the_same_two_after_the_sum(keys: dict[str, object]) -> None:
    base = {"kind": "residual", "input_variance": 1.0}
    blocks = blocks_of(layers_of(mean_field(spectra.Network(**(base | AFTER_SUM | keys)))))
    np.testing.assert_allclose(two_moments(blocks), block_moments(BlockEquation(blocks, 12), 2, 60.0), rtol=1e-9)


def test_one_block_after_the_sum_by_hand() -> None:
    # D (β + αW), ReLU, h normal: m_1 = ½(β² + t); Wick: m_2 = ½(β⁴ + 3 β² t + t²·3/2) + … as for β + αW with half of
    # the rows: (1/N) tr of the square of P(β + αW)(β + αWᵀ)P, P a projection of half the neurons.
    t, beta = 0.49, 0.8
    first, second = found(activation="relu", depth=1, order="sum", alpha=0.7, skip=beta)
    assert first == pytest.approx(0.5 * (beta**2 + t), rel=1e-10)
    # A = β²P + αβ P(W + Wᵀ)P + α² PWWᵀP: E tr A² = ½[β⁴ + 2β²t + t² (1 + ½)] + 2 β² t (½)².
    assert second == pytest.approx(0.5 * (beta**4 + 2 * beta**2 * t + 1.5 * t**2) + 0.5 * beta**2 * t, rel=1e-10)


@pytest.mark.parametrize(
    "keys", [{"activation": "tanh"}, {"activation": "gelu", "weights": "orthogonal", "branch_layers": 2}]
)
def test_many_slopes_after_the_sum_against_samples(keys: dict[str, object]) -> None:
    net = spectra.Network(**({"kind": "residual", "input_variance": 1.0, "width": 150} | AFTER_SUM | keys))
    log = 2.0 * np.asarray(spectra.sample(net, samples=32, seed=4).log_singular_values)
    moments = np.stack([np.exp(log).mean(axis=1), np.exp(2 * log).mean(axis=1)], axis=1)
    expected = first_two_moments(mean_field(net))
    error = moments.std(axis=0, ddof=1) / np.sqrt(len(moments))
    # Bias of order depth/N, and twice that of a square.
    bias = np.array([1.0, 2.0]) * net.depth / 150
    assert (np.abs(moments.mean(axis=0) - expected) < 4 * error + bias * expected).all()
    # As independent slopes would have it m_1 is off by a quarter or more.
    fresh = first_two_moments(mean_field(net), fresh=True)
    assert fresh[0] < 0.8 * expected[0]


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_mixed_chains_against_samples(weights: str) -> None:
    # A block with fresh slopes before three with correlated ones: the diagonal of A depends on the neuron.
    layers = [
        {"kind": "residual", "order": "post", "alpha": 1.0},
        {"activation": "identity"},
        {"kind": "residual", "alpha": 0.8, "repeat": 3},
    ]
    net = spectra.Network(layers=layers, activation="relu", sigma_w=1.2, weights=weights, input_variance=1.0, width=200)
    emp = spectra.sample(net, width=200, samples=24, seed=1)
    log = np.asarray(emp.log_singular_values)
    ratios = np.exp(4 * log).mean(axis=1) / np.exp(2 * log).mean(axis=1) ** 2
    first, second = first_two_moments(mean_field(net))
    # Bias of order depth/N = 2.5 %.
    error = ratios.std(ddof=1) / np.sqrt(len(ratios))
    assert abs(ratios.mean() - second / first**2) < 4 * error + 0.025 * second / first**2
