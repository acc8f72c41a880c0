"""The distribution of φ'(h), h ~ N(0, q): atoms where φ is linear, a density by change of variables elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..activations import Activation, Branch, get_activation
from ..errors import ConfigError, ConvergenceError
from ..laws.gauss import mass_between
from ..network.closed_forms import PiecewiseLinearMoments, SineMoments
from ..network.expectations import gaussian_moments
from ..network.sampled import SampledMoments

# Standard deviations of h beyond which nothing counts: a mass of 4e-33.
REACH = 12.0
# A share of E φ'⁴ at the last nodes that shows that more lies beyond.
MISSED = 1e-10
# Halvings that bring the inverse of φ' home from any interval within the reach.
HALVINGS = 70
# Where φ'² is periodic its turning points are looked for at so many places a period.
PLACES = 2001


@dataclass(frozen=True, eq=False)
class SlopeDistribution:
    """Law of φ'(h), h ~ N(0, variance).

    Parameters
    ----------
    activation : φ.
    variance : q > 0.
    atoms : (slope, mass) where φ has that slope on an interval, ascending.
    pieces : (branch, lower, upper): intervals of h on which φ' is monotone and not constant.

    Accuracy
    --------
    `cdf` 1e-14; `icdf` to the rounding of F over the density; `pdf` 1e-12 relative but within 1e-4 of a slope at which
    φ'' = 0, where it diverges (tests/test_phase_slopes.py).
    """

    activation: Activation
    variance: float
    atoms: tuple[tuple[float, float], ...]
    pieces: tuple[tuple[Branch, float, float], ...]

    def support(self) -> tuple[float, float]:
        """Smallest and largest φ' within twelve standard deviations of h, atoms included."""
        ends = [slope for slope, _ in self.atoms]
        for branch, lower, upper in self.pieces:
            ends += branch.slope(np.array([lower, upper])).tolist()
        return min(ends), max(ends)

    def pdf(self, slope: ArrayLike) -> Array:
        """Density beside the atoms, Σ g(x)/|φ''(x)| over all x with φ'(x) = slope; any shape."""
        s = np.asarray(slope, dtype=float)
        total = np.zeros(s.shape)
        for branch, lower, upper in self.pieces:
            x, inside = _inverse(branch, lower, upper, s)
            with np.errstate(divide="ignore", over="ignore"):
                gauss = np.exp(-x * x / (2.0 * self.variance)) / math.sqrt(2.0 * math.pi * self.variance)
                total += np.where(inside, gauss / np.abs(branch.curvature(x)), 0.0)
        return total

    def cdf(self, slope: ArrayLike) -> Array:
        """P(φ'(h) ≤ slope), atoms included; any shape."""
        s = np.asarray(slope, dtype=float)
        total = np.zeros(s.shape)
        for value, mass in self.atoms:
            total += np.where(s >= value, mass, 0.0)
        for branch, lower, upper in self.pieces:
            x, _ = _inverse(branch, lower, upper, s)
            low, high = branch.slope(np.array([lower, upper]))
            below = np.vectorize(mass_between, otypes=[float])
            part = below(lower, x, self.variance) if high > low else below(x, upper, self.variance)
            total += np.where(s < min(low, high), 0.0, part)
        return total

    def icdf(self, probability: ArrayLike) -> Array:
        """Least slope s with P(φ'(h) ≤ s) ≥ probability, atoms exactly; any shape.

        Raises
        ------
        ConfigError : a probability that is not within (0, 1).
        """
        p = np.asarray(probability, dtype=float)
        if not np.all((p > 0.0) & (p < 1.0)):
            raise ConfigError("`icdf(probability)`: must lie between 0 and 1.")
        low, high = self.support()
        a, b = np.full(p.shape, low), np.full(p.shape, high)
        for _ in range(HALVINGS):
            middle = (a + b) / 2.0
            reached = self.cdf(middle) >= p
            a, b = np.where(reached, a, middle), np.where(reached, middle, b)
        for slope, mass in self.atoms:
            upper = self.cdf(slope)
            b = np.where((p > upper - mass) & (p <= upper), slope, b)
        return b


def slope_distribution(activation: object, variance: float) -> SlopeDistribution:
    """Law of φ'(h), h ~ N(0, q): what the diagonal of D is distributed like in a layer at variance q.

    Parameters
    ----------
    activation : φ: a name, a table or an `Activation`.
    variance : q > 0.

    Raises
    ------
    ConfigError : unknown activation, or q not positive and finite.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, figure 3.

    Examples
    --------
    >>> slope_distribution("relu", 1.0).atoms
    ((0.0, 0.5), (1.0, 0.5))
    """
    phi = get_activation(activation)  # type: ignore[arg-type]
    if not (variance > 0.0 and math.isfinite(variance)):
        raise ConfigError(f"`variance = {variance!r}`: must be a finite number > 0.")
    reach = REACH * math.sqrt(variance)
    atoms: dict[float, float] = {}
    pieces: list[tuple[Branch, float, float]] = []
    for branch in phi.branches:
        lower, upper = max(branch.lower, -reach), min(branch.upper, reach)
        if branch.constant_slope is not None:
            mass = mass_between(branch.lower, branch.upper, variance)
            if mass > 0.0:
                atoms[branch.constant_slope] = atoms.get(branch.constant_slope, 0.0) + mass
        elif upper > lower:
            cuts = [x for x in _turning_points(phi, branch, lower, upper) if lower < x < upper]
            pieces += [(branch, a, b) for a, b in pairwise([lower, *cuts, upper])]
    return SlopeDistribution(phi, variance, tuple(sorted(atoms.items())), tuple(pieces))


def slope_spread(activation: Activation, variance: float) -> float:
    """μ_2/μ_1² − 1 = Var φ'(h)²/(E φ'(h)²)², h ~ N(0, q): what an orthogonal layer adds to the variance of JJᵀ.

    Parameters
    ----------
    activation : φ.
    variance : q > 0.

    Raises
    ------
    ConvergenceError : slopes that grow so fast that more than some 1e-9 of E φ'⁴ lies beyond the nodes.

    Accuracy
    --------
    1e-12 relative where it is above 1e-12, with the digits that μ_2/μ_1² − 1 loses (tests/test_phase_slopes.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 22.
    """
    moments = gaussian_moments(activation)
    if isinstance(moments, SineMoments):
        return math.expm1(-2.0 * variance) ** 2 / 2.0
    if isinstance(moments, PiecewiseLinearMoments):
        squares = np.array([float(b.constant_slope or 0.0) ** 2 for b in activation.branches])
        masses = np.array([mass_between(b.lower, b.upper, variance) for b in activation.branches])
        # Σ_{j<k} p_j p_k (s_j² − s_k²)²: no difference of what is almost equal.
        gaps = np.subtract.outer(squares, squares) ** 2
        return float(masses @ gaps @ masses) / 2.0 / float(masses @ squares) ** 2
    assert isinstance(moments, SampledMoments)
    x, _, slope, weights = moments.nodes(variance)
    square = slope * slope
    fourth = square * square * weights
    if max(fourth[x.argmin()], fourth[x.argmax()]) > MISSED * fourth.sum():
        raise ConvergenceError(
            f"the slopes of {activation.name} grow so fast that at q = {variance:.6g} the integral of φ'⁴ does not end "
            f"within {float(x.max()) / math.sqrt(variance):.3g} standard deviations of h"
        )
    mean = float(square @ weights) / float(weights.sum())
    return float((square / mean - 1.0) ** 2 @ weights)


def _inverse(branch: Branch, lower: float, upper: float, slope: Array) -> tuple[Array, np.ndarray]:
    """Solve φ'(x) = slope for x in [lower, upper], the nearest end where there is none; and whether there is one."""
    ends = branch.slope(np.array([lower, upper]))
    rising = bool(ends[1] > ends[0])
    a, b = np.full(slope.shape, lower), np.full(slope.shape, upper)
    for _ in range(HALVINGS):
        x = (a + b) / 2.0
        left = (branch.slope(x) < slope) == rising
        a, b = np.where(left, x, a), np.where(left, b, x)
    inside = (slope >= ends.min()) & (slope <= ends.max())
    return (a + b) / 2.0, inside


def _turning_points(activation: Activation, branch: Branch, lower: float, upper: float) -> list[float]:
    """Where φ' turns."""
    period = activation.slope_period
    if period is None:
        return sorted(branch.turning_points)
    x = np.linspace(0.0, period, PLACES) - 0.3 * period / PLACES
    sign = np.sign(branch.curvature(x))
    first = []
    for i in np.flatnonzero(sign[1:] * sign[:-1] < 0.0):
        a, b = float(x[i]), float(x[i + 1])
        for _ in range(60):
            middle = (a + b) / 2.0
            same = np.sign(float(branch.curvature(np.array([middle]))[0])) == sign[i]
            a, b = (middle, b) if same else (a, middle)
        first.append((a + b) / 2.0)
    span = range(math.floor(lower / period) - 1, math.ceil(upper / period) + 1)
    return sorted(x + period * k for k in span for x in first)
