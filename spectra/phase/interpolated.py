"""E φ², E φ'² and d E φ²/dq as piecewise Chebyshev series in t = log q: thousands of variances cost what one does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .. import chebyshev
from .._types import Array
from ..activations import Activation
from ..errors import ConvergenceError
from ..network.expectations import gaussian_moments
from ..network.gaussian import Moments

# Below, E φ²/(q + φ(0)²) and the others are their limits for q → 0 but for √q, 1e-12.
LOWEST, HIGHEST = 1e-24, 1e8
# Gaussian moments are analytic in t up to |Im t| = π/2 whatever the kinks of φ: 18 coefficients on half a decade have
# a tail of 5.6^−18 = 3e-14.
PER_DECADE, COUNT = 2, 18
# Last two coefficients over the largest; and how often a panel is halved before that is called unresolved.
RESOLVED, HALVINGS = 3e-12, 5
STEEP = 1e4


@dataclass(frozen=True, eq=False)
class InterpolatedMoments:
    """E φ(√q z)², E φ'(√q z)² and d E φ²/dq as functions of log q, vectorised.

    Parameters
    ----------
    activation : φ.
    edges : ends of the panels in t = log q, ascending.
    series : Chebyshev coefficients of E φ²/(q + φ(0)²), E φ'² and the gain on each, shape (3, panels, n).
    offset : φ(0)².
    zero : the moments at q = 0.

    Accuracy
    --------
    1e-12 relative to the largest value within half a decade of q, of the gain also to E φ'²; where all units are dead
    and E φ² ≪ q, within a decade (tests/test_phase_grid.py).
    """

    activation: Activation
    edges: Array
    series: Array
    offset: float
    zero: Moments

    @property
    def lowest(self) -> float:
        """Log q below which the limits for q → 0 are given."""
        return float(self.edges[0])

    @property
    def highest(self) -> float:
        """Log q up to which the moments are known."""
        return float(self.edges[-1])

    def __call__(self, t: Array) -> tuple[Array, Array, Array]:
        """E φ², E φ'² and d E φ²/dq at q = eᵗ; NaN above `highest`."""
        t = np.asarray(t, dtype=float)
        flat = t.ravel()
        inside = np.clip(flat, self.edges[0], self.edges[-1])
        piece = np.clip(np.searchsorted(self.edges, inside, side="right") - 1, 0, self.edges.size - 2)
        lower, upper = self.edges[piece], self.edges[piece + 1]
        x = (2.0 * inside - lower - upper) / (upper - lower)
        ratio, slope2, gain = (chebyshev.clenshaw(s, piece, x) for s in self.series)
        second = ratio * (np.exp(flat) + self.offset)
        beyond = flat > self.edges[-1]
        return tuple(np.where(beyond, np.nan, f).reshape(t.shape) for f in (second, slope2, gain))  # type: ignore[return-value]


@lru_cache(maxsize=64)
def interpolated_moments(activation: Activation) -> InterpolatedMoments:
    """Interpolate the moments of φ for q from 1e-24 to 1e8, or as far as φ can be resolved and is finite.

    Raises
    ------
    ConvergenceError : the moments have structure finer than 1/60 of a decade.
    """
    moments = gaussian_moments(activation)
    zero = moments.at(0.0)
    decades = round(math.log10(HIGHEST / LOWEST))
    grid = np.linspace(math.log(LOWEST), math.log(HIGHEST), PER_DECADE * decades + 1)
    pending = list(zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True))
    smallest = (grid[1] - grid[0]) / 2.0**HALVINGS
    analysis, place = chebyshev.fit(COUNT), chebyshev.nodes(COUNT)
    found: list[tuple[float, float, Array]] = []
    scale = np.zeros((3, grid.size - 1))
    while pending:
        lower, upper = np.array(pending).T
        t = (lower + upper)[:, None] / 2.0 + (upper - lower)[:, None] / 2.0 * place
        table = moments.table(np.exp(t.ravel()))
        full = len(table) // COUNT
        values = table[: full * COUNT].reshape(full, COUNT, 4)
        finite = np.isfinite(values[..., [0, 1, 3]]).all(axis=(1, 2))
        full = int(np.argmin(finite)) if not finite.all() else full
        values = values[:full]
        rows = np.stack([values[..., 0] / (np.exp(t[:full]) + zero.second), values[..., 1], values[..., 3]])
        series = rows @ analysis.T
        if not found:
            scale = _scales(np.abs(rows).max(axis=-1), grid.size - 1)
        panel = np.clip(np.searchsorted(grid, lower[:full], side="right") - 1, 0, grid.size - 2)
        good = (np.abs(series[..., -2:]).max(axis=-1) <= RESOLVED * scale[:, panel]).all(axis=0)
        # Errors are relative to the end of a panel: where E φ² > q grows so fast the beginning would drown in them.
        steep = (rows[0, :, -1] > STEEP * rows[0, :, 0]) & (rows[0, :, -1] > 1.0)
        good &= ~steep
        found += [(pending[i][0], pending[i][1], series[:, i]) for i in np.flatnonzero(good)]
        last = upper[:full] - lower[:full] <= 1.01 * smallest
        # Beyond what can be followed the variance explodes; the table ends there.
        bad = [pending[i] for i in np.flatnonzero(~good & ~(steep & last))]
        if bad and bad[0][1] - bad[0][0] <= 1.01 * smallest:
            raise ConvergenceError(
                f"`{activation.name}`: its Gaussian moments are not resolved at q = {math.exp(bad[0][0]):.3g}."
            )
        pending = [half for a, b in bad for half in ((a, (a + b) / 2.0), ((a + b) / 2.0, b))]
    found = _connected(sorted(found, key=lambda one: one[0]))
    if not found:
        raise ConvergenceError(f"`{activation.name}`: its Gaussian moments are not finite at any variance.")
    edges = np.array([found[0][0], *(upper for _, upper, _ in found)])
    return InterpolatedMoments(activation, edges, np.stack([s for *_, s in found], axis=1), zero.second, zero)


def _scales(sizes: Array, panels: int) -> Array:
    """What errors of each row are measured by: its size on the panel; of the gain also that of E φ'².

    Where all units are dead E φ² ≪ q is like e^(−1/q), and no series of doubles holds its relative digits; nothing
    depends on them, so that errors are measured there by what it grows to within a decade, up to E φ² = q.
    """
    size = np.full((3, panels), 1e-290)
    size[:, : sizes.shape[1]] = np.maximum(sizes, 1e-290)
    size[2] = np.maximum(size[1], size[2])
    wide = np.pad(size, ((0, 0), (PER_DECADE, PER_DECADE)), mode="edge")
    wide = np.lib.stride_tricks.sliding_window_view(wide, 2 * PER_DECADE + 1, axis=1).max(axis=-1)
    with np.errstate(over="ignore"):
        relief = np.maximum(1.0, np.minimum(wide[0], 1.0) / size[0])
        return np.minimum(wide, size * relief)


def _connected(found: list[tuple[float, float, Array]]) -> list[tuple[float, float, Array]]:
    """The panels from the first on up to the first gap."""
    for index in range(1, len(found)):
        if found[index][0] != found[index - 1][1]:
            return found[:index]
    return found
