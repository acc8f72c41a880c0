"""From a law's curve to its spectrum: bulks, charts, atoms, and the mass that shows whether one was missed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..chart import Chart
from ..effort import OutOfWork, limited
from ..errors import ConvergenceError
from ..exact.power_series import fractions_of, rationals
from ..law import Law
from ..spectrum import Spectrum
from .bulks import FIRST, Search
from .density import EXPONENTS, FITS, Coordinate, OnLine, OnLogarithm, charts, measured_exponent
from .slow_tail import SlowTail
from .solutions import GapInside, Solutions
from .spectrum import LineSpectrum

# Mass that may be missing.
MASS_TOLERANCE = 1e-10
# By how much m_2 and m_4 of the density may miss the exact ones: a bulk of little mass far out shows there.
MOMENT_TOLERANCE = 1e-8
# The search is made this many times finer, as often, where mass is missing.
FINER, ATTEMPTS = 4, 4
# Atoms whose masses sum to 1 but for this are all there is.
ATOMS_ONLY = 1e-13
# An edge so much smaller than the other is one of the law of log x.
NEXT_TO_ZERO = 1e-9
# Gaps that turn up while bulks are charted.
GAPS = 50
# Work for one law, in terms of sums of some ten nanoseconds: half a minute, where a law is found in a second or less.
WORK = 3e9


@dataclass(frozen=True)
class Found:
    """The law on the real axis, the largest residual at the points it was made of, and what is to be said of it."""

    spectrum: Spectrum | LineSpectrum
    residual: float
    notes: tuple[str, ...]


def spectrum_of(law: Law, *, logarithmic: bool = False) -> Found:
    """Find the bulks, chart each, and look closer where their mass and that of the atoms is not 1.

    Parameters
    ----------
    logarithmic : whether a law on [0, ∞) is to be held in log λ, as a `Spectrum`.

    Raises
    ------
    ConvergenceError : an edge that was not found, a density that was not resolved, mass that does not close; or all
        that takes too long.
    """
    with limited(WORK):
        return _closed(law, logarithmic=logarithmic)


def _closed(law: Law, *, logarithmic: bool) -> Found:
    reason: ConvergenceError | None = None
    for attempt in range(ATTEMPTS):
        try:
            found = _attempt(law, FIRST * FINER**attempt, logarithmic=logarithmic)
        except OutOfWork:
            raise
        except ConvergenceError as error:
            reason = error
            continue
        defect = abs(found.spectrum.total_mass - 1.0)
        if defect < MASS_TOLERANCE:
            lost = _lost_moment(law, found.spectrum)
            if lost < MOMENT_TOLERANCE:
                return found
            reason = ConvergenceError(
                f"`{type(law).__name__}.spectrum()`: moments of the density are off: a bulk of little mass was missed",
                residual=lost,
                tolerance=MOMENT_TOLERANCE,
            )
            continue
        reason = ConvergenceError(
            f"`{type(law).__name__}.spectrum()`: the mass is off: a bulk was missed, or a density not resolved",
            residual=defect,
            tolerance=MASS_TOLERANCE,
        )
    assert reason is not None
    raise reason


def _lost_moment(law: Law, spectrum: Spectrum | LineSpectrum) -> float:
    """The larger relative error of m_2 and m_4."""
    exact = moments_in_doubles(law, 4)
    x, weights = spectrum.quadrature()
    errors = [0.0]
    for k in (2, 4):
        value = float(x**k @ weights) + sum(atom.mass * atom.location**k for atom in spectrum.atoms)
        errors.append(abs(value / exact[k - 1] - 1.0) if exact[k - 1] else 0.0)
    return max(errors)


def _attempt(law: Law, count: int, *, logarithmic: bool) -> Found:
    atoms = [(place, mass) for place, mass in law.marks if mass > 0.0]
    coordinate: Coordinate = OnLogarithm() if logarithmic else OnLine()
    arcs: list[Chart | SlowTail] = []
    notes: tuple[str, ...] = ()
    if sum(mass for _, mass in atoms) < 1.0 - ATOMS_ONLY:
        search = Search(law)
        search.first(count)
        coordinate, arcs, notes = _charts(law, search, logarithmic=logarithmic)
    residual = max((arc.residual for arc in arcs), default=0.0)
    if not arcs and sum(mass for _, mass in atoms) < 1.0 - MASS_TOLERANCE:
        raise ConvergenceError("no point of the density was found")
    if arcs and isinstance(coordinate, OnLogarithm):
        return Found(_on_half_line(law, arcs, atoms), residual, notes)
    ends = [end for arc in arcs for end in (-arc.low, -arc.high)] + [place for place, _ in atoms]
    exponential = Spectrum(
        arcs=tuple(arcs),
        log_atoms=tuple(sorted((-place, mass) for place, mass in atoms)),
        atom_at_zero=0.0,
        log_support=(-min(ends), -max(ends)),
        log_scaled_moments=_nothing,
        log_mean=math.nan,
    )
    return Found(LineSpectrum(exponential, partial(moments_in_doubles, law)), residual, notes)


def _on_half_line(law: Law, arcs: list[Chart | SlowTail], atoms: list[tuple[float, float]]) -> Spectrum:
    """The law as one of λ ≥ 0, in log λ."""
    off_zero = tuple(sorted((-math.log(place), mass) for place, mass in atoms if place > 0.0))
    at_zero = sum(mass for place, mass in atoms if place == 0.0)

    def log_scaled_moments(order: int) -> np.ndarray:
        values = moments_in_doubles(law, order)
        return np.array([math.log(m) - k * math.log(values[0]) for k, m in enumerate(values, 1)])

    return Spectrum(
        arcs=tuple(arcs),
        log_atoms=off_zero,
        atom_at_zero=at_zero,
        log_support=(
            math.inf if at_zero or arcs[-1].slope < 0.0 else max([arcs[-1].high, *(u for u, _ in off_zero)]),
            min([arcs[0].low, *(u for u, _ in off_zero)]),
        ),
        log_scaled_moments=log_scaled_moments,
        log_mean=math.log(law.mean),
    )


def _charts(
    law: Law, search: Search, *, logarithmic: bool
) -> tuple[Coordinate, list[Chart | SlowTail], tuple[str, ...]]:
    """Charts of all bulks in the coordinate they need; where one turns out to be two, the search goes on from there."""
    for _ in range(GAPS):
        try:
            every = [Solutions(law, bulk) for bulk in search.bulks()]
            on_logarithm = logarithmic or any(_needs_logarithm(law, one) for one in every)
            coordinate = OnLogarithm() if on_logarithm else OnLine()
            arcs = sorted((arc for one in every for arc in charts(one, coordinate)), key=lambda arc: arc.low)
            faint = [edge.place for one in every for edge in (one.bulk.low, one.bulk.high) if edge.faint]
            notes = tuple(
                f"at {place:.6g} the density fades; what is beyond cannot be told from zero" for place in faint
            )
            return coordinate, arcs, notes
        except GapInside as found:
            search.look(found.places)
    raise ConvergenceError(f"more than {GAPS} gaps turned up where a bulk was thought to be")


def _needs_logarithm(law: Law, solutions: Solutions) -> bool:
    """Whether a law on [0, ∞) has a power other than ±1/2 at 0, or begins next to it."""
    bulk = solutions.bulk
    if law.hull[0] >= 0.0 and 0.0 < bulk.low.place < NEXT_TO_ZERO * bulk.high.place:
        return True
    if bulk.low.soft or bulk.low.place != 0.0 or law.hull[0] < 0.0:
        return False
    slope = measured_exponent(solutions, bulk, upper=False)
    return not any(abs(slope - power) < FITS for power in EXPONENTS)


def moments_in_doubles(law: Law, order: int) -> list[float]:
    """m_1 … m_order, rounded once."""
    return [float(m) for m in fractions_of(law.moment_list(rationals(), order))]


def _nothing(order: int) -> np.ndarray:
    raise AssertionError(f"moments up to {order} of eˣ are not those of the law; please report")
