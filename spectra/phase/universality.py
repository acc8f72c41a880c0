"""Which limit of great depth an activation has: its class, and how the spread of JJᵀ grows per layer."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..activations import Activation, get_activation, names
from ..errors import ConfigError
from ..network.criticality import CriticalPoint, critical_point
from ..network.expectations import gaussian_moments
from ..network.gaussian import one_sided, slopes_at_zero, value_at_zero
from ..network.schema import WEIGHTS
from ..network.zeros import bracketed_zero
from .curve import edge_of_chaos
from .slopes import slope_spread

Kind = Literal["isometric", "Bernoulli", "jumps", "smooth", "none", "undetermined"]

# Where the power law c q*^p of the spread for q* → 0 is measured. Of p = 1 corrections of order √q* are taken out, of
# p = 2, whose squares of q* are soon lost in rounding, those of order q*.
SMALL = {1: 1e-10, 2: 1e-5}
# How finely the spread is looked at along the curve, values a decade.
SCAN = 12
LOWEST = 1e-14


@dataclass(frozen=True)
class Universality:
    """One activation on its edge of chaos.

    Parameters
    ----------
    activation : φ.
    kind : which law JJᵀ of orthogonal weights has for L → ∞ with σ_0² = L (μ_2/μ_1² − 1) fixed: "smooth" and
        "Bernoulli" of Pennington et al.; "isometric" where there is nothing to spread; "jumps" where φ'² takes other
        values than 0 far out; "none" where σ_0² cannot be kept; "undetermined" where no rule here decides.
    reason : why, in a sentence.
    coefficient, power : μ_2/μ_1² − 1 ~ coefficient · q*^power for q* → 0; None where it is no power.
    point : the critical point at the q* asked for; None where that is not on the curve.
    mu_1, mu_2 : E φ'², E φ'⁴ at that q*, on the curve or not.
    spread : μ_2/μ_1² − 1 there: growth of the variance of JJᵀ, relative to m_1², per orthogonal layer; a Gaussian layer
        adds 1 to it.
    """

    activation: Activation
    kind: Kind
    reason: str
    coefficient: float | None
    power: float | None
    point: CriticalPoint | None
    mu_1: float
    mu_2: float
    spread: float

    def deviation(self, weights: str = "orthogonal") -> float:
        """Standard deviation of JJᵀ of one layer, relative to its mean; of L layers √L times that."""
        return math.sqrt(self.spread + (0.0 if weights == "orthogonal" else 1.0))


def universality(activation: object, q_star: float = 1.0) -> Universality:
    """Class and growth per layer of one activation at a point of its edge of chaos.

    Parameters
    ----------
    activation : φ: a name, a table or an `Activation`.
    q_star : where on the curve; any for a positively homogeneous φ.

    Raises
    ------
    ConfigError : unknown activation; q* not a number ≥ 0.

    Accuracy
    --------
    μ_1, μ_2 and the spread 1e-12; `coefficient` 1e-6 (tests/test_phase_slopes.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, sections 4–5 and supplement eqs. S44, S49.

    Examples
    --------
    >>> [universality(name).kind for name in ("tanh", "hardtanh", "relu")]
    ['smooth', 'Bernoulli', 'none']
    """
    phi = get_activation(activation)  # type: ignore[arg-type]
    if not (q_star > 0.0 and math.isfinite(q_star)):
        raise ConfigError(f"`q_star = {q_star!r}`: must be a finite number > 0.")
    kind, reason, coefficient, power = classified(phi)
    moments = gaussian_moments(phi)
    try:
        point = critical_point(phi, **({"sigma_b": 0.0} if moments.scale_free is not None else {"q_star": q_star}))
    except ConfigError:
        point = None
    at = moments.at(q_star)
    return Universality(phi, kind, reason, coefficient, power, point, at.slope2, at.slope4, slope_spread(phi, q_star))


def universality_table(activations: Iterable[object] | None = None, q_star: float = 1.0) -> tuple[Universality, ...]:
    """`universality` of every activation given, of the whole catalogue without."""
    return tuple(universality(one, q_star) for one in (names() if activations is None else activations))


def critical_point_of_spread(
    activation: object, depth: int, spread: float, weights: str = "orthogonal"
) -> CriticalPoint:
    """How small q* must be for a variance of JJᵀ of `spread` = σ_0² = L (μ_2/μ_1² − 1 − s_1) after `depth` layers.

    Parameters
    ----------
    activation : φ: a name, a table or an `Activation`.
    depth : L.
    spread : the variance m_2 − m_1² of JJᵀ at criticality, where m_1 = 1.
    weights : "orthogonal" (s_1 = 0), or another kind (s_1 = −1).

    Returns
    -------
    CriticalPoint with the largest q* below which the variance is smaller everywhere.

    Raises
    ------
    ConfigError : it cannot be reached; the message says what can.

    Notes
    -----
    Below this q* all others will do, too: that is what a limit q* → 0 is taken along. `spectra.tune` asks for the
    largest q* at which any number of any network is kept and variances stay; where the spread rises all along the curve
    both come to one q*. Of gelu it rises to 1.09 and falls to 1, and they differ (tests/test_tune.py).

    Accuracy
    --------
    q* to 1e-11 relative for spreads per layer above 1e-10 (tests/test_phase_slopes.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 22 and section 4.2.

    Examples
    --------
    >>> round(critical_point_of_spread("hardtanh", 100, 0.25).q_star, 12)
    0.109347434162
    """
    phi = get_activation(activation)  # type: ignore[arg-type]
    if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or depth < 1:
        raise ConfigError(f"`depth = {depth!r}`: must be a whole number ≥ 1.")
    if not (spread > 0.0 and math.isfinite(spread)):
        raise ConfigError(f"`spread = {spread!r}`: must be a finite number > 0.")
    if weights not in WEIGHTS:
        raise ConfigError(f"`weights = {weights!r}`: must be one of {', '.join(WEIGHTS)}.")
    target = spread / depth - (0.0 if weights == "orthogonal" else 1.0)
    if target <= 0.0:
        raise ConfigError(
            f"`spread = {spread:g}`: out of reach with {weights} weights: the variance of JJᵀ is at least the depth, "
            f"{depth}, whatever the activation; orthogonal weights have no such bound."
        )
    edge = edge_of_chaos(phi)
    if edge.single is not None:
        value = slope_spread(phi, 1.0)
        raise ConfigError(
            f"`spread = {spread:g}`: `{phi.name}` has no q* to choose: its variance of JJᵀ is "
            f"{depth * (value + spread / depth - target):.6g} at depth {depth} with {weights} weights."
        )
    if edge.begins is None:
        raise ConfigError(f"`spread = {spread:g}`: {edge.shape()}.")
    return _first_crossing(phi, edge.begins, edge.searched, target, depth, spread)


@dataclass(frozen=True, eq=False)
class DepthScaling:
    """q*(L) at which the variance of JJᵀ of L orthogonal layers is `spread`; arrays of one shape, NaN out of reach."""

    activation: Activation
    spread: float
    depths: Array
    q_star: Array


def depth_scaling(activation: object, depths: ArrayLike, spread: float = 0.25) -> DepthScaling:
    """`critical_point_of_spread` at every depth given, NaN instead of its refusals that concern the spread alone."""
    phi = get_activation(activation)  # type: ignore[arg-type]
    layers = np.asarray(depths, dtype=int)
    if not (spread > 0.0 and math.isfinite(spread)) or np.any(layers < 1):
        critical_point_of_spread(phi, int(layers.min()), spread)
    found = []
    for depth in layers.ravel().tolist():
        try:
            found.append(critical_point_of_spread(phi, depth, spread).q_star or math.nan)
        except ConfigError:
            found.append(math.nan)
    return DepthScaling(phi, spread, layers, np.array(found).reshape(layers.shape))


def _first_crossing(
    phi: Activation, low: float, high: float, target: float, depth: int, spread: float
) -> CriticalPoint:
    def excess(t: float) -> float:
        value = slope_spread(phi, math.exp(t))
        return math.log(value / target) if value > 0.0 else -700.0

    start, end = math.log(max(low, LOWEST)), math.log(high)
    places = np.linspace(start, end, max(2, math.ceil((end - start) / math.log(10.0) * SCAN)))
    first = excess(float(places[0]))
    if first > 0.0:
        least = depth * slope_spread(phi, math.exp(start))
        raise ConfigError(
            f"`spread = {spread:g}`: out of reach for `{phi.name}`: at the beginning of its edge of chaos, "
            f"q* = {low:.6g}, the variance of JJᵀ is already {least + (spread - target * depth):.6g} at depth {depth}."
        )
    for a, b in zip(places[:-1].tolist(), places[1:].tolist(), strict=True):
        if excess(b) >= 0.0:
            return critical_point(phi, q_star=math.exp(bracketed_zero(excess, a, b)))
    raise ConfigError(
        f"`spread = {spread:g}`: `{phi.name}` stays below it along its whole edge of chaos at depth {depth}: any q* "
        "will do."
    )


def classified(phi: Activation) -> tuple[Kind, str, float | None, float | None]:
    """Class of φ: kind, reason, and coefficient and power of the spread for q* → 0."""
    moments = gaussian_moments(phi)
    if moments.scale_free is not None:
        value = slope_spread(phi, 1.0)
        if value == 0.0:
            return "isometric", "φ'² is constant: orthogonal weights keep all lengths", 0.0, 0.0
        return (
            "none",
            f"φ'² takes two values with probability ½ each, at any q*: the spread stays {value:.6g}",
            value,
            0.0,
        )
    if value_at_zero(phi) != 0.0:
        return "none", _beginning(phi), None, None
    left, right = (s * s for s in slopes_at_zero(phi))
    if left == right == 0.0:
        return "none", "φ'(0) = 0: the shape of the law of φ'² does not narrow as q* → 0", None, None
    if abs(left - right) > 4e-16 * max(left, right):
        value = ((left - right) / (left + right)) ** 2
        return "none", f"φ' jumps at 0: the spread tends to {value:.6g} as q* → 0", value, 0.0
    sides = one_sided(phi)
    if all(b.constant_slope is not None for b in sides):
        return _far_kinks(phi, left)
    power = 1 if any(float(b.curvature(np.zeros(1))[0]) != 0.0 for b in sides) else 2
    small = SMALL[power]
    near, far = (slope_spread(phi, q) / q**power for q in (small, 4.0 * small))
    if not 0.5 < near / far < 2.0:
        return "undetermined", f"the spread does not go like q*^{power} as q* → 0", None, None
    named = "φ''(0) ≠ 0" if power == 1 else "φ''(0) = 0"
    reason = f"φ' is continuous at 0 and not zero, {named}: small spreads of all units add up"
    return "smooth", reason, 2.0 * near - far if power == 1 else (4.0 * near - far) / 3.0, float(power)


def _beginning(phi: Activation) -> str:
    low = edge_of_chaos(phi).begins
    if low is None:
        return "φ(0) ≠ 0: there is no edge of chaos"
    return f"φ(0) ≠ 0: the edge of chaos begins at q* = {low:.6g}, with a spread of {slope_spread(phi, low):.6g}"


def _far_kinks(phi: Activation, square: float) -> tuple[Kind, str, float | None, float | None]:
    slopes = [b.constant_slope for b in phi.branches]
    if None in slopes:
        return "undetermined", "φ is linear at 0 but not piecewise linear", None, None
    others = {float(s or 0.0) ** 2 for s in slopes} - {square}
    if others == {0.0}:
        return (
            "Bernoulli",
            "φ is linear at 0 and flat beyond a kink: few units are lost, all others keep lengths",
            None,
            None,
        )
    shown = ", ".join(f"{s / square:.6g}" for s in sorted(others))
    return "jumps", f"φ is linear at 0; beyond a kink φ'² changes by a factor {shown}", None, None
