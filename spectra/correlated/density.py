"""A chart of the density of JJᵀ of a chain of blocks on one bulk."""

from __future__ import annotations

import itertools
import math

import numpy as np

from .._types import Array
from ..chart import DEGREE, FIT, NODES, Chart
from ..chebyshev import slope_at_end
from .bulks import Bulk
from .known import Equation, density_at, scale_of

# Last Chebyshev coefficients of log p below this; pieces at first, and rounds of halving, of a narrow law
# more: slopes of 0 leave a peak there.
RESOLUTION, PIECES, ROUNDS, MORE_ROUNDS = 1e-10, 6, 12, 24
# Mass that hangs on the last coefficients, which is none.
SLIGHT = 1e-14
# Length of pieces where the density fades, of the first one at least, and what rounding leaves of it.
STEP, FIRST, DIGITS = 1.5, 0.3, 1e-14
# Beside an edge a density is known to the residual over the distance: last coefficients of a piece there, times its
# length, for residuals of 1e-13; so much more for larger ones, at most.
BLURRED, WORSE = 1e-11, 10.0
# What rounding leaves of densities, relatively, of a law of ordinary width, and residuals without it.
ROUNDING, RESIDUAL = 1e-15, 1e-13
# What rounding leaves of U: in pieces so short that this shows log p is known to what it is of their length.
PLACED = 5e-16
# From this round on what fades is cut short where it could not be told, if it is less than this there.
LATE, FAINT = 2, 1e-5


def chart_of(equation: Equation, bulk: Bulk) -> Chart:
    """Solve at Chebyshev nodes of pieces that are halved until the series of log p, its roots taken out, converge."""
    low, high, known, (rise, fall) = bulk
    fades = math.isinf(high)
    fall = 0.0 if fades else fall
    if fades:
        high = float(known.u[-1])
    elif known.u.size < DEGREE:
        density_at(equation, 0.5 * (low + high) + 0.5 * (high - low) * NODES, known)
    count = PIECES + math.ceil((high - low) / STEP) * fades
    ends = low + (high - low) * np.linspace(0.0, 1.0, count + 1) ** (2.0 if fades else 1.0)
    # Not next to it.
    ends[-1] = high
    if fades:
        ends = np.append(low, ends[ends >= low + FIRST])
    open_ = [(float(a), float(b)) for a, b in itertools.pairwise(ends)]
    done: list[tuple[float, float, Array]] = []
    residual, uncertified, scale = 0.0, 0, scale_of(equation.log_range)
    rounding = ROUNDING / scale
    resolution, blurred = max(RESOLUTION, rounding), BLURRED * scale * max(1.0, rounding / RESIDUAL)
    rounds = ROUNDS if scale == 1.0 else MORE_ROUNDS
    for count in range(rounds):
        a, b = np.array(open_).T
        u = (0.5 * (a + b))[:, None] + (0.5 * (b - a))[:, None] * NODES
        density, found = density_at(equation, u.ravel(), known)
        good = found.solved & (density > 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            log_p = np.log(np.where(good, density, np.nan)).reshape(u.shape)
        least = np.nanmin(np.append(log_p, np.zeros((log_p.shape[0], 1)), axis=1), axis=1)
        log_p -= rise * np.log(u - low) + (fall * np.log(high - u) if fall else 0.0)
        series = log_p @ FIT.T
        wanted = np.maximum(resolution, DIGITS * np.exp(-least) if fades else 0.0)
        wanted = np.maximum(wanted, PLACED / (b - a))
        beside = ((a == low) & (rise == 0.5)) | ((b == high) & (fall == 0.5))
        left = np.max(np.where(good, found.residual, 0.0).reshape(u.shape), axis=1)
        wanted = np.where(beside, np.maximum(wanted, blurred * np.clip(left / RESIDUAL, 1.0, WORSE) / (b - a)), wanted)
        tail = np.max(np.abs(series[:, -3:]), axis=1)
        held = np.nanmax(np.where(good, density, 0.0).reshape(u.shape), axis=1) * (b - a)
        # Beside an edge the distance from it has lost its digits, where next to no mass is.
        rough = ~((tail < wanted) | (tail * held < SLIGHT))
        # In the last round the rest is taken as it is, and counted.
        taken = ~rough | (count == rounds - 1)
        done += zip(a[taken], b[taken], series[taken], strict=True)
        kept = np.repeat(taken, DEGREE)
        residual = max([residual, *found.residual[kept].tolist()])
        uncertified += int(np.sum(~good[kept])) + int(np.sum(rough & taken))
        open_ = [part for k in np.flatnonzero(~taken) for part in _halves(a[k], b[k])]
        if fades and count >= LATE and open_:
            open_, done, high = _cut_short(open_, done, high)
        if not open_:
            break
    done.sort(key=lambda piece: piece[0])
    breaks = np.array([a for a, _, _ in done] + [done[-1][1]])
    coefficients = np.array([row for _, _, row in done])
    slope = 0.0
    if fades:
        slope = slope_at_end(coefficients[-1]) * 2.0 / (breaks[-1] - breaks[-2]) + rise / (high - low)
    return Chart(low, high, rise, fall, breaks, coefficients, slope, residual, uncertified)


def _cut_short(
    open_: list[tuple[float, float]], done: list[tuple[float, float, Array]], high: float
) -> tuple[list[tuple[float, float]], list[tuple[float, float, Array]], float]:
    """The same without what is beyond a place with next to no density, from where it could not be told well."""
    first = min(a for a, _ in open_)
    before = [piece for piece in done if piece[0] < first]
    if not before or math.exp(float(np.sum(max(before, key=lambda piece: piece[0])[2]))) > FAINT:
        return open_, done, high
    return [], before, first


def _halves(a: float, b: float) -> list[tuple[float, float]]:
    middle = 0.5 * (a + b)
    return [(a, middle), (middle, b)]
