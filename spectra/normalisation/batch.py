"""What batch norm over a batch of finite size does to signals and gradients, for Gaussian inputs: exact."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .._types import Array
from ..activations import Activation
from ..errors import ConfigError
from .sphere import coordinate_mean, pair_mean

# Of one Gaussian feature over three examples E 1/s² is infinite, of two there is no gradient at all.
LEAST_BATCH = 4
# Steps of log R, of deviation 1/√(2n), by which the trapezoidal rule has all digits, and weights that count as none.
STEP, NARROW_STEP, NOTHING = 0.125, 0.4, 1e-20
# Means this much smaller than the root mean square count as none.
NO_MEAN = 1e-14


class BatchMoments(NamedTuple):
    """φ(γ x̂) over a normalised batch: E φ(x_1)², E φ(x_1)φ(x_2), E φ(x_1), E φ'², and the mean square of its block.

    Parameters
    ----------
    block : v/(B − 1) times E tr A Aᵀ, A = diag(φ') ∂x̂/∂h less its mean over the batch; v = Var h. With weights
        before it, gradients grow by σ_w² · block/v.
    """

    second: float
    product: float
    first: float
    slope2: float
    block: float

    @property
    def spread(self) -> float:
        """E φ(x_1)² − E φ(x_1)φ(x_2): the variance over the batch that the next layer's weights see."""
        return self.second - self.product


@lru_cache(maxsize=512)
def batch_moments(activation: Activation, batch: int, gain: float = 1.0, ratio: float = 0.0) -> BatchMoments:
    """Moments of φ(γ x̂), x̂ = (h − μ)/√(σ² + ε) of h exchangeable Gaussian over the batch with statistics of its own.

    Parameters
    ----------
    activation : φ.
    batch : B ≥ 4.
    gain : γ.
    ratio : ε/v, v = Var h over the batch, E h_i² − E h_i h_j.

    Raises
    ------
    ConfigError : a batch of three or fewer: E 1/σ² is infinite.
    ConvergenceError : φ is not resolved.

    Accuracy
    --------
    1e-11 relative (tests/test_normalisation.py).

    Notes
    -----
    With R² = Σ (h_i − μ)² ~ v χ²_n, n = B − 1, and ρ² = R²/(R² + Bε), x̂ = ρ x, x of `spectra.normalisation.sphere`;
    A Aᵀ = G D (G − (2ρ² − ρ⁴) xxᵀ/B) D G · B γ²/(R² + Bε), G = 1 − 11ᵀ/B, and by symmetry of the batch
    E tr A Aᵀ = n E[((n − κx_1²) φ'_1² + (1 + κ x_1x_2) φ'_1φ'_2) γ²/(R² + Bε)], κ = 2ρ² − ρ⁴.

    Source
    ------
    Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz, ICLR 2019, Theorems 7 and 8, for ε = 0; the trace and ε > 0 by
    the steps above.
    """
    if batch < LEAST_BATCH:
        raise ConfigError(
            f"`normalise.batch = {batch}`: over three Gaussian examples E 1/σ² is infinite, and so is the mean square "
            "gradient; give 4 or more, or leave it out for large batches."
        )
    total = sum(
        weight * _on_sphere(activation, batch, gain, rho, inverse) for rho, inverse, weight in _radii(batch, ratio)
    )
    found = BatchMoments(*np.asarray(total).tolist())
    # Of an odd φ the mean is nothing but rounding.
    return found if abs(found.first) > NO_MEAN * math.sqrt(found.second) else found._replace(first=0.0)


def _on_sphere(activation: Activation, batch: int, gain: float, rho: float, inverse: float) -> Array:
    """The five moments at one length R; `inverse` is v/(R² + Bε)."""
    scale, kappa, n = gain * rho, rho**2 * (2.0 - rho**2), batch - 1

    def alone(x: Array) -> Array:
        value, slope = activation(scale * x), activation.derivative(scale * x)
        return np.stack([value**2, value, slope**2, (n - kappa * x * x) * slope**2])

    def together(x: Array, y: Array) -> Array:
        slopes = activation.derivative(scale * x) * activation.derivative(scale * y)
        return np.stack([activation(scale * x) * activation(scale * y), (1.0 + kappa * x * y) * slopes])

    breaks = tuple(kink / scale for kink in activation.kinks) if scale > 0.0 else ()
    second, first, slope2, own = coordinate_mean(alone, batch, breaks)
    product, other = pair_mean(together, batch, breaks)
    return np.array([second, product, first, slope2, gain**2 * inverse * (own + other)])


def _radii(batch: int, ratio: float) -> Iterator[tuple[float, float, float]]:
    """ρ, v/(R² + Bε) and weight, over the law of R² = v χ²_n."""
    n = batch - 1
    if ratio == 0.0:
        yield 1.0, 1.0 / (n - 2), 1.0
        return
    # Down to where R² is far below Bε, and its weight, like R^n, is nothing.
    low = min(math.log(batch * ratio), math.log(n)) / 2.0 + math.log(NOTHING) / n
    log_r = np.arange(low, math.log(math.sqrt(n) + 14.0), min(STEP, NARROW_STEP / math.sqrt(n)))
    log_weight = n * log_r - 0.5 * np.exp(2.0 * log_r)
    weights = np.exp(log_weight - log_weight.max())
    weights /= weights.sum()
    for square, weight in zip(np.exp(2.0 * log_r), weights, strict=True):
        if weight > NOTHING:
            yield (
                float(np.sqrt(square / (square + batch * ratio))),
                float(1.0 / (square + batch * ratio)),
                float(weight),
            )
