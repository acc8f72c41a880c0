"""Gaussian expectations: closed forms, an independent high-precision route, and errors that say so."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from spectra.activations import get_activation, names
from spectra.errors import ConvergenceError
from spectra.network.expectations import gaussian_moments
from spectra.quadrature import gaussian_expectation, panel_rule

VARIANCES = (1e-12, 1e-7, 1e-3, 0.02, 0.3, 1.0, 7.0, 100.0, 1e4, 1e6)


def test_panel_rule_integrates_polynomials_of_degree_31() -> None:
    x, w = panel_rule([0.0, 1.0], [1.0, 3.0])
    assert np.sum(w * x**31) == pytest.approx(3.0**32 / 32.0, rel=1e-14)
    assert x.shape == w.shape == (2, 16)


@pytest.mark.parametrize("variance", [1e-12, 0.3, 1.0, 1e6])
def test_expectation_of_powers_is_the_double_factorial(variance: float) -> None:
    result = gaussian_expectation(lambda x: np.stack([x**2, x**4, x**8]), variance)
    exact = variance ** np.array([1, 2, 4]) * np.array([1, 3, 105])
    assert np.all(np.abs(result.value - exact) <= 1e-14 * exact)
    assert np.all(result.error <= 1e-12 * exact)


def test_expectation_of_an_oscillation_reports_an_error_that_covers_the_defect() -> None:
    for variance in (1.0, 30.0, 1e4):
        result = gaussian_expectation(np.cos, variance)
        assert abs(result.value - math.exp(-variance / 2.0)) <= result.error + 1e-16
        assert result.error <= 1e-13


def test_expectation_is_cut_at_breaks() -> None:
    # E max(x − 1, 0) = √q g(1/√q) − Q(1/√q)
    q = 2.0
    exact = math.sqrt(q / (2 * math.pi)) * math.exp(-0.25) - 0.5 * math.erfc(0.5)
    with_break = gaussian_expectation(lambda x: np.maximum(x - 1.0, 0.0), q, breaks=(1.0,))
    without = gaussian_expectation(lambda x: np.maximum(x - 1.0, 0.0), q)
    assert with_break.value == pytest.approx(exact, rel=1e-14)
    assert without.value == pytest.approx(exact, rel=1e-13)


def test_expectation_resolves_structure_much_narrower_than_the_gaussian() -> None:
    # ∫ sech² = 2, spread over a Gaussian a million wide: the density there is flat to 1e-12
    result = gaussian_expectation(lambda x: 1.0 / np.cosh(np.clip(x, -300, 300)) ** 2, 1e12, breaks=(-40.0, 40.0))
    assert result.value == pytest.approx(2.0 / math.sqrt(2.0 * math.pi * 1e12), rel=1e-11)


def test_expectation_at_variance_zero_averages_both_sides() -> None:
    assert gaussian_expectation(lambda x: np.where(x > 0.0, 3.0, 1.0), 0.0).value == 2.0


def test_expectation_refuses_what_it_cannot_resolve() -> None:
    with pytest.raises(ConvergenceError, match="max_panels"):
        gaussian_expectation(lambda x: np.sin(1e4 * x) ** 2, 1.0, max_panels=100)
    with pytest.raises(ConvergenceError, match="not finite"):
        gaussian_expectation(lambda x: np.where(np.abs(x) > 2.0, np.inf, 0.0), 1.0)
    with pytest.raises(ValueError, match="variance"):
        gaussian_expectation(np.cos, -1.0)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("variance", VARIANCES)
def test_moments_agree_with_adaptive_quadrature(name: str, variance: float) -> None:
    activation = get_activation(name)
    moments = gaussian_moments(activation).at(variance)
    if name == "sin" and variance > 1.0:
        pytest.skip("E φφ'x is e^(−2q) here, below the rounding of its integrand; closed form and tests of its own")

    def integrand(x: np.ndarray) -> np.ndarray:
        phi, slope = activation(x), activation.derivative(x)
        return np.stack([phi**2, slope**2, slope**4, x * phi * slope / variance])

    scale = [s * 2.0**k for k in range(-3, 7) for s in (-1.0, 1.0)]
    value = np.asarray(gaussian_expectation(integrand, variance, breaks=(*activation.kinks, *scale)).value)
    # The last integrand cancels between both sides where φ(0) ≠ 0: there the plain quadrature is the worse of the two.
    offset = abs(float(activation(0.0))) / math.sqrt(variance)
    tolerance = np.array([1e-13, 1e-13, 1e-13, 1e-13 + 1e-14 * offset])
    assert np.all(np.abs(np.array(moments) - value) <= tolerance * np.abs(value))


def _reference(name: str, variance: float) -> list[Any]:
    """E φ², E φ'², E φ'⁴, E[xφφ']/q by tanh–sinh quadrature at 22 digits, from the symbolic definition."""
    activation = get_activation(name)
    with mpmath.workdps(22):
        q = mpmath.mpf(variance)
        root = mpmath.sqrt(q)
        points = {s * z * root for z in (0, 1, 3, 6, 10, 14) for s in (-1, 1)}
        points |= {mpmath.mpf(s * x) for x in (0.5, 1, 2, 4, 8, 16, 40) for s in (-1, 1) if x < 14 * root}
        points |= {mpmath.mpf(k) for k in activation.kinks if abs(k) < 14 * root}

        def density(x: Any) -> Any:
            return mpmath.exp(-x * x / (2 * q)) / mpmath.sqrt(2 * mpmath.pi * q)

        def phi(x: Any) -> Any:
            return activation.mp(x)

        def slope(x: Any) -> Any:
            return activation.mp(x, 1)

        integrands = (
            lambda x: phi(x) ** 2 * density(x),
            lambda x: slope(x) ** 2 * density(x),
            lambda x: slope(x) ** 4 * density(x),
            lambda x: x * phi(x) * slope(x) / q * density(x),
        )
        return [mpmath.quad(f, sorted(points), maxdegree=5) for f in integrands]


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("tanh", 1e-12),
        ("tanh", 0.02),
        ("tanh", 1e6),
        ("gelu", 1e-12),
        ("gelu", 1e6),
        ("sigmoid", 1e-12),
        ("softsign", 3.0),
        ("selu", 1.0),
        ("hardswish", 1e6),
        ("mish", 0.5),
        ("hardtanh", 1e6),
        ("relu6", 1e6),
        ("smoothed_relu", 0.1),
    ],
)
def test_moments_agree_with_an_independent_quadrature_at_22_digits(name: str, variance: float) -> None:
    moments = gaussian_moments(get_activation(name)).at(variance)
    for value, exact in zip(moments, _reference(name, variance), strict=True):
        assert abs(value - exact) <= 1e-13 * abs(exact)


@pytest.mark.parametrize("q", [1e-12, 1e-3, 0.5, 1.0, 40.0, 1e6])
def test_published_closed_forms(q: float) -> None:
    """Pennington, Schoenholz, Ganguli (2018), table 1 and supplement; GELU by differentiating the arc-sine kernel."""
    a = math.pi * q / 4.0
    cases = {
        "erf": (2 / math.pi * math.asin(2 * a / (1 + 2 * a)), 1 / math.sqrt(1 + math.pi * q)),
        "sin": (-math.expm1(-2 * q) / 2, (1 + math.exp(-2 * q)) / 2),
        "relu": (q / 2, 0.5),
        "leaky_relu": (q * (1 + 1e-4) / 2, (1 + 1e-4) / 2),
        "gelu": (
            q / 4 + q / (2 * math.pi) * math.asin(q / (1 + q)) + q * q / (math.pi * (1 + q) * math.sqrt(1 + 2 * q)),
            0.25
            + math.asin(q / (1 + q)) / (2 * math.pi)
            + q / (math.pi * (1 + q) * math.sqrt(1 + 2 * q))
            + q / (2 * math.pi * (1 + 2 * q) ** 1.5),
        ),
    }
    for name, (second, slope2) in cases.items():
        moments = gaussian_moments(get_activation(name)).at(q)
        # the arc sine near 1 costs the closed form itself two digits at large q
        assert moments.second == pytest.approx(second, rel=3e-14), name
        assert moments.slope2 == pytest.approx(slope2, rel=3e-14), name
    assert gaussian_moments(get_activation("erf")).at(q).slope4 == pytest.approx(
        1 / math.sqrt(1 + 2 * math.pi * q), rel=1e-14
    )


@pytest.mark.parametrize("q", [0.02, 0.5, 3.0])
def test_hard_tanh_in_error_functions(q: float) -> None:
    keep = math.erf(1 / math.sqrt(2 * q))
    second = q * keep - math.sqrt(2 * q / math.pi) * math.exp(-1 / (2 * q)) + math.erfc(1 / math.sqrt(2 * q))
    moments = gaussian_moments(get_activation("hardtanh")).at(q)
    assert moments.second == pytest.approx(second, rel=1e-14)
    assert moments.slope2 == moments.slope4 == pytest.approx(keep, rel=1e-15)


def test_positively_homogeneous_moments_are_exact() -> None:
    moments = gaussian_moments(get_activation("relu"))
    assert moments.scale_free == 0.5
    assert moments.at(3.0) == (1.5, 0.5, 0.5, 0.5)
    assert gaussian_moments(get_activation("tanh")).scale_free is None


@pytest.mark.parametrize(
    ("name", "second", "slope2"), [("elu", 0.0, 1.0), ("relu6", 0.0, 0.5), ("sigmoid", 0.25, 1 / 16)]
)
def test_moments_at_variance_zero_are_the_limit(name: str, second: float, slope2: float) -> None:
    moments = gaussian_moments(get_activation(name))
    at_zero, near = moments.at(0.0), moments.at(1e-30)
    assert (at_zero.second, at_zero.slope2) == (pytest.approx(second), pytest.approx(slope2))
    assert near.slope2 == pytest.approx(at_zero.slope2, rel=1e-12)
    assert near.gain == pytest.approx(at_zero.gain, rel=1e-12)


@pytest.mark.parametrize("name", names())
def test_deficit_matches_its_definition_where_nothing_cancels(name: str) -> None:
    for q in (0.5, 20.0):
        moments = gaussian_moments(get_activation(name))
        m = moments.at(q)
        value, error = moments.deficit(q)
        assert abs(value - (q * m.slope2 - m.second)) <= 1e-14 * (q * m.slope2 + m.second) + error


@pytest.mark.parametrize(
    ("name", "q", "leading"),
    [("tanh", 1e-9, 4 / 3), ("erf", 1e-9, math.pi**2 / 12), ("sin", 1e-9, 1 / 3)],
)
def test_deficit_keeps_its_digits_at_small_variance(name: str, q: float, leading: float) -> None:
    # φ = x + κx³ + …: q E φ'² − E φ² = 12 κ² q³ (1 + O(q)); the two terms agree in eighteen digits
    value, error = gaussian_moments(get_activation(name)).deficit(q)
    assert value == pytest.approx(leading * q**3, rel=1e-7)
    assert error <= 1e-14 * value


def test_deficit_of_a_kink_away_from_zero_value() -> None:
    # φ(0) = 1, slope 0 to the left of 0 and −1 to the right: the deficit is −1 + O(√q)
    moments = gaussian_moments(get_activation({"expr": "exp(-Max(x, 0))"}))
    for q in (1e-10, 1e-4):
        m = moments.at(q)
        assert moments.deficit(q)[0] == pytest.approx(q * m.slope2 - m.second, rel=1e-14)
