"""Limits of great depth and of small variance, and invariances of the law of JJᵀ."""

from __future__ import annotations

import math
import sys
from typing import Any

import closed_forms
import mpmath
import numpy as np
import pytest
from mpmath import mp
from networks import law_of, layer

from spectra import Network, predict
from spectra.record import finite

EPS = float(np.finfo(float).eps)


def solve(function, lower, upper):
    return mp.findroot(function, (lower, upper), solver="illinois", maxsteps=300, verify=False)


def bernoulli_limit_density(lam: float, t: float) -> float:
    theta = solve(lambda v: mp.log(closed_forms.bernoulli_limit(v, mp.mpf(t))[0] / lam), 1e-6, mp.pi * 0.9999)
    return float(closed_forms.bernoulli_limit(theta, mp.mpf(t))[1])


def smooth_limit_density(lam: float, t: float) -> float:
    number = mp.mpf(t)
    top = solve(lambda y: 0.25 - y**2 + y * mp.cot(number * y), 0.01, mp.pi / number * 0.9999)
    sign = 1 if mp.log(lam) > -number / 2 else -1
    y = solve(lambda v: mp.log(closed_forms.smooth_limit(v, sign, number)[0] / lam), 1e-9, top * (1 - mp.mpf("1e-9")))
    return float(closed_forms.smooth_limit(y, sign, number)[1])


@pytest.mark.parametrize("t", [0.25, 2.0])
def test_deep_hard_tanh_tends_to_the_bernoulli_limit(t):
    errors = []
    for depth in (500, 1000):
        q = float(1 / (2 * mp.erfinv(mp.mpf(depth) / (depth + t)) ** 2))
        law = law_of([layer("hardtanh", q, "orthogonal", depth)]).spectrum
        lam = np.array([0.1, 0.4, 0.9]) * math.e * t
        exact = np.array([bernoulli_limit_density(x, t) for x in lam])
        errors.append(law.pdf(lam) / exact - 1)
        assert law.bulks[-1][1] == pytest.approx(math.e * t, rel=2 * t / depth + 2 / depth)
        if t < 1:
            assert law.atoms[-1].location == pytest.approx(math.exp(t), rel=t * t / depth)
            assert law.atoms[-1].mass == pytest.approx(1 - t, abs=2 * t * t / depth)
    # The error is c/L + O(1/L²): halved by doubling the depth, and gone to second order by extrapolation.
    assert np.all(np.abs(errors[0]) < 0.05)
    assert np.max(np.abs(2 * errors[1] - errors[0])) < 20 * np.max(np.abs(errors[0])) / 500


@pytest.mark.parametrize("t", [0.25, 1.5])
def test_deep_erf_tends_to_the_smooth_limit(t):
    low, high = (float(x) for x in closed_forms.smooth_limit_edges(t))
    lam = low + (high - low) * np.array([0.1, 0.5, 0.9])
    exact = np.array([smooth_limit_density(x, t) for x in lam])
    errors = []
    for depth in (250_000, 1_000_000):
        a = t / depth
        q = ((2 * a + a * a) + (1 + a) * math.sqrt(2 * a + a * a)) / math.pi
        net = Network(depth=depth, activation="erf", weights="orthogonal", sigma_w="critical", q_star=q)
        found = predict(net)
        assert found.checks.certified
        # L(μ_2/μ_1² − 1) = t exactly: q has its rounding, L of it is not amplified.
        assert found.moments(2)[1] - 1 == pytest.approx(t, rel=1e-9)
        errors.append(found.spectrum.pdf(lam) / exact - 1)
    # The error is c/√L + O(1/L), from the third cumulant of a single layer.
    assert np.all(np.abs(errors[1]) < 10 / 1000)
    assert np.max(np.abs(2 * errors[1] - errors[0])) < 100 / 250_000


def test_a_million_layers_of_tanh_have_the_smooth_limit():
    found = predict(Network(depth=10**6, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=2.5e-4))
    assert found.checks.certified
    t = float(found.moments(2)[1] - 1)
    # 8 q² a layer to leading order in q.
    assert t == pytest.approx(8 * 2.5e-4**2 * 1e6, rel=0.02)
    low, high = (float(x) for x in closed_forms.smooth_limit_edges(t))
    for fraction in (0.2, 0.5, 0.8):
        lam = low + fraction * (high - low)
        assert found.spectrum.pdf(lam) == pytest.approx(smooth_limit_density(lam, t), rel=10 / 1000)


@pytest.mark.parametrize("depth", [1, 3, 40])
def test_small_variance_gives_the_cumulants_of_a_square(depth):
    """tanh'(x)² = 1 − 2x² + …: JJᵀ − 1 has free cumulants L·8q², −L·64q³, those of −2q z², for orthogonal weights."""
    q = 1e-5
    law = law_of([layer("tanh", q, "orthogonal", depth)]).spectrum
    theta, weight = np.polynomial.legendre.leggauss(400)
    theta, weight = math.pi / 4 * (theta + 1), math.pi / 4 * weight
    x = law.icdf(np.sin(theta) ** 2) - 1.0
    weight = weight * np.sin(2 * theta)
    assert weight @ x == pytest.approx(0.0, abs=1e-4 * q)
    # Corrections are O(q L); icdf ~ p^{2/3} at an edge leaves 1e-5 to the Gauss rule.
    assert weight @ x**2 == pytest.approx(8 * depth * q**2, rel=1e-3 + 40 * q * depth)
    assert weight @ x**3 == pytest.approx(-64 * depth * q**3, rel=3e-3 + 200 * q * depth)


def test_scaling_sigma_w_shifts_log_lambda():
    base = {"depth": 6, "activation": "relu", "weights": "gaussian", "sigma_b": 0.0, "input_variance": 1.0}
    law = predict(Network(sigma_w=1.25, **base)).spectrum
    scaled = predict(Network(sigma_w=2.5, **base)).spectrum
    factor = 4.0**6
    p = np.array([0.51, 0.6, 0.8, 0.99])
    # log χ differs by log 4 a layer: 6 roundings of numbers of size 1 enter log λ.
    assert scaled.icdf(p) / law.icdf(p) == pytest.approx(factor, rel=60 * EPS)
    lam = law.icdf(p)
    assert scaled.pdf(factor * lam) * factor == pytest.approx(law.pdf(lam), rel=1e-12)
    assert scaled.support()[1] / law.support()[1] == pytest.approx(factor, rel=60 * EPS)
    assert scaled.moment(3) / law.moment(3) == pytest.approx(factor**3, rel=60 * EPS)


def test_order_of_square_layers_does_not_matter():
    layers = [
        layer("tanh", 0.7, "orthogonal", 3),
        layer("relu", 1.0, "gaussian", 2, chi=1.1),
        layer("leaky_relu", 1.0, "orthogonal", 4, chi=0.8),
    ]
    one = law_of(layers).spectrum
    for other in (layers[::-1], [layers[1], layers[0], layers[2]]):
        law = law_of(other).spectrum
        lam = one.icdf(np.array([0.55, 0.7, 0.9, 0.999]))
        assert law.pdf(lam) == pytest.approx(one.pdf(lam), rel=1e-12)
        assert law.support()[1] == pytest.approx(one.support()[1], rel=1e-14)
        assert law.atoms == one.atoms


def test_splitting_a_run_gives_the_same_law():
    whole = law_of([layer("gelu", 0.6, "orthogonal", 9)]).spectrum
    # The same φ under another name is another law to the engine: two unknowns where the whole has one.
    pieces = law_of([layer("gelu", 0.6, "orthogonal", 4), layer({"expr": "gelu(x)"}, 0.6, "orthogonal", 5)])
    assert len(pieces.equation.factors) == 2
    law = pieces.spectrum
    lam = whole.icdf(np.array([0.01, 0.3, 0.7, 0.9, 0.999]))
    assert law.pdf(lam) == pytest.approx(whole.pdf(lam), rel=1e-11)
    assert law.cdf(lam) == pytest.approx(whole.cdf(lam), rel=1e-10)
    assert law.support()[1] == pytest.approx(whole.support()[1], rel=1e-13)
    assert law.moment(4) == pytest.approx(whole.moment(4), rel=1e-13)


def test_writing_out_equal_widths_changes_nothing():
    keys = {"depth": 5, "activation": "tanh", "weights": "gaussian", "sigma_w": "critical", "q_star": 0.5}
    one, other = predict(Network(**keys)).spectrum, predict(Network(width=300, input_width=300, **keys)).spectrum
    lam = np.geomspace(1e-8, one.support()[1], 50)
    assert np.array_equal(one.pdf(lam), other.pdf(lam))


@pytest.mark.parametrize("weights", ["uniform", "rademacher"])
def test_weights_of_equal_variance_have_one_limit(weights):
    keys = {"depth": 4, "activation": "tanh", "sigma_w": "critical", "q_star": 0.5}
    one, other = (predict(Network(weights=w, **keys)).spectrum for w in ("gaussian", weights))
    lam = np.geomspace(1e-8, one.support()[1], 50)
    assert np.array_equal(one.pdf(lam), other.pdf(lam))


@pytest.mark.parametrize(("q", "depth"), [(1e-12, 1), (1e-12, 1000), (1e-11, 1000), (1e-10, 1), (1e-6, 4), (1e-4, 16)])
def test_variance_keeps_its_digits_where_the_law_is_narrow(q: float, depth: int) -> None:
    """Tanh, orthogonal: relative variance L (E φ'⁴/(E φ'²)² − 1), about 8 q² L."""
    with mpmath.workdps(50):

        def expect(power: int) -> Any:
            weight = mpmath.sqrt(mpmath.mpf(q))
            return mpmath.quad(lambda z: mpmath.npdf(z) * mpmath.sech(weight * z) ** (2 * power), [-12, -3, 0, 3, 12])

        expected = float(depth * (expect(4) / expect(2) ** 2 - 1))
    found = predict(Network(depth=depth, activation="tanh", weights="orthogonal", sigma_w="critical", q_star=q))
    # φ'² itself is rounded, by 1e-16 at every node of a law of width √8 q.
    assert found.variance == pytest.approx(expected, rel=max(1e-9, 2.2e-16 / (math.sqrt(8.0) * q)))
    assert found.to_dict()["jacobian"]["variance"] == found.variance
    # What is shown as a point says so.
    assert found.spectrum.bulks or not found.checks.certified


def test_slopes_that_count_as_zero_are_said_to_in_one_layer_too() -> None:
    found = predict(Network(depth=1, activation="tanh", weights="orthogonal", sigma_w=1.0, input_variance=1e5))
    assert found.spectrum.atom_at_zero > 0.5
    assert any("count as zero" in note for note in found.checks.notes)


@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
@pytest.mark.parametrize("widths", [(100, 300, 50), (50, 20, 400), (300, 300, 30)])
def test_variance_is_that_of_the_moments_for_any_shape(weights: str, widths: tuple[int, int, int]) -> None:
    """m_2 − m_1² from the series of the moments, where it loses nothing: rectangular, with projections."""
    layers = [{"width": widths[1], "activation": "gelu"}, {"width": widths[2], "activation": "relu"}]
    keys = {"sigma_w": 1.3, "sigma_b": 0.2, "input_variance": 1.0, "weights": weights}
    found = predict(Network(**keys, input_width=widths[0], layers=layers))
    one, two = found.moments(2)
    assert found.variance == pytest.approx(two - one**2, rel=1e-12)


def test_layers_are_not_written_one_by_one() -> None:
    """Lists of a million layers are made as a whole; what is not finite in them is null and said."""
    pred = predict(Network(depth=5000, activation="tanh", sigma_w=0.9, sigma_b=0.3))
    pred.to_dict()  # what is derived only once is
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    record = pred.to_dict()
    sys.setprofile(None)
    assert calls < 4000
    assert record["mean_field"]["q"] == [float(q) for q in pred.mean_field.q]
    assert {type(q) for q in record["mean_field"]["chi"]} == {float}
    missing: list[str] = []
    value = {"a": np.array([1.0, np.nan, -np.inf]), "b": np.array([[1, 2], [3, 4]])}
    assert finite(value, missing) == {"a": [1.0, None, None], "b": [[1, 2], [3, 4]]}
    assert missing == ["a", "a"]
