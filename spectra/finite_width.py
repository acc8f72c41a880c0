"""What is known exactly at finite width: E m̂_1, E m̂_2 and the scatter of m̂_1, ‖Jv‖² between networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .network.architectures import architecture_of
from .network.expectations import gaussian_moments
from .network.gaussian import slopes_at_zero

if TYPE_CHECKING:
    from .activations import Activation
    from .network.config import LayerSpec
    from .network.meanfield import MeanField

_REACH = 9.0  # standard deviations that integrals go to: the rest of a Gaussian is 2e-19
_NODES = 16  # of Gauss and Legendre between two points of `GaussianMoments.edges`


@dataclass(frozen=True)
class FiniteMoments:
    """Exact expectations over networks of given finite widths.

    Parameters
    ----------
    log_first : log E m̂_1.
    log_second : log E m̂_2.
    relative_variance : Var m̂_1 / (E m̂_1)².
    gradient_variance : Var ‖Jv‖² / (E ‖Jv‖²)² for a unit vector v drawn uniformly.
    """

    log_first: float
    log_second: float
    relative_variance: float
    gradient_variance: float


def finite_moments(field: MeanField, widths: tuple[int, ...]) -> FiniteMoments | None:
    """E m̂_1, E m̂_2, Var m̂_1 of J = D_L W_L ⋯ D_1 W_1 at widths N_0 … N_L, as a recursion over the layers.

    With A = J_l J_lᵀ, A' = D W A Wᵀ D, t_1 = E tr A²/(E tr A)², t_2 = E (tr A)²/(E tr A)², κ = E φ'⁴/(E φ'²)², n → n':
    Gaussian W: t_i' = [κ (t_2 + 2 t_1) + (n' − 1) t_i]/n'. Haar W, n' ≤ n, e = (t_2 + 2 t_1)/(n + 2):
    t_i' = (n/n') [κ e + (n' − 1)/(n − 1) (t_i − e)]; for n' > n, A is padded with zeros to n'.

    Parameters
    ----------
    field : mean field of the network.
    widths : N_0 … N_L.

    Returns
    -------
    None where a layer is not dense, has other than Gaussian or orthogonal weights, or an activation that is not
    positively homogeneous (identity, ReLU, leaky ReLU).

    Notes
    -----
    D may come from a real forward pass: φ' depends on the sign of h_i alone, which turns with the signs of row i of W
    and of b_i, while A'_ij² and A'_ii A'_jj do not. So D is as good as independent, ± with probability ½ each, for any
    biases; no other property of D enters (tests/test_finite_width.py enumerates forward passes).

    Source
    ------
    E (wᵀAw)² = (tr A)² + 2 tr A² for standard normal w; divided by n(n + 2) for w uniform on the sphere. The variance
    of ‖Jv‖² for Gaussian W is Π_l (1 + (3κ − 1)/N_l) − 1: Hanin, Nica, Commun. Math. Phys. 376 (2020), 287–322, with
    5/N_l for ReLU and 2/N_l for the identity.
    """
    specs: list[tuple[LayerSpec, float]] = [(r.spec, r.chi) for r in field.runs for _ in range(r.repeat)]
    t_1, t_2, log_first = 1.0 / widths[0], 1.0, 0.0
    for (n, after), (spec, chi) in zip(pairwise(widths), specs, strict=True):
        kappa = _kurtosis(spec)
        if kappa is None or not chi > 0.0:
            return None
        log_first += math.log(chi)
        t_1, t_2 = _layer(t_1, t_2, kappa, n, after, orthogonal=spec.weights == "orthogonal")
    first, last = widths[0], widths[-1]
    gradient = (t_2 + 2 * t_1) * first / (first + 2) - 1.0
    return FiniteMoments(log_first, 2 * log_first + math.log(t_1 * last), max(t_2 - 1.0, 0.0), max(gradient, 0.0))


def _layer(t_1: float, t_2: float, kappa: float, n: int, after: int, *, orthogonal: bool) -> tuple[float, float]:
    """One step of the recursion."""
    own = t_2 + 2 * t_1
    if not orthogonal:
        return tuple((kappa * own + (after - 1) * t) / after for t in (t_1, t_2))  # type: ignore[return-value]
    n = max(n, after)
    own /= n + 2
    if n == 1:
        return kappa * t_1, kappa * t_2
    share = (after - 1) / (n - 1)
    return tuple(n / after * (kappa * own + share * (t - own)) for t in (t_1, t_2))  # type: ignore[return-value]


def _kurtosis(spec: LayerSpec) -> float | None:
    """κ = E φ'⁴/(E φ'²)² where the recursion holds, else None."""
    if not architecture_of(spec).is_product or spec.weights not in ("gaussian", "orthogonal"):
        return None
    if gaussian_moments(spec.activation).scale_free is None:
        return None
    left, right = slopes_at_zero(spec.activation)
    return 2.0 * (left**4 + right**4) / (left**2 + right**2) ** 2


def log_variance(field: MeanField, widths: tuple[int, ...]) -> float | None:
    """Variance of log m̂_1 between networks: Σ_l c_l/N_l to leading order, for any activation.

    log m̂_1 = Σ_l log (σ_w²/N_l) Σ_i φ'(h_i)², to leading order in 1/N; the h_i of a layer are independent given the
    layer's variance K_l, which follows the fluctuations of mean φ² below it. So δ log m̂_1 is a sum over layers of means
    of η = φ'²/E φ'² − 1 + s (φ² − E φ²), s the sensitivity of everything above to mean φ²; c_l = Var η. Orthogonal W
    fixes Σ (Wx)_i², and what correlates with it drops out. Homogeneous φ has s = 0 and c = E φ'⁴/(E φ'²)² − 1 (ReLU 1).

    Returns
    -------
    None where a layer is not dense, or a variance is zero or leaves the range of doubles.

    Accuracy
    --------
    Relative O(Σ 1/N_l). Where c_l = 0 (linear layers) the truth is O(1/N²) and this is 0; `finite_moments` is exact.
    """
    layers = [r.spec for r in field.runs for _ in range(r.repeat)]
    total, above = 0.0, 0.0  # above: d log m̂_1 / d K of the layer above, times its σ_w²
    for index in range(len(layers) - 1, -1, -1):
        spec, q = layers[index], float(field.q[index])
        if not (architecture_of(spec).is_product and 1e-100 < q < 1e100):
            return None
        found = _covariances(spec.activation, q)
        if not np.isfinite(found).all() or not found[1] > 0.0:
            return None
        _, slope, value_value, value_slope, slope_slope, value_square, slope_square = found
        bias = float(spec.sigma_b or 0.0) ** 2
        if spec.weights == "orthogonal":
            share = min(1.0, widths[index + 1] / widths[index]) * ((q - bias) / q) ** 2 / (2 * q**2)
            value_value -= share * value_square**2
            value_slope -= share * value_square * slope_square
            slope_slope -= share * slope_square**2
        noise = slope_slope / slope**2 + 2 * above * value_slope / slope + above**2 * value_value
        total += max(noise, 0.0) / widths[index + 1]
        upon_variance = (above * value_square + slope_square / slope) / (2 * q**2)
        above = float(spec.sigma_w) ** 2 * upon_variance
    return total if math.isfinite(total) else None


@lru_cache(maxsize=256)
def _covariances(activation: Activation, q: float) -> np.ndarray:
    """E φ², E φ'², Var φ², Cov(φ², φ'²), Var φ'², Cov(φ², h²), Cov(φ'², h²) at h ~ N(0, q)."""
    radius = _REACH * math.sqrt(q)
    inner = gaussian_moments(activation).edges(radius)
    edges = np.unique(np.concatenate([[-radius], inner, np.linspace(-radius, radius, 65), [radius]]))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(edges)[:, None] / 2
    h = ((edges[:-1] + edges[1:])[:, None] / 2 + half * nodes).ravel()
    density = (half * weights).ravel() * np.exp(-(h**2) / (2 * q)) / math.sqrt(2 * math.pi * q)
    with np.errstate(all="ignore"):
        value, slope = np.asarray(activation(h)) ** 2, np.asarray(activation.derivative(h)) ** 2
        rows = np.stack([value, slope, h**2])
        means = rows @ density
        centred = rows - means[:, None]
        c = (centred * density) @ centred.T
    return np.array([means[0], means[1], c[0, 0], c[0, 1], c[1, 1], c[0, 2], c[1, 2]])
