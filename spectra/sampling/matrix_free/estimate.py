"""What matrix-free sampling returns: moments, λ_max and distribution function of JJᵀ, with their standard errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ConfigError
from .curves import between, midpoints

if TYPE_CHECKING:
    from ...network.config import Network

Curve = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class LogDensity:
    """Density of u = log λ in bins.

    Parameters
    ----------
    edges : (bins + 1,), places u.
    value, error : (bins,), mean density in each bin, and its standard error over networks and probes.
    resolution : (bins,), how far the density that the probes see may be from `value`, for sure: what the Gauss rules
        leave open. Of the order of `value` where bins are narrower than Lanczos nodes lie apart.
    """

    edges: np.ndarray
    value: np.ndarray
    error: np.ndarray
    resolution: np.ndarray


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates of the spectrum of JJᵀ from products with J and Jᵀ, for several Jacobians of one shape.

    Parameters
    ----------
    log_probe_moments : (samples, probes, orders), log of zᵀ(JJᵀ)^k z/zᵀz for k = 1 …, padded zeros counted in: each an
        unbiased estimate of m_k; −inf for zero.
    log_nodes, weights : (samples, probes, steps), Gauss rules of the spectral measures in the probes, ascending; the
        weights sum to min(N_0, N_L)/N_L, the rest is at 0.
    converged : (samples, probes, steps), whether the node is an eigenvalue, to 1e-8 of the largest.
    log_top : (samples,), log λ_max; relative error at most `top_bound`, (samples,).
    products : columns that J or Jᵀ was applied to, in all.
    q, chi : (samples, depth), as in `spectra.sampling.Ensemble`; no columns for operators from elsewhere.
    widths : N_0, N_1, …, N_L; N_0, N_L for operators from elsewhere.
    seed : what the streams were spawned from.
    network : the description that was sampled.

    Notes
    -----
    Standard errors are over networks, the scatter of the probes included; with one network over its probes. NaN where
    neither is more than one.
    """

    log_probe_moments: np.ndarray
    log_nodes: np.ndarray
    weights: np.ndarray
    converged: np.ndarray
    log_top: np.ndarray
    top_bound: np.ndarray
    products: int
    q: np.ndarray
    chi: np.ndarray
    widths: tuple[int, ...]
    seed: int
    network: Network | None = field(default=None, repr=False)

    @property
    def samples(self) -> int:
        """Number of Jacobians."""
        return self.log_nodes.shape[0]

    @property
    def probes(self) -> int:
        """Random vectors per Jacobian."""
        return self.log_nodes.shape[1]

    @property
    def steps(self) -> int:
        """Lanczos steps from each probe."""
        return self.log_nodes.shape[2]

    @property
    def width(self) -> int:
        """Largest width, input included."""
        return max(self.widths)

    @property
    def depth(self) -> int:
        """Number of layers L; 1 for operators from elsewhere."""
        return len(self.widths) - 1

    @property
    def moments(self) -> np.ndarray:
        """m_k = (1/N_L) tr (JJᵀ)^k, k = 1 …, (orders,), the mean over networks and probes."""
        with np.errstate(over="ignore", under="ignore"):
            return np.exp(self.log_probe_moments).mean(axis=(0, 1))

    @property
    def moment_errors(self) -> np.ndarray:
        """Standard errors of `moments`, (orders,)."""
        with np.errstate(over="ignore", under="ignore"):
            return self._error(np.exp(self.log_probe_moments))

    def log_moments(self, *, corrected: bool = False) -> np.ndarray:
        """Log m_k of every network, (samples, orders): of the mean over probes.

        `corrected`: without the first-order bias that the logarithm brings, by the jackknife over the probes.

        Source
        ------
        Quenouille, Biometrika 43 (1956), 353–360.
        """
        y, p = self.log_probe_moments, self.probes
        top = np.maximum(y.max(axis=1, keepdims=True), -1e300)
        shares = np.exp(y - top)
        total = shares.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.log(total[:, 0] / p)
            if corrected and p > 1:
                left_out = np.log(np.maximum(total - shares, 0.0) / (p - 1)).mean(axis=1)
                unbiased = p * mean - (p - 1) * left_out
                mean = np.where(np.isfinite(unbiased), unbiased, mean)
        return mean + top[:, 0]

    @property
    def lambda_max(self) -> float:
        """Mean of λ_max over networks."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.exp(self.log_top).mean())

    @property
    def lambda_max_error(self) -> float:
        """Standard error of `lambda_max` over networks, or the bound on the one there is."""
        with np.errstate(over="ignore", under="ignore"):
            top = np.exp(self.log_top)
        if top.size == 1:
            return float(top[0] * self.top_bound[0])
        return float(top.std(ddof=1) / np.sqrt(top.size))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Share of eigenvalues of JJᵀ at or below x, pooled, shape of `x`; through the middle of every jump.

        Between the nodes a power of λ; a jump only where a node has converged to an eigenvalue. Where the spectrum is
        smooth that is far closer than the weights are large. `cdf_bounds` is sure.
        """
        return self._pooled(midpoints, _log(x)).mean(axis=(0, 1))[..., 0]

    def cdf_error(self, x: np.ndarray) -> np.ndarray:
        """Standard error of `cdf`, shape of `x`."""
        return self._error(self._pooled(midpoints, _log(x))[..., 0])

    def cdf_bounds(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the true distribution functions in the probes lie between, pooled: exact but for the choice of probes.

        Source
        ------
        Chebyshev–Markov–Stieltjes inequalities: Szegő, Orthogonal Polynomials, section 3.41.
        """
        pair = self._pooled(between, _log(x)).mean(axis=(0, 1))
        return pair[..., 0], pair[..., 1]

    def density(self, edges: np.ndarray) -> LogDensity:
        """Density of u = log λ, averaged over the bins between ascending `edges`, places u.

        Differences of `cdf`, over the length of the bin; all N_L eigenvalues count, so that the mass at 0 is missing.
        """
        edges = np.asarray(edges, dtype=float)
        if edges.ndim != 1 or edges.size < 2 or not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0.0):
            raise ConfigError("`density(edges)`: needs two or more finite places u = log λ, ascending.")
        length = np.diff(edges)
        each = np.diff(self._pooled(midpoints, edges)[..., 0], axis=-1) / length
        low, high = np.moveaxis(self._pooled(between, edges).mean(axis=(0, 1)), -1, 0)
        most, least = np.diff(high) + (high - low)[:-1], np.diff(low) - (high - low)[:-1]
        value = each.mean(axis=(0, 1))
        resolution = np.maximum(most / length - value, value - np.maximum(least, 0.0) / length)
        return LogDensity(edges, value, self._error(each), np.maximum(resolution, 0.0))

    def curves(
        self, u: np.ndarray, snap: np.ndarray, within: float, floor: float = -np.inf
    ) -> tuple[np.ndarray, np.ndarray]:
        """For every network and u = log λ: `cdf` at and just below λ, and `cdf_bounds`, both (samples, 2, points).

        Nodes with a logarithm within `within` of one of `snap` count as that one, those below `floor` as 0.
        """
        nodes = np.where(self.log_nodes < floor, -np.inf, self.log_nodes)
        for place in snap[np.isfinite(snap)]:
            nodes = np.where(np.abs(nodes - place) < within, place, nodes)
        middle, bounds = (np.swapaxes(self._pooled(c, u, nodes).mean(axis=1), 1, 2) for c in (midpoints, between))
        return middle, bounds

    def _pooled(self, curve: Curve, u: np.ndarray, nodes: np.ndarray | None = None) -> np.ndarray:
        """Apply `curve` to the rule of every probe, (samples, probes, shape of u, 2)."""
        rules = zip(self.log_nodes if nodes is None else nodes, self.weights, self.converged, strict=True)
        return np.array([[curve(u, *rule) for rule in zip(*network, strict=True)] for network in rules])

    def _error(self, values: np.ndarray) -> np.ndarray:
        """Standard error of the mean of (samples, probes, …) over both."""
        means = values.mean(axis=1) if self.samples > 1 else values[0]
        if len(means) < 2:
            return np.full(means.shape[1:], np.nan)
        return means.std(axis=0, ddof=1) / np.sqrt(len(means))


def _log(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(np.asarray(x, dtype=float))
