"""Roots of the master equation at complex u, many at once, followed from u = 0; and the inverse of one ψ.

For u in the open upper half plane ζ and all v_k are analytic functions of u with values in the upper half plane, so
that any path there leads to the right root.  On the real axis what is meant is the limit from above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .continuation import START_ANGLE
from .errors import ConvergenceError
from .laws.nodes import LawStack, NodeLaw
from .master import MasterEquation
from .solve import CERTIFIED, measure, solve

# |u| m_1 at which w = u m_1 is a start that Newton's method improves.
SMALL = 1e-3
# Angles of u through which a real u > 0 is approached: at each, finishing on the axis is tried.
ANGLES = (0.2, 2e-2, 1e-3, 1e-5, 1e-7, 1e-10)
# Im ζ/|ζ| that may be rounding.
FLAT = 1e-13
# |1 − ζ|; beside an inverse square root it is the root of the distance to it.
POLE = 1e-9
# In a gap it is the distance to an atom itself, relative, times rank/mass; there rounding.
ATOM = 1e-13
MAX_STEPS = 4000


@dataclass
class _Paths:
    """n roots on their way: log u, ζ (n,), v (K, n)."""

    equation: MasterEquation
    log_u: Array
    zeta: Array
    v: Array

    def advance(self, target: Array, *, real: bool = False) -> None:
        """Follow all roots along straight lines in log u; `real` keeps every variable on the real axis."""
        shrink = np.ones(target.size)
        active = np.flatnonzero(self.log_u != target)
        for _ in range(MAX_STEPS):
            if active.size == 0:
                return
            rest = target[active] - self.log_u[active]
            zeta, v = self.zeta[active], self.v[:, active]
            with np.errstate(all="ignore"):
                point = self.equation.evaluate(zeta, v)
                # Relative speeds of ζ and of all v along log u.
                speed = 1.0 / (point.slope * zeta)
                v_speed = point.rates / (point.slope * v)
            fastest = np.maximum(np.abs(speed), np.max(np.abs(v_speed), axis=0, initial=0.0))
            size = shrink[active] * np.minimum(0.5, 0.4 / fastest)
            step = np.where(np.abs(rest) <= size, rest, rest * (size / np.maximum(np.abs(rest), 1e-300)))
            there = np.where(step == rest, target[active], self.log_u[active] + step)
            guess, guess_v = zeta * np.exp(speed * step), v * np.exp(v_speed * step)
            found, found_v, good = _polish(self.equation, there, guess, guess_v, real=real)
            moved = active[good]
            self.log_u[moved], self.zeta[moved], self.v[:, moved] = there[good], found[good], found_v[:, good]
            shrink[active] = np.where(good, np.minimum(1.0, 1.6 * shrink[active]), 0.4 * shrink[active])
            if shrink[active].min() < 1e-9:
                break
            active = active[self.log_u[active] != target[active]]
        where = target[active[np.argmin(shrink[active])]]
        raise ConvergenceError(f"the root could not be followed to log u = {complex(where):.6g}", tolerance=CERTIFIED)


def _polish(equation: MasterEquation, log_u: Array, zeta: Array, v: Array, *, real: bool) -> tuple[Array, Array, Array]:
    """Newton's method from a close guess, and whether it arrived at a root near it in its half plane."""
    guess = zeta
    with np.errstate(all="ignore"):
        for _ in range(6):
            point = equation.evaluate(zeta, v)
            dzeta, dv = equation.newton_step(point, log_u)
            dv = dv if v.size else v
            zeta, v = zeta + dzeta, (v + dv if v.size else v)
            if real:
                zeta, v = zeta.real + 0j * zeta.real, v.real + 0j
            if np.all((np.abs(dzeta) <= 1e-14 * np.abs(zeta)) | ~np.isfinite(dzeta)):
                break
        residual = measure(equation, equation.evaluate(zeta, v), log_u)
        near = np.abs(np.log(zeta / guess)) < 0.2
    inside = _off_cuts(equation, v) if real else (zeta.imag > 0) & np.all(v.imag > 0, axis=0)
    return zeta, v, near & inside & (residual < CERTIFIED)


def _off_cuts(equation: MasterEquation, v: Array) -> Array:
    """No real v_k lies where its law has a density."""
    good = np.ones(v.shape[1], bool)
    for factor, x in zip(equation.factors, v.real, strict=True):
        if factor.law.cut_density is not None:
            good &= (x * factor.law.largest < 1.0) | (x * factor.law.smallest > 1.0)
    return good


def _begin(equation: MasterEquation, angle: Array, *, real: bool) -> _Paths:
    """Roots at |u| m_1 = SMALL or as much less as the widest factor law needs, at the given arguments of u."""
    small = SMALL / max([1.0, *(f.law.largest * f.ratio for f in equation.factors), *(r for r, _ in equation.shifts)])
    # A power concentrates its nonlinearity: log u changes by about (Σ n_k + Σ |e_i|) w.
    small /= 1.0 + sum(f.count for f in equation.factors) + sum(abs(e) for _, e in equation.shifts)
    turn = np.where(np.cos(angle) > 0, 1.0, -1.0) + 0j if real else np.exp(1j * angle)
    w = (small * turn).astype(equation.complex_type())
    zeta = w / (w + equation.rank)
    v = (equation.omegas * w / equation.rank).astype(complex)
    log_u = math.log(small) + equation.constant + 1j * angle
    zeta, v, good = _polish(equation, log_u, zeta, v, real=real)
    if not np.all(good):
        raise ConvergenceError("no root could be found near u = 0", tolerance=CERTIFIED)
    return _Paths(equation, log_u, zeta, v)


def along_rays(equation: MasterEquation, log_u: Array) -> Array:
    """ζ continued from 0 along rays of constant arg u in [0, π]; on the real axis through real values.

    Parameters
    ----------
    equation : any.
    log_u : (n,) complex.

    Raises
    ------
    ConvergenceError : a ray meets a branch point, or leaves where the factor laws are known.
    """
    angle = log_u.imag
    real = (angle == 0.0) | (angle == math.pi)
    zeta = np.empty(log_u.size, equation.complex_type())
    for part, on_axis in ((real, True), (~real, False)):
        if part.any():
            paths = _begin(equation, angle[part], real=on_axis)
            paths.advance(log_u[part], real=on_axis)
            zeta[part] = paths.zeta
    return zeta


def roots(equation: MasterEquation, log_u: Array) -> Array:
    """ζ at complex u in the closed upper half plane: `log_u` (n,), imaginary part in [0, π].

    Raises
    ------
    ConvergenceError : no certified root; u is at an edge of the law, or at an atom.
    """
    angle = log_u.imag
    zeta = np.empty(log_u.size, equation.complex_type())
    negative, positive = angle == math.pi, angle == 0.0
    between = ~negative & ~positive
    if negative.any():
        zeta[negative] = along_rays(equation, log_u[negative])
    for part in (between, positive):
        if part.any():
            # Up at an angle far from the spectrum, then down in angle.
            up = np.maximum(angle[part], START_ANGLE)
            paths = _begin(equation, up, real=False)
            paths.advance(log_u[part].real + 1j * up)
            if part is between:
                paths.advance(log_u[part])
                zeta[part] = paths.zeta
            else:
                zeta[part] = _land(paths)
    return zeta


def _land(paths: _Paths) -> Array:
    """Bring roots down to arg u = 0: above the axis in a bulk, on it in a gap."""
    equation, target = paths.equation, paths.log_u.real
    result = np.full(target.size, np.nan, equation.complex_type())
    open_ = np.arange(target.size)
    for angle in ANGLES:
        paths.advance(target[open_] + 1j * angle)
        bulk = solve(equation, target[open_], paths.zeta, paths.v)
        with np.errstate(all="ignore"):
            point = equation.evaluate(paths.zeta, paths.v)
            change = -1j * angle / point.slope
            guess = (paths.zeta + change).real + 0j * target[open_]
            guess_v = (paths.v + point.rates * change).real + 0j if paths.v.size else paths.v
            found, found_v, good = _polish(equation, target[open_] + 0j, guess, guess_v, real=True)
            there = equation.evaluate(found, found_v)
            # In a gap w increases with u, and the root is where its Taylor series from above leads.
            rising = there.slope.real > 0.0
            close = np.abs(found - paths.zeta - change) < 0.1 * np.abs(change)
            ended = equation.evaluate(bulk.zeta, bulk.v)
            # Newton's method in a gap ends a little above the axis, where the arguments do not yet cancel.
            cancels = np.abs(ended.log_u.imag) < 1e-2 * np.abs(ended.slope * bulk.zeta.imag)
            # At an atom w is infinite, and rounding all that keeps ζ from 1.
            cancels &= np.abs(1.0 - bulk.zeta) > POLE
        in_gap = good & rising & close & (np.abs(1.0 - found) > ATOM)
        # Where a root on the axis is found as well, an Im ζ of the size of rounding is none.
        in_bulk = bulk.certified & cancels & ~(in_gap & (bulk.zeta.imag < FLAT * np.abs(bulk.zeta)))
        result[open_] = np.where(in_bulk, bulk.zeta, np.where(in_gap, found, np.nan))
        left = ~(in_bulk | in_gap)
        if not left.any():
            return result
        open_ = open_[left]
        paths = _Paths(equation, paths.log_u[left], paths.zeta[left], paths.v[:, left])
    raise ConvergenceError(
        f"no certified root at u = {math.exp(target[open_[0]]):.16g}: an edge or an atom of the law is there",
        tolerance=CERTIFIED,
    )


def inverse_psi(law: NodeLaw, w: Array) -> Array:
    """χ(w): the v with ψ(v) = w, for the mean-one part of `law`, continued from 0 along the segment to w.

    Parameters
    ----------
    law : nodes of a law without atom at zero.
    w : (n,) complex, Im w ≥ 0; real ones are followed through real v.

    Raises
    ------
    ConvergenceError : the segment meets a branch point of χ, or v the cut of ψ.
    """
    stack, real = LawStack([law]), w.imag == 0.0
    # So near 0 that v = w to 5 %.
    reached = np.minimum(1.0, 0.05 / (law.largest * np.maximum(np.abs(w), 1e-300)))
    v = _correct(stack, real, w * reached, w * reached)[0]
    shrink = np.ones(w.size)
    active = np.flatnonzero(reached < 1.0)
    for _ in range(MAX_STEPS):
        if active.size == 0:
            return v
        t, here, goal = reached[active], v[active], w[active]
        with np.errstate(all="ignore"):
            slope = stack.evaluate(here[None, :])[3][0][0]
            speed = t * goal / (here * slope)
        size = shrink[active] * np.minimum(0.5, 0.4 / np.abs(speed))
        step = np.minimum(size, -np.log(t))
        there = np.where(step < size, 1.0, t * np.exp(step))
        guess = here * np.exp(speed * step)
        found, good = _correct(stack, real[active], goal * there, guess)
        if law.cut_density is not None:
            good &= ~real[active] | (found.real * law.largest < 1.0)
        good &= real[active] | (found.imag > 0.0)
        reached[active] = np.where(good, there, t)
        v[active] = np.where(good, found, here)
        shrink[active] = np.where(good, np.minimum(1.0, 1.6 * shrink[active]), 0.4 * shrink[active])
        if shrink[active].min() < 1e-9:
            break
        active = active[reached[active] < 1.0]
    raise ConvergenceError(f"ψ could not be inverted at w = {complex(w[active[0]]):.6g}", tolerance=CERTIFIED)


def _correct(stack: LawStack, real: Array, w: Array, guess: Array) -> tuple[Array, Array]:
    """Newton's method for ψ(v) = w in log v, and whether it arrived near its guess."""
    v, size = guess, np.full(w.size, np.inf)
    with np.errstate(all="ignore"):
        for _ in range(8):
            psi, plus, _, derivatives = (part[0] for part in stack.evaluate(v[None, :]))
            miss = np.where(np.abs(1.0 + w) < 0.5, plus - (1.0 + w), psi - w)
            move = -miss / (v * derivatives[0])
            v = v * np.exp(np.where(real, move.real, move))
            v = np.where(real, v.real, v)
            size = np.abs(move)
            if np.all((size < 1e-14) | ~np.isfinite(size)):
                break
        # The last step of a quadratic method is its error squared; rounding leaves a few 1e-16 times the conditioning.
        return v, (size < 1e-11) & (np.abs(np.log(v / guess)) < 0.3)
