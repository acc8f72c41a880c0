"""A network to tune at one q*: where its layers differ, every layer by itself on the edge of chaos."""

from __future__ import annotations

import math

from ..activations import Activation
from ..errors import ConfigError
from ..network.config import Network
from ..network.criticality import bias_variance
from ..network.expectations import gaussian_moments
from ..network.zeros import bracketed_zero

# Doublings of q_l beyond the q* wanted, in search of one that needs no negative variance of biases.
DOUBLINGS = 60
# Layers of one run whose scales may all differ.
MOST = 1000


def placed(family: Network, q_star: float) -> Network:
    """The network of `family` at q*, with χ = 1 in every layer.

    Where all layers have one activation they share the fixed point q*. Else what a layer is given is not what it would
    give itself, and each has σ_w² = 1/E φ_l'² and σ_b² = q_l − σ_w² E x_{l−1}² of its own, expectations at q_l: q_l is
    q*, or the next larger variance that needs no σ_b² < 0 (gelu after tanh: 4 q*).

    Raises
    ------
    ConfigError : q* is off the curve, or no variance q_l will do.
    """
    if len({spec.activation for spec in family.layers}) == 1:
        return family.replace(q_star=q_star)
    given = family.input_variance
    signal = None if given is None or isinstance(given, str) else float(given)
    inputs, layers = signal, []
    before: tuple[Activation, float] | None = None
    for spec in family.layers:
        last: tuple[float, float, float] | None = None
        for count in range(spec.repeat):
            if count == MOST:
                raise ConfigError(
                    f"`{spec.activation.name}`: no fixed variance within {MOST} layers at q* = {q_star:g}."
                )
            one = _scales(spec.activation, q_star, signal, before)
            if one == last:
                layers[-1]["repeat"] += spec.repeat - count
                break
            table = {"activation": spec.description or spec.activation, "weights": spec.weights, "repeat": 1}
            q, weight, bias = last = one
            layers.append(table | {"sigma_w": weight, "sigma_b": bias} | ({"width": spec.width} if spec.width else {}))
            if inputs is None:
                inputs = (q - bias**2) / weight**2
            signal, before = gaussian_moments(spec.activation).at(q).second, (spec.activation, q)
    width = {} if family.input_width is None else {"input_width": family.input_width}
    for table in layers:
        if table["repeat"] == 1:
            del table["repeat"]
    return Network(layers=layers, input_variance=inputs, **width)


def _scales(
    phi: Activation, q_star: float, signal: float | None, before: tuple[Activation, float] | None
) -> tuple[float, float, float]:
    """(q_l, σ_w, σ_b) of a layer of φ that is given signals of this mean square; None: of the one it needs."""
    moments = gaussian_moments(phi)
    wanted = [q_star] + ([before[1]] if before is not None and before[0] == phi else [])
    for q in wanted:
        slope2 = moments.at(q).slope2
        if signal is None or before == (phi, q):
            # Its own fixed point: no difference of what is almost equal.
            square, error = bias_variance(phi, q)
            square = max(square, 0.0) if signal is None or square >= -error else square
        else:
            square = q - signal / slope2
        if square >= 0.0:
            return q, slope2**-0.5, math.sqrt(square)

    def excess(log_q: float) -> float:
        q = math.exp(log_q)
        return math.log(q * moments.at(q).slope2 / (signal or math.inf))

    low = math.log(q_star)
    for _ in range(DOUBLINGS):
        high = low + math.log(2.0)
        end = excess(high)
        if end >= 0.0:
            q = math.exp(bracketed_zero(excess, low, high) if end > 0.0 else high)
            return q, moments.at(q).slope2 ** -0.5, 0.0
        low = high
    raise ConfigError(
        f"`{phi.name}`: no variance of pre-activations keeps gradients where it stands at q* = {q_star:g}."
    )
