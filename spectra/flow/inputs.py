"""What inputs do to the first layer: their mean and variance, or the data themselves, and the q_1 they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ConfigError
from ..network.config import Network
from ..network.meanfield import mean_field


@dataclass(frozen=True)
class Inputs:
    """Inputs as the first layer sees them.

    Parameters
    ----------
    mean, variance : of the entries of x_0.
    spread : standard deviation over examples of the mean square of one example, relative to its mean; 0 where alike.
    overlap : mean of x·x'/N_0 over pairs of different examples, relative to the mean square: the correlation c_0 with
        which different inputs enter; mean²/(mean² + variance) where entries are independent.
    """

    mean: float
    variance: float
    spread: float = 0.0
    overlap: float | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean) and np.isfinite(self.variance) and self.variance >= 0.0):
            raise ConfigError(
                f"`Inputs(mean={self.mean!r}, variance={self.variance!r})`: must be finite, the variance 0 or more."
            )
        if self.mean_square == 0.0:
            raise ConfigError("`Inputs(...)`: all entries are 0; no signal enters.")

    @classmethod
    def of(cls, data: ArrayLike) -> Inputs:
        """Statistics of data, (examples, …): the first axis counts examples, one axis alone is one example.

        Raises
        ------
        ConfigError : no numbers, or some that are not finite.
        """
        table = np.asarray(data)
        if table.size == 0 or table.dtype.kind not in "fiub":
            raise ConfigError(
                f"`data` of shape {table.shape} and type {table.dtype}: must be an array of real numbers."
            )
        table = table.astype(float)
        if not np.isfinite(table).all():
            raise ConfigError("`data`: has entries that are not finite.")
        table = table.reshape(1, -1) if table.ndim <= 1 else table.reshape(len(table), -1)
        squares = np.mean(table**2, axis=1)
        total, examples = float(squares.mean()), len(table)
        overlap = None
        if examples > 1 and total > 0.0:
            # Σ_{i≠j} x_i·x_j = |Σ x_i|² − Σ |x_i|².
            pairs = float(np.sum(table.sum(axis=0) ** 2) - np.sum(table**2)) / (examples * (examples - 1))
            overlap = pairs / table.shape[1] / total
        spread = float(squares.std() / total) if total > 0.0 else 0.0
        return cls(float(table.mean()), float(table.var()), spread, overlap)

    @property
    def mean_square(self) -> float:
        """E x_0² = mean² + variance, which is all that q_1 knows of them."""
        return self.mean**2 + self.variance

    @property
    def correlation(self) -> float:
        """c_0: as measured, or mean²/(mean² + variance) of independent entries."""
        return self.mean**2 / self.mean_square if self.overlap is None else self.overlap

    def first_layer(self, net: Network) -> tuple[float, float]:
        """(q_1, c_1) of `net` for these inputs: σ_w² E x_0² + σ_b², and (σ_w² c_0 E x_0² + σ_b²)/q_1.

        A mean makes different inputs alike before anything is learned: unit variance with a mean of 1 gives c_0 = ½.
        """
        spec = mean_field(self.into(net)).runs[0].spec
        signal, bias = float(spec.sigma_w) ** 2 * self.mean_square, float(spec.sigma_b or 0.0) ** 2
        return signal + bias, (signal * self.correlation + bias) / (signal + bias)

    def into(self, net: Network) -> Network:
        """`net` with these inputs instead of its own `input_variance`."""
        return net.replace(input_variance=self.mean_square)
