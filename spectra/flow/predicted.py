"""Variances on the way through a network and back: signals, gradients of signals and of weights, layer by layer.

Forward, h_l = W_l x_{l−1} + b_l, x_l = φ(h_l), widths N_l, Var W_l = σ_l²/N_{l−1}, with mean squares per entry:

  E h_l² = q_l = σ_l² E x_{l−1}² + σ_b²,      E x_l² = E φ(√q_l z)²

Backward, from a cost C with E (∂C/∂x_L)² = 1 (a gradient at the output that knows nothing of the weights):

  E (∂C/∂h_l)² = E φ'(√q_l z)² E (∂C/∂x_l)²,      E (∂C/∂x_{l−1})² = (N_l/N_{l−1}) σ_l² E (∂C/∂h_l)²
  E (∂C/∂W_l)² = E (∂C/∂h_l)² E x_{l−1}²,      E (∂C/∂b_l)² = E (∂C/∂h_l)²

In a linear net Var W = 1/N_{l−1} keeps signals, Var W = 1/N_l keeps gradients, and Xavier's 2/(N_{l−1} + N_l) lies
between; only where widths are equal do all three agree.

Of a residual block x_l = β x_{l−1} + α(W φ(x_{l−1}) + b), or β x_{l−1} + α φ(W x_{l−1} + b), h_l is what φ is applied
to, E (∂C/∂x_{l−1})² = (β² + α²σ_w² E φ'²) E (∂C/∂x_l)², and ∂C/∂b_l, of mean square α² or α² E φ'² times E (∂C/∂x_l)²,
stands in the place of ∂C/∂h_l; W_l gets it times E φ(x_{l−1})², or E x_{l−1}².
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._types import Array
from ..network.architectures import architecture_of, refuse_deep_branches, refuse_normalised
from ..network.config import Network
from ..network.expectations import gaussian_moments
from ..network.meanfield import LayerState, MeanField, mean_field

LARGEST = {
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
}


@dataclass(frozen=True)
class Flow:
    """Natural logarithms of mean squares per entry, layer by layer; −inf where something is 0.

    Parameters
    ----------
    log_h : log E h_l², l = 1 … L, shape (L,).
    log_x : log E x_l², l = 0 … L, shape (L + 1,).
    log_grad_x : log E (∂C/∂x_l)², l = 0 … L, shape (L + 1,); 0 for l = L.
    log_grad_h : log E (∂C/∂h_l)², which is that of the bias gradient too, shape (L,).
    widths : N_0 … N_L, None where not stated (then layers are square).
    log_fed : log of the mean square of what W_l multiplies, shape (L,): x_{l−1}, or φ(x_{l−1}) in a residual block.
    """

    log_h: Array
    log_x: Array
    log_grad_x: Array
    log_grad_h: Array
    widths: tuple[int, ...] | None
    log_fed: Array

    @cached_property
    def log_grad_w(self) -> Array:
        """Log E (∂C/∂W_l)² per entry, shape (L,)."""
        return self.log_grad_h + self.log_fed

    @cached_property
    def log_grad_w_norm(self) -> Array | None:
        """Log of the root mean square Frobenius norm of ∂C/∂W_l, shape (L,), per unit length of ∂C/∂x_L.

        What a logger of gradient norms shows, up to one common factor. None where widths are not stated.
        """
        if self.widths is None:
            return None
        widths = np.log(np.array(self.widths, float))
        return 0.5 * (self.log_grad_w + widths[1:] + widths[:-1] - widths[-1])

    @cached_property
    def log_grad_norm(self) -> Array:
        """Log of the root mean square of |∂C/∂x_l|/|∂C/∂x_L|, l = 0 … L, shape (L + 1,): ½ Σ_{k>l} log χ_k.

        Of lengths, where `log_grad_x` is of entries; at l = 0 it is ½ log m_1 of JJᵀ.
        """
        if self.widths is None:
            return 0.5 * self.log_grad_x
        widths = np.log(np.array(self.widths, float))
        return 0.5 * (self.log_grad_x + widths - widths[-1])

    def overflow(self, dtype: str = "float32", deviations: float = 3.0) -> int | None:
        """First layer whose h_l, `deviations` standard deviations out, is beyond the range of a type; None without.

        Of a width of 256 the largest entry is some three standard deviations out.
        """
        beyond = 0.5 * self.log_h + math.log(deviations) > math.log(LARGEST[dtype])
        return int(np.argmax(beyond)) + 1 if beyond.any() else None


def flow(net: Network | MeanField) -> Flow:
    """Predict all mean squares of a network; see the top of this file for the formulas.

    Raises
    ------
    ConfigError : no critical point or fixed point where one was asked for, variances beyond 1e300, normalised layers,
        or residual branches of several.

    Accuracy
    --------
    Of infinite width 1e-13 per layer; at width N the deviation is of order depth/N (tests/test_flow.py samples it).

    Source
    ------
    Glorot, Bengio, AISTATS 2010, eq. 5-12; He et al., ICCV 2015, eq. 10 and 14; Schoenholz et al., ICLR 2017, §4.

    Examples
    --------
    >>> found = flow(Network(depth=3, activation="identity", sigma_w=2.0, input_variance=1.0))
    >>> [round(v) for v in np.exp(found.log_h)], [round(v) for v in np.exp(found.log_grad_x)]
    ([4, 16, 64], [64, 16, 4, 1])
    """
    field = mean_field(net) if isinstance(net, Network) else net
    refuse_normalised((run.spec for run in field.runs), "variances are followed through the layers")
    refuse_deep_branches((run.spec for run in field.runs), "variances are followed")
    with np.errstate(divide="ignore"):
        q = np.log(field.q)
        left, fed, back, bias = [np.log([field.input_variance])], [], [], []
        for number, (run, q_run) in enumerate(_by_run(field, q)):
            kind = architecture_of(run.spec)
            if kind.is_product:
                left.append(_signals(run, q_run))
                fed.append(np.concatenate([left[-2][-1:], left[-1][:-1]]))
                slope = np.full(run.repeat, np.log(run.slope_moment))
                back.append(slope + np.log(_transposed_gain(run)))
                bias.append(slope)
            else:
                entering = _entering(run, q_run)
                after = field.leaving if number + 1 == len(field.runs) else field.runs[number + 1].entering
                assert after is not None
                left.append(np.append(entering[1:], np.log(after.second)))
                reads = kind.reads_state(run.spec)
                fed.append(_signals(run, q_run) if reads else entering)
                back.append(np.full(run.repeat, np.log(run.chi)))
                slope = kind.scale(run.spec, run.level) ** 2 * (1.0 if reads else run.slope_moment)
                bias.append(np.full(run.repeat, np.log(slope)))
    x, per_layer = np.concatenate(left), np.concatenate(back)
    grad_x = np.concatenate([np.cumsum(per_layer[::-1])[::-1], [0.0]])
    return Flow(q, x, grad_x, grad_x[1:] + np.concatenate(bias), _widths(field), np.concatenate(fed))


def _entering(run: LayerState, log_q: Array) -> Array:
    """Log E x² of what enters each residual block of a run, whose pre-activations have these variances."""
    if architecture_of(run.spec).reads_state(run.spec):
        return log_q
    return np.log((np.exp(log_q) - float(run.spec.sigma_b or 0.0) ** 2) / float(run.spec.sigma_w) ** 2)


def _by_run(field: MeanField, values: Array) -> list[tuple[LayerState, Array]]:
    ends = np.cumsum([run.repeat for run in field.runs])
    return list(zip(field.runs, np.split(values, ends[:-1]), strict=True))


def _signals(run: LayerState, log_q: Array) -> Array:
    """Log E φ(√q z)² of the layers of a run."""
    moments = gaussian_moments(run.spec.activation)
    if moments.scale_free is not None:
        return log_q + np.log(moments.scale_free)
    return np.full(log_q.shape, np.log(moments.at(float(np.exp(log_q[0]))).second))


def _transposed_gain(run: LayerState) -> float:
    """N_l Var W_l."""
    ratio = run.fan_out / run.fan_in if run.fan_in and run.fan_out else 1.0
    return ratio * float(run.spec.sigma_w) ** 2


def _widths(field: MeanField) -> tuple[int, ...] | None:
    first = field.runs[0].fan_in
    if first is None:
        return None
    return (first, *(run.fan_out or first for run in field.runs for _ in range(run.repeat)))
