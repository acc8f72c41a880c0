"""The density on one bulk as piecewise Chebyshev series, in the coordinate U of `spectra.chart`: −x, or −log x."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .._types import Array
from ..chart import FIT, MAX_ROUNDS, NODES, RESOLUTION, SHORTEST, Chart
from ..errors import ConvergenceError
from .bulks import Bulk
from .slow_tail import SlowTail
from .solutions import DoesNotFade, Solutions

# Distances to a hard edge, in widths of the bulk, between which its exponent is measured, and how well that must fit;
# beside an atom, where equations have few digits, the first of these at which they have enough.
PROBES, FITS = (1e-7, 1e-6), 0.02
PROBES_BESIDE_ATOM = (PROBES, (1e-6, 1e-5), (1e-5, 1e-4))
EXPONENTS = (-0.5, 0.5, 0.0)
MAX_PIECES = 2000
# What rounding of a solution may do to the logarithm of the density, in units of itself.
AMPLIFIED = 3.0
# A piece is not excused by rounding at one of its nodes where that at another is this many times smaller, and what it
# misses more than this mass: shorter ones part the nodes.
UNEVEN, NO_MASS = 100.0, 1e-12
# At an end where the density vanishes like any power the last piece is so short that this mass is left of it.
LAST_MASS = 1e-14


class Coordinate(Protocol):
    """Where a bulk is charted: U falls as x rises."""

    def to_u(self, x: Array) -> Array:
        """U(x)."""
        ...

    def to_x(self, u: Array) -> Array:
        """x(U)."""
        ...

    def log_stretch(self, x: Array) -> Array:
        """Log |dx/dU|."""
        ...


class OnLine:
    """U = −x."""

    def to_u(self, x: Array) -> Array:
        """−x."""
        return -x

    def to_x(self, u: Array) -> Array:
        """−U."""
        return -u

    def log_stretch(self, x: Array) -> Array:
        """0."""
        return np.zeros_like(x)


class OnLogarithm:
    """U = −log x, x > 0: for a density that goes like any power at 0."""

    def to_u(self, x: Array) -> Array:
        """−log x."""
        return -np.log(x)

    def to_x(self, u: Array) -> Array:
        """exp(−U)."""
        return np.exp(-u)

    def log_stretch(self, x: Array) -> Array:
        """Log x."""
        return np.log(x)


def charts(solutions: Solutions, coordinate: Coordinate) -> list[Chart | SlowTail]:
    """The chart of a bulk; two where it falls so slowly towards 0 that doubles end first.

    Raises
    ------
    GapInside, ConvergenceError : as `chart`, or a tail of a form that is not known.
    """
    try:
        return [chart(solutions, coordinate)]
    except DoesNotFade:
        tail = solutions.tail()
        return [chart(solutions, coordinate, until=tail.low), tail]


def chart(solutions: Solutions, coordinate: Coordinate, *, until: float | None = None) -> Chart:
    """Solve at Chebyshev nodes, dividing pieces until the series of log p, less the edges' powers, converge.

    A bulk that begins at 0 is followed, on the logarithm, until next to no mass is left; the rest is a power.  Or up
    to `until`.

    Raises
    ------
    GapInside : a point of the bulk is none.
    ConvergenceError : an edge where the density has no power ±1/2 of the distance, or too many pieces.
    """
    bulk = solutions.bulk
    fades = isinstance(coordinate, OnLogarithm) and bulk.low.place == 0.0
    high_power = exponent(solutions, bulk, upper=True)
    slope, low_power = 0.0, 0.0
    low = float(coordinate.to_u(np.array([bulk.high.place]))[0])
    if until is not None:
        high = until
    elif fades:
        smallest, slope = solutions.follow_to_zero()
        high = float(coordinate.to_u(np.array([smallest]))[0])
    else:
        low_power = exponent(solutions, bulk, upper=False)
        high = float(coordinate.to_u(np.array([bulk.low.place]))[0])
    solutions.know_atoms(below=low_power == 0.0 and not fades, above=high_power == 0.0)
    done = _pieces(solutions, coordinate, (low, high), (high_power, low_power))
    made = Chart(
        low=low,
        high=high,
        exponent_low=high_power,
        exponent_high=low_power,
        breaks=np.array([*(piece[0] for piece in done), done[-1][1]]),
        coefficients=np.array([piece[2] for piece in done]),
        slope=slope,
        residual=solutions.residual,
        uncertified=0,
    )
    for _ in range(MAX_ROUNDS):
        rough = made.rough_in_mass()
        if not rough.any():
            return made
        made = made.halved(rough)
    raise ConvergenceError(
        f"the mass between {bulk.low.place} and {bulk.high.place} was not resolved in {MAX_ROUNDS} bisections"
    )


def _pieces(
    solutions: Solutions, coordinate: Coordinate, ends: tuple[float, float], powers: tuple[float, float]
) -> list[tuple[float, float, Array]]:
    """(start, end, coefficients) of all pieces, in order."""
    low, high = ends
    middle = 0.5 * (low + high)
    todo, done = [(low, middle), (middle, high)], []
    for _ in range(MAX_ROUNDS):
        edges = np.array(todo)
        half = 0.5 * (edges[:, 1:] - edges[:, :1])
        u = edges[:, :1] + half * (1.0 + NODES)
        # Distances from the edges, in pieces that touch them without cancellation.
        to_low = np.where(edges[:, :1] == low, half * (1.0 + NODES), u - low)
        to_high = np.where(edges[:, 1:] == high, half * (1.0 - NODES), high - u)
        x = coordinate.to_x(u.ravel())
        density, noise = solutions.density(x)
        log_p = (np.log(density) + coordinate.log_stretch(x)).reshape(u.shape)
        rows = (log_p - powers[0] * np.log(to_low) - powers[1] * np.log(to_high)) @ FIT.T
        # Rounding of U beside an edge, and of the solution.
        nearest = np.minimum(to_low if powers[0] else np.inf, to_high if powers[1] else np.inf)
        blur = np.max(np.finfo(float).eps * np.abs(u) / nearest, axis=1)
        most, least = (pick(noise.reshape(u.shape), axis=1) for pick in (np.max, np.min))
        missed = np.max(np.abs(rows[:, -3:]), axis=1)
        missed_mass = missed * 2.0 * half[:, 0] * np.mean(np.exp(log_p), axis=1)
        at_low, at_high = edges[:, 0] == low, edges[:, 1] == high
        # Beside an edge rounding grows with every halving.
        at_power = (at_low & (powers[0] != 0.0)) | (at_high & (powers[1] != 0.0))
        excused = at_power | (most < UNEVEN * least) | (missed_mass < NO_MASS)
        converged = missed < RESOLUTION + blur + np.where(excused, AMPLIFIED * most, 0.0)
        converged |= (at_low | at_high) & ~at_power & (missed_mass < LAST_MASS)
        # Of a piece as short as the rounding of U nothing is gained by halving it.
        short = (2.0 * half[:, 0] < SHORTEST * (1.0 + np.abs(edges[:, 0]))) & np.isfinite(rows).all(axis=1)
        finished = converged | short
        done += [(*piece, row) for piece, row, ok in zip(todo, rows, finished, strict=True) if ok]
        rest = [piece for piece, ok in zip(todo, finished, strict=True) if not ok]
        if not rest:
            return sorted(done, key=lambda piece: piece[0])
        if len(done) + 2 * len(rest) > MAX_PIECES:
            raise ConvergenceError(f"the density on one bulk needs more than {MAX_PIECES} pieces")
        todo = [part for a, b in rest for part in ((a, 0.5 * (a + b)), (0.5 * (a + b), b))]
    raise ConvergenceError(f"the density on one bulk was not resolved in {MAX_ROUNDS} bisections")


def exponent(solutions: Solutions, bulk: Bulk, *, upper: bool) -> float:
    """Power of the distance with which the density begins: ½ at a critical point, measured elsewhere.

    0 where it is finite, and where it vanishes like another power: pieces are as short there as they need to be.

    Raises
    ------
    ConvergenceError : a negative power other than −1/2.
    """
    edge = bulk.high if upper else bulk.low
    if edge.soft or edge.faint:
        return 0.5 if edge.soft else 0.0
    places = PROBES_BESIDE_ATOM if solutions.has_atom(edge.place) else (PROBES,)
    slopes = (measured_exponent(solutions, bulk, upper=upper, probes=probes) for probes in places)
    slope = next((slope for slope in slopes if np.isfinite(slope)), np.nan)
    if edge.cut and np.isnan(slope):
        # Beside an atom inside a bulk equations have too few digits to tell; the density mostly is smooth there.
        return 0.0
    for power in EXPONENTS:
        if abs(slope - power) < FITS:
            return power
    if slope > 0.0:
        return 0.0
    if not np.isfinite(slope):
        raise ConvergenceError(f"what the density is like beside {edge.place:.6g}, an end of a bulk, was not found")
    raise ConvergenceError(
        f"at {edge.place:.6g} the density goes like the distance to the power {slope:.3f}; other powers below 0 than "
        "−1/2 are resolved only where a law on [0, ∞) ends at 0"
    )


def measured_exponent(solutions: Solutions, bulk: Bulk, *, upper: bool, probes: tuple[float, float] = PROBES) -> float:
    """Slope d log ρ/d log distance beside an edge."""
    distances = np.array(probes) * (bulk.high.place - bulk.low.place)
    x = bulk.high.place - distances if upper else bulk.low.place + distances
    log_p = np.log(solutions.density(x)[0])
    return float((log_p[1] - log_p[0]) / np.log(distances[1] / distances[0]))
