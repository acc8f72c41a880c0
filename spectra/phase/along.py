"""The spectrum of JJᵀ along the edge of chaos: variance, edges and condition number against q*."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..activations import Activation, get_activation
from ..errors import ConfigError, ConvergenceError
from ..network.config import Network
from ..network.criticality import critical_point
from ..network.expectations import gaussian_moments
from ..prediction import predict


@dataclass(frozen=True, eq=False)
class SpectrumAlong:
    """Critical networks of one depth and kind of weights; arrays of one shape, NaN where a prediction gave up.

    Parameters
    ----------
    activation, depth, weights : the network.
    q_star, sigma_w, sigma_b : points of the edge of chaos; of a positively homogeneous φ all with one spectrum.
    variance : m_2 − m_1² of JJᵀ; m_1 = 1.
    support : λ_min, λ_max: the smallest interval with all of the law, shape (..., 2).
    effective : the interval with all but 1e-12 of it, half of that at each end, shape (..., 2).
    certified : every point of the density passed its certificate.
    """

    activation: Activation
    depth: int
    weights: str
    q_star: Array
    sigma_w: Array
    sigma_b: Array
    variance: Array
    support: Array
    effective: Array
    certified: np.ndarray

    @property
    def lambda_max(self) -> Array:
        """Largest λ of JJᵀ."""
        return self.support[..., 1]

    @property
    def condition(self) -> Array:
        """s_max/s_min of the effective support; inf where that reaches zero."""
        with np.errstate(divide="ignore"):
            return np.sqrt(self.effective[..., 1]) / np.sqrt(self.effective[..., 0])


def spectrum_along(activation: object, depth: int, q_star: ArrayLike, *, weights: str = "orthogonal") -> SpectrumAlong:
    """Predict a critical network of `depth` layers at every q* given, a few milliseconds each.

    Parameters
    ----------
    activation : φ: a name, a table or an `Activation`.
    depth : L.
    q_star : q* > 0 on the edge of chaos, any shape.
    weights : kind of weights.

    Raises
    ------
    ConfigError : a q* that is not on the curve, an impossible depth, unknown weights.

    Accuracy
    --------
    That of `predict`, 1e-10.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eqs. 14–22.
    """
    phi = get_activation(activation)  # type: ignore[arg-type]
    q = np.asarray(q_star, dtype=float)
    if not np.all((q > 0.0) & np.isfinite(q)):
        raise ConfigError(f"`q_star = {float(q[~((q > 0.0) & np.isfinite(q))][0])!r}`: must be a finite number > 0.")
    single = gaussian_moments(phi).scale_free is not None
    rows = []
    for one in q.ravel()[: 1 if single else None].tolist():
        keys = {"sigma_b": 0.0, "input_variance": one} if single else {"q_star": one}
        point = critical_point(phi, **({"sigma_b": 0.0} if single else {"q_star": one}))
        net = Network(depth=depth, activation=phi, weights=weights, sigma_w="critical", **keys)
        try:
            pred = predict(net)
        except ConvergenceError:
            rows.append((point.sigma_w, point.sigma_b, *[math.nan] * 5, False))
            continue
        law = pred.spectrum
        rows.append(
            (point.sigma_w, point.sigma_b, pred.variance, *law.support(), *law.effective_support, pred.checks.certified)
        )
    if single:
        rows *= q.size
    table = np.array(rows, dtype=float).reshape(*q.shape, 8)
    w, b, variance = (table[..., i] for i in range(3))
    return SpectrumAlong(phi, depth, weights, q, w, b, variance, table[..., 3:5], table[..., 5:7], table[..., 7] > 0.0)
