"""The spectrum of JJᵀ for wide random networks, as free probability predicts it.

Conventions: G(z) = E 1/(z − t), Im G < 0 above the axis; normalised trace; spectra are of JJᵀ unless a name says
singular values; Var W_ij = σ_w²/fan_in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import laws as laws
from .errors import ConfigError as ConfigError
from .errors import ConvergenceError as ConvergenceError
from .lazy import lazily

if TYPE_CHECKING:
    from .advice import Target as Target
    from .advice import audit as audit
    from .advice import tune as tune
    from .agreement import crosscheck as crosscheck
    from .convolve import affine as affine
    from .convolve import compound_poisson as compound_poisson
    from .convolve import compression as compression
    from .convolve import free_poisson as free_poisson
    from .convolve import free_power as free_power
    from .convolve import free_product as free_product
    from .convolve import free_sum as free_sum
    from .convolve import free_sum_power as free_sum_power
    from .expressions import parse_law as parse_law
    from .law import Law as Law
    from .limits import BernoulliLimit as BernoulliLimit
    from .limits import LyapunovLaw as LyapunovLaw
    from .limits import SmoothLimit as SmoothLimit
    from .limits import gaussian_edge as gaussian_edge
    from .limits import gaussian_exponents as gaussian_exponents
    from .limits import limit_of as limit_of
    from .limits import network_of_spread as network_of_spread
    from .limits import residual_limit as residual_limit
    from .limits import residual_strength as residual_strength
    from .network.config import Network as Network
    from .network.meanfield import mean_field as mean_field
    from .phase.along import spectrum_along as spectrum_along
    from .phase.curve import edge_of_chaos as edge_of_chaos
    from .phase.grid import phase_grid as phase_grid
    from .phase.slopes import slope_distribution as slope_distribution
    from .phase.universality import critical_point_of_spread as critical_point_of_spread
    from .phase.universality import universality as universality
    from .phase.universality import universality_table as universality_table
    from .prediction import Prediction as Prediction
    from .prediction import predict as predict
    from .sampling import measured as measured
    from .sampling import sample as sample
    from .spectrum import Spectrum as Spectrum
    from .transforms import free_cumulants as free_cumulants
    from .transforms import moments as moments
    from .transforms import r_transform as r_transform
    from .transforms import s_transform as s_transform
    from .transforms import stieltjes as stieltjes

__version__ = "0.1.0"

# Loaded on first use, so that `import spectra` costs little more than numpy.
_HOMES = {
    "BernoulliLimit": "limits",
    "Law": "law",
    "LyapunovLaw": "limits",
    "Network": "network.config",
    "Prediction": "prediction",
    "SmoothLimit": "limits",
    "Spectrum": "spectrum",
    "Target": "advice",
    "affine": "convolve",
    "audit": "advice",
    "compound_poisson": "convolve",
    "compression": "convolve",
    "critical_point_of_spread": "phase.universality",
    "crosscheck": "agreement",
    "edge_of_chaos": "phase.curve",
    "free_cumulants": "transforms",
    "free_poisson": "convolve",
    "free_power": "convolve",
    "free_product": "convolve",
    "free_sum": "convolve",
    "free_sum_power": "convolve",
    "gaussian_edge": "limits",
    "gaussian_exponents": "limits",
    "limit_of": "limits",
    "mean_field": "network.meanfield",
    "measured": "sampling",
    "moments": "transforms",
    "network_of_spread": "limits",
    "parse_law": "expressions",
    "phase_grid": "phase.grid",
    "predict": "prediction",
    "r_transform": "transforms",
    "residual_limit": "limits",
    "residual_strength": "limits",
    "s_transform": "transforms",
    "sample": "sampling",
    "slope_distribution": "phase.slopes",
    "spectrum_along": "phase.along",
    "stieltjes": "transforms",
    "tune": "advice",
    "universality": "phase.universality",
    "universality_table": "phase.universality",
}

__getattr__, __dir__ = lazily(__name__, globals(), _HOMES)
