"""What sampling returns: singular values of many Jacobians, with what was measured on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..network.config import Network


@dataclass(frozen=True)
class Ensemble:
    """Sampled Jacobians of one network at one width.

    Parameters
    ----------
    log_singular_values : (samples, min(N_0, N_L)), descending natural logarithms, −inf for exact zeros.
    q : (samples, depth), the mean of h_l² over the neurons of layer l.
    chi : (samples, depth), σ_w² times the mean of φ'(h_l)²; the mean square of J_l over its weights for other layers.
    widths : N_0, N_1, …, N_L as sampled.
    seed : what the streams were spawned from.
    network : the description that was sampled; None for singular values from elsewhere.
    examples : how many examples J is of, all outputs by all inputs; N_L and N_0 are to be multiplied by it.

    Notes
    -----
    JJᵀ has N_L eigenvalues: the squares, and N_L − min(N_0, N_L) zeros that `log_singular_values` does not list.
    """

    log_singular_values: np.ndarray
    q: np.ndarray
    chi: np.ndarray
    widths: tuple[int, ...]
    seed: int
    network: Network | None = field(default=None, repr=False)
    examples: int = 1

    @property
    def samples(self) -> int:
        """Number of sampled networks."""
        return self.log_singular_values.shape[0]

    @property
    def width(self) -> int:
        """Largest width, input included: the number `sample(width=…)` sets."""
        return max(self.widths)

    @property
    def depth(self) -> int:
        """Number of layers L."""
        return len(self.widths) - 1

    @property
    def n_out(self) -> int:
        """Dimension N_L of JJᵀ."""
        return self.widths[-1] * self.examples

    @property
    def singular_values(self) -> np.ndarray:
        """Singular values of J, (samples, min(N_0, N_L)), descending; inf or 0 where a double cannot hold them."""
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(self.log_singular_values)

    @property
    def log_eigenvalues(self) -> np.ndarray:
        """Natural logarithms of all N_L eigenvalues of JJᵀ, (samples, N_L), descending, −inf for zeros."""
        missing = self.n_out - self.log_singular_values.shape[1]
        return np.pad(2 * self.log_singular_values, ((0, 0), (0, missing)), constant_values=-np.inf)
