"""Activations from two callables, φ and φ', which are checked against each other.

Off the real line φ' is what the callable says of complex arrays, where `continued` finds it analytic; φ itself is not
wanted there. A derivative that does not belong to its function is the classical silent error, so φ(b) − φ(a) is
compared with ∫ φ' on every cell of a grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from spectra.activations import primitives, roots
from spectra.activations.activation import Activation, Branch, Function
from spectra.activations.continued import Continued, Curvature, accurate_value
from spectra.errors import ConfigError

# |x| up to which φ and φ' are compared; cells have irrational ends so that an undeclared kink falls inside one
_CHECKED = 30.0
# cells of width 0.15 and 16 Gauss nodes are exact to rounding for anything smooth on that scale
_CELLS, _NODES = 401, 16
_TOLERANCE = 1e-7


def from_callable(
    value: Function, slope: Function, *, kinks: Sequence[float], curvature: Function | None, name: str
) -> Activation:
    """See `Activation.from_callable`."""
    if not callable(value) or not callable(slope) or not (curvature is None or callable(curvature)):
        raise ConfigError(f"`Activation.from_callable`: value and slope of {name!r} must be callables of an array.")
    cuts = _sorted_kinks(name, kinks)
    value, slope = _Checked(value, "value", name), _Checked(slope, "slope", name)
    second = None if curvature is None else _Checked(curvature, "curvature", name)
    branches = []
    for lower, upper in pairwise((-np.inf, *cuts, np.inf)):
        _compare(value, slope, lower, upper, name, "slope", "value")
        if second is not None:
            _compare(slope, second, lower, upper, name, "curvature", "slope")
        x = roots.grid(lower, upper)
        y = slope(x)
        if np.all(y == y[0]):  # then also at the ends, whatever the callable says there: (x > 0) is 0 at the kink
            fixed = float(y[0])
            known = partial(primitives.constant, value=fixed), primitives.zero
            branches.append(Branch(lower, upper, value, *known, fixed, ()))
        else:
            own = Continued(slope, lower, upper)
            given = None if second is None else Continued(second, lower, upper)
            bend = Curvature(own, given, partial(_difference, slope, lower, upper))
            turning = _turning_points(own, bend, lower, upper)
            own_value = accurate_value(value, own, lower, upper)
            branches.append(Branch(lower, upper, own_value, own, bend, None, turning, analytic=own.radius > 0.0))
    _refuse_jumps(value, branches, name)
    return Activation(
        name=name,
        parameters=(),
        branches=tuple(branches),
        kinks=cuts,
        even_slope=_even(slope, cuts),
        slope_bound=_bound(slope, branches),
        analytic=all(b.analytic for b in branches),
    )


class _Checked:
    """A user's callable with its shape, dtype and finiteness verified on every call."""

    def __init__(self, function: Callable[[Any], Any], what: str, name: str) -> None:
        self.function, self.what, self.name = function, what, name

    def __call__(self, x: Any) -> np.ndarray:
        if np.iscomplexobj(x):
            raise TypeError(f"φ of activation {self.name!r} was made from a callable and is known for real x only")
        x = np.asarray(x, dtype=float)
        try:
            result = np.asarray(self.function(x))
        except Exception as error:
            raise ConfigError(
                f"`Activation.from_callable`: {self.what} of {self.name!r} raised {type(error).__name__} for an array "
                f"of shape {x.shape}: {error}"
            ) from error
        if result.shape != x.shape:
            why = f"returned shape {result.shape} for input of shape {x.shape}; it must work elementwise on arrays"
        elif result.dtype.kind not in "fiub":
            why = f"returned {result.dtype} values; it must return real numbers"
        elif not np.all(np.isfinite(result)):
            why = f"is not finite at x = {x[~np.isfinite(result)].flat[0]:.6g}"
        else:
            return result.astype(float)
        raise ConfigError(f"`Activation.from_callable`: {self.what} of {self.name!r} {why}.")


def _sorted_kinks(name: str, kinks: Sequence[float]) -> tuple[float, ...]:
    try:
        cuts = tuple(sorted({float(k) for k in kinks}))
    except (TypeError, ValueError):
        raise ConfigError(f"`Activation.from_callable`: kinks of {name!r} must be numbers, not {kinks!r}.") from None
    if not all(np.isfinite(cuts)):
        raise ConfigError(f"`Activation.from_callable`: kinks of {name!r} must be finite, not {kinks!r}.")
    return cuts


def _compare(f: Function, df: Function, lower: float, upper: float, name: str, derived: str, original: str) -> None:
    """Refuse unless ∫ df = f(b) − f(a) on all cells of (lower, upper) within ±30."""
    low, high = max(lower, -_CHECKED), min(upper, _CHECKED)
    if not low < high:  # a branch that starts beyond the checked range
        low, high = (lower, lower + 1.0) if np.isfinite(lower) else (upper - 1.0, upper)
    edges = low + (high - low) * np.linspace(0.0, 1.0, _CELLS) ** 1.0001
    edges[0], edges[-1] = np.nextafter(low, high), np.nextafter(high, low)
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    half = 0.5 * np.diff(edges)
    x = edges[:-1, None] + half[:, None] * (1.0 + node)
    slopes = df(x)
    integral = half * (slopes @ weight)
    ends = f(edges)
    scale = half * (np.abs(slopes) @ weight) + 1e-8 * np.max(np.abs(slopes)) * half
    error = np.abs(np.diff(ends) - integral)
    bad = error > _TOLERANCE * scale + 8.0 * np.finfo(float).eps * np.abs(ends[1:]) + 1e-14
    if not np.any(bad):
        return
    i = int(np.argmax(np.where(bad, error / (scale + 1e-300), 0.0)))
    few = np.count_nonzero(bad) <= 3
    hint = "is a kink missing from `kinks`, or the derivative wrong there?" if few else "check the derivative."
    raise ConfigError(
        f"`Activation.from_callable`: the {derived} of {name!r} is not the derivative of its {original}: between "
        f"x = {edges[i]:.6g} and {edges[i + 1]:.6g} it integrates to {integral[i]:.9g}, but the {original} changes by "
        f"{ends[i + 1] - ends[i]:.9g} ({np.count_nonzero(bad)} of {bad.size} cells disagree); {hint}"
    )


def _refuse_jumps(value: Function, branches: list[Branch], name: str) -> None:
    for left in branches[:-1]:
        kink, step = left.upper, 1e-9 * max(1.0, abs(left.upper))
        a, b = value(np.array([kink - step, kink + step]))
        if abs(a - b) > 1e-6 * max(1.0, abs(a), abs(b)):
            raise ConfigError(f"`Activation.from_callable`: {name!r} jumps at x = {kink:.6g}, from {a:.6g} to {b:.6g}.")


def _stencils() -> np.ndarray:
    """Row s: weights of the derivative at node s of the interpolant through nodes 0..8, unit spacing."""
    nodes = np.arange(9.0)
    rows = [np.linalg.solve((nodes - s)[None, :] ** np.arange(9)[:, None], np.eye(9)[1]) for s in range(9)]
    return np.array(rows)


_WEIGHTS = _stencils()


def _difference(slope: Function, lower: float, upper: float, x: Any) -> np.ndarray:
    """Differentiate `slope` by nine-point differences that stay inside (lower, upper).

    Accuracy
    --------
    About 1e-11 of the slope's scale for functions smooth on the scale 1; rounding grows like 1e-14/h, h = 0.02.
    """
    x = np.asarray(x, dtype=float)
    h = min(0.02, (upper - lower) / 10.0)
    # of the nine nodes, `left` lie to the left of x: four, shifted where an end of the branch is near
    room_left, room_right = (np.floor(np.clip((d - 1e-9) / h, 0.0, 8.0)) for d in (x - lower, upper - x))
    left = np.clip(np.full(x.shape, 4.0), 8.0 - room_right, room_left).astype(int)
    points = x[..., None] + h * (np.arange(9.0) - left[..., None])
    return np.sum(_WEIGHTS[left] * slope(points), axis=-1) / h


def _turning_points(slope: Function, bend: Function, lower: float, upper: float) -> tuple[float, ...]:
    """Zeros of slope and curvature, leaving out sign changes at the level of differencing noise."""
    x = roots.grid(lower, upper)
    x = x[np.abs(x) <= _CHECKED]
    found: set[float] = set()
    for function in (slope, bend):
        noise = 1e-10 * float(np.max(np.abs(function(x)), initial=0.0))
        zeros = roots.real_zeros(function, lower, upper, noise)
        found |= {t if abs(t) > 1e-12 else 0.0 for t in zeros}
    return tuple(sorted(found))


def _even(slope: Function, kinks: tuple[float, ...]) -> bool:
    x = roots.grid(0.0, np.inf)
    distance = np.min(np.abs(np.abs(np.array([*kinks, np.inf]))[:, None] - x), axis=0)
    x = x[distance > 1e-9]
    left, right = np.abs(slope(-x)), np.abs(slope(x))
    return bool(np.all(np.abs(left - right) <= 1e-12 * np.maximum(left, right) + 1e-300))


def _bound(slope: Function, branches: list[Branch]) -> float:
    """Largest |φ'| seen on the grid and at turning points; inf where it still grows at 10⁴."""
    x = np.concatenate([np.concatenate((roots.grid(b.lower, b.upper), b.turning_points)) for b in branches])
    best = float(np.max(np.abs(slope(x))))
    for end in (-1.0, 1.0):
        near, far = np.abs(slope(end * np.array([1e2, 1e4])))
        if far > 1.1 * near + 1e-3 * best:
            return float("inf")
    return best
