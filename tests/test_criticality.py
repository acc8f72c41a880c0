"""The edge of chaos: published numbers, small q* where the bias cancels, and what is refused."""

import math
from itertools import pairwise
from typing import Any

import mpmath
import pytest

from spectra.activations import Activation, get_activation
from spectra.errors import ConfigError
from spectra.network.criticality import bias_variance, critical_point
from spectra.network.expectations import gaussian_moments
from spectra.network.qmap import VarianceMap

PLAIN_ERF = {"expr": "erf(x)"}
ARCTAN = {"expr": "2/pi*atan(pi*x/2)"}


def relative(value: float | None, exact: float) -> float:
    assert value is not None
    return abs(value / exact - 1.0)


# Each by two routes: tanh–sinh panels with a secant at 28 digits, and 60-point composite Gauss–Legendre with brentq.
@pytest.mark.parametrize(
    ("activation", "sigma_b", "attribute", "exact"),
    [
        ("tanh", 0.05, "sigma_w", 1.12253900476958),
        ("tanh", 0.1, "sigma_w", 1.19340072502433),
        ("hardtanh", 0.1, "sigma_w", 1.02570035069277),
        ("tanh", 0.2, "q_star", 0.512078504233902),
        ("tanh", 0.3, "q_star", 0.7634747669104639),
        (PLAIN_ERF, 0.1, "sigma_w", 1.055594649192472),
        ("hardtanh", 0.3, "q_star", 0.601567439638171),
        ("gelu", 0.1, "sigma_w", 1.727078275308699),
        ("elu", 0.2, "q_star", 1.10693054034611),
        (ARCTAN, 0.1, "q_star", 0.196747320897456),
    ],
)
def test_critical_point_of_a_given_bias(activation: object, sigma_b: float, attribute: str, exact: float) -> None:
    point = critical_point(get_activation(activation), sigma_b=sigma_b)  # type: ignore[arg-type]
    assert relative(getattr(point, attribute), exact) <= 2e-14


def test_half_stable_points_of_gelu_and_silu() -> None:
    """χ_1 = 1 and map slope 1 at once: Roberts, Yaida, Hanin, The Principles of Deep Learning Theory, section 5.3."""
    gelu = critical_point(get_activation("gelu"), q_star=3.561552812808830)
    assert abs(gelu.slope - 1.0) <= 1e-13
    assert relative(gelu.sigma_w**2, 1.9830583) <= 5e-8
    assert relative(gelu.sigma_b**2, 0.1729224) <= 5e-7
    silu = critical_point(get_activation("silu"), q_star=14.3201736)
    assert relative(silu.sigma_w**2, 1.988004678269492) <= 1e-8
    assert abs(silu.slope - 1.0) <= 1e-8


def test_critical_weights_of_the_published_table() -> None:
    q = 0.37
    assert relative(critical_point(get_activation("erf"), q_star=q).sigma_w, (1 + math.pi * q) ** 0.25) <= 1e-14
    keep = math.erf(1 / math.sqrt(2 * q))
    assert relative(critical_point(get_activation("hardtanh"), q_star=q).sigma_w, keep**-0.5) <= 1e-15


@pytest.mark.parametrize(
    ("depth", "activation", "sigma_0", "q"),
    [
        (100, "hardtanh", 0.25, 0.109347434161535019),
        (100, "tanh", 0.25, 0.01930793629965),
        (1000, "erf", 0.25, 0.00727902462688840992),
    ],
)
def test_variance_of_the_double_scaling_limit(depth: int, activation: str, sigma_0: float, q: float) -> None:
    m = gaussian_moments(get_activation(activation)).at(q)
    assert relative(depth * (m.slope4 / m.slope2**2 - 1.0), sigma_0) <= 1e-11


@pytest.mark.parametrize(("activation", "exact"), [("tanh", 1.583479941367464), ("softplus", 1.528899601132386)])
def test_ratio_of_slope_moments_at_unit_variance(activation: str, exact: float) -> None:
    m = gaussian_moments(get_activation(activation)).at(1.0)
    assert relative(m.slope4 / m.slope2**2, exact) <= 3e-15


def _bias_at_60_digits(activation: Activation, q: float) -> Any:
    """σ_b² from its definition, Gauss–Hermite-free: tanh–sinh on panels, 60 digits against the cancellation."""
    with mpmath.workdps(60):
        variance, root = mpmath.mpf(q), mpmath.sqrt(mpmath.mpf(q))
        panels = [z * root for z in (-22, -12, -6, -3, 0, 3, 6, 12, 22)]
        weight = mpmath.sqrt(2 * mpmath.pi * variance)

        def mean(power: int, order: int) -> Any:
            return mpmath.quad(
                lambda x: activation.mp(x, order) ** power * mpmath.exp(-x * x / (2 * variance)) / weight, panels
            )

        return variance - mean(2, 0) / mean(2, 1)


@pytest.mark.parametrize("name", ["tanh", "softsign", "elu", "selu", "gelu"])
@pytest.mark.parametrize("q", [1e-12, 1e-5])
def test_bias_keeps_its_digits_where_the_curve_cancels(name: str, q: float) -> None:
    # tanh at q = 1e-12: the terms agree in 24 digits
    activation = get_activation(name)
    exact = _bias_at_60_digits(activation, q)
    square, error = bias_variance(activation, q)
    assert abs(square - exact) <= 2e-14 * abs(exact)
    assert error <= 1e-13 * abs(exact)
    assert relative(critical_point(activation, q_star=q).sigma_b, float(mpmath.sqrt(exact))) <= 1e-14


@pytest.mark.parametrize("name", ["tanh", "gelu", "elu", "softsign", "hardtanh", "selu", "mish", "shifted_relu"])
@pytest.mark.parametrize("sigma_b", [1e-9, 1e-3, 0.1, 0.6])
def test_critical_point_is_a_fixed_point_of_slope_one(name: str, sigma_b: float) -> None:
    activation = get_activation(name)
    point = critical_point(activation, sigma_b=sigma_b)
    q = point.q_star
    assert q is not None
    assert q > 0.0
    variance = VarianceMap(activation, point.sigma_w, sigma_b)
    assert abs(variance(q) - q) <= 4e-15 * q
    assert abs(point.sigma_w**2 * gaussian_moments(activation).at(q).slope2 - 1.0) <= 4e-16
    back = critical_point(activation, q_star=q)
    if name not in ("hardtanh", "shifted_relu"):  # there σ_b is exponentially small in 1/q: digits of q are lost
        assert relative(back.sigma_b, sigma_b) <= 1e-13


def test_zero_bias_is_the_linear_limit_of_smooth_activations() -> None:
    for name, sigma_w in (("tanh", 1.0), ("gelu", 2.0), ("mish", 5.0 / 3.0)):
        point = critical_point(get_activation(name), sigma_b=0.0)
        assert (point.q_star, point.sigma_b) == (0.0, 0.0)
        assert point.sigma_w == pytest.approx(sigma_w, rel=1e-15)
        assert "q* = 0" in point.notes[0]
    slopes = 1.6732632423543772848 * 1.0507009873554804934, 1.0507009873554804934
    selu = critical_point(get_activation("selu"), sigma_b=0.0)
    assert selu.sigma_w == pytest.approx(math.sqrt(2.0 / (slopes[0] ** 2 + slopes[1] ** 2)), rel=1e-15)


def test_zero_bias_of_the_sigmoid_is_an_ordinary_point() -> None:
    point = critical_point(get_activation("sigmoid"), sigma_b=0.0)
    assert point.q_star == pytest.approx(45.624277797, rel=1e-9)
    assert abs(bias_variance(get_activation("sigmoid"), point.q_star or 0.0)[0]) <= 1e-12


@pytest.mark.parametrize(
    ("name", "slopes"), [("relu", (0.0, 1.0)), ("leaky_relu", (0.01, 1.0)), ("identity", (1.0, 1.0))]
)
def test_positively_homogeneous_activations_are_critical_at_every_variance(
    name: str, slopes: tuple[float, float]
) -> None:
    activation = get_activation(name)
    sigma_w = math.sqrt(2.0 / (slopes[0] ** 2 + slopes[1] ** 2))
    free = critical_point(activation, sigma_b=0.0)
    assert (free.sigma_w, free.sigma_b, free.q_star) == (pytest.approx(sigma_w, rel=1e-15), 0.0, None)
    assert critical_point(activation, q_star=0.7).q_star == 0.7
    assert critical_point(activation, q_star=0.7).sigma_b == 0.0
    with pytest.raises(ConfigError, match=r"`sigma_b = 0.1`: must be 0 .* positively homogeneous"):
        critical_point(activation, sigma_b=0.1)


def test_variance_off_the_curve_is_refused_with_the_nearest_one_on_it() -> None:
    activation = get_activation("sigmoid")
    with pytest.raises(
        ConfigError, match=r"`q_star = 5`: off the edge-of-chaos .* < 0; the nearest valid q_star is 45.62"
    ) as e:
        critical_point(activation, q_star=5.0)
    assert critical_point(activation, q_star=float(str(e.value).split()[-1].rstrip("."))).sigma_b >= 0.0
    with pytest.raises(ConfigError, match="no q_star from"):
        critical_point(get_activation("softplus"), q_star=1.0)


def test_activations_without_an_edge_of_chaos_say_so() -> None:
    with pytest.raises(ConfigError, match="`softplus` has no edge of chaos"):
        critical_point(get_activation("softplus"), sigma_b=0.1)
    with pytest.raises(ConfigError, match=r"`sigma_b = 1e\+06`: .* needs a q_star beyond 1e\+08"):
        critical_point(get_activation("tanh"), sigma_b=1e6)


def test_exactly_one_of_bias_and_variance_is_wanted() -> None:
    for arguments in ({}, {"sigma_b": 0.1, "q_star": 0.1}):
        with pytest.raises(ConfigError, match="exactly one"):
            critical_point(get_activation("tanh"), **arguments)


def test_several_critical_points_are_listed_and_the_stable_one_taken() -> None:
    # tanh(x)/2 + x/2 has σ_b² rising, then falling towards the identity's 0
    activation = get_activation({"expr": "tanh(x) + x/2"})
    sigma_b = 0.3
    point = critical_point(activation, sigma_b=sigma_b)
    values = [bias_variance(activation, 10.0 ** (k / 4.0))[0] - sigma_b**2 for k in range(-16, 33)]
    crossings = sum(a * b < 0 for a, b in pairwise(values))
    assert crossings == (2 if any("several" in note for note in point.notes) else 1)
    assert abs(point.slope) < 1.0
