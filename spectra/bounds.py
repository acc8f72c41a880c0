"""Bounds that need no spectrum, beside the spectrum: products of norms, chains of scalar units, recurrent steps.

What is quoted as a rule is s_max ≤ Π ‖D_l‖ ‖W_l‖. The ratio to the predicted s_max says how loose that is; it grows
exponentially with the depth, for the worst directions of successive layers do not line up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .activations import Activation, get_activation
from .errors import ConfigError
from .network.architectures import architecture_of
from .network.config import Network
from .network.expectations import gaussian_moments
from .network.gaussian import slopes_at_zero
from .network.meanfield import LayerState
from .prediction import Prediction, predict


@dataclass(frozen=True)
class NormBound:
    """Π ‖D_l‖ ‖W_l‖ beside the predicted s_max, as natural logarithms.

    Parameters
    ----------
    log_slopes : Σ log ‖D_l‖, ‖D_l‖ = sup |φ'| of what stands outside of a layer's weights and sum; inf without a bound.
    log_weights : Σ log ‖W_l‖; of residual blocks log (|β| + norm of the branch).
    log_s_max : of the predicted spectrum.
    depth : number of layers.
    """

    log_slopes: float
    log_weights: float
    log_s_max: float
    depth: int

    @property
    def log_bound(self) -> float:
        """Log Π ‖D_l‖ ‖W_l‖ ≥ log s_max."""
        return self.log_slopes + self.log_weights

    @property
    def looseness(self) -> float:
        """Factor a layer by which the bound exceeds s_max: (bound/s_max)^{1/L} ≥ 1."""
        return math.exp((self.log_bound - self.log_s_max) / self.depth) if math.isfinite(self.log_bound) else math.inf


def norm_bound(net: Network | Prediction) -> NormBound:
    """Spectral norms of the layers multiplied, for wide layers, against the norm of the product.

    ‖W‖ = σ_w (1 + √(N_out/N_in)) of independent entries, σ_w √max(1, N_out/N_in) of orthogonal weights.

    Raises
    ------
    ConfigError, ConvergenceError : as `predict`.

    Source
    ------
    Bai, Yin, Ann. Probab. 21 (1993) for ‖W‖; Pascanu, Mikolov, Bengio, ICML 2013, §2.2, for the use of the bound.

    Examples
    --------
    >>> found = norm_bound(Network(depth=10, activation="identity", sigma_w=1.0))
    >>> round(math.exp(found.log_bound)), round(math.exp(2 * found.log_s_max), 6), round(found.looseness, 3)
    (1024, 28.531167, 1.691)
    """
    pred = net if isinstance(net, Prediction) else predict(net)
    runs = pred.mean_field.runs
    log_slopes = log_weights = 0.0
    for run in runs:
        found = architecture_of(run.spec).norms(run.spec, run.level, _largest_slope(run), _weight_spread(run))
        log_slopes += run.repeat * _log(found.outside)
        log_weights += run.repeat * _log(found.skip + found.branch)
    return NormBound(log_slopes, log_weights, -0.5 * pred.spectrum.log_support[1], pred.mean_field.depth)


def _largest_slope(run: LayerState) -> float:
    return run.spec.activation.slope_bound if run.q > 0.0 else max(map(abs, slopes_at_zero(run.spec.activation)))


def _weight_norm(run: LayerState) -> float:
    return math.sqrt(architecture_of(run.spec).gain(run.spec, run.level)) * _weight_spread(run)


def _weight_spread(run: LayerState) -> float:
    """Largest singular value over σ_w."""
    ratio = run.fan_out / run.fan_in if run.fan_in and run.fan_out else 1.0
    return math.sqrt(max(1.0, ratio)) if run.spec.weights == "orthogonal" else 1.0 + math.sqrt(ratio)


def _log(x: float) -> float:
    return math.log(x) if x > 0.0 else -math.inf


def scalar_chain_bound(activation: Activation | str, length: int, weight: float = 1.0) -> float:
    """(|w| sup |φ'|)^n: the largest |∂x_n/∂x_0| of a chain x ← φ(w x + b) of n scalar units, whatever the biases.

    A sigmoid chain of weights 1 passes at most 4^{−n} of a gradient, a tanh chain at most all of it.

    Source
    ------
    Hochreiter 1991; Bengio, Simard, Frasconi, IEEE Trans. Neural Networks 5 (1994).

    Examples
    --------
    >>> scalar_chain_bound("sigmoid", 5) == 4.0**-5, scalar_chain_bound("tanh", 5)
    (True, 1.0)
    """
    if length < 1 or length != int(length):
        raise ConfigError(f"`scalar_chain_bound(length={length})`: must be a whole number of at least 1.")
    if not math.isfinite(weight):
        raise ConfigError(f"`scalar_chain_bound(weight={weight})`: must be a finite number.")
    log = length * _log(abs(weight) * get_activation(activation).slope_bound)
    return math.exp(log) if log < 700.0 else math.inf


def scalar_mean_square_ratio(activation: Activation | str, weight_variance: float) -> float:
    """E[r² | x > 0] = γ² κ, r = φ(w x)/x of a scalar unit with w ~ N(0, γ²) and φ positively homogeneous.

    κ = E φ(z)², z ~ N(0, 1): ½ for ReLU, so that γ² = 2 keeps the mean square, layer after layer: He's variance, seen
    in one unit.

    Raises
    ------
    ConfigError : φ is not positively homogeneous, so that r depends on x; a negative variance.

    Examples
    --------
    >>> scalar_mean_square_ratio("relu", 2.0)
    1.0
    """
    if not (weight_variance >= 0.0 and math.isfinite(weight_variance)):
        raise ConfigError(f"`scalar_mean_square_ratio(weight_variance={weight_variance})`: must be a number ≥ 0.")
    activation = get_activation(activation)
    kappa = gaussian_moments(activation).scale_free
    if kappa is None:
        raise ConfigError(
            f"`activation = {activation.name!r}`: must be positively homogeneous (relu, leaky_relu, prelu, identity): "
            "of others the ratio depends on x; use χ_1 of `spectra.mean_field`."
        )
    return weight_variance * kappa


@dataclass(frozen=True)
class RecurrentBound:
    """A recurrence h ← φ(W h + …) with one square W, T steps.

    Parameters
    ----------
    step : ‖D‖ ‖W‖, the most that one step stretches.
    radius : sup |φ'| times the spectral radius of W, σ_w: where φ is linear the growth a step over many steps.
    log_bound : T log step.
    log_s_max : of the predicted spectrum after T steps with W drawn afresh each step.
    log_mean_square : log m_1 of it, T log χ where q is fixed.
    """

    step: float
    radius: float
    log_bound: float
    log_s_max: float
    log_mean_square: float

    @property
    def verdict(self) -> str:
        """What the bounds alone can say."""
        if self.step < 1.0:
            return "gradients vanish for certain: ‖D‖ ‖W‖ < 1"
        if self.radius <= 1.0:
            return "the bound says nothing: ‖D‖ ‖W‖ ≥ 1 allows growth, but the spectral radius does not reach 1"
        return "gradients may explode: the spectral radius of ‖D‖ W exceeds 1"


def recurrent_bound(net: Network) -> RecurrentBound:
    """Bounds of T = depth steps of one recurrent layer against the spectrum of as many layers.

    Raises
    ------
    ConfigError : the layers differ or change the width.

    Source
    ------
    Pascanu, Mikolov, Bengio, ICML 2013, §2.1-2.2; Girko's circular law for the radius (Haar weights: the unit circle).
    """
    if len(net.layers) != 1 or net.rectangular:
        raise ConfigError(
            "`recurrent_bound(net)`: steps share one square W: give a `depth` and one width, no [[layers]]."
        )
    pred = predict(net)
    field = pred.mean_field
    bound = norm_bound(pred)
    run = field.runs[0]
    slope, sigma_w = max(map(_largest_slope, field.runs)), float(run.spec.sigma_w)
    return RecurrentBound(
        slope * _weight_norm(run), slope * sigma_w, bound.log_bound, bound.log_s_max, pred.spectrum.log_mean
    )
