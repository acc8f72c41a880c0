"""Gaussian moments of a general activation, by quadrature on a grid made once for all variances.

The activation is sampled on panels that resolve it at every scale; each further q costs one exponential of the
stored nodes and one matrix product.
"""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spectra.activations import Activation, Branch
from spectra.errors import ConvergenceError
from spectra.network.gaussian import Moments, moments_at_zero, one_sided, slopes_at_zero, value_at_zero
from spectra.quadrature import ORDER, STANDARD_EDGES, Array, legendre_analysis, legendre_rule, panel_rule

# Last two of sixteen Legendre coefficients, relative to the largest value so far: with a geometric tail this small the
# quadrature error of φ'⁴, of degree 32 and up, is below 1e-16 (tests/test_quadrature.py).
_RESOLVED = 1e-11
_MAX_NODES = 1 << 19
_FIRST_RADIUS = 64.0
_REACH = STANDARD_EDGES[-1]
# Integrands times q below this have sums within doubles.
_LARGE = 1e280
_ROOT_2PI = math.sqrt(2.0 * math.pi)
# Variances whose moments are kept.
_KNOWN = 256


class SampledMoments:
    """Moments by composite Gauss–Legendre on a grid fixed in x.

    Below `radius`/10 in √q the activation needs no panel of its own: nodes scale with √q. Above, the grid consists of
    shells of ratio two on both sides, cut at kinks and bisected until φ and φ' are resolved; each q uses the shells
    within ten standard deviations.
    """

    scale_free: float | None = None

    def __init__(self, activation: Activation) -> None:
        self.activation = activation
        self._kinks = np.array(activation.kinks)
        self._sides = one_sided(activation)
        self._offset = value_at_zero(activation)
        self.radius = self._resolved_radius()
        left, right = slopes_at_zero(activation)
        self._smooth_at_zero = abs(left - right) <= 4.0 * np.finfo(float).eps * max(abs(left), abs(right))
        self._lower, self._upper = np.empty(0), np.empty(0)
        self._shell_ends: list[int] = []
        self._x = self._weights = self._half_squares = np.empty(0)
        self._phi = self._slope = np.empty(0)
        self._integrands = np.empty((4, 0))
        self._peaks = np.zeros(2)
        self._limit = math.inf
        self._known: dict[float, Moments] = {}
        self._largest = 0.0

    # -- public -----------------------------------------------------------------------------------------------------

    def at(self, q: float) -> Moments:
        """Moments at variance q ≥ 0; infinite where φ overflows within ten standard deviations."""
        found = self._known.get(q)
        if found is None:
            # A fixed point is asked for by everything that follows from it.
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = self._known[q] = self._at(q)
        return found

    def _at(self, q: float) -> Moments:
        if q == 0.0:
            return moments_at_zero(self.activation)
        root = math.sqrt(q)
        if root * _REACH <= self.radius:
            x, phi, slope, weights = self._scaled(root)
            drift = x * phi * slope
            second, slope2, slope4, drift = _rows(phi, slope, drift) @ weights
            if self._smooth_at_zero and self._offset != 0.0:
                # φ(0) ≠ 0 cancels between both sides of E[xφφ']; Stein's lemma instead, E[φ'² + φφ''].
                slope2_stein = slope2 + float((phi * self._curvature(x)) @ weights)
                return Moments(float(second), float(slope2), float(slope4), float(slope2_stein))
            return Moments(float(second), float(slope2), float(slope4), float(drift) / q)
        count = self._nodes_within(root * _REACH)
        if count < 0:
            return Moments(math.inf, math.inf, math.inf, math.inf)
        weight = np.exp(self._half_squares[:count] * (-1.0 / q)) * self._weights[:count]
        factor = 1.0 / (root * _ROOT_2PI)
        if self._largest * q < _LARGE:
            rows = (self._integrands[:, :count] @ weight).tolist()
            # Numbers one by one: numpy's own cost more than the sums.
            second, slope2, slope4, drift = (factor * row for row in rows)
        else:
            with np.errstate(over="ignore"):
                second, slope2, slope4, drift = (self._integrands[:, :count] @ (weight * factor)).tolist()
        return Moments(second, slope2, slope4, drift / q)

    def first(self, q: float) -> float:
        """E φ at variance q ≥ 0; exactly 0 where it is nothing but rounding."""
        if q == 0.0:
            return self._offset
        _, phi, _, weights = self.nodes(q)
        total, size = float(phi @ weights), float(np.abs(phi) @ weights)
        return total if abs(total) > 4.0 * float(np.finfo(float).eps) * size else 0.0

    def table(self, variances: Array) -> Array:
        """Moments at many variances q > 0, ascending; shape (n, 4). Stops short where φ cannot be resolved."""
        roots = np.sqrt(variances)
        small = int(np.searchsorted(roots * _REACH, self.radius, side="right"))
        z, weights = self._standard
        half, (left, right) = z.size // 2, self._sides
        x = np.multiply.outer(roots[:small], z)
        (phi_left, slope_left), (phi_right, slope_right) = _sample(left, x[:, :half]), _sample(right, x[:, half:])
        phi, slope = np.concatenate([phi_left, phi_right], axis=1), np.concatenate([slope_left, slope_right], axis=1)
        # einsum, not @: a threaded product of this size costs milliseconds where cores are busy.
        rows = np.einsum("ijk,k->ji", _rows(phi, slope, x * phi * slope), weights)
        rows[:, 3] /= variances[:small]
        if self._smooth_at_zero and self._offset != 0.0:
            rows[:, 3] = [self.at(q).gain for q in variances[:small]]
        found = [rows]
        with suppress(ConvergenceError):  # in one go where that works, rather than shell by shell
            self._nodes_within(float(roots[-1]) * _REACH)
        for q in variances[small:]:
            try:
                found.append(np.array([self.at(float(q))]))
            except ConvergenceError:
                break
        return np.concatenate(found)

    def nodes(self, q: float) -> tuple[Array, Array, Array, Array]:
        """x, φ(x), φ'(x) and the weights of the Gaussian of variance q > 0, each of shape (n,)."""
        root = math.sqrt(q)
        if root * _REACH <= self.radius:
            return self._scaled(root)
        count = self._nodes_within(root * _REACH)
        if count < 0:
            raise ConvergenceError(f"`{self.activation.name}` is not finite within ten deviations √q at q = {q:g}.")
        weight = np.exp(self._half_squares[:count] * (-1.0 / q)) * self._weights[:count] / (root * _ROOT_2PI)
        return self._x[:count], self._phi[:count], self._slope[:count], weight

    def deficit(self, q: float) -> tuple[float, float]:
        """Excess q E φ'² − E φ² = Σ (n − 1) a_n², a_n the Hermite coefficients of φ(√q z), and its absolute error.

        The linear part a_1 drops out: φ less its linear part serves as well as φ, near 0 as an integral of φ''.
        """
        root = math.sqrt(q)
        x, phi, slope, weights = self.nodes(q)
        offset = odd = cancelled = 0.0
        if root * _REACH <= self.radius:
            inner, inner_weights = legendre_rule(12)
            curvature = self._curvature(np.multiply.outer(x, inner))
            rest, rest_slope = x * x * (curvature @ (inner_weights * (1.0 - inner))), x * (curvature @ inner_weights)
            # Slopes that differ at 0 drop out too, by Stein's lemma on each side, but for their product with φ(0).
            left, right = slopes_at_zero(self.activation)
            offset = self._offset
            odd = 2.0 * offset * (right - left) * root / _ROOT_2PI
        else:
            mean_slope = float(slope @ weights)
            rest, rest_slope = phi - mean_slope * x, slope - mean_slope
        with np.errstate(over="ignore"):
            if root * _REACH > self.radius:
                cancelled = float(np.abs(rest * phi) @ weights)
            plus, minus = q * float(rest_slope**2 @ weights), float((offset + rest) ** 2 @ weights)
        error = 4.0 * float(np.finfo(float).eps) * (plus + minus + abs(odd) + cancelled)
        return plus - minus - odd, error

    def edges(self, radius: float) -> Array:
        """Kinks and grid edges of (−radius, radius)."""
        inside = self._kinks[np.abs(self._kinks) < radius]
        if radius <= self.radius:
            return inside
        if self._nodes_within(radius) < 0:
            raise ConvergenceError(f"`{self.activation.name}` is not finite on (−{radius:g}, {radius:g}).")
        grid = np.concatenate([self._lower, self._upper])
        return np.unique(np.concatenate([inside, grid[np.abs(grid) < radius]]))

    # -- small variance ---------------------------------------------------------------------------------------------

    @cached_property
    def _standard(self) -> tuple[Array, Array]:
        edges = np.array(STANDARD_EDGES)
        z, weights = (a.ravel() for a in panel_rule(edges[:-1], edges[1:]))
        weights = weights * np.exp(-(z**2) / 2.0) / _ROOT_2PI
        return np.concatenate([-z[::-1], z]), np.concatenate([weights[::-1], weights])

    def _scaled(self, root: float) -> tuple[Array, Array, Array, Array]:
        z, weights = self._standard
        x = root * z
        half = z.size // 2
        left, right = self._sides
        if left is right:
            return x, left.value(x), left.slope(x), weights
        phi = np.concatenate([left.value(x[:half]), right.value(x[half:])])
        slope = np.concatenate([left.slope(x[:half]), right.slope(x[half:])])
        return x, phi, slope, weights

    def _curvature(self, x: Array) -> Array:
        """φ'' on nodes whose first half is negative."""
        half = x.shape[0] // 2
        left, right = self._sides
        if left is right:
            return right.curvature(x)
        return np.concatenate([left.curvature(x[:half]), right.curvature(x[half:])])

    def _resolved_radius(self) -> float:
        """Largest power of two r such that one panel a side resolves φ on (−r, r), away from kinks other than 0."""
        nearest = min((abs(k) for k in self.activation.kinks if k != 0.0), default=math.inf)
        radii = [r for r in (2.0**k for k in range(-24, 11)) if r <= nearest] or [nearest]
        radii = np.array(radii)
        good = np.ones(radii.size, dtype=bool)
        for sign, branch in zip((-1.0, 1.0), self._sides, strict=True):
            x, _ = panel_rule(np.zeros(radii.size), sign * radii)
            for f in _sample(branch, x):
                good &= _tails(f) <= _RESOLVED * np.abs(f).max(axis=-1)
        first_bad = int(np.argmin(good)) if not good.all() else radii.size
        # A singularity at 0 itself, as of |x|^½: the grid grades towards it as far as it goes.
        return float(radii[max(first_bad - 1, 0)])

    # -- the grid ---------------------------------------------------------------------------------------------------

    def _nodes_within(self, radius: float) -> int:
        """Count of nodes in the shells that cover (−radius, radius), built as needed; −1 where φ overflows there."""
        if radius > self._limit:
            return -1
        shell = max(0, math.ceil(math.log2(radius / self.radius) + 2.0 - 1e-12))
        if shell >= len(self._shell_ends):
            # Every activation is soon wanted up to here; more is made only when asked for, it may oscillate.
            self._extend(max(shell + 1, math.ceil(math.log2(_FIRST_RADIUS / self.radius)) + 3))
            if radius > self._limit:
                return -1
        return self._shell_ends[shell]

    def _extend(self, shells: int) -> None:
        start = len(self._shell_ends)
        outer = self.radius * 0.25 * 2.0 ** np.arange(start, shells)
        inner = np.where(np.arange(start, shells) == 0, 0.0, outer / 2.0)
        pieces: list[tuple[float, float, int]] = []
        for index in range(outer.size):
            for low, high in ((-outer[index], -inner[index]), (inner[index], outer[index])):
                cuts = [low, *self._kinks[(self._kinks > low) & (self._kinks < high)], high]
                pieces += [(a, b, index) for a, b in itertools.pairwise(cuts)]
        lower, upper = (np.array([p[i] for p in pieces]) for i in (0, 1))
        shell = np.array([p[2] for p in pieces])
        done: list[tuple[Array, ...]] = []
        total = self._x.size
        peaks: Array | None = None
        while lower.size:
            total += lower.size * ORDER
            if total > _MAX_NODES:
                raise ConvergenceError(
                    f"`{self.activation.name}`: more than {_MAX_NODES} nodes are needed up to |x| = {outer[-1]:.3g}; "
                    "it oscillates too fast for Gaussian moments at so large a variance."
                )
            x, weights = panel_rule(lower, upper)
            phi, slope = self._evaluate(x)
            finite = np.isfinite(phi).all(axis=-1) & np.isfinite(slope).all(axis=-1)
            if not finite.all():
                self._limit = min(self._limit, float(np.minimum(np.abs(lower), np.abs(upper))[~finite].min()))
            if peaks is None:
                peaks = self._running_peaks(phi, slope, shell, outer.size)
            good = ~finite
            good |= (_tails(phi) <= _RESOLVED * peaks[0, shell]) & (_tails(slope) <= _RESOLVED * peaks[1, shell])
            # A singularity that no kink announces: graded down to rounding of x, or to nothing at 0.
            width = upper - lower
            good |= (width <= 1e-13 * np.maximum(np.abs(lower), np.abs(upper))) | (width <= 1e-18 * self.radius)
            done.append((lower[good], upper[good], shell[good], x[good], weights[good], phi[good], slope[good]))
            middle = (lower + upper) / 2.0
            total -= int(np.count_nonzero(~good)) * ORDER
            lower, upper, shell = (
                np.concatenate([lower[~good], middle[~good]]),
                np.concatenate([middle[~good], upper[~good]]),
                np.concatenate([shell[~good]] * 2),
            )
        if peaks is not None:
            self._peaks = peaks[:, -1]
        self._append(outer.size, *(np.concatenate(parts) for parts in zip(*done, strict=True)))

    def _append(
        self, shells: int, lower: Array, upper: Array, shell: Array, x: Array, weights: Array, phi: Array, slope: Array
    ) -> None:
        order = np.argsort(shell, kind="stable")
        ends = self._x.size + ORDER * np.cumsum(np.bincount(shell, minlength=shells))
        x, weights, phi, slope = (a[order].ravel() for a in (x, weights, phi, slope))
        with np.errstate(all="ignore"):
            rows = _rows(phi, slope, x * phi * slope)
        rows[:, ~np.isfinite(rows).all(axis=0)] = 0.0
        self._largest = max(self._largest, float(np.abs(rows).max(initial=0.0)))
        self._lower = np.concatenate([self._lower, lower])
        self._upper = np.concatenate([self._upper, upper])
        self._x = np.concatenate([self._x, x])
        self._weights = np.concatenate([self._weights, weights])
        self._phi = np.concatenate([self._phi, phi])
        self._slope = np.concatenate([self._slope, slope])
        self._half_squares = np.concatenate([self._half_squares, x * x / 2.0])
        self._integrands = np.concatenate([self._integrands, rows], axis=1)
        self._shell_ends += [int(e) for e in ends]

    def _running_peaks(self, phi: Array, slope: Array, shell: NDArray[np.intp], shells: int) -> Array:
        """Max |φ|, max |φ'| over each shell and all inside it; shape (2, shells)."""
        peaks = np.zeros((2, shells))
        for row, values in enumerate((phi, slope)):
            here = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=-1)
            np.maximum.at(peaks[row], shell, here)
        return np.maximum.accumulate(np.maximum(peaks, self._peaks[:, None]), axis=1)

    def _evaluate(self, x: Array) -> tuple[Array, Array]:
        """φ and φ' on panels (rows of x) that cross no kink."""
        branches = self.activation.branches
        if len(branches) == 1:
            return _sample(branches[0], x)
        index = np.searchsorted(self._kinks, x[:, 0])
        phi, slope = np.empty_like(x), np.empty_like(x)
        for i, branch in enumerate(branches):
            here = index == i
            if here.any():
                phi[here], slope[here] = _sample(branch, x[here])
        return phi, slope


def _sample(branch: Branch, x: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        return np.asarray(branch.value(x), dtype=float), np.asarray(branch.slope(x), dtype=float)


def _tails(values: Array) -> Array:
    """Largest of the last two Legendre coefficients of each panel."""
    with np.errstate(invalid="ignore"):
        return np.abs(values @ legendre_analysis(ORDER)[-2:].T).max(axis=-1)


def _rows(phi: Array, slope: Array, drift: Array) -> Array:
    slope2 = slope * slope
    return np.stack([phi * phi, slope2, slope2 * slope2, drift])
