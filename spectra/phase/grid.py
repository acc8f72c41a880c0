"""The phase diagram on a grid: q*, χ_1, phase and depth scales at every (σ_w², σ_b²), all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._types import Array
from ..activations import Activation, get_activation
from ..errors import ConfigError
from ..network.expectations import gaussian_moments
from ..network.qmap import CRITICAL_TOLERANCE
from .decorrelation import decorrelation_slopes
from .interpolated import InterpolatedMoments, interpolated_moments

# Variances at which the sign of q' − q is looked at, a decade; two fixed points closer together are taken for none.
SCAN = 16
# log(q'/q) below this is rounding of the interpolation.
ROUNDING = 1e-11
# A root is a root where |log(q'/q)| is below this.
SOLVED = 1e-12
NEWTON_STEPS = 80


class Phase(IntEnum):
    """What a point of the (σ_w², σ_b²) plane is."""

    ORDERED = -1
    CRITICAL = 0
    CHAOTIC = 1
    #: Every variance grows without bound (or beyond 1e8): there is no q*.
    NO_FIXED_POINT = 2
    #: d q'/dq is 1 at the only fixed point, to rounding. (Below −½ it never is: √q E f(√q z) rises with q for f ≥ 0.)
    MARGINAL = 3
    #: The numerics did not verify a root.
    UNRESOLVED = 4


@dataclass(frozen=True, eq=False)
class PhaseGrid:
    """Mean field over a grid; every array has shape (σ_b² values, σ_w² values), NaN where a number does not exist.

    Parameters
    ----------
    activation : φ.
    weight_variances, bias_variances : σ_w², shape (n,), and σ_b², shape (m,).
    q_star : the smallest stable fixed point of q → σ_w² E φ(√q z)² + σ_b²; 0 on σ_b = 0 where signals die out.
    chi_1 : σ_w² E φ'(√q* z)².
    slope : d q'/dq at q*.
    phase : `Phase` values.
    stable : number of stable fixed points; where there are several the input variance decides between them.
    diverges : variances beyond the largest fixed point grow without bound.
    residual : largest |log(q'/q)| of the roots, by quadrature at up to 64 of them.
    """

    activation: Activation
    weight_variances: Array
    bias_variances: Array
    q_star: Array
    chi_1: Array
    slope: Array
    phase: NDArray[np.int8]
    stable: NDArray[np.int8]
    diverges: NDArray[np.bool_]
    residual: float

    @property
    def xi_q(self) -> Array:
        """Depth scale −1/log |slope| of the variance, in layers; NaN where nothing decays."""
        return _depth_scale(np.abs(self.slope))

    @cached_property
    def chi_c_star(self) -> Array:
        """Slope χ_{c*} of the correlation map at its stable fixed point: χ_1 where not chaotic; NaN at q* = 0."""
        result = np.where(self.q_star > 0.0, self.chi_1, np.nan)
        chaotic = (self.phase == Phase.CHAOTIC) & (self.q_star > 0.0)
        weights = np.broadcast_to(self.weight_variances, chaotic.shape)[chaotic]
        result[chaotic] = decorrelation_slopes(self.activation, weights, self.q_star[chaotic], self.chi_1[chaotic])
        return result

    @property
    def xi_c(self) -> Array:
        """Depth scale −1/log χ_{c*} of correlations, in layers; NaN at criticality, where it is infinite."""
        return _depth_scale(self.chi_c_star)


def phase_grid(activation: object, weight_variances: ArrayLike, bias_variances: ArrayLike) -> PhaseGrid:
    """q*, χ_1, phase and depth scales on a grid of (σ_w², σ_b²).

    Parameters
    ----------
    activation : φ: a name, a table or an `Activation`.
    weight_variances : σ_w² > 0, shape (n,).
    bias_variances : σ_b² ≥ 0, shape (m,).

    Returns
    -------
    PhaseGrid, arrays of shape (m, n).

    Raises
    ------
    ConfigError : unknown activation; a variance that is negative or not finite.

    Accuracy
    --------
    q* to 1e-12/|1 − slope| relative, χ_1 to 1e-12 of the largest E φ'² within half a decade of q*; χ_{c*} to 1e-9,
    1e-5 where φ has kinks, 3e-4 at large q*, and NaN close to the edge of chaos where φ(√q* z) is too steep for that
    (`decorrelation_slopes`; tests/test_phase_grid.py). Pairs of fixed points closer than a sixteenth of a decade may be
    missed.

    Source
    ------
    Poole et al., NeurIPS 2016, eqs. 3–6; Schoenholz et al., ICLR 2017, for the depth scales.

    Examples
    --------
    >>> grid = phase_grid("tanh", [1.69, 6.25], [0.09])
    >>> grid.q_star.round(6).tolist(), grid.chi_1.round(6).tolist()
    ([[0.607047, 4.079124]], [[0.939807, 1.585225]])
    """
    phi = get_activation(activation)  # type: ignore[arg-type]
    w, b = _checked("weight_variances", weight_variances, 0), _checked("bias_variances", bias_variances, 1)
    kappa = gaussian_moments(phi).scale_free
    if kappa is not None:
        return _homogeneous(phi, kappa, w, b)
    moments = interpolated_moments(phi)
    index, low, high, diverges = _brackets(moments, w, b)
    t, solved = _roots(moments, w[index[1]], b[index[0]], low, high)
    _, slope2, gain = moments(t)
    slopes = w[index[1]] * gain
    stable = solved & (np.abs(slopes) < 1.0 - CRITICAL_TOLERANCE)
    shape = b.size, w.size
    q, chi, slope = (np.full(shape, np.nan) for _ in range(3))
    count, marginal, unsolved = (np.zeros(shape, dtype=np.int8) for _ in range(3))
    np.add.at(count, (index[0][stable], index[1][stable]), 1)
    np.add.at(marginal, (index[0][solved & ~stable], index[1][solved & ~stable]), 1)
    np.add.at(unsolved, (index[0][~solved], index[1][~solved]), 1)
    # Roots come in ascending order; written from the last, the smallest stable one stays.
    keep = np.flatnonzero(stable)[::-1]
    place = index[0][keep], index[1][keep]
    q[place], chi[place], slope[place] = np.exp(t[keep]), w[place[1]] * slope2[keep], slopes[keep]
    _put_zero(moments, w, b, q, chi, slope, count)
    phase = _phase(chi, count, marginal, unsolved)
    residual = _verified(phi, w, b, q)
    return PhaseGrid(phi, w, b, q, chi, slope, phase, count, diverges, residual)


def _checked(key: str, values: ArrayLike, lowest: int) -> Array:
    array = np.atleast_1d(np.asarray(values, dtype=float))
    allowed = "must be one-dimensional, finite and " + ("positive" if lowest == 0 else "not negative")
    good = array >= 0.0 if lowest else array > 0.0
    if array.ndim != 1 or not array.size:
        raise ConfigError(f"`{key}`: {allowed}; got shape {array.shape}.")
    if not np.all(good & np.isfinite(array)):
        raise ConfigError(f"`{key} = {array[~(good & np.isfinite(array))][0]:g}`: {allowed}.")
    return array


def _brackets(
    moments: InterpolatedMoments, w: Array, b: Array
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], Array, Array, NDArray[np.bool_]]:
    """Where q' − q goes from + to −: (row, column) of each, log q before and after; and where it ends above zero."""
    diverges = np.zeros((b.size, w.size), dtype=bool)
    found: list[tuple[Array, ...]] = []
    # No fixed point lies below σ_b²: only without a bias are all variances looked at.
    for chosen in (np.flatnonzero(b == 0.0), np.flatnonzero(b > 0.0)):
        if not chosen.size:
            continue
        least = float(b[chosen].min())
        start = max(moments.lowest, min(math.log(least) - 0.5, moments.highest - 1.0)) if least else moments.lowest
        t = np.linspace(start, moments.highest, math.ceil((moments.highest - start) / math.log(10.0) * SCAN) + 1)
        q, second = np.exp(t), moments(t)[0]
        base = b[chosen][:, None] / q - 1.0
        for column, weight in enumerate(w):
            residual = weight * second / q + base
            sign = np.where(np.abs(residual) > ROUNDING, np.sign(residual), 0.0)
            sign[~np.isfinite(sign)] = 0.0
            # The last point before that has a sign; a stretch of rounding has none of its own.
            known = np.maximum.accumulate(np.where(sign != 0.0, np.arange(t.size), 0), axis=1)
            filled = np.take_along_axis(sign, known, axis=1)
            row, step = np.nonzero((filled[:, :-1] > 0.0) & (filled[:, 1:] < 0.0))
            found.append((chosen[row], np.full(row.size, column), t[known[row, step]], t[step + 1]))
            diverges[chosen, column] = filled[:, -1] > 0.0
    rows, columns, low, high = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(low, kind="stable")
    index = rows[order].astype(np.intp), columns[order].astype(np.intp)
    return index, low[order], high[order], diverges


def _roots(
    moments: InterpolatedMoments, w: Array, b: Array, low: Array, high: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Log q of every bracketed fixed point by Newton's step, halving where it leaves its bracket; and whether found."""
    t = (low + high) / 2.0
    low, high = low.copy(), high.copy()
    active = np.arange(t.size)
    for _ in range(NEWTON_STEPS):
        if not active.size:
            break
        here, weight, bias = t[active], w[active], b[active]
        second, _, gain = moments(here)
        image = weight * second + bias
        with np.errstate(all="ignore"):
            value = np.log(image) - here
            step = value / (weight * gain * np.exp(here) / image - 1.0)
        above = value > 0.0
        low[active] = np.where(above, here, low[active])
        high[active] = np.where(above, high[active], here)
        target = here - step
        inside = (target >= low[active]) & (target <= high[active])
        t[active] = np.where(inside, target, (low[active] + high[active]) / 2.0)
        active = active[~((np.abs(t[active] - here) <= 1e-14 * np.maximum(np.abs(here), 1.0)) | (value == 0.0))]
    with np.errstate(all="ignore"):
        found = np.abs(np.log(w * moments(t)[0] + b) - t) <= SOLVED
    return t, found


def _put_zero(
    moments: InterpolatedMoments, w: Array, b: Array, q: Array, chi: Array, slope: Array, count: NDArray[np.int8]
) -> None:
    """The fixed point q = 0 of σ_b = 0 and φ(0) = 0, where it is stable; at slope 1 where no variance grows."""
    row = np.flatnonzero(b == 0.0)
    if moments.offset != 0.0 or not row.size:
        return
    factor = w * moments.zero.gain
    # On the diagonal to first order: stable where nothing above is fixed or growing.
    level = np.abs(factor - 1.0) <= CRITICAL_TOLERANCE
    t = np.linspace(moments.lowest, moments.highest, 400)
    second = moments(t)[0]
    for column in np.flatnonzero(level):
        residual = w[column] * second / np.exp(t) - 1.0
        signs = residual[np.abs(residual) > ROUNDING]
        factor[column] = 1.0 if signs.size and signs[0] < 0.0 else math.inf
    columns = np.flatnonzero(factor <= 1.0)
    for r in row:
        q[r, columns], slope[r, columns] = 0.0, w[columns] * moments.zero.gain
        chi[r, columns] = w[columns] * moments.zero.slope2
        count[r, columns] += 1


def _phase(
    chi: Array, count: NDArray[np.int8], marginal: NDArray[np.int8], unsolved: NDArray[np.int8]
) -> NDArray[np.int8]:
    phase = np.full(chi.shape, int(Phase.NO_FIXED_POINT), dtype=np.int8)
    phase[marginal > 0] = Phase.MARGINAL
    phase[unsolved > 0] = Phase.UNRESOLVED
    known = count > 0
    level = np.abs(chi - 1.0) <= CRITICAL_TOLERANCE
    phase[known] = np.where(level, Phase.CRITICAL, np.where(chi < 1.0, Phase.ORDERED, Phase.CHAOTIC))[known]
    return phase


def _homogeneous(activation: Activation, kappa: float, w: Array, b: Array) -> PhaseGrid:
    """Solve q = σ_w² κ q + σ_b²: q* = σ_b²/(1 − σ_w² κ) where σ_w² κ < 1."""
    factor = np.broadcast_to(w * kappa, (b.size, w.size))
    level = np.abs(factor - 1.0) <= 8.0 * np.finfo(float).eps
    below = (factor < 1.0) & ~level
    with np.errstate(all="ignore"):
        q = np.where(below, b[:, None] / (1.0 - factor), np.nan)
    # On the line q' = q every variance is fixed: critical without a q* of its own.
    line = level & (b[:, None] == 0.0)
    chi = np.where(below | line, factor, np.nan)
    phase = np.full(q.shape, int(Phase.NO_FIXED_POINT), dtype=np.int8)
    phase[below], phase[line] = Phase.ORDERED, Phase.CRITICAL
    stable = below.astype(np.int8)
    return PhaseGrid(activation, w, b, q, chi, chi.copy(), phase, stable, ~(below | line), 0.0)


def _verified(activation: Activation, w: Array, b: Array, q: Array) -> float:
    """Largest |log(q'/q)| by quadrature at up to 64 of the roots."""
    row, column = np.nonzero(q > 0.0)
    moments, worst = gaussian_moments(activation), 0.0
    for i in np.unique(np.linspace(0, max(row.size - 1, 0), 64).astype(int))[: row.size]:
        here = float(q[row[i], column[i]])
        image = float(w[column[i]]) * moments.at(here).second + float(b[row[i]])
        worst = max(worst, abs(math.log(image / here)))
    return worst


def _depth_scale(factor: Array) -> Array:
    """−1/log factor; NaN where nothing decays."""
    with np.errstate(all="ignore"):
        scale = np.where(factor > 0.0, -1.0 / np.log(factor), 0.0)
    return np.where(factor < 1.0 - CRITICAL_TOLERANCE, scale, np.nan)
