"""The exact Jacobian of a normalisation, and expectations over normalised batches of finite size."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from spectra.activations import Activation, get_activation
from spectra.errors import ConfigError, ConvergenceError
from spectra.normalisation import (
    batch_norm,
    batch_norm_jacobian,
    layer_norm,
    layer_norm_jacobian,
    rms_norm,
    rms_norm_jacobian,
)
from spectra.normalisation.batch import batch_moments
from spectra.normalisation.growth import gradient_growth
from spectra.normalisation.sphere import coordinate_mean, pair_mean

# Its types say that a tuple may come back.
quad: Any = mpmath.quad

NORMS = {
    "batch": (batch_norm, batch_norm_jacobian),
    "layer": (layer_norm, layer_norm_jacobian),
    "rms": (rms_norm, rms_norm_jacobian),
}


def values(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size) * 1.7 + 0.6


# the Jacobian -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 0.7])
@pytest.mark.parametrize("size", [2, 3, 8, 40])
@pytest.mark.parametrize("name", NORMS)
def test_jacobian_agrees_with_finite_differences(name: str, size: int, epsilon: float) -> None:
    norm, jacobian = NORMS[name]
    x, step = values(size), 1e-5
    shifted = np.stack([norm(x + step * e, gain=1.3, epsilon=epsilon) for e in np.eye(size)], axis=1)
    back = np.stack([norm(x - step * e, gain=1.3, epsilon=epsilon) for e in np.eye(size)], axis=1)
    found = jacobian(x, gain=1.3, epsilon=epsilon)
    # A central difference: step² times a third derivative of order 1/s³, and rounding over the step.
    np.testing.assert_allclose(found, (shifted - back) / (2 * step), rtol=0, atol=1e-8)


@pytest.mark.parametrize("epsilon", [1e-5, 0.7])  # torch refuses 0
def test_jacobian_agrees_with_autograd_of_torch(epsilon: float) -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(values(9)[:, None], dtype=torch.float64)

    def batched(v: Any) -> Any:
        return torch.nn.functional.batch_norm(v, None, None, training=True, eps=epsilon)[:, 0]

    found = torch.autograd.functional.jacobian(batched, x)[:, :, 0].numpy()
    np.testing.assert_allclose(batch_norm_jacobian(x[:, 0].numpy(), epsilon=epsilon), found, rtol=0, atol=1e-12)

    def by_layer(v: Any) -> Any:
        return torch.nn.functional.layer_norm(v, (9,), eps=epsilon)

    found = torch.autograd.functional.jacobian(by_layer, x[:, 0]).numpy()
    np.testing.assert_allclose(layer_norm_jacobian(x[:, 0].numpy(), epsilon=epsilon), found, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "corank"), [("batch", 2), ("layer", 2), ("rms", 1)])
def test_without_epsilon_it_is_a_projection_over_the_spread(name: str, corank: int) -> None:
    x = values(11)
    spread = np.sqrt(np.mean(x**2)) if name == "rms" else np.std(x)
    projection = NORMS[name][1](x) * spread
    np.testing.assert_allclose(projection @ projection, projection, rtol=0, atol=1e-14)
    np.testing.assert_allclose(projection, projection.T, rtol=0, atol=1e-15)
    assert np.trace(projection) == pytest.approx(11 - corank, abs=1e-13)
    # A dilation does not come through, and where the mean is taken out a shift does not either.
    np.testing.assert_allclose(projection @ x, 0.0, atol=1e-13)
    if name != "rms":
        np.testing.assert_allclose(projection @ np.ones(11), 0.0, atol=1e-13)


def test_many_features_at_once_are_each_by_itself() -> None:
    x = values(24).reshape(2, 3, 4)
    whole = batch_norm_jacobian(x, epsilon=0.1)
    assert whole.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(whole[1, 2], batch_norm_jacobian(x[1, 2], epsilon=0.1))
    np.testing.assert_allclose(batch_norm(x).std(axis=-1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(batch_norm(x, gain=2.0).mean(axis=-1), 0.0, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: batch_norm_jacobian([1.0]), "at least 2 values"),
        (lambda: batch_norm(3.0), "at least 2 values"),
        (lambda: rms_norm([]), "at least 1 values"),
        (lambda: batch_norm_jacobian([2.0, 2.0]), "no spread"),
        (lambda: rms_norm_jacobian([0.0, 0.0]), "no spread"),
        (lambda: batch_norm([1.0, math.nan]), "must be finite"),
        (lambda: batch_norm([1.0, 2.0], epsilon=-1.0), "0 or a positive number, not -1.0"),
        (lambda: batch_norm([1.0, 2.0], epsilon=math.nan), "0 or a positive number"),
    ],
)
def test_what_cannot_be_normalised_is_refused(call: Any, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        call()
    np.testing.assert_array_equal(batch_norm([2.0, 2.0], epsilon=0.5), [0.0, 0.0])


# the sphere -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [3, 4, 7, 50, 100_000])
def test_moments_of_one_number_are_those_of_a_sphere(batch: int) -> None:
    """E x² = 1, E x⁴ = 3n/(n + 2), n = B − 1: E t⁴ = 3/(n(n + 2)) of a coordinate of a unit vector."""
    n = batch - 1
    second, fourth = coordinate_mean(lambda x: np.stack([x**2, x**4]), batch)
    assert second == pytest.approx(1.0, rel=1e-12)
    assert fourth == pytest.approx(3 * n / (n + 2), rel=1e-12)


@pytest.mark.parametrize("batch", [4, 5, 9, 60, 100_000])
def test_moments_of_two_numbers_are_those_of_a_sphere(batch: int) -> None:
    """E x_1x_2 = −1/n; E (x_1x_2)² = n(1 + 2/n²)/(n + 2): E (u·a)²(u·b)² = (1 + 2(a·b)²)/(n(n + 2))."""
    n = batch - 1
    product, square = pair_mean(lambda x, y: np.stack([x * y, (x * y) ** 2]), batch)
    assert product == pytest.approx(-1 / n, abs=1e-12)
    assert square == pytest.approx(n * (1 + 2 / n**2) / (n + 2), rel=1e-12)


@pytest.mark.parametrize(("batch", "kink"), [(4, 0.5), (5, 1.2), (8, -0.3)])
def test_one_kink_is_integrated_exactly(batch: int, kink: float) -> None:
    """E (x − k)_+ against mpmath over the density ∝ (1 − x²/n)^((n − 3)/2)."""
    n = batch - 1
    with mpmath.workdps(20):
        weight = lambda x: (1 - x**2 / n) ** (mpmath.mpf(n - 3) / 2)  # noqa: E731
        root = mpmath.sqrt(n)
        total = quad(weight, [-root, 0, root])
        expected = quad(lambda x: (x - kink) * weight(x), [kink, root]) / total
    found = coordinate_mean(lambda x: np.maximum(x - kink, 0.0)[None], batch, (kink,))
    assert found[0] == pytest.approx(float(expected), rel=1e-12)


def test_a_jump_that_is_not_said_is_an_error() -> None:
    with pytest.raises(ConvergenceError, match="not resolved over a normalised batch"):
        coordinate_mean(lambda x: np.where(x > 0.3, 1.0, 0.0)[None], 8)


# batches of finite size -------------------------------------------------------------------------------------------


def jc(c: float) -> float:
    """2 E φ(x)φ(y)/q of ReLU at correlation c (Cho, Saul, NeurIPS 2009); π times its derivative is π − arccos c."""
    return (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi


@pytest.mark.parametrize("batch", [4, 8, 16, 32, 128])
def test_relu_with_batch_norm_grows_by_the_known_factor(batch: int) -> None:
    """Yang et al., ICLR 2019, Theorem 8 with α = 1; 3.084, 1.788, 1.590, 1.522, 1.480 for these."""
    c = -1.0 / (batch - 1)
    slope = (math.pi - math.acos(c)) / math.pi
    expected = (slope + batch - 1) / ((batch - 3) * (1 - jc(c))) - 1 / (batch - 3)
    assert gradient_growth("relu", {"name": "batch", "batch": batch}) == pytest.approx(expected, rel=1e-12)
    found = batch_moments(get_activation("relu"), batch)
    assert found.second == pytest.approx(0.5, rel=1e-12)  # their q*
    assert found.product == pytest.approx(0.5 * jc(c), rel=1e-11)  # their q* c*


@pytest.mark.parametrize("batch", [4, 5, 20])
def test_linear_layers_with_batch_norm_grow_by_the_known_factor(batch: int) -> None:
    """(B − 2)/(B − 3): Yang et al., ICLR 2019, section 4."""
    found = gradient_growth("identity", {"name": "batch", "batch": batch})
    assert found == pytest.approx((batch - 2) / (batch - 3), rel=1e-12)


# Yang et al., Theorem 7, and E tr P D G D P by another program: both to these digits.
@pytest.mark.parametrize(
    ("activation", "batch", "expected"),
    [
        ("tanh", 8, 1.3585481254),
        ("tanh", 32, 1.2083027599),
        ("gelu", 16, 1.4357086903),
        ({"expr": "erf(x)"}, 8, 1.4050540860886),
    ],
)
def test_other_activations_grow_by_their_factor(activation: Any, batch: int, expected: float) -> None:
    found = gradient_growth(activation, {"name": "batch", "batch": batch})
    assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("relu", math.pi / (math.pi - 1)),
        ("identity", 1.0),
        ({"expr": "erf(x)"}, (2 / math.sqrt(5)) / math.asin(2 / 3)),
        ("tanh", 1.1778072323),
        ("gelu", 1.3188449709),
    ],
)
def test_large_batches_have_a_limit(activation: Any, expected: float) -> None:
    """E φ'²/Var φ at variance 1; closed forms for the first three, quadrature elsewhere for the others."""
    assert gradient_growth(activation) == pytest.approx(expected, rel=1e-10)
    # The first correction is c/B: at B and 2B it is told from what it is added to.
    near, far = (gradient_growth(activation, {"name": "batch", "batch": b}) for b in (2000, 4000))
    assert 2 * far - near == pytest.approx(expected, rel=2e-5)
    assert near > far > expected


@pytest.mark.parametrize("name", ["relu", "hardtanh", "gelu"])
def test_epsilon_is_an_average_over_the_spread(name: str) -> None:
    """Of E φ², E φ'² and the block of a batch, sampled: 4.5 standard errors."""
    batch, ratio, gain, count = 6, 0.4, 1.4, 60_000
    found = batch_moments(get_activation(name), batch, gain, ratio)
    h = np.random.default_rng(2).standard_normal((count, batch))
    phi = get_activation(name)
    hat = batch_norm(h, gain=gain, epsilon=ratio)
    slopes = phi.derivative(hat)
    centred = np.eye(batch) - 1.0 / batch
    blocks = centred @ (slopes[:, :, None] * batch_norm_jacobian(h, gain=gain, epsilon=ratio))
    sampled = {
        "second": (phi(hat) ** 2).mean(axis=1),
        "product": phi(hat[:, 0]) * phi(hat[:, 1]),
        "first": phi(hat).mean(axis=1),
        "slope2": (slopes**2).mean(axis=1),
        "block": (blocks**2).sum(axis=(1, 2)) / (batch - 1),
    }
    for key, each in sampled.items():
        error = each.std() / math.sqrt(count)
        assert abs(each.mean() - getattr(found, key)) < 4.5 * error, key
        assert error < 0.02 * max(each.std(), 1e-3)


@pytest.mark.parametrize("batch", [5, 300])
def test_epsilon_of_a_linear_batch_agrees_with_mpmath(batch: int) -> None:
    """E x̂² = E ρ², and block = E [(n − κ)/(χ² + Bε) + (1 − κ/n)/(χ² + Bε)], κ = 2ρ² − ρ⁴, χ² of n degrees."""
    ratio, n = 0.03, batch - 1
    shift = batch * ratio
    with mpmath.workdps(20):
        density = lambda r: r ** (n - 1) * mpmath.exp(-(r**2) / 2)  # noqa: E731

        def mean(f: Any) -> float:
            centre = math.sqrt(n)
            cuts = [0, 0.1, 0.5, 2, 5, 14] if n < 10 else [centre + k for k in (-8, -3, 0, 3, 8)]
            return float(quad(lambda r: f(r * r) * density(r), cuts) / quad(density, cuts))

        second = mean(lambda s: s / (s + shift))
        kappa = lambda s: (s / (s + shift)) * (2 - s / (s + shift))  # noqa: E731
        block = mean(lambda s: (n - kappa(s) + 1 - kappa(s) / n) / (s + shift))
    found = batch_moments(get_activation("identity"), batch, 1.0, ratio)
    assert found.second == pytest.approx(second, rel=1e-11)
    assert found.product == pytest.approx(-second / n, rel=1e-11)
    assert found.block == pytest.approx(block, rel=1e-11)


@pytest.mark.parametrize("batch", [9, 130, 2000])
def test_small_epsilon_leads_to_none(batch: int) -> None:
    limit, near = (batch_moments(get_activation("tanh"), batch, 1.0, ratio) for ratio in (0.0, 1e-9))
    np.testing.assert_allclose(near, limit, rtol=1e-7, atol=1e-15)


def test_batches_of_three_have_no_mean_square() -> None:
    with pytest.raises(ConfigError, match=r"`normalise.batch = 3`: .* E 1/σ² is infinite"):
        gradient_growth("relu", {"name": "batch", "batch": 3})


def test_a_kink_away_from_zero_is_found() -> None:
    """max(x − ½, 0) as a callable: by sampling, 4.5 standard errors."""
    bent = Activation.from_callable(
        lambda x: np.maximum(x - 0.5, 0.0), lambda x: np.where(x > 0.5, 1.0, 0.0), kinks=(0.5,), name="bent"
    )
    found = batch_moments(bent, 7)
    hat = batch_norm(np.random.default_rng(5).standard_normal((100_000, 7)))
    each = np.maximum(hat[:, 0] - 0.5, 0.0) * np.maximum(hat[:, 1] - 0.5, 0.0)
    assert abs(each.mean() - found.product) < 4.5 * each.std() / math.sqrt(each.size)
