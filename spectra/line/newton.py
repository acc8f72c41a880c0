"""Points of a law's curve: Newton's method in all unknowns, many points at once, each with its certificate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .._types import Array
from ..effort import spend
from ..errors import ConvergenceError
from ..law import Law
from .trace import Trace

MAX_STEPS = 30
# On the way down: what takes more is too far away.
FEW_STEPS = 12
# Steps shorter than this, relative to the unknowns, end it; near an edge rounding of z leaves more.
SHORT = 1e-13
ROUNDED, STALLED = 1e-4, 0.7
# The last of all steps, if it is no longer than this, has led to where it was heading for; and at residuals like that
# there is nothing but rounding between here and there.
NEARLY, TINY = 1e-7, 1e-14
# The same on the way down, where the next level starts from it, and residuals there.
ROUGH_STEP, ROUGH = 1e-4, 1e-6
# Residuals of what is accepted, relative to the terms.
SMALL = 1e-10
# From how far above the axis, in widths of the law, points are led down, and by what factor at most.
HEIGHT, DESCENT = 8.0, 0.2
FARTHER = 8e3
# Where steps are shorter than this factor a point is given up.
SLOWEST = 0.99
MAX_LEVELS = 60
# Rays are followed in steps in the logarithm of g or w; a solution may be off the tangent's by this share of the way,
# or hardly move at all.
RAY_STEPS, RAY_STEP, SHORTEST_STEP, STRAYED, STILL = 4000, 0.3, 1e-6, 0.1, 1e-4
# Im g relative to g, above which a point is in, but for rounding; below the second of these it must be that many times
# what rounding of the equations makes of g.
RISEN, DOUBTFUL, CLEAR = 1e-12, 1e-6, 10.0
# This close to the axis, in widths, the axis itself is tried.
NEAR = 0.05
# What a step costs, in terms of sums: for every one, and for every unknown of a point.
STEP_COST, POINT_COST = 50_000, 100


@dataclass(frozen=True, eq=False)
class Points:
    """Unknowns (n, m), what the law is there, how well the equations hold, and whether the point is certified."""

    t: Array
    trace: Trace
    residual: Array
    good: Array


def jacobian(trace: Trace, row: Array) -> Array:
    """Matrices (m, n, n): the equations' slopes, and `row` (n, m) last."""
    return np.moveaxis(np.concatenate([trace.slopes, row[None]]), -1, 0)


def solve(
    law: Law,
    t: Array,
    goal: Array,
    *,
    of: Callable[[Trace], tuple[Array, Array]] | None = None,
    rough: Array | bool = False,
    max_steps: int = MAX_STEPS,
) -> Points:
    """Newton's method from t (n, m) for `of` = `goal` (m,), z unless told otherwise.

    A point is good where the residual is small and the sheet is right; where `rough`, some digits are enough.
    """
    short = np.where(rough, ROUGH_STEP, SHORT) * np.ones(np.shape(t)[1])
    on_z = of is None
    of = of or (lambda trace: (trace.z, trace.dz))
    t = np.array(t, complex)
    active = np.arange(t.shape[1])
    before, arrived = np.full(active.size, np.inf), np.zeros(active.size, bool)
    with np.errstate(all="ignore"):
        for _ in range(max_steps):
            spend(STEP_COST + POINT_COST * t.shape[0] * active.size)
            trace = law.trace(t[:, active])
            value, slope = of(trace)
            misses, residual = _misses(trace, value, goal[active], on_z=on_z)
            step = solved(jacobian(trace, slope), misses.T).T
            # No step may be as long as the unknown itself: poles and branch points are as far away.
            length = np.max(np.abs(step) / np.abs(t[:, active]), axis=0)
            step = step / np.maximum(1.0, 2.0 * length)
            t[:, active] = t[:, active] - np.where(np.isfinite(step), step, 0.0)
            # The square of a step is what is left of the next: one that is no shorter is rounding, as beside an edge.
            stalled = (length < ROUNDED) & (length > STALLED * before[active]) & (residual < TINY)
            before[active] = length
            arrived[active] = stalled | (length <= short[active])
            active = active[~arrived[active] & np.isfinite(length)]
            if not active.size:
                break
        small = np.where(rough, ROUGH, SMALL)
        found = judged(law, t, goal, of, small, on_z=on_z)
    # Between two sheets that meet residuals are small long before it is clear which one is met.
    return replace(found, good=found.good & (arrived | (before < NEARLY) | (found.residual < TINY)))


def _misses(trace: Trace, value: Array, goal: Array, *, on_z: bool) -> tuple[Array, Array]:
    """What the equations, and `value` = `goal`, miss by (n, m), and the largest of that relative to the terms (m,)."""
    misses = np.concatenate([trace.equations, (value - goal)[None]])
    sizes = np.concatenate([trace.sizes[:-1], np.maximum(trace.sizes[-1] if on_z else 0.0, np.abs(goal))[None]])
    # At z = 0 the size may be 0, too.
    return misses, np.max(np.abs(misses) / np.where(misses == 0.0, 1.0, sizes), axis=0)


def judged(
    law: Law, t: Array, goal: Array, of: Callable[[Trace], tuple[Array, Array]], small: Array, *, on_z: bool
) -> Points:
    """The points with residuals relative to the terms they are what is left of, and certificates."""
    trace = law.trace(t)
    _, residual = _misses(trace, of(trace)[0], goal, on_z=on_z)
    return Points(t, trace, residual, (residual < small) & trace.valid & np.isfinite(residual))


def solved(matrices: Array, right: Array) -> Array:
    """Solutions (m, n) of the systems (m, n, n); NaN where a matrix is singular."""
    if matrices.shape[1] == 1:
        return right / matrices[:, 0]
    try:
        return np.linalg.solve(matrices, right[..., None])[..., 0]
    except np.linalg.LinAlgError:
        singular = ~(np.abs(np.linalg.det(matrices)) > 0.0)
        found = np.full(right.shape, np.nan, complex)
        if not singular.all():
            found[~singular] = np.linalg.solve(matrices[~singular], right[~singular][..., None])[..., 0]
        return found


def _drift(trace: Trace, slope: Array) -> Array:
    """Derivative of the unknowns along the curve by what has this slope."""
    right = np.zeros((trace.z.size, trace.dz.shape[0]), complex)
    right[:, -1] = 1.0
    with np.errstate(all="ignore"):
        return solved(jacobian(trace, slope), right).T


def inside(points: Points) -> Array:
    """Which points lie where the law has a density."""
    rise, size = -points.trace.g.imag, np.abs(points.trace.g)
    found = rise > RISEN * size
    doubtful = np.flatnonzero(found & (rise < DOUBTFUL * size))
    if doubtful.size:
        noise = rounding_of_g(points.trace, doubtful)
        found[doubtful] = (rise[doubtful] > CLEAR * noise) | ~np.isfinite(noise)
    return found


def rounding_of_g(trace: Trace, at: Array | slice = slice(None)) -> Array:
    """What the rounding of every equation makes of g; infinite where they are singular."""
    with np.errstate(all="ignore"):
        matrices = jacobian(trace, trace.dz)[at]
        # At an edge they are singular, but for rounding that no condition number sees.
        finite = np.isfinite(matrices).all(axis=(1, 2))
        matrices = np.where(finite[:, None, None], matrices, np.eye(matrices.shape[1]))
        regular = finite & np.isfinite(np.linalg.cond(matrices)) & (np.abs(np.linalg.det(matrices)) > 0.0)
        reach = np.linalg.inv(np.where(regular[:, None, None], matrices, np.eye(matrices.shape[1])))
        # Unknowns move together, and what is left of g by far less than each.
        moved = reach * (np.finfo(float).eps * trace.sizes[:, at].T[:, None, :])
        noise = np.abs(trace.dg[:, at].T[:, None, :] @ moved)[:, 0].sum(axis=1)
    return np.where(regular & np.isfinite(noise), noise, np.inf)


def rising(points: Points) -> Array:
    """Which certified points lie in a gap: real, and a step upwards takes all inner functions upwards.

    Then just above the point a solution has all its parts in the upper half plane, and only one has.
    """
    trace = points.trace
    drift = _drift(trace, trace.dz)
    with np.errstate(invalid="ignore", over="ignore"):
        found = (trace.dg * drift).sum(axis=0).real < 0.0
        for rows, reference in trace.inner:
            rates = (rows * drift).sum(axis=1).real * (reference * drift).sum(axis=0).real
            found &= (rates > 0.0).all(axis=0)
    return found


def descend(law: Law, z: Array, *, levels: int = MAX_LEVELS) -> Points:
    """Solutions at z in the closed upper half plane, on the axis as limits from above: led down vertical lines.

    A certified point is the only one, so that nothing hangs on the path; what fails, or takes more steps down than
    `levels`, is not `good`.
    """
    z = np.asarray(z, complex)
    x, bottom = z.real, z.imag
    low, high = law.hull
    width = (high - low) or 1.0
    height = np.maximum(HEIGHT * width, bottom)
    points = solve(law, law.start(x + 1j * height), x + 1j * height)
    if not points.good.all():
        # Far enough the leading order is as good as the solution.
        height = np.maximum(FARTHER * width, bottom)
        points = solve(law, law.start(x + 1j * height), x + 1j * height)
    t, powers = points.t, _powers(points)
    factor = np.full(x.size, DESCENT)
    done, refused = np.zeros(x.size, bool), np.zeros(x.size, bool)
    for _ in range(levels):
        rest = np.flatnonzero(~done & (factor < SLOWEST))
        if not rest.size:
            break
        # Near its end the line is left for the end itself, once from every height.
        direct = (height[rest] < NEAR * width + bottom[rest] / DESCENT) & ~refused[rest]
        new = np.where(direct, bottom[rest], np.maximum(height[rest] * factor[rest], bottom[rest]))
        last = new == bottom[rest]
        # Far out the unknowns are powers of z, and go on like them.
        ratio = (x[rest] + 1j * new) / (x[rest] + 1j * height[rest])
        with np.errstate(all="ignore"):
            start = t[:, rest] * ratio ** powers[:, rest]
        start = np.where(np.isfinite(start) & ~direct, start, t[:, rest])
        tried = solve(law, start, x[rest] + 1j * new, rough=~last, max_steps=FEW_STEPS)
        # On the axis itself a root may be real and yet another than the limit from above.
        ok = tried.good & ((new > 0.0) | inside(tried) | rising(tried))
        took = rest[ok]
        t[:, took], height[took], refused[took] = tried.t[:, ok], new[ok], False
        powers[:, took] = _powers(tried)[:, ok]
        refused[rest[~ok & direct]] = True
        done[took] = last[ok]
        factor[took] = np.maximum(DESCENT, factor[took] ** 2)
        failed = rest[~ok & ~direct]
        factor[failed] = factor[failed] ** 0.5
    points = solve(law, t, z)
    return replace(points, good=points.good & done & ((bottom > 0.0) | inside(points) | rising(points)))


def _powers(points: Points, of: Callable[[Trace], tuple[Array, Array]] | None = None) -> Array:
    """Rates d log t/d log z along the curve, or of g or w in place of z."""
    trace = points.trace
    value, slope = (trace.z, trace.dz) if of is None else of(trace)
    drift = _drift(trace, slope)
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(drift), drift * value / points.t, 0.0)


def along_ray(law: Law, goal: Array, *, of: str) -> Points:
    """Points where g, or w, is what is asked for (m,), none 0: continued from 0 along rays.

    Raises
    ------
    ConvergenceError : a ray meets a branch point, or leaves where the law's curve is known.
    """
    pick = {"g": lambda trace: (trace.g, trace.dg), "w": lambda trace: (trace.w, trace.dw)}[of]
    low, high = law.hull
    reach = max(abs(low), abs(high))
    # w ~ m_1/z, g ~ 1/z
    first = goal / np.abs(goal) * (abs(law.mean) if of == "w" else 1.0) / (FARTHER * reach)
    first = np.where(np.abs(first) < np.abs(goal), first, goal)
    share = np.log(np.abs(goal / first))
    t = law.start((law.mean / first) if of == "w" else 1.0 / first + law.mean)
    points = solve(law, t, first, of=pick)
    if not (points.residual < SMALL).all():
        raise ConvergenceError(f"the law's curve was not found for small {of}")
    t, powers = points.t, _powers(points, pick)
    done, step = np.zeros(goal.size), np.full(goal.size, RAY_STEP)
    for _ in range(RAY_STEPS):
        rest = np.flatnonzero(done < share)
        if not rest.size:
            break
        if (step[rest] < SHORTEST_STEP).any():
            raise ConvergenceError(f"the ray to {of} = {goal[rest][np.argmin(step[rest])]} meets a branch point")
        new = np.minimum(done[rest] + step[rest], share[rest])
        with np.errstate(all="ignore"):
            start = t[:, rest] * np.exp((new - done[rest]) * powers[:, rest])
        tried = solve(law, start, first[rest] * np.exp(new), of=pick)
        # Where the solution is not where the tangent leads, the step was too long to know the branch.
        with np.errstate(all="ignore"):
            strayed = np.max(np.abs(tried.t - start) / np.abs(tried.t - t[:, rest]), axis=0)
        still = np.max(np.abs(tried.t / t[:, rest] - 1.0), axis=0) < STILL
        ok = (tried.residual < SMALL) & ((strayed < STRAYED) | still)
        t[:, rest[ok]], done[rest[ok]] = tried.t[:, ok], new[ok]
        powers[:, rest[ok]] = _powers(tried, pick)[:, ok]
        step[rest] = np.where(ok, np.minimum(1.5 * step[rest], RAY_STEP), 0.3 * step[rest])
    else:
        raise ConvergenceError(f"the rays in {of} were not followed in {RAY_STEPS} steps")
    return solve(law, t, goal, of=pick)
