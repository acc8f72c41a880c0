"""Gaussian nets of great depth: s_max² ~ eL with its correction, the triangular law, Lyapunov exponents."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from mpmath import mp

from spectra import Network, predict
from spectra.errors import ConfigError
from spectra.laws import Bernoulli, Dirac, Discrete, MarchenkoPastur
from spectra.limits import LyapunovLaw, deep_edge, gaussian_edge, gaussian_exponent_variances, gaussian_exponents
from spectra.sampling.graded import GradedProduct

LINEAR = {"activation": "identity", "sigma_w": 1.0, "input_variance": 1.0}


# -- the edge ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "share", "value"),
    # edge_bern_gauss_L4_p0.5, …_L16_p0.5, …_L10_p0.9 of the shared golden values
    [(4, 0.5, 21.858249318046911), (16, 0.5, 87.013313699335003), (10, 0.9, 31.4118952056776559)],
)
def test_golden_edges(depth: int, share: float, value: float) -> None:
    assert gaussian_edge(depth, share) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("depth", [1, 2, 7, 100, 10**6, 10**12])
def test_edge_of_linear_nets(depth: int) -> None:
    """(L + 1)^{L+1}/L^L = e (L + 1/2 − 1/(24 L) + …)."""
    with mp.workdps(60):
        exact = float(mp.mpf(depth + 1) ** (depth + 1) / mp.mpf(depth) ** depth) if depth <= 100 else None
    if exact:
        assert gaussian_edge(depth) == pytest.approx(exact, rel=3e-15)
    else:
        assert gaussian_edge(depth) == pytest.approx(math.e * (depth + 0.5 - 1 / (24 * depth)), rel=1e-15)


@pytest.mark.parametrize("depth", [1, 3, 64, 4096])
def test_edge_is_that_of_the_engine(depth: int) -> None:
    assert predict(Network(depth=depth, **LINEAR)).spectrum.support()[1] == pytest.approx(
        gaussian_edge(depth), rel=1e-13
    )
    relu = Network(depth=depth, activation="relu", sigma_w="critical", sigma_b=0.0)
    assert predict(relu).spectrum.support()[1] == pytest.approx(gaussian_edge(depth, 0.5), rel=1e-13)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_edge_to_the_next_order(share: float) -> None:
    """E (L/p + 1 − 1/(2p)): what is left shrinks like 1/L, absolutely."""
    left = [gaussian_edge(n, share) - math.e * (n / share + 1 - 0.5 / share) for n in (1000, 4000)]
    assert left[0] / left[1] == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("activation", ["identity", "relu", "tanh", "gelu"])
def test_edge_from_three_moments(activation: str) -> None:
    """Relative error c/L², c about 1/24, with e m_2 alone 1/(2L) for linear nets: any activation, by the engine."""
    errors = []
    for depth in (50, 200):
        spread = {"sigma_b": 0.0} if activation in ("identity", "relu") else {"q_star": 0.5}
        pred = predict(Network(depth=depth, activation=activation, sigma_w="critical", **spread))
        found, exact = deep_edge(*pred.moments(3)), pred.spectrum.support()[1]
        errors.append(found.corrected / exact - 1)
        assert found.leading / exact - 1 == pytest.approx(0.5 / depth, rel=0.5)
        assert found.leading == pytest.approx(math.e * pred.moments(2)[1], rel=1e-13)
    assert errors[0] * 50**2 == pytest.approx(1 / 24, rel=0.2)
    assert errors[0] / errors[1] == pytest.approx(16.0, rel=0.1)


def test_impossible_edges_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"`depth` must be a number ≥ 1"):
        gaussian_edge(0)
    with pytest.raises(ConfigError, match=r"`share` must lie in \(0, 1\]"):
        gaussian_edge(3, 0.0)
    with pytest.raises(ConfigError, match="moments must be positive"):
        deep_edge(1.0, -2.0, 3.0)


# -- the law of exponents ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "distribution", "mean"),
    [
        # r = e^x: F = r²/σ², the triangular law; with a projection of rank p; orthogonal with a projection.
        (MarchenkoPastur(1, 1.69), lambda r: r**2 / 1.69, -0.5 + math.log(1.3)),
        (MarchenkoPastur(0.5), lambda r: (r**2 - 0.5) / 0.5, None),  # S = 1/(1 + w/2): F = (r² − c')/(1 − c')
        (Bernoulli(0.7), lambda r: 0.3 / (1 - r**2), None),
    ],
)
def test_closed_forms_of_the_law_of_exponents(law: Any, distribution: Any, mean: float | None) -> None:
    found = LyapunovLaw(((law, 3.0),))
    bottom, top = found.support()
    assert top == pytest.approx(0.5 * math.log(law.mean), abs=1e-15)
    x = np.linspace(max(bottom, -2.0) + 0.01, top - 1e-3, 7)
    r = np.exp(x)
    assert found.cdf(x) == pytest.approx(distribution(r), rel=1e-12)
    assert found.icdf(found.cdf(x)) == pytest.approx(x, abs=1e-12)
    step = 1e-4
    slope = (distribution(np.exp(x + step)) - distribution(np.exp(x - step))) / (2 * step)
    assert found.pdf(x) == pytest.approx(slope, rel=3e-6)
    if mean is not None:
        assert found.mean == pytest.approx(mean, abs=1e-12)
        assert found.variance == pytest.approx(0.25, rel=1e-11)
        assert found.pdf(x) == pytest.approx(2 * r**2 / 1.69, rel=1e-10)
    assert found.pdf(top + 0.1) == 0.0
    assert found.cdf(top) == 1.0
    assert np.isnan(found.icdf(1.1))


def test_mass_lost_in_a_layer_is_lost_for_good() -> None:
    found = LyapunovLaw.of(Network(depth=5, activation="relu", sigma_w=1.3, input_variance=1.0))
    assert found.lost == 0.5
    assert found.mean == -math.inf
    assert found.icdf([0.2, 0.5]) == pytest.approx([-math.inf] * 2)
    x = np.array([-3.0, -1.0, -0.2])
    # 1/S = σ_w² (p + w): F = 1 − p + r²/σ_w².
    assert found.cdf(x) == pytest.approx(0.5 + np.exp(2 * x) / 1.69, rel=1e-13)


def test_layers_of_several_kinds_share_their_exponents() -> None:
    one, two = Discrete((1.0, 4.0)), MarchenkoPastur(1)
    found = LyapunovLaw(((one, 1.0), (two, 3.0)))
    p = np.array([0.1, 0.5, 0.9])
    parts = [LyapunovLaw(((law, 1.0),)) for law in (one, two)]
    assert found.icdf(p) == pytest.approx(0.25 * parts[0].icdf(p) + 0.75 * parts[1].icdf(p), rel=1e-14)
    # Means are E log s: here log 4/4 and −1/2.
    assert found.mean == pytest.approx(0.25 * math.log(4.0) / 4 - 0.75 / 2, abs=1e-12)
    # E 1/λ = 1/(1 − c)
    assert LyapunovLaw(((MarchenkoPastur(0.5), 1.0),)).support()[0] == pytest.approx(-0.5 * math.log(2.0), rel=1e-12)
    low, high = LyapunovLaw(((one, 1.0),)).support()
    assert (math.exp(2 * low), math.exp(2 * high)) == pytest.approx((1 / 0.625, 2.5), rel=1e-14)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_mean_exponent_holds_at_every_depth(weights: str) -> None:
    """(1/L) E log s is that of one layer: log-determinants add. The left side by the engine at depth 6."""
    net = Network(depth=6, activation="tanh", weights=weights, sigma_w="critical", q_star=0.5)
    found = predict(net).spectrum
    p, weight = np.polynomial.legendre.leggauss(400)
    # Quantiles in sin²: the ends, where log s diverges slowly, are closed up.
    angle = math.pi / 4 * (p + 1)
    share = np.sin(angle) ** 2
    value = np.sum(weight * math.pi / 4 * np.sin(2 * angle) * -0.5 * found.quantile_at(share)) / 6
    assert LyapunovLaw.of(net).mean == pytest.approx(value, abs=1e-5)
    # E log σ_w φ', and E log s of a Gaussian matrix, −1/2.
    sigma_w = float(predict(net).mean_field.runs[0].spec.sigma_w)
    z, w = np.polynomial.hermite_e.hermegauss(150)
    slope = math.log(sigma_w) - 2 * (w @ np.log(np.cosh(math.sqrt(0.5) * z))) / w.sum()
    assert LyapunovLaw.of(net).mean == pytest.approx(slope - (0.5 if weights == "gaussian" else 0.0), abs=1e-10)


@pytest.mark.parametrize("activation", ["identity", "tanh"])
def test_finite_depth_approaches_the_law_of_exponents(activation: str) -> None:
    """The law of (1/L) log s by the engine; the largest difference of distribution functions falls like log L/L."""
    spread = {"sigma_b": 0.0} if activation == "identity" else {"q_star": 0.5}
    errors = []
    for depth in (64, 1024):
        net = Network(depth=depth, activation=activation, sigma_w="critical", **spread)
        law, limit = predict(net).spectrum, LyapunovLaw.of(net)
        x = limit.icdf(np.linspace(0.02, 1.0, 60))
        errors.append(float(np.max(np.abs(law.mass_at_or_below(-2 * depth * x) - limit.cdf(x)))))
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 5


# -- exponents of finite width ----------------------------------------------------------------------------------------


def test_exponents_of_scalars_and_pairs() -> None:
    with mp.workdps(30):
        # N = 1: E log|z| = −(γ + log 2)/2.
        assert gaussian_exponents(1)[0] == pytest.approx(float(-(mp.euler + mp.log(2)) / 2), rel=1e-15)
        # N = 2, σ_w = 3: E log of the length of a vector of two normals of variance 9/2.
        length: Any = mp.quad(lambda r: mp.log(r) * r / 4.5 * mp.exp(-(r**2) / 9), [0, 3, 30])
        assert gaussian_exponents(2, 3.0)[0] == pytest.approx(float(length), rel=1e-12)


def test_sum_of_exponents_is_the_log_determinant() -> None:
    rng = np.random.default_rng(1)
    logs = np.linalg.slogdet(rng.standard_normal((4000, 5, 5)) * 1.3 / math.sqrt(5))[1]
    z = (logs.mean() - gaussian_exponents(5, 1.3).sum()) / (logs.std() / math.sqrt(4000))
    assert abs(z) < 4
    # Its variance is the sum of those of the exponents, at every depth.
    assert logs.var() == pytest.approx(gaussian_exponent_variances(5).sum(), rel=0.1)


@pytest.mark.parametrize("widths", [(8, 8), (6, 9, 6)])
def test_exponents_of_sampled_products(widths: tuple[int, ...]) -> None:
    """Twenty products of 250 cycles: means and variances of log s_i; bias of order 1/L is far below the errors."""
    rng = np.random.default_rng(2)
    cycles, logs = 250, []
    for _ in range(20):
        product = GradedProduct(widths[0])
        for _ in range(cycles):
            for before, after in pairwise(widths):
                product.multiply(rng.standard_normal((after, before)) / math.sqrt(before), np.ones(after))
        logs.append(product.log_singular_values()[: min(widths)])
    depth = cycles * (len(widths) - 1)
    found, exact = np.array(logs) / depth, gaussian_exponents(widths)
    sigma = np.sqrt(gaussian_exponent_variances(widths) / depth)
    z = (found.mean(axis=0) - exact) / (sigma / math.sqrt(20))
    assert np.max(np.abs(z)) < 4.5
    assert np.mean(found.var(axis=0, ddof=1) / sigma**2) == pytest.approx(1.0, abs=0.4)


def test_exponents_of_wide_matrices_have_the_law_of_the_limit() -> None:
    errors = []
    for n in (50, 200):
        share = (np.arange(n) + 0.5) / n
        errors.append(float(np.max(np.abs(np.exp(2 * gaussian_exponents(n)) - (1 - share)))))
    assert errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)
    assert gaussian_exponents(400).mean() == pytest.approx(-0.5, abs=0.01)


def test_impossible_widths_are_refused() -> None:
    with pytest.raises(ConfigError, match="the first and the last width must be equal"):
        gaussian_exponents([3, 4])
    with pytest.raises(ConfigError, match="a whole width ≥ 1"):
        gaussian_exponents(0)
    with pytest.raises(ConfigError, match="a whole width ≥ 1"):
        gaussian_exponents([3.5, 3.5])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="`sigma_w` must be positive"):
        gaussian_exponents(3, -1.0)
    with pytest.raises(ConfigError, match="at least one layer"):
        LyapunovLaw(())
    with pytest.raises(ConfigError, match="all layers must have one width"):
        LyapunovLaw.of(Network(layers=[{"width": 20}, {"width": 30}], input_width=10, activation="tanh", sigma_w=1.0))
    assert LyapunovLaw(((Dirac(4), 1.0),)).support() == pytest.approx((math.log(2), math.log(2)))
