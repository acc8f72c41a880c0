"""How nets of finite depth approach their limits: q* for a given σ_0² = L · Var, and distances that shrink with L."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..activations import Activation, get_activation
from ..errors import ConfigError
from ..network.config import Network
from ..phase.slopes import slope_spread
from ..phase.universality import classified, critical_point_of_spread
from ..prediction import Prediction, predict
from ..spectrum import SingularValueLaw
from .deep import BernoulliLimit, DeepLimit, SmoothLimit

_LIMITS: dict[str, type[DeepLimit]] = {"Bernoulli": BernoulliLimit, "smooth": SmoothLimit}
# Places at which distribution functions are compared: quantiles of the limit, and as many at equal distances.
PLACES = 800


def layer_variance(activation: Any, q: float) -> float:
    """Var = E φ'⁴/(E φ'²)² − 1 at variance q: what an orthogonal layer adds to m_2/m_1² of JJᵀ.

    Parameters
    ----------
    activation : name, table or `Activation`.
    q : > 0.

    Accuracy
    --------
    That of `slope_spread`, 1e-12 relative where it is above 1e-12.
    """
    return slope_spread(get_activation(activation), float(q))


def limit_of(activation: Any, variance: float) -> DeepLimit:
    """The limit law of this activation, orthogonal weights, χ_1 = 1, L → ∞ with L · Var = σ_0²: by its class.

    Bernoulli: φ' is one number around 0, and 0 or its negative elsewhere. Smooth: φ' is continuous at 0 and not flat
    there. In both φ(0) = 0: else small q* are off the edge of chaos.

    Raises
    ------
    ConfigError : an activation of neither class; the message says why.

    Examples
    --------
    >>> limit_of("hardtanh", 0.25), limit_of("tanh", 0.25)
    (BernoulliLimit(variance=0.25), SmoothLimit(variance=0.25))
    """
    phi = get_activation(activation)
    kind, reason = classified(phi)[:2]
    if kind not in _LIMITS:
        raise ConfigError(
            f"`activation = {phi.name!r}`: no such limit: {reason}; a kink away from 0 (shifted_relu, hardtanh) or a "
            "smooth φ with φ(0) = 0 (erf, tanh, silu) has one."
        )
    return _LIMITS[kind](variance)


def fixed_spread(activation: Any, depth: int, variance: float) -> float:
    """The smallest q* with L · Var = σ_0²; how small q* must be for a given spread at depth L.

    Closed forms: hard-tanh 1/(2 erfinv(L/(L + σ_0²))²), erf ((2 + a) a + (1 + a) √((2 + a) a))/π, a = σ_0²/L.

    Parameters
    ----------
    activation : name, table or `Activation`, of one of the two classes.
    depth : L.
    variance : σ_0² > 0, of JJᵀ with orthogonal weights at χ_1 = 1.

    Raises
    ------
    ConfigError : an activation without limit, impossible numbers, or a spread that no q* has.

    Accuracy
    --------
    1e-11 relative (tests/test_approach_of_limits.py).
    """
    limit_of(activation, variance)
    return float(critical_point_of_spread(activation, depth, variance).q_star or 0.0)


def network_of_spread(activation: Any, depth: int, variance: float) -> Network:
    """The critical orthogonal net of this depth with variance of JJᵀ σ_0².

    Raises
    ------
    ConfigError : as `fixed_spread`.

    Examples
    --------
    >>> network_of_spread("hardtanh", 100, 0.25).to_dict()["q_star"]
    0.10934743416153...
    """
    q = fixed_spread(activation, depth, variance)
    return Network(depth=depth, activation=activation, weights="orthogonal", sigma_w="critical", q_star=q)


@dataclass(frozen=True)
class Approach:
    """A net of finite depth beside its limit.

    Parameters
    ----------
    limit : the law for L → ∞.
    prediction : the law at depth L, with the same variance.
    """

    limit: DeepLimit
    prediction: Prediction

    @property
    def depth(self) -> int:
        """L."""
        return self.prediction.network.depth

    @property
    def q_star(self) -> float:
        """q*, at which the net has its spread."""
        return float(self.prediction.network.layers[0].q_star or 0.0)

    @cached_property
    def distance(self) -> float:
        """∫ |F_L(s) − F(s)| ds, singular values; 1e-4 relative.

        Not the largest difference: where both laws have an atom, at places that only approach each other, that stays.
        """
        return wasserstein(self.prediction.singular_values, self.limit.singular_values)

    @property
    def edge_error(self) -> float:
        """Largest end of the bulk, relative to that of the limit, less 1.

        In the smooth class that of all but 1e-12 of the mass: where φ' has its largest slope away from 0, as that of
        silu, the density goes on beyond at any depth, if exponentially thin, and λ_max has another limit.
        """
        finite, limit = self.prediction.spectrum, self.limit.spectrum()
        if isinstance(self.limit, SmoothLimit):
            return finite.effective_support[1] / limit.effective_support[1] - 1.0
        return finite.bulks[-1][1] / limit.bulks[-1][1] - 1.0


def approach(
    activation: str | Mapping[str, Any] | Activation, variance: float, depths: Sequence[int]
) -> list[Approach]:
    """Nets of these depths, all of variance σ_0², beside the limit of their class.

    Raises
    ------
    ConfigError : as `network_of_spread`.
    """
    limit = limit_of(activation, variance)
    return [Approach(limit, predict(network_of_spread(activation, depth, variance))) for depth in depths]


def wasserstein(finite: SingularValueLaw, limit: SingularValueLaw) -> float:
    """∫ |F − F'| ds by trapezoids between quantiles, equidistant points, and atoms of both laws."""
    laws = (finite, limit)
    quantiles = limit.icdf(0.5 - 0.5 * np.cos(np.linspace(0.0, math.pi, PLACES + 1)))
    ends = np.sqrt([law.spectrum.effective_support for law in laws])
    between = np.linspace(ends.min(), ends.max(), PLACES + 1)
    s = np.unique(np.concatenate([quantiles, between, [atom.location for law in laws for atom in law.atoms]]))
    after = [np.asarray(law.cdf(s)) for law in laws]
    before = []
    for law, values in zip(laws, after, strict=True):
        jumps = np.zeros(s.size)
        for atom in law.atoms:
            jumps[s == atom.location] = atom.mass
        before.append(values - jumps)
    left, right = np.abs(after[0] - after[1])[:-1], np.abs(before[0] - before[1])[1:]
    return float(np.sum(0.5 * (left + right) * np.diff(s)))
