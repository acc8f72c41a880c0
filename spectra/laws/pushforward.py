"""The law of D² = φ'(√q z)², z ~ N(0, 1): atoms where φ' is constant, complex quadrature nodes elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

import numpy as np

from .._types import Array
from ..activations import Activation, Branch
from ..errors import ConvergenceError
from . import gauss
from .fade import Taken, is_cut, kept
from .inverse import SlopeDensity
from .nodes import NodeLaw
from .panels import paths
from .path import TINY_SLOPE_SQUARE, MonotonePiece, monotone_pieces, square_at
from .zero import decades, ray, ray_out_of, slope_zero

# 9.5 standard deviations leave 2e-21 of the mass outside, and exp(−45) of the peak weight.
REACH = 9.5
# A zero of φ' farther out, in standard deviations, has less than 1e-17 of the mass near it.
FAR = 8.8
# Where a slope is what it is for |x| → ∞: its square leaves the range of doubles if it has no limit, or goes to 0.
FARTHEST = 1e200
# Slopes that are the same here and there have levelled off.
LEVELLED = 1e15, 1e30
# Relative distance at which intervals of values still touch.
TOUCHING = 1e-9
# φ'² below which φ' vanishes at the end of a piece, but for rounding.
FLAT = 1e-20
# Slopes too small to be told from zero are left out altogether where they have less mass than this.
NO_MASS = 1e-12


def slope_law(activation: Activation, variance: float, *, level: int = 0, known: NodeLaw | None = None) -> NodeLaw:
    """Law of φ'(h)²/E φ'(h)², h ~ N(0, `variance`), as a `NodeLaw`; ψ good to 1e-13, close to the cut too.

    Parameters
    ----------
    activation : φ with its smooth branches.
    variance : q > 0, or 0 for the limit q → 0⁺.
    level : each level resolves the neighbourhood of the law's edges 16 times more finely.
    known : the same law at another level, from which all but the nodes is taken.

    Raises
    ------
    ConvergenceError : φ' vanishes almost surely, so that the mean is zero.
    """
    period, (rank, lost) = _folding_period(activation, variance), slope_split(activation, variance)
    atoms: dict[float, float] = {}
    points: list[Array] = []
    weights: list[Array] = []
    if variance == 0.0:
        for side in (-1e-300, 1e-300):
            slope = float(activation.derivative(np.array([side]))[0])
            atoms[slope**2] = atoms.get(slope**2, 0.0) + 0.5
        pieces: list[tuple[MonotonePiece, float, float]] = []
    else:
        for branch in activation.branches:
            if branch.constant_slope is not None:
                mass = gauss.mass_between(branch.lower, branch.upper, variance)
                if mass > 0.0:
                    atoms[branch.constant_slope**2] = atoms.get(branch.constant_slope**2, 0.0) + mass
        pieces = _pieces_within(activation, variance)
    fold = period is None and activation.even_slope and all(low >= 0 or high <= 0 for _, low, high in pieces)
    copies = 2.0 if fold else 1.0
    parts = [part for part in pieces if not (fold and part[2] <= 0)]
    rays: list[_Ray] = []
    if parts:
        t, dx, rays = _over(parts, variance, period, level, rank)
        points.append(t)
        weights.append(dx * copies)
    tiny = lost - atoms.pop(0.0, 0.0)
    faded = tiny > 0.5 * NO_MASS
    if faded:
        weights = [weight * kept(t) for t, weight in zip(points, weights, strict=True)]
    places = np.array([*atoms.keys()], complex)
    all_points = np.concatenate([places, *points])
    all_weights = np.concatenate([np.array([*atoms.values()], complex), *weights])
    # The law given that φ' ≠ 0; its nodes carry rounding errors of 1e-16, taken out by normalising.
    total = all_weights.sum().real
    all_weights = all_weights / total
    centre = float((all_points @ all_weights).real)
    if not centre > 0.0:
        raise ConvergenceError(f"`slope_law({activation.name}, {variance})`: E φ'² underflows")
    all_points = all_points / centre
    # The rounding of the mean would be multiplied by the depth.
    all_points = all_points / (all_points @ all_weights).real
    if known is not None:
        return replace(known, points=all_points, weights=all_weights, mean=centre * rank)
    ends = [(square_at(p.branch, lower), square_at(p.branch, upper)) for p, lower, upper in pieces]
    # Every ray leaves out the same mass, so that the longest tells how far down the law is known; those of zeros with
    # next to no mass near them are short.
    resolved = min([10.0**one.bottom for one in rays], default=0.0)
    beside = 2e-10 * min(1.0, math.sqrt(variance))
    # Ends where φ' all but vanishes, though not like a simple zero.
    flat = [
        (at, piece.branch, x)
        for piece, lower, upper in pieces
        for x in (lower, upper)
        if (at := square_at(piece.branch, x)) < FLAT and slope_zero(piece.branch, x) is None
    ]
    # What is below the limit of slopes counts as zero: there the law has an end like any other, and towards it far more
    # mass than a ray leaves out.
    if any(0.0 < at < 2.0 * TINY_SLOPE_SQUARE for at, _, _ in flat) and tiny > NO_MASS:
        resolved = 0.0
    # Beside a zero of φ' of higher order the rounding of x spoils what is nearer than this.
    spoilt = [square_at(branch, x + beside) for at, branch, x in flat if not 0.0 < at < 2.0 * TINY_SLOPE_SQUARE]
    resolved = max([resolved, *spoilt])
    largest = max([*(t for e in ends for t in e), *atoms.keys()])
    smallest = min([*(t for e in ends for t in e), *atoms.keys()])
    density = SlopeDensity(
        tuple((p.branch, lower, upper) for p, lower, upper in pieces),
        variance,
        period,
        centre,
        rank,
        fold,
        faded,
    )
    return NodeLaw(
        points=all_points,
        weights=all_weights,
        mean=centre * rank,
        rank=rank,
        largest=largest / centre,
        smallest=smallest / centre,
        atoms=tuple(sorted((place / centre, mass / rank) for place, mass in atoms.items() if mass > 1e-18)),
        cut_density=density if pieces else None,
        cuts=tuple((low / centre, high / centre) for low, high in _joined(ends)),
        corners=tuple(sorted({t / centre for e in ends for t in e} | {t / centre for t in atoms})),
        supremum=_extremes(activation)[1] / centre,
        infimum=_extremes(activation)[0] / centre,
        resolved=resolved / centre,
        neglected=tiny if faded else 0.0,
        lost=lost,
    )


def _joined(ranges: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Intervals in ascending order, those that overlap or touch made one."""
    found: list[tuple[float, float]] = []
    for low, high in sorted((min(ends), max(ends)) for ends in ranges):
        if found and low <= found[-1][1] * (1.0 + TOUCHING):
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return found


class NoSlope(ConvergenceError):
    """φ' vanishes almost surely: there is no law off zero."""


@lru_cache(maxsize=4096)
def slope_split(activation: Activation, variance: float) -> tuple[float, float]:
    """P(φ'(h) ≠ 0) and P(φ'(h) = 0), h ~ N(0, `variance`), both with relative accuracy.

    φ' counts as 0 where its square is far below 1e-92 (see `spectra.laws.fade`).

    Raises
    ------
    NoSlope : φ' vanishes almost surely.
    """
    zero, rest = 0.0, 0.0
    if variance == 0.0:
        sides = activation.derivative(np.array([-1e-300, 1e-300]))
        zero = 0.5 * float(np.count_nonzero(sides == 0.0))
        rest = 1.0 - zero
    else:
        for branch in activation.branches:
            low, high = branch.lower, branch.upper
            if branch.constant_slope == 0.0:
                zero += gauss.mass_between(low, high, variance)
                continue
            if branch.constant_slope is None and activation.slope_period is None:
                low, high = _where_slope_counts(activation, branch, variance)
                below = gauss.mass_between(branch.lower, low, variance)
                tiny = below + gauss.mass_between(high, branch.upper, variance)
                if tiny > NO_MASS:
                    fading = _fading_mass(activation, branch, variance)
                    zero, rest = zero + tiny + fading, rest - fading
            rest += gauss.mass_between(low, high, variance)
    if not rest > 0.0:
        raise NoSlope(f"φ' of {activation.name} vanishes almost surely at q = {variance:g}; E φ'² = 0")
    # Of two complements the smaller one has the digits.
    return (rest, 1.0 - rest) if zero > 0.5 else (1.0 - zero, zero)


def _where_slope_counts(activation: Activation, branch: Branch, variance: float) -> tuple[float, float]:
    """The part of the branch on which φ'² is not tiny; as far as h reaches."""
    reach = _rounded_reach(variance)
    own = [piece for piece, _, _ in _pieces_within(activation, variance) if piece.branch is branch]
    if not own:
        return (branch.lower, branch.upper) if not -reach < branch.upper or not branch.lower < reach else (0.0, 0.0)
    low, high = min(p.lower for p in own), max(p.upper for p in own)
    return (
        low if low > max(branch.lower, -reach) else branch.lower,
        high if high < min(branch.upper, reach) else branch.upper,
    )


def _fading_mass(activation: Activation, branch: Branch, variance: float) -> float:
    """What fading takes from the slopes of a branch that count."""
    # Of the whole piece: as far out as h does not reach its density is nothing.
    return sum(
        Taken(branch, piece.lower, piece.upper, lambda x: gauss.density(x, variance, None)).mass
        for piece, lower, upper in _pieces_within(activation, variance)
        if piece.branch is branch and any(is_cut(branch, end) for end in (lower, upper))
    )


def _over(
    parts: list[tuple[MonotonePiece, float, float]], variance: float, period: float | None, level: int, share: float
) -> tuple[Array, Array, list[_Ray]]:
    """φ'² and the weights of the Gaussian at nodes on paths over the parts, and on the rays out of zeros of φ'."""
    sigma = math.sqrt(variance)
    rays: list[_Ray] = []
    rules: list[tuple[Array, Array]] = []
    for (piece, lower, upper), over in zip(parts, paths(tuple(parts), sigma, share), strict=True):
        scale = min(over.scales)
        first, last = (_ray_out_of(piece.branch, at, at == lower, variance, period, scale) for at in (lower, upper))
        rays += [one for one in (first, last) if one is not None]
        rules.append(over.panels(level, first and first.end, last and last.end))
    x, dx = (np.concatenate(rows) for rows in zip(*rules, strict=True))
    points, weights, done = [], [gauss.density(x, variance, period) * dx], 0
    for branch, together in groupby(zip(parts, rules, strict=True), lambda one: one[0][0].branch):
        begin, done = done, done + sum(nodes.size for _, (nodes, _) in together)
        points.append(branch.slope(x[begin:done]) ** 2)
    if rays:
        t, weight = _merged(tuple(rays))
        points.append(t)
        weights.append(weight)
    return np.concatenate(points), np.concatenate(weights), rays


@dataclass(frozen=True, eq=False)
class _Ray:
    """One side of a zero of φ': nodes and weights (decades + 1, 16), and x at the outer end."""

    top: int
    points: Array
    weights: Array
    end: complex

    @property
    def bottom(self) -> int:
        """Exponent of ten of the lowest φ'² resolved."""
        return self.top - len(self.points) + 1


@lru_cache(maxsize=64)
def _ray_out_of(
    branch: Branch, at: float, after: bool, variance: float, period: float | None, scale: float
) -> _Ray | None:
    """The nodes next to a simple zero of φ' at `at`, those after it or before it; None where there is none that counts.

    `scale`: length over which the path may rise.
    """
    sigma = math.sqrt(variance)
    zero = slope_zero(branch, at) if abs(at) < FAR * sigma or period is not None else None
    if zero is None:
        return None
    steepness = 1.0 / abs(zero.series[0])
    limit = min(zero.reach, 0.3 * scale * steepness)
    top = math.floor(2.0 * math.log10(limit))
    weight = float(gauss.density(np.array([at], complex), variance, period)[0].real)
    count = decades(weight * 10.0 ** (0.5 * top) / steepness)
    t, displacement, dx, outer = ray_out_of(zero, 1 if after else -1, top, count)
    x = at + displacement
    return _Ray(top, t, dx * gauss.density(x.ravel(), variance, period).reshape(x.shape), at + outer)


@lru_cache(maxsize=16)
def _merged(rays: tuple[_Ray, ...]) -> tuple[Array, Array]:
    """Nodes and weights of all rays, those on the same decade added up."""
    top = max(one.top for one in rays)
    points, _ = ray(top, top - min(one.bottom for one in rays))
    weights = np.zeros(points[:-1].shape, complex)
    lowest: dict[int, tuple[Array, Array]] = {}
    for one in rays:
        weights[top - one.top : top - one.bottom] += one.weights[:-1]
        beside = lowest[one.bottom][1] if one.bottom in lowest else 0.0
        lowest[one.bottom] = (one.points[-1], one.weights[-1] + beside)
    return (
        np.concatenate([points[:-1].ravel(), *(t for t, _ in lowest.values())]),
        np.concatenate([weights.ravel(), *(w for _, w in lowest.values())]),
    )


@lru_cache(maxsize=256)
def _extremes(activation: Activation) -> tuple[float, float]:
    """Smallest and largest φ'² on the line, without the points where φ' is 0 on an interval."""
    values = []
    for branch in activation.branches:
        if branch.constant_slope is not None:
            if branch.constant_slope != 0.0:
                values.append(branch.constant_slope**2)
            continue
        ends = np.array([branch.lower, *branch.turning_points, branch.upper])
        if activation.slope_period is not None:
            ends = np.linspace(0.0, activation.slope_period, 401)
        with np.errstate(all="ignore"):
            near, middle, slopes = (branch.slope(np.clip(ends, -far, far)) for far in (*LEVELLED, FARTHEST))
            # Where they have levelled off, a formula may overflow farther out.
            slopes = np.where((near != 0.0) & (np.abs(near - middle) < 1e-12 * np.abs(near)), near, slopes)
            values += [t for t in slopes**2 if not math.isnan(t)]
        if np.nanmin(slopes) < 0.0 < np.nanmax(slopes):
            values.append(0.0)
    return float(min(values)), float(max(values))


def _pieces_within(activation: Activation, variance: float) -> list[tuple[MonotonePiece, float, float]]:
    reach = REACH * math.sqrt(variance)
    rounded = _rounded_reach(variance)
    pieces = []
    folded = _folding_period(activation, variance) is not None
    for piece in monotone_pieces(activation, rounded, folded):
        lower, upper = piece.lower, piece.upper
        if not folded:
            lower, upper = max(lower, -reach), min(upper, reach)
        if upper > lower:
            pieces.append((piece, lower, upper))
    return pieces


def _rounded_reach(variance: float) -> float:
    """How far h reaches, in steps of four: pieces are the same for all variances in between."""
    return 4.0 ** math.ceil(math.log(REACH * math.sqrt(variance), 4.0))


def _folding_period(activation: Activation, variance: float) -> float | None:
    """The period to fold h over: that of φ'² where h reaches over several of them, else none."""
    period = activation.slope_period
    return period if period is not None and period < gauss.LONGEST_PERIOD * math.sqrt(variance) else None
