"""Limits of great depth: two laws, how nets approach them, and what Gaussian nets do, which have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .convergence import Approach as Approach
    from .convergence import approach as approach
    from .convergence import fixed_spread as fixed_spread
    from .convergence import layer_variance as layer_variance
    from .convergence import limit_of as limit_of
    from .convergence import network_of_spread as network_of_spread
    from .deep import BernoulliLimit as BernoulliLimit
    from .deep import DeepLimit as DeepLimit
    from .deep import SmoothLimit as SmoothLimit
    from .exponents import gaussian_exponent_variances as gaussian_exponent_variances
    from .exponents import gaussian_exponents as gaussian_exponents
    from .gaussian import DeepEdge as DeepEdge
    from .gaussian import deep_edge as deep_edge
    from .gaussian import gaussian_edge as gaussian_edge
    from .lyapunov import LyapunovLaw as LyapunovLaw
    from .residual import residual_limit as residual_limit
    from .residual import residual_strength as residual_strength

_HOMES = {
    "Approach": "convergence",
    "BernoulliLimit": "deep",
    "DeepEdge": "gaussian",
    "DeepLimit": "deep",
    "LyapunovLaw": "lyapunov",
    "SmoothLimit": "deep",
    "approach": "convergence",
    "deep_edge": "gaussian",
    "fixed_spread": "convergence",
    "gaussian_edge": "gaussian",
    "gaussian_exponent_variances": "exponents",
    "gaussian_exponents": "exponents",
    "layer_variance": "convergence",
    "limit_of": "convergence",
    "network_of_spread": "convergence",
    "residual_limit": "residual",
    "residual_strength": "residual",
}

__getattr__, __dir__ = lazily(__name__, globals(), _HOMES)
