"""The master equation through the compiled code: the same numbers as `MasterEquation` forms with numpy, sooner.

The compiled code knows laws by their nodes alone.  Where Im ψ close above the cut needs the density of a law, it asks
for it and is called again: with a table of it, which does for iterates, or with the density where it is asked for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._types import Array
from .laws.nodes import LawStack, NodeLaw
from .laws.sums import NodeSums
from .native import CLOSE, DONE, JUMP, MOST_FACTORS, NATIVE

# Most steps, rough ones before, more for imaginary parts; residuals to stop at, to certify, for one last step, and for
# one rough step less; the largest turn of an imaginary part in the last step (`native/newton.h`).
Limits = tuple[int, int, int, float, float, float, float, float]
# Steps that are made at once.
ROOM = 64
# Times that roots just above a cut are sought with the densities where the search before ended.
PASSES = 3


def _cuts(law: NodeLaw) -> Array:
    """The ends of the intervals with a density, one after the other."""
    return np.array(law.cuts, float).ravel()


class CompiledEquation:
    """One equation: `constant` (with log rank), terms e_i log(1 − d_i ζ), factors of multiplicity n_k, ω_k and d_k."""

    def __init__(
        self, constant: float, d: Array, e: Array, stack: LawStack, counts: Array, omegas: Array, gaps: Array
    ) -> None:
        self._arguments = (constant, d, e, stack, counts, omegas, gaps)
        self._stack = stack
        self._tabulated = False
        self._resolved = np.array([law.resolved for law in stack.laws])
        numbers = zip(*(row.ravel().tolist() for row in (counts, omegas, gaps)), strict=True)
        rows = [
            (sums.handle, *three, law.largest, law.smallest, narrow, law.cut_density is not None, poles, _cuts(law))
            for law, sums, poles, narrow, three in zip(
                stack.laws, stack.sums, stack.poles, stack.narrow, numbers, strict=True
            )
        ]
        self._handle = NATIVE.equation(constant, np.ravel(d).astype(float), np.ravel(e).astype(float), tuple(rows))

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledEquation, self._arguments

    @staticmethod
    def fits(factors: int) -> bool:
        """Whether there is compiled code, and room in it for so many laws."""
        return NATIVE is not None and factors <= MOST_FACTORS

    def evaluate(self, zeta: Array, v: Array, *, curvature: bool, rough: bool) -> tuple[Array, Array]:
        """Rows log u, slope, bend, then rates, curls, mismatch, pull and steepness (3 + 5K, n); which are done (n,)."""
        zeta, v = np.ascontiguousarray(zeta, complex), np.ascontiguousarray(v, complex)
        out = np.empty((3 + 5 * len(v), zeta.size), complex)
        state = np.empty(zeta.size, np.uint8)
        NATIVE.evaluate(self._handle, zeta, v, None, rough, curvature, out, state)
        again = np.flatnonzero(state == JUMP)
        if again.size:
            here = np.ascontiguousarray(v[:, again])
            part, done = np.empty((len(out), again.size), complex), np.empty(again.size, np.uint8)
            NATIVE.evaluate(self._handle, zeta[again], here, self._jumps(here), rough, curvature, part, done)
            out[:, again], state[again] = part, done
        return out, state == DONE

    def improve(self, zeta: Array, v: Array, target: Array, *, rough: bool) -> tuple[Array, Array, Array, Array]:
        """Residuals (n,), the next points ζ (n,) and v (K, n) of Newton's method, and which are done (n,)."""
        zeta, v = np.ascontiguousarray(zeta, complex), np.ascontiguousarray(v, complex)
        target = np.ascontiguousarray(target, complex)
        size, state = np.empty(zeta.size), np.empty(zeta.size, np.uint8)
        new_zeta, new_v = np.empty_like(zeta), np.empty_like(v)
        # Asked for where `solve` was not enough: most of these points are just above a cut.
        jumps = self._jumps(v, rough=rough)
        NATIVE.improve(self._handle, zeta, v, jumps, rough, target, size, new_zeta, new_v, state)
        return size, new_zeta, new_v, state == DONE

    def solve(self, target: Array, zeta: Array, v: Array, limits: Limits) -> tuple[Array, Array, Array, Array, Array]:
        """Roots ζ (n,) and v (K, n), their residuals (n,), which are done, and which of the others are close (n,).

        Those are where steps led, the rest where they were.  `limits`: see `native/newton.h`, in order most
        steps, rough ones before, more for imaginary parts; residuals to stop at, to certify, for one last step, and for
        one rough step less; the largest turn of an imaginary part in the last step.
        """
        target, zeta, v = (
            np.ascontiguousarray(target, complex),
            np.array(zeta, complex),
            np.array(v, complex, order="C"),
        )
        residual, state = np.full(zeta.size, math.inf), np.empty(zeta.size, np.uint8)
        NATIVE.solve(self._handle, target, zeta, v, None, residual, state, limits)

        def go_on(which: Array, limits: Limits, *, known: bool) -> None:
            here = np.ascontiguousarray(v[:, which])
            part = zeta[which], here, self._jumps(here) if known else None, residual[which], state[which]
            NATIVE.solve(self._handle, target[which], *part, limits)
            zeta[which], v[:, which], _, residual[which], state[which] = part

        again = np.flatnonzero(state == JUMP)
        if again.size and limits[1] and self._tabulate():
            go_on(again, limits, known=False)
        # Where the densities that are asked for are known nearly all roots are found at once.
        plain = (limits[0], 0, *limits[2:])
        for _ in range(PASSES):
            again = np.flatnonzero((state == CLOSE) | (state == JUMP))
            if not again.size:
                break
            self._tabulate()
            go_on(again, plain, known=True)
        return zeta, v, residual, state == DONE, state == CLOSE

    def spot(self, zeta: complex, v: list[complex], target: float) -> tuple[Any, ...] | None:
        """The equation at one point in plain numbers (see `spectra.pointwise`); None in a case for the general code."""
        found = NATIVE.spot(self._handle, zeta, v, None, target)
        if found is True and self._tabulate():
            found = NATIVE.spot(self._handle, zeta, v, None, target)
        if found is True:
            jumps = [
                law.cut_density.near(x.real) if law.cut_density is not None and law.on_cut(x.real) else math.nan
                for law, x in zip(self._stack.laws, v, strict=True)
            ]
            found = NATIVE.spot(self._handle, zeta, v, np.array(jumps), target)
        return None if found is True else found

    def follow(
        self, target: float, zeta: complex, v: list[complex], tolerance: float, certified: float
    ) -> tuple[Any, ...] | bool | None:
        """`PointEvaluator.follow`: a spot, False where it strays, else what is for other code."""
        found = NATIVE.follow(self._handle, target, zeta, v, tolerance, certified)
        if found is True and self._tabulate():
            found = NATIVE.follow(self._handle, target, zeta, v, tolerance, certified)
        return found

    def march(
        self, log_u: float, zeta: complex, v: list[complex], step: float, fading: float, pace: tuple[float, ...]
    ) -> tuple[Array, float, float, float, tuple[Any, ...]] | None:
        """Plain steps of the sweep from a solution, as many as can be made (see `native/march.h`).

        The points left behind (n, 3K + 4), and then log u, the last step, the fading before and the spot where the
        march stopped; None where it did not begin.
        """
        rows = np.empty((ROOM, 3 * len(v) + 4), complex)
        found = NATIVE.march(self._handle, log_u, zeta, v, step, fading, pace, self._resolved, rows)
        if found is None or found[4] is None:
            return None
        return (rows[: found[0]], *found[1:])

    def stride(self, zeta: float, v: Array, length: float) -> tuple[int, float, tuple[Any, ...]] | None:
        """Plain steps along a gap, as many as can be made, how long the next may be, and the spot where they end.

        None where there is none (see `native/stride.c`).
        """
        found = NATIVE.stride(self._handle, zeta, v.astype(complex).tolist(), length, ROOM)
        return None if found is None or found[2] is None else found

    def project(self, zeta: complex, v: Array) -> tuple[int, Array]:
        """State, and v (K,) with ψ_k(v_k) as ζ demands, by Newton from a nearby v, where that is DONE."""
        found = np.array(v, complex)
        state = NATIVE.project(self._handle, zeta, found)
        if state == JUMP and self._tabulate():
            found = np.array(v, complex)
            state = NATIVE.project(self._handle, zeta, found)
        return state, found

    def critical(self, zeta: complex, v: Array, *, logarithmic: bool) -> tuple[int, complex, Array]:
        """State, and ζ and v (K,) where d log u/dζ = 0, by Newton from nearby, where that is DONE."""
        here, v = np.array([zeta], complex), np.array(v, complex)
        state = NATIVE.critical(self._handle, logarithmic, here, v)
        return state, complex(here[0]), v

    def _tabulate(self) -> bool:
        """Hand over what is known of the densities of all laws; False where that is no news."""
        news, self._tabulated = not self._tabulated, True
        if news:
            for k, law in enumerate(self._stack.laws):
                if law.cut_density is not None and not law.cut_density.faded:
                    NATIVE.cut(self._handle, k, law.cut_density.tables())
        return news

    def _jumps(self, v: Array, *, rough: bool = False) -> Array:
        """What Im ψ_k is on the cut below v_k: NaN where there is no cut, (K, n)."""
        jumps = np.full(v.shape, math.nan)
        for row, law, here in zip(jumps, self._stack.laws, v.real, strict=True):
            if law.cut_density is not None:
                on_cut = law.on_cut(here)
                if on_cut.any():
                    row[on_cut] = law.cut_density(here[on_cut], rough=rough)
        return jumps


class CompiledLocal:
    """The equation beside a pole (`spectra.beside`): drift, terms (d_i, e_i), factors n_k and ω_k, atoms of mass m_k.

    `sums` are those over the distances x = 1 − t/a_k of all other nodes; `continuous`: which laws have a density.
    """

    def __init__(
        self,
        drift: float,
        d: Array,
        e: Array,
        sums: list[NodeSums],
        counts: Array,
        omegas: Array,
        masses: Array,
        continuous: list[bool],
    ) -> None:
        self._arguments = (drift, d, e, sums, counts, omegas, masses, continuous)
        none = np.empty(0)
        rows = [
            (one.handle, float(n), float(omega), 1.0 - float(omega), 0.0, 0.0, False, has_density, none, none)
            for one, n, omega, has_density in zip(sums, counts, omegas, continuous, strict=True)
        ]
        self._masses = np.ascontiguousarray(masses, float)
        self._handle = NATIVE.equation(drift, np.ascontiguousarray(d), np.ascontiguousarray(e), tuple(rows))

    def __reduce__(self) -> tuple[Any, ...]:
        return CompiledLocal, self._arguments

    @staticmethod
    def fits(factors: int) -> bool:
        """Whether there is compiled code, and room in it for so many laws."""
        return NATIVE is not None and factors <= MOST_FACTORS

    def at(self, s: Array, epsilon: Array) -> tuple[Array, Array]:
        """Rows value, rate, then misses, mends, pushes and speeds (2 + 4K, n); which are done (n,)."""
        s, epsilon = np.ascontiguousarray(s), np.ascontiguousarray(epsilon)
        out, state = np.empty((2 + 4 * len(epsilon), s.size), complex), np.empty(s.size, np.uint8)
        NATIVE.local(self._handle, self._masses, s, epsilon, out, state)
        return out, state == DONE

    def solve(
        self,
        log_distance: Array,
        how: tuple[int, float, float],
        at: Array,
        s: Array,
        epsilon: Array,
        power: Array,
    ) -> tuple[Array, Array, Array, Array, Array]:
        """Solutions s (n,), ε (K, n), their residuals and powers (n,), and which are done (n,).

        From those at log distances `at`, or from the one before where that is nearer; `how`: side, offset, and the
        residual that certifies.
        """
        s, epsilon = np.array(s, complex), np.array(epsilon, complex, order="C")
        power, residual = np.array(power, complex), np.full(s.size, math.inf)
        state = np.empty(s.size, np.uint8)
        to, at = np.ascontiguousarray(log_distance), np.ascontiguousarray(at)
        NATIVE.locate(self._handle, how, self._masses, to, at, s, epsilon, power, residual, state)
        return s, epsilon, residual, power, state == DONE
