"""What a gain does: the fixed point it leads to, χ_1 there, and the mean square gradient after L layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..activations import Activation, get_activation
from ..errors import ConfigError
from ..network.config import Network
from ..network.criticality import critical_point
from ..network.expectations import gaussian_moments
from ..network.meanfield import mean_field
from .gains import GAINS, calculate_gain

# Nonlinearity of a gain -> activation it is for.
_ACTIVATIONS = {"linear": "identity"}
# The mean square of inputs that standardised data have.
UNIT = 1.0


@dataclass(frozen=True)
class Explanation:
    """A gain g as σ_w = g, σ_b = 0, followed through L layers from inputs of mean square 1.

    Parameters
    ----------
    activation, gain, depth : what was followed.
    origin : where the gain comes from, where it is a standard one.
    q_star : fixed point of the variance, 0 where it decays; None where it has none or every q is one.
    chi_1 : σ_w² E φ'² there; None where there is no fixed point.
    log_m1 : log of m_1 = Π χ_l after `depth` layers, the mean square gradient.
    critical_gain : the gain with χ_1 = 1 at σ_b = 0, where there is one.
    """

    activation: str
    gain: float
    depth: int
    origin: str
    q_star: float | None
    chi_1: float | None
    log_m1: float
    critical_gain: float | None

    @property
    def sentence(self) -> str:
        """The explanation in words."""
        power = round(self.log_m1 / math.log(10.0), 9) + 0.0
        settles = "" if self.q_star is None else f" the variance settles at q* = {self.q_star:.6g};"
        slope = "" if self.chi_1 is None else f" a layer multiplies the mean square gradient by χ_1 = {self.chi_1:.5g};"
        critical = f"critical is {self.critical_gain:.6g}" if self.critical_gain else "none is critical without biases"
        return (
            f"{self.activation} with gain {self.gain:.6g}:{settles}{slope} after {self.depth} layers it is "
            f"10^{power:.3g}; of all gains {critical}."
        )


def explain(nonlinearity: str, depth: int = 32, gain: float | None = None) -> Explanation:
    """What the standard gain of a nonlinearity does, or a gain that is given.

    Parameters
    ----------
    nonlinearity : a name that `calculate_gain` knows, or with `gain` any activation's.
    depth : L.

    Raises
    ------
    ConfigError : no such activation, or no standard gain for it and none given.

    Examples
    --------
    >>> found = explain("tanh", depth=32)
    >>> round(found.gain, 4), round(found.chi_1, 4), found.critical_gain
    (1.6667, 1.2098, 1.0)
    """
    if gain is None:
        if nonlinearity not in GAINS:
            raise ConfigError(
                f"`nonlinearity = {nonlinearity!r}`: has no standard gain; there are {', '.join(GAINS)}; give `gain`, "
                "or see `gains_for`, which computes them for any activation."
            )
        gain = calculate_gain(nonlinearity)
    activation = get_activation(_ACTIVATIONS.get(nonlinearity, nonlinearity))
    field = mean_field(
        Network(depth=depth, activation=activation, sigma_w=float(gain), sigma_b=0.0, input_variance=UNIT)
    )
    log_m1 = sum(run.repeat * (math.log(run.chi) if run.chi > 0.0 else -math.inf) for run in field.runs)
    origin = GAINS[nonlinearity].origin if nonlinearity in GAINS else ""
    free = gaussian_moments(activation).scale_free is not None
    return Explanation(
        activation.name,
        float(gain),
        depth,
        origin,
        None if free else field.q_star,
        field.chi_1,
        log_m1,
        gains_for(activation).critical,
    )


@dataclass(frozen=True)
class Gains:
    """Gains of one activation, by what each keeps at σ_b = 0.

    Parameters
    ----------
    critical : 1/√E φ'² at the fixed point it leads to itself: gradients at any depth. None where there is none.
    signal : 1/√E φ(z)²: pre-activations of variance 1 keep it. z ~ N(0, 1).
    gradient : 1/√E φ'(z)²: gradients through pre-activations of variance 1 keep their mean square.
    """

    critical: float | None
    signal: float
    gradient: float

    @property
    def mismatch(self) -> float:
        """χ of the gain that keeps signals, E φ'(z)²/E φ(z)²: what no gain without biases can mend at variance 1."""
        return (self.signal / self.gradient) ** 2


def gains_for(activation: Activation | str) -> Gains:
    """The three gains of any activation; for ReLU and its kin they are one.

    Examples
    --------
    >>> found = gains_for("selu")
    >>> round(found.signal, 6), round(found.gradient, 6), round(found.mismatch, 6)
    (1.0, 0.966026, 1.071575)
    """
    activation = get_activation(activation)
    moments = gaussian_moments(activation).at(1.0)
    try:
        critical = critical_point(activation, sigma_b=0.0).sigma_w
    except ConfigError:
        critical = None
    return Gains(critical, moments.second**-0.5, moments.slope2**-0.5)
