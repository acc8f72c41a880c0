"""Newton's method for the master equation at many real u at once, and the certificate a root must pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .effort import spend
from .master import MasterEquation, Point
from .native import NATIVE

# Residuals are relative: of log u to 1 + |log u|, of ψ_k to the smaller of ψ_k and 1 + ψ_k.  The floor of double
# precision here is a few 1e-15 times the conditioning of the sums; 1e-11 separates roots from failures by many orders
# on either side.
CERTIFIED = 1e-11
# Below this one more step of Newton's method, whose error is the square, leaves nothing but rounding.
POLISHED = 1e-13
# Iterates as near as this are followed by one in full precision.
NEAR = 1e-6
# The same where the next but one before it is of second order, as in compiled code.
CUBED = 3e-5
# Imaginary parts of real roots come out as rounding; those of others, beside edges, are square roots.
REAL = 1e-12
# In a thin tail an imaginary part is less than residuals can tell: the last step must turn none by more than this part
# of it, or so many are taken beyond.  At the floor, where one that turns more is rounding, none is.
TILTED, PATIENCE = 1e-5, 3


@dataclass(frozen=True)
class Roots:
    """Roots (ζ, v) of the master equation at the asked log u, each with its residual and its verdict."""

    zeta: Array
    v: Array
    residual: Array
    certified: Array


def solve(
    equation: MasterEquation,
    log_u: Array,
    zeta: Array,
    v: Array,
    *,
    max_steps: int = 40,
    tolerance: float = 0.0,
    rough_steps: int = 0,
) -> Roots:
    """Solve for (ζ, v_1 … v_K) with log u(ζ, v) = `log_u` real, its K constraints, from the given start.

    Parameters
    ----------
    log_u : (n,) targets, real on the axis.
    zeta, v : starts, (n,) and (K, n), in the closed upper half plane.
    max_steps : cap.
    tolerance : relative residual to stop at, after a last step; 0 goes on for as long as the residual falls.
    rough_steps : cap on steps that are taken first, in the cheapest arithmetic, with no verdict.

    Returns
    -------
    Roots with `certified` true where the residual is below 1e-11 and every variable lies in the upper half plane; the
    equation's principal logarithms then make the summed-argument condition part of the residual.  The residual is that
    of the last iterate measured; where nothing but rounding was left of it one step has been taken since.
    """
    floor = max(tolerance, 0.5 * equation.precision)
    if equation.is_explicit and NATIVE is not None:
        return _explicit(equation, log_u, zeta, max_steps, floor, rough_steps)
    if equation.compiled is None or equation.is_explicit:
        return _solve(equation, log_u, zeta, v, max_steps, floor, rough_steps)
    limits = (max_steps, rough_steps, PATIENCE, floor, CERTIFIED, POLISHED, CUBED, TILTED)
    # Three steps are the usual number.
    spend(3 * equation.stack.size * zeta.size, 3 * len(equation.factors))
    zeta, v, residual, done, close = equation.compiled.solve(log_u, zeta, v, limits)
    roots = _judged(equation, zeta, v, residual)
    if not done.all():
        rest = ~done
        rough_steps = 0 if close[rest].all() else min(rough_steps, 1)
        other = _solve(equation, log_u[rest], zeta[rest], v[:, rest], max_steps, floor, rough_steps)
        zeta[rest], v[:, rest], residual[rest] = other.zeta, other.v, other.residual
        roots.certified[rest] = other.certified
    return roots


def _explicit(
    equation: MasterEquation, log_u: Array, zeta: Array, max_steps: int, floor: float, rough_steps: int
) -> Roots:
    """The same for an elementary equation, in compiled code."""
    spend(3 * zeta.size, 0)
    d, e = (x.ravel() for x in equation.arrays)
    roots, residual = np.array(zeta, np.clongdouble), np.empty(zeta.size)
    limits = (max_steps, rough_steps, floor, CERTIFIED, POLISHED, NEAR, equation.precision)
    target = np.ascontiguousarray(log_u, np.clongdouble)
    NATIVE.explicit(equation.constant + math.log(equation.rank), d, e, target, roots, residual, limits)
    return _judged(equation, roots, np.zeros((0, zeta.size), complex), residual)


def _solve(
    equation: MasterEquation, log_u: Array, zeta: Array, v: Array, max_steps: int, floor: float, rough_steps: int
) -> Roots:
    """The same with arrays: in extended precision, and where the compiled code needs densities of the laws."""
    if rough_steps:
        zeta, v = _approach(equation, log_u.astype(float), zeta, v, rough_steps)
    zeta, v = zeta.astype(equation.complex_type()), v.astype(complex)
    residual, late = np.full(zeta.size, np.inf), np.zeros(zeta.size, int)
    active = np.arange(zeta.size)
    here_zeta, here_v, target = zeta, v, log_u
    previous = residual.copy()
    with np.errstate(all="ignore"):
        for count in range(max_steps):
            size, next_zeta, next_v, bent = improve(equation, here_zeta, here_v, target)
            # Better than before: keep.  Far below the certificate, or below it and no longer falling: rounding is all
            # that is left.
            better = size < residual[active]
            kept = active[better]
            residual[kept], zeta[kept], v[:, kept] = size[better], here_zeta[better], here_v[:, better]
            stalled = size > np.where(size < 0.1 * CERTIFIED, 0.3, 1.0) * previous
            arrived = (size < POLISHED) | ((size < CERTIFIED) & stalled)
            rough = np.zeros(size.size, bool)
            if equation.is_explicit:
                # Extended precision can be lost by one more step beside an edge; there are no thin tails.
                polished = (size < POLISHED) & (bent < equation.precision)
                given_up = arrived & stalled
            else:
                level = _tilt(here_zeta, here_v, next_zeta, next_v) < TILTED
                polished = arrived & level
                # A start may be rough in its imaginary parts, however small the residual.
                rough = ~level & (count == 0)
                late[active] += arrived
                given_up = late[active] > PATIENCE
            going = ((size > floor) | rough) & np.isfinite(size)
            residual[active[rough]] = np.inf
            # The rounding of log u to its floor says nothing of a thin imaginary part: a last step is taken there, too.
            polished &= going if equation.is_explicit else np.isfinite(size)
            if polished.any():
                last = active[polished]
                residual[last], zeta[last], v[:, last] = size[polished], next_zeta[polished], next_v[:, polished]
            going &= ~(polished | given_up)
            if not going.any():
                break
            if not going.all():
                active, target, size = active[going], target[going], size[going]
                next_zeta, next_v = next_zeta[going], next_v[:, going]
            here_zeta, here_v = next_zeta, next_v
            previous = size
    return _judged(equation, zeta, v, residual)


def _tilt(zeta: Array, v: Array, new_zeta: Array, new_v: Array) -> Array:
    """The largest relative change of an imaginary part."""
    turned = np.abs(new_zeta.imag - zeta.imag) / zeta.imag
    rows = np.abs(new_v.imag - v.imag) / v.imag
    return np.fmax(turned, np.fmax.reduce(rows, axis=0))


def _judged(equation: MasterEquation, zeta: Array, v: Array, residual: Array) -> Roots:
    """With the verdict: a small residual, and all variables in the upper half plane."""
    # Laws of atoms alone have no thin tails: what is this near to the axis is a real root, of another sheet.
    height = REAL * np.abs(v) if equation.is_algebraic else 0.0
    above = (zeta.imag > 0) & (v.imag > height).all(axis=0)
    return Roots(zeta, v, residual, above & (residual < CERTIFIED))


def _approach(equation: MasterEquation, log_u: Array, zeta: Array, v: Array, steps: int) -> tuple[Array, Array]:
    """Newton's method in double precision, with Im ψ as the plain sums give it."""
    here_zeta, here_v = zeta.astype(complex), v.astype(complex)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            size, here_zeta, here_v, _ = improve(equation, here_zeta, here_v, log_u, rough=True)
            far = np.nanmax(size, initial=0.0) > NEAR
            if not far:
                break
    lost = ~(np.isfinite(here_zeta) & np.all(np.isfinite(here_v), axis=0))
    if lost.any():
        here_zeta[lost], here_v[:, lost] = zeta[lost], v[:, lost]
    return here_zeta, here_v


def certify(equation: MasterEquation, log_u: Array, zeta: Array, v: Array) -> Roots:
    """Residual and verdict of given roots."""
    with np.errstate(all="ignore"):
        point = equation.evaluate(zeta, v)
        residual = measure(equation, point, log_u)
    return _judged(equation, zeta, v, np.where(np.isfinite(residual), residual, np.inf))


def improve(
    equation: MasterEquation, zeta: Array, v: Array, log_u: Array, *, rough: bool = False
) -> tuple[Array, Array, Array, Array]:
    """Residuals at (ζ, v), where one step of Newton's method leads, and by how much it bends there.

    The step is shortened to half of the distance to 0 and kept in the upper half plane.  The second order of log u in
    the step, as it matters in extended precision only, is found for explicit equations, and else said to be 0.
    """
    if equation.compiled is not None and not equation.is_explicit:
        spend(equation.stack.size * zeta.size, len(equation.factors))
        size, new_zeta, new_v, done = equation.compiled.improve(zeta, v, log_u, rough=rough)
        if not done.all():
            rest = ~done
            found = _improve(equation, zeta[rest], v[:, rest], log_u[rest], rough)
            size[rest], new_zeta[rest], new_v[:, rest], _ = found
        return size, new_zeta, new_v, np.zeros(zeta.size)
    return _improve(equation, zeta, v, log_u, rough)


def _improve(
    equation: MasterEquation, zeta: Array, v: Array, log_u: Array, rough: bool
) -> tuple[Array, Array, Array, Array]:
    point = equation.evaluate(zeta, v, rough=rough)
    dzeta, dv = equation.newton_step(point, log_u)
    bent = np.abs(point.bend * dzeta**2) if equation.is_explicit else np.zeros(zeta.size)
    return measure(equation, point, log_u), *_step(zeta, v, dzeta, dv), bent


def measure(equation: MasterEquation, point: Point, log_u: Array, *, rounding: float = 1e-4) -> Array:
    """Largest relative residual of the equations at each point; `rounding`: how much a change of log v_k counts."""
    size = np.abs(point.log_u - log_u) / (1.0 + np.abs(log_u))
    if equation.factors:
        # Near a pole of ψ_k a change of v_k by its rounding moves ψ_k by far more than its rounding.
        psi, plus = equation.target(point.zeta)
        scale = np.minimum(np.minimum(np.abs(psi), np.abs(plus)), 1.0)
        scale = np.maximum(scale, rounding * np.abs(point.v * point.steepness))
        misses = np.abs(point.mismatch) / scale
        size = np.maximum(size, misses[0] if len(misses) == 1 else np.max(misses, axis=0))
    return size


def _step(zeta: Array, v: Array, dzeta: Array, dv: Array) -> tuple[Array, Array]:
    """Newton step, shortened to half of the distance to 0 and kept in the upper half plane."""
    ratio = np.abs(dzeta) / np.abs(zeta)
    if v.shape[0]:
        ratio = np.maximum(ratio, np.max(np.abs(dv) / np.abs(v), axis=0))
    scale = 1.0 / np.maximum(1.0, 2.0 * ratio)
    return _above(zeta, zeta + scale * dzeta), _above(v, v + scale * dv)


def _above(old: Array, new: Array) -> Array:
    """`new`, with its imaginary part cut to a fifth of the old one where it would leave the upper half plane."""
    leaves = (new.imag <= 0) & (old.imag > 0)
    return np.where(leaves, new.real + 0.2j * old.imag, new)
