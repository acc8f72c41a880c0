"""The curve of a law on [0, ∞) that is known by the factors of its S-transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .._types import Array
from .trace import FLAT, Trace

if TYPE_CHECKING:
    from ..laws.nodes import LawStack
    from ..master import Factor


def trace_of_factors(
    shifts: Sequence[tuple[float, float]],
    factors: Sequence[Factor],
    stack: LawStack,
    log_mean: float,
    t: Array,
    *,
    rank: float | None,
) -> Trace:
    """−log z = −log m_1 + log ζ + Σ e_i log(1 + r_i w) + Σ n_k log S_k(r_k w), over v_k and w, or ζ = w/(rank + w).

    S_k = v_k (1 + ψ_k(v_k))/ψ_k(v_k), ψ_k(v_k) = r_k w; `stack` is that of the factors.  Principal logarithms: their
    sum must be one, too (the summed-argument condition; Belinschi and Bercovici, J. Anal. Math. 101 (2007), 357-365,
    step by step).
    """
    # Sums over nodes are for the upper half plane of w and v, which is the lower one of z.
    below = t[0].imag < 0.0
    # Adding nothing turns a zero below the axis into one above it: there logarithms are limits from above.
    t = np.where(below, t.conj(), t) + 0.0j
    w, v = t[0], t[1:]
    # ζ keeps the digits of 1 + w/rank, w those beside a pole.
    top, stretch = 1.0 + w, np.ones_like(w)
    if rank is not None:
        # All of these are limits from above, too, where subtraction and division leave a zero below the axis.
        over = 1.0 / (1.0 - w) + 0.0j
        w, stretch = rank * w * over + 0.0j, rank * over**2
        top = 1.0 + w if rank < 1.0 else over
    count, points = len(factors), w.size
    total = -log_mean + np.log(w) - np.log(top)
    rate = np.zeros(points, complex)
    for ratio, exponent in shifts:
        base = over if rank is not None and ratio * rank == 1.0 else 1.0 + ratio * w
        total = total + exponent * np.log(base)
        rate = rate + exponent * ratio / base
    rates = np.zeros((1 + count, points), complex)
    equations = np.zeros((count, points), complex)
    slopes = np.zeros((count, 1 + count, points), complex)
    if count:
        psi, one_more, _, (steepness,) = stack.evaluate(v)
    sizes = [np.abs(factor.ratio * w) for factor in factors]
    for k, factor in enumerate(factors):
        r, n = factor.ratio, factor.count
        base = over if rank is not None and r * rank == 1.0 else 1.0 + r * w
        total = total + n * (np.log(v[k]) + np.log(base) - np.log(r * w))
        rate = rate + n * (r / base - 1.0 / w)
        rates[1 + k] = n / v[k]
        equations[k] = psi[k] - r * w
        if rank is not None and r * rank == 1.0:
            # Near −1, where v is infinite, it is 1 + ψ that has the digits.
            low = np.abs(over) < 0.5
            equations[k] = np.where(low, one_more[k] - over, equations[k])
            sizes[k] = np.where(low, np.abs(over), sizes[k])
        slopes[k, 0], slopes[k, 1 + k] = -r, steepness[k]
    rates[0] = rate * stretch
    turn = -rates
    # w/g = w/((1 + w) u): of log u only w/(1 + w) is left.
    rates[0] += stretch / (w * top)
    slopes[:, 0] *= stretch
    z = np.exp(-total)
    g = top / z
    dz = -rates * z
    dg = -dz * (g / z)
    dg[0] += stretch / z
    dw = np.zeros_like(rates)
    dw[0] = stretch
    # u = 1/z in the closed upper half plane.
    valid = (total.imag >= -FLAT) & (total.imag <= np.pi + FLAT) & (t.imag >= -FLAT * np.abs(t)).all(axis=0)
    # Where u rises, so do all v.
    inner = np.zeros_like(slopes)
    for k in range(count):
        inner[k, 1 + k] = -1.0
    oriented = ((inner, dz),) if count else ()
    trace = Trace(
        z, g, w, dz, dg, dw, equations, slopes, valid, oriented, np.stack([*sizes, np.abs(z)]), np.abs(w), turn
    )
    return _conjugated(trace, below)


def _conjugated(trace: Trace, below: Array) -> Trace:
    """The same, with the points that were reflected put back."""

    def back(part: Array) -> Array:
        return np.where(below, part.conj(), part)

    names = ("z", "g", "w", "dz", "dg", "dw", "equations", "slopes", "turn")
    parts = {name: back(getattr(trace, name)) for name in names}
    return replace(trace, inner=tuple((back(rows), back(other)) for rows, other in trace.inner), **parts)
