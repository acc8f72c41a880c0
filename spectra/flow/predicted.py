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
stands in the place of ∂C/∂h_l; W_l gets it times E φ(x_{l−1})², or E x_{l−1}². In a branch of n matrices every one has
such a b_k, with E (∂C/∂b_{k−1})² = σ_w² E φ'(h_k)² E (∂C/∂b_k)².

Where φ comes after the sum, x_l = φ(h_l), h_l = β x_{l−1} + α(W x_{l−1} + b), the gradient depends on the neuron: with
a_l(x) = E (∂C/∂x_l)² given x_l = x, a_{l−1}(x) = β² E [φ'(h_l)² a_l(φ(h_l)) | x_{l−1} = x] + α²σ_w² E φ'(h_l)² a_l.

Normalised layers pass gradients on as their architecture says, with statistics held fixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._types import Array
from ..network.architectures import Back, refuse_without_law
from ..network.config import Network
from ..network.meanfield import MeanField, gradients_back, mean_field

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
    widths : N_0 … N_L, None where not stated (then layers are square).
    layer : the layer, 1 … L, of every matrix of weights, shape (M,); M = L but where branches have several.
    log_grad_b : log E (∂C/∂b_k)² of the biases beside every matrix, shape (M,).
    log_fed : log of the mean square of what every matrix multiplies, shape (M,): x_{l−1}, or φ of something.
    """

    log_h: Array
    log_x: Array
    log_grad_x: Array
    widths: tuple[int, ...] | None
    layer: Array
    log_grad_b: Array
    log_fed: Array

    @cached_property
    def log_grad_h(self) -> Array:
        """Log E (∂C/∂h_l)², shape (L,): that of the biases beside the last matrix of every layer."""
        return self.log_grad_b[np.append(np.diff(self.layer) > 0, True)]

    @cached_property
    def log_grad_w(self) -> Array:
        """Log E (∂C/∂W_k)² per entry, shape (M,)."""
        return self.log_grad_b + self.log_fed

    @cached_property
    def log_grad_w_norm(self) -> Array | None:
        """Log of the root mean square Frobenius norm of ∂C/∂W_k, shape (M,), per unit length of ∂C/∂x_L.

        What a logger of gradient norms shows, up to one common factor. None where widths are not stated.
        """
        if self.widths is None:
            return None
        widths = np.log(np.array(self.widths, float))
        # Branches of several matrices keep the width.
        return 0.5 * (self.log_grad_w + widths[self.layer] + widths[self.layer - 1] - widths[-1])

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
    ConfigError : no critical point or fixed point where one was asked for, variances beyond 1e300, or batch norm of
        batches of finite size.

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
    refuse_without_law(run.spec for run in field.runs)
    backs = gradients_back(field.runs)
    with np.errstate(divide="ignore"):
        widths = _widths(field)
        passed = np.log(np.concatenate([back.passed for back in backs]))
        if widths is not None:
            # Per entry: N_l σ_w²/N_{l−1} in the place of σ_w².
            passed += np.diff(np.log(np.array(widths, float)))
        grad_x = np.append(np.cumsum(passed[::-1])[::-1], 0.0)
        x = np.log(np.append(np.concatenate([back.entering for back in backs]), field.leaving.second))
        given = np.log(np.concatenate([back.given.ravel() for back in backs]))
        fed = np.log(np.concatenate([back.fed.ravel() for back in backs]))
        layer = np.repeat(np.arange(1, field.depth + 1), np.concatenate([_counts(back) for back in backs]))
        return Flow(np.log(field.q), x, grad_x, widths, layer, given + grad_x[layer], fed)


def _counts(back: Back) -> Array:
    """Matrices of weights of every layer, (repeat,)."""
    repeat, count = back.given.shape
    return np.full(repeat, count)


def _widths(field: MeanField) -> tuple[int, ...] | None:
    first = field.runs[0].fan_in
    if first is None:
        return None
    return (first, *(run.fan_out or first for run in field.runs for _ in range(run.repeat)))
