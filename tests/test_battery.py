"""Every law through one battery: what holds of any spectrum, by routes that share nothing but the public names."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from spectra import Network, Prediction, predict

# One line per network: activation × weights × depth, σ_w critical at q_star where a number is given, else numbers.
TABLE: dict[str, dict] = {
    "identity gaussian 3": {"activation": "identity", "depth": 3, "sigma_w": 1.0},
    "relu gaussian 1": {"activation": "relu", "depth": 1, "sigma_w": 1.2},
    "relu orthogonal 8": {"activation": "relu", "weights": "orthogonal", "depth": 8, "sigma_w": 1.5},
    "leaky_relu orthogonal 2": {"activation": "leaky_relu", "weights": "orthogonal", "depth": 2, "sigma_w": 1.3},
    "leaky_relu gaussian 20": {"activation": "leaky_relu", "depth": 20, "sigma_w": 1.4},
    "hardtanh orthogonal 6": {"activation": "hardtanh", "weights": "orthogonal", "depth": 6, "q_star": 0.15},
    "hardtanh gaussian 4": {"activation": "hardtanh", "depth": 4, "q_star": 0.8},
    "shifted_relu orthogonal 12": {"activation": "shifted_relu", "weights": "orthogonal", "depth": 12, "q_star": 0.05},
    "relu6 gaussian 2": {"activation": "relu6", "depth": 2, "sigma_w": 1.4, "sigma_b": 0.3},
    "tanh orthogonal 30": {"activation": "tanh", "weights": "orthogonal", "depth": 30, "q_star": 0.05},
    "tanh gaussian 1": {"activation": "tanh", "depth": 1, "q_star": 1.0},
    "tanh chaotic 60": {"activation": "tanh", "depth": 60, "sigma_w": 2.5, "sigma_b": 0.3},
    "erf orthogonal 4": {"activation": "erf", "weights": "orthogonal", "depth": 4, "q_star": 0.5},
    "sin gaussian 3": {"activation": "sin", "depth": 3, "q_star": 0.4},
    "softsign orthogonal 8": {"activation": "softsign", "weights": "orthogonal", "depth": 8, "q_star": 0.3},
    "sigmoid gaussian 2": {"activation": "sigmoid", "depth": 2, "sigma_w": 2.0, "sigma_b": 0.1},
    "gelu gaussian 5": {"activation": "gelu", "depth": 5, "sigma_w": 1.5, "sigma_b": 0.2},
    "silu orthogonal 3": {"activation": "silu", "weights": "orthogonal", "depth": 3, "sigma_w": 1.6, "sigma_b": 0.5},
    "elu gaussian 10": {"activation": "elu", "depth": 10, "sigma_w": 1.2, "sigma_b": 0.1},
    "softplus gaussian 2": {"activation": "softplus", "depth": 2, "sigma_w": 1.0, "sigma_b": 0.5},
    "mixed": {
        "sigma_w": 1.4,
        "sigma_b": 0.1,
        "layers": [
            {"activation": "tanh", "weights": "orthogonal", "repeat": 2},
            {"activation": "relu", "weights": "gaussian"},
            {"activation": "hardtanh", "weights": "orthogonal"},
        ],
    },
    "narrowing 80-40-20": {
        "input_width": 80,
        "activation": "tanh",
        "sigma_w": 1.3,
        "layers": [{"width": 40}, {"width": 20, "weights": "orthogonal"}],
    },
    "widening 20-60-90": {
        "input_width": 20,
        "activation": "leaky_relu",
        "sigma_w": 1.3,
        "layers": [{"width": 60, "weights": "orthogonal"}, {"width": 90}],
    },
}

# The mass closes to 1e-10, as asked; sums of some 10² quadrature terms lose nothing beside it.
MASS = 1e-10


@cache
def built(name: str) -> Prediction:
    keys = dict(TABLE[name])
    if "q_star" in keys:
        keys["sigma_w"] = "critical"
    else:
        keys["input_variance"] = 1.0
    return predict(Network(**keys))


@pytest.fixture(params=TABLE)
def prediction(request) -> Prediction:
    return built(request.param)


def interesting(found: Prediction) -> np.ndarray:
    """Points inside, at, and on both sides of every edge and atom, ascending."""
    law = found.spectrum
    lam = [law.icdf(np.linspace(0.01, 0.99, 99))]
    for end in [*np.ravel(law.bulks), *(a.location for a in law.atoms)]:
        lam.append(end * np.array([0.5, 1 - 1e-6, 1 - 1e-12, 1.0, 1 + 1e-12, 1 + 1e-6, 2.0]))
    return np.unique(np.concatenate([[-1.0, 0.0], *lam, [1e300]]))


def integral(found: Prediction, low: float, high: float, k: float) -> float:
    """∫ e^{−kU} p dU over low < U < high by panels of Gauss–Legendre in θ, U = centre − half cos θ: opens the edges."""
    x, w = np.polynomial.legendre.leggauss(16)
    cuts = np.linspace(0.0, math.pi, 161)
    half_panel = 0.5 * (cuts[1] - cuts[0])
    theta = (cuts[:-1, None] + half_panel * (1 + x)).ravel()
    weight = np.tile(half_panel * w, 160)
    centre, half = 0.5 * (low + high), 0.5 * (high - low)
    u = centre - half * np.cos(theta)
    p = np.exp(found.spectrum.log_density_at(u) - k * u)
    return float(weight * half * np.sin(theta) @ p)


def intervals(found: Prediction) -> list[tuple[float, float]]:
    """Bulks in U = −log λ; one that reaches 0 is cut where 1e-13 of mass is left."""
    law = found.spectrum
    far = float(law.quantile_at(np.array([law.atom_at_zero + 1e-13]))[0])
    return [(-math.log(high), -math.log(low) if low > 0 else far) for low, high in law.bulks]


def left_limit(cdf: Callable, lam: np.ndarray) -> np.ndarray:
    """P(λ' < λ), up to what lies within 1e-12 of λ."""
    return cdf(np.where(lam > 0, lam * (1 - 1e-12), -1.0))


def test_prediction_is_certified(prediction):
    checks = prediction.checks
    assert checks.certified
    assert checks.residual < 1e-11
    assert abs(checks.mass_defect) < MASS
    assert max(map(abs, checks.moment_defects)) < 1e-10


def test_density_is_positive_inside_and_zero_outside(prediction):
    law = prediction.spectrum
    lam = interesting(prediction)
    rho = law.pdf(lam)
    assert np.all(rho >= 0)
    assert not np.any(np.isnan(rho))
    inside = np.zeros(lam.size, bool)
    for low, high in law.bulks:
        # At λ = 0 itself the density may be infinite.
        inside |= (lam >= low * (1 - 1e-14)) & (lam < high * (1 + 1e-14))
        assert np.all(rho[(lam > max(low, law.effective_support[0]) * (1 + 1e-6)) & (lam < high * (1 - 1e-6))] > 0)
    assert np.all(rho[~inside] == 0)
    assert np.array_equal(law.log_pdf(lam) == -math.inf, rho == 0)


def test_distribution_function_rises_from_nought_to_one(prediction):
    law = prediction.spectrum
    lam = interesting(prediction)
    cdf = law.cdf(lam)
    assert np.all(np.diff(cdf) >= -4e-16)
    assert cdf[0] == 0.0
    assert cdf[1] == law.atom_at_zero
    assert cdf[-1] == pytest.approx(1.0, abs=MASS)


def test_density_is_the_slope_of_the_distribution_function(prediction):
    law = prediction.spectrum
    for low, high in intervals(prediction):
        steps = np.linspace(low, high, 5)
        mass = -np.diff(law.mass_at_or_below(steps - np.array([1e-14 * abs(low), 0, 0, 0, 0])))
        pairs = list(pairwise(steps))
        jumps = [sum(m for place, m in law.log_atoms if s < place <= t) for s, t in pairs]
        assert [integral(prediction, s, t, 0) for s, t in pairs] == pytest.approx(mass - np.array(jumps), abs=MASS)


def test_quantiles_invert_the_distribution_function(prediction):
    law = prediction.spectrum
    p = np.linspace(0.0, 1.0, 201)
    lam = law.icdf(p)
    assert np.all(np.diff(lam) >= 0)
    # Below the range of doubles λ is 0, and only U can answer.
    lam, p = lam[(lam > 0) | (p <= law.atom_at_zero)], p[(lam > 0) | (p <= law.atom_at_zero)]
    cdf = law.cdf(lam)
    # A jump may lie across p; elsewhere cdf(icdf(p)) = p up to the mass that rounding λ moves.
    assert np.all(cdf >= p - MASS)
    assert np.all(left_limit(law.cdf, lam) <= p + MASS)
    on_atom = np.isin(lam, [a.location for a in law.atoms])
    assert cdf[~on_atom] == pytest.approx(p[~on_atom], abs=MASS)
    u = law.quantile_at(p[~on_atom])
    assert law.mass_at_or_below(u) == pytest.approx(p[~on_atom], abs=MASS)


def test_mass_and_moments_of_the_density_agree_with_the_series(prediction):
    law = prediction.spectrum
    exact = prediction.moments(4)
    for k in range(5):
        total = sum(a.mass * a.location**k for a in law.atoms)
        total += sum(integral(prediction, low, high, k) for low, high in intervals(prediction))
        assert total == pytest.approx(1.0 if k == 0 else exact[k - 1], rel=2e-10)
        assert law.moment(k) == (1.0 if k == 0 else pytest.approx(exact[k - 1], rel=1e-14))


def test_moments_obey_the_inequality_of_cauchy_and_schwarz(prediction):
    moments = np.concatenate([[1.0], prediction.moments(8)])
    assert np.all(moments[1:-1] ** 2 <= moments[:-2] * moments[2:] * (1 + 1e-13))
    # m_{k+1}/m_k rises to λ_max.
    assert moments[-1] / moments[-2] <= prediction.spectrum.support()[1] * (1 + 1e-13)


def test_singular_value_law_is_that_of_the_root(prediction):
    law, singular = prediction.spectrum, prediction.singular_values
    s = np.sqrt(law.icdf(np.linspace(0.05, 0.95, 19)))
    s = s[s > 0]
    # s² is rounded: the density moves by its logarithmic slope times 2e-16.
    assert singular.pdf(s) == pytest.approx(2 * s * law.pdf(s**2), rel=1e-10)
    # At an atom that rounding decides on which side s² falls.
    off = np.all([np.abs(s**2 - a.location) > 1e-14 * a.location for a in law.atoms] or [s > 0], axis=0)
    assert singular.cdf(s[off]) == pytest.approx(law.cdf(s[off] ** 2), abs=1e-12)
    p = np.linspace(0.0, 1.0, 21)
    assert singular.icdf(p) == pytest.approx(np.sqrt(law.icdf(p)), rel=1e-14)
    assert singular.support() == pytest.approx(tuple(np.sqrt(law.support())), rel=1e-14)
    assert [a.mass for a in singular.atoms] == [a.mass for a in law.atoms]
    assert singular.moment(2) == pytest.approx(law.moment(1), rel=1e-14)


def test_support_encloses_bulks_and_atoms(prediction):
    law = prediction.spectrum
    low, high = law.support()
    places = [*np.ravel(law.bulks), *(a.location for a in law.atoms)]
    assert low == pytest.approx(min(places), rel=1e-14)
    assert high == pytest.approx(max(places), rel=1e-14)
    inner, outer = law.effective_support
    assert low <= inner * (1 + 1e-14)
    assert inner < outer <= high * (1 + 1e-14)
    below, above = left_limit(law.cdf, np.array([inner, outer * (1 + 2e-12)]))
    # 1e-12 is left out, half of it on each side, unless an atom lies there.
    assert below <= 1e-12 or inner == 0.0
    assert above >= 1 - 1e-12 - MASS
    edges = np.ravel(law.bulks)
    assert np.all(np.diff(edges) > 0)


def test_shapes_in_are_shapes_out(prediction):
    for law in (prediction.spectrum, prediction.singular_values):
        p = np.linspace(0.05, 0.95, 6).reshape(2, 3)
        lam = law.icdf(p)
        for call, x in ((law.icdf, p), (law.pdf, lam), (law.cdf, lam)):
            grid = call(x)
            assert grid.shape == (2, 3)
            assert np.array_equal(call(x.ravel()), grid.ravel())
            assert isinstance(call(float(x[1, 2])), float)
            # How far Newton goes depends on the company: the last digit may differ.
            assert call(float(x[1, 2])) == pytest.approx(grid[1, 2], rel=1e-13)


def test_no_quantile_outside_nought_and_one(prediction):
    for law in (prediction.spectrum, prediction.singular_values):
        assert np.all(np.isnan(law.icdf([-1e-9, 1.0 + 1e-9, math.nan])))
