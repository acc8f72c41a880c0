"""From master equation to law: sweep, charts, and the choice of resolution for the factor laws."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from ._types import Array
from .chart import Chart
from .effort import OutOfWork, limited
from .errors import ConvergenceError
from .marginal import MarginalArc, resolve
from .master import MasterEquation
from .pole import heaviest_pole, pole_near
from .pushed import PushedDensity
from .refinement import moved
from .series import log_scaled_moments, relative_variance
from .solve import CERTIFIED
from .spectrum import ArcDensity, Spectrum
from .survey import resurvey, survey
from .thinning import STABLE, along, is_thinned, is_told, widened
from .walker import Survey

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

CUT_SLOPES = "slopes below 1e-46"
FINEST_LEVEL = 8
# Levels above that in use at which an edge is looked for where the next is too coarse to find one's way.
STILL_FINER = (2, 3, 4)
# Where a density of D² ends at the atom that becomes one of mass zero its end must be resolved so well at least: the
# error falls with the fineness only, from 4e-5 or less.
LEVEL_BESIDE = 7
# Finer laws that move the solutions by less than this leave arcs, edges and atoms where they are, but for polishing.
SAME_SHAPE = 1e-5
# A density that finitely many values of φ'² make is algebraic, and no valley of it is a factor e^DEPTH deep: that is a
# gap whose edges were not found.
DEPTH = 18.0
# But one between values s² and 1 is of depth s, and so much more.
DEEPER = 4.0
VALLEY = "a gap of the law was taken for a part of a bulk"
DOUBTFUL = "whether the law has an edge in one of its thin tails, and where, could not be told"
UNTOLD = "whether the lowest bulk, whose density fades away, ends before λ = 0 could not be told: it is said to reach 0"
# So many finer laws in a row that do no better mean that none will.
STALLS = 2
# Mass of slopes too small to be told from zero that is worth a note.
NEGLECTED = 1e-13


@dataclass(frozen=True)
class Assembly:
    """The law, the equation it came from, and what the construction has to report."""

    spectrum: Spectrum
    equation: MasterEquation
    residual: float
    uncertified: int
    notes: tuple[str, ...]


def spectrum_of(
    equation: MasterEquation, refined: Callable[..., MasterEquation] | None = None, level: int = 0
) -> Assembly:
    """The law that a master equation describes.

    Parameters
    ----------
    equation : as built at `level`.
    refined : `refined(level=n, extra=m)` builds it with finer laws of D², and with more of them where some stand for
        many; used until the answer no longer moves.

    Raises
    ------
    ConvergenceError : the law could not be computed.
    """
    if equation.single_factor is not None:
        return _pushed(equation)
    with _blas().limit(limits=1, user_api="blas"):
        with limited():
            found = _settled(equation, refined, level)
        return _assembled(found)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The matrices here are small: more than one BLAS thread only costs."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@dataclass(frozen=True)
class _Found:
    """What an equation with laws of D² at one level says, by how much finer ones would move it, and what is amiss."""

    equation: MasterEquation
    survey: Survey
    charts: tuple[Chart | MarginalArc, ...]
    moved: float = 0.0
    flaw: str | None = None

    @property
    def coarse(self) -> _Found:
        """The same where no finer law can be had."""
        flaw = f"the laws of D² are resolved to {self.moved:.1e} only, near the edges of their supports"
        return replace(self, flaw=flaw)


class _Ladder:
    """An equation whose laws of D² are made finer, step by step, and how far one has come."""

    def __init__(self, equation: MasterEquation, refined: Callable[..., MasterEquation] | None, level: int) -> None:
        self.equation, self._refined = equation, refined and cache(refined)
        self.level, self._extra, self._wide = level, 0, False
        # The survey of coarser laws, where finer ones leave its shape.
        self._known: Survey | None = None
        if refined is not None and equation.factors and level < LEVEL_BESIDE:
            pole = heaviest_pole(equation)
            if pole is not None and pole.ends_density:
                self.climb(LEVEL_BESIDE - level)

    @property
    def at_top(self) -> bool:
        """Whether there is no finer law."""
        return self._refined is None or self.level == FINEST_LEVEL

    @property
    def is_exact(self) -> bool:
        """Whether finer laws would be the same."""
        return self._refined is None or self.equation.is_algebraic

    def _at(self, level: int) -> MasterEquation:
        assert self._refined is not None
        return self._refined(level=level, extra=self._extra)

    def finer(self, steps: int) -> MasterEquation:
        """The equation so many levels up, or as far as it goes, but one at least, to compare with."""
        return self._at(max(min(self.level + steps, FINEST_LEVEL), self.level + 1))

    def climb(self, steps: int, known: Survey | None = None) -> None:
        """Go up, with nothing known of the law but what this survey says."""
        self.level, self._known = min(self.level + steps, FINEST_LEVEL), known
        self.equation = self._at(self.level)

    def could_climb(self, steps: int, known: Survey | None = None) -> bool:
        """Go up, unless that is beyond the work there may be: finer laws are work of their own."""
        try:
            self.climb(steps, known)
        except OutOfWork:
            return False
        return True

    def widen(self, solved: Sequence[tuple[Array, Array, Array]]) -> bool:
        """Whether more laws had to stand for the many layers, for the equation to hold where it was solved."""
        assert self._refined is not None
        more = widened(self.equation, partial(self._refined, level=self.level), self._extra, solved)
        if more == self._extra:
            return False
        self._extra, self._known = more, None
        self.equation = self._at(self.level)
        return True

    def look(self) -> tuple[Survey, tuple[Chart | MarginalArc, ...]]:
        """Sweep and charts, with as many laws for the layers as they need."""
        while True:
            surveyed = survey(self.equation) if self._known is None else resurvey(self.equation, self._known)
            thinned = self._refined is not None and is_thinned(self.equation)
            if thinned and not self._wide:
                self._wide = True
                if self.widen([along(a) for a in surveyed.arcs]):
                    continue
            charts = tuple(part for arc in surveyed.arcs for part in resolve(self.equation, arc))
            short = thinned and not all(is_told(self.equation, a) for a in surveyed.arcs)
            solved = [c.solutions for c in charts if isinstance(c, Chart) and c.solutions is not None]
            if short and self.widen(solved):
                continue
            return surveyed, charts


def _settled(equation: MasterEquation, refined: Callable[..., MasterEquation] | None, level: int) -> _Found:
    """The law from laws of D² so fine that finer ones leave it where it is, or from the finest that could be had."""
    ladder, before, stalls = _Ladder(equation, refined, level), math.inf, 0
    best: _Found | None = None
    while True:
        try:
            surveyed, charts = ladder.look()
            if ladder.is_exact:
                return _Found(ladder.equation, surveyed, charts)
            if not ladder.at_top and any(c.uncertified for c in charts):
                ladder.climb(2)
                continue
            move = moved(ladder.finer(1), map(ladder.finer, STILL_FINER), surveyed, charts)
        except ConvergenceError as error:
            # Beside a corner of a law of D² its nodes may be too coarse to find one's way.
            if not (isinstance(error, OutOfWork) or ladder.at_top) and ladder.could_climb(2):
                continue
            if best is None:
                raise
            return best.coarse
        if move.begun > STABLE and ladder.level < LEVEL_BESIDE:
            ladder.climb(LEVEL_BESIDE - ladder.level)
            continue
        found = _Found(ladder.equation, surveyed, charts, move.size, DOUBTFUL if move.lost else None)
        # What a finer law leaves as it was is rounding.
        if move.size < STABLE or 0.3 * before < move.size < CERTIFIED:
            return found
        stalls = stalls + 1 if move.size > 0.3 * before else 0
        if ladder.at_top or stalls == STALLS:
            return found.coarse
        if best is None or move.size < best.moved:
            best = found
        # Beside an atom of mass zero the error falls with the fineness, by 16 a level; elsewhere much faster.
        steps = max(1, math.ceil(math.log(max(move.beside, STABLE) / STABLE, 16.0)))
        before = move.size
        if not ladder.could_climb(steps, surveyed if move.size < SAME_SHAPE else None):
            return best.coarse


def _assembled(found: _Found) -> Assembly:
    """The law, and what is to be said of it."""
    equation, charts = found.equation, found.charts
    residual = max([found.moved, *(c.residual for c in charts)])
    flaws = [found.flaw] if found.flaw else []
    blur = _blur(equation)
    if blur > CERTIFIED:
        flaws.append(f"what few units with φ' = 0 do beside widths that grow is known to {blur:.1e} only")
    if equation.factors and equation.is_algebraic:
        apart = max(math.log(factor.law.largest / factor.law.smallest) for factor in equation.factors)
        if any(_has_valley(c, max(DEPTH, DEEPER + 0.5 * apart)) for c in charts):
            flaws.append(VALLEY)
    uncertified = sum(c.uncertified for c in charts) + len(flaws)
    notes = (*flaws, *_neglected(equation))
    if found.survey.doubtful:
        notes = (*notes, UNTOLD)
    thin = sum(c.thin for c in charts)
    if thin:
        notes = (*notes, f"{thin} nodes where the density in log λ is below 1e-9 are interpolated, not certified")
    atoms = tuple((float(u), float(m)) for u, m in found.survey.atoms)
    law = _law(equation, charts, atoms, _log_support(equation, found.survey, charts))
    return Assembly(law, equation, residual, uncertified, notes)


def _has_valley(chart: Chart | MarginalArc, depth: float) -> bool:
    """Whether the density between two places where it counts is next to nothing, a factor e^−depth."""
    if not isinstance(chart, Chart) or chart.breaks.size < 4:
        return False
    height = chart.log_density(chart.breaks[1:-1])
    left, right = np.maximum.accumulate(height), np.maximum.accumulate(height[::-1])[::-1]
    return bool(np.any(height < np.minimum(left, right) - depth))


def _blur(equation: MasterEquation) -> float:
    """By how much rounding blurs a law, relative to its width, where that may be all that few units lose."""
    if not equation.hides_loss:
        return 0.0
    # Of the part off zero.
    width = abs(equation.rank * (1.0 + relative_variance(equation)) - 1.0)
    return equation.precision / max(width, float(np.finfo(float).eps))


def _pushed(equation: MasterEquation) -> Assembly:
    """One factor and nothing else: JJᵀ has the law of D² itself, up to scale."""
    factor = equation.factors[0]
    law = factor.law
    scale = -equation.constant - math.log(equation.rank)
    ends = [x if x is not None else y for x, y in ((law.infimum, law.smallest), (law.supremum, law.largest))]
    low = math.inf if equation.rank < 1.0 or ends[0] <= 0.0 else -scale - math.log(ends[0])
    arcs = tuple(PushedDensity(law, scale, equation.rank, cut) for cut in reversed(law.cuts))
    atoms = tuple((-scale - math.log(place), mass * equation.rank) for place, mass in law.atoms)
    spectrum = _law(equation, arcs, atoms, (low, -scale - math.log(ends[1])))
    return Assembly(spectrum, equation, 0.0, 0, _neglected(equation))


def point_mass(equation: MasterEquation, reason: str) -> Assembly:
    """All that is off zero in one atom at its mean: what is known of a law too narrow for doubles."""
    place = equation.constant + math.log(equation.rank)
    spectrum = _law(equation, (), ((place, equation.rank),), (math.inf if equation.rank < 1.0 else place, place))
    return Assembly(spectrum, equation, 0.0, 1, (reason,))


def _law(
    equation: MasterEquation,
    arcs: tuple[ArcDensity, ...],
    log_atoms: tuple[tuple[float, float], ...],
    log_support: tuple[float, float],
) -> Spectrum:
    """The law with these parts off zero; the rest follows from the equation."""
    return Spectrum(
        arcs=arcs,
        log_atoms=log_atoms,
        atom_at_zero=equation.lost,
        log_support=log_support,
        log_scaled_moments=partial(log_scaled_moments, equation),
        log_mean=-equation.constant,
    )


def _neglected(equation: MasterEquation) -> tuple[str, ...]:
    """What is to be said of slopes too small to be told from zero."""
    share = max([f.law.neglected for f in equation.factors], default=0.0)
    if share <= NEGLECTED:
        return ()
    return (f"{CUT_SLOPES} ({share:.2g} of a layer's) count as zero: what they lead to is in the atom at zero",)


def _log_support(
    equation: MasterEquation, found: Survey, charts: tuple[Chart | MarginalArc, ...]
) -> tuple[float, float]:
    """U at λ_min (inf for 0) and λ_max: of the law itself, its exponentially thin tails included."""
    places = [u for u, _ in found.atoms]
    high = min([float(c.low) for c in charts] + places, default=math.inf)
    if found.arcs and found.arcs[0].low_u <= high:
        high = min(high, _true_top(equation, found))
    if equation.rank < 1.0:
        return math.inf, high
    ends = [c.until if c.slope < 0 or math.isfinite(c.until) else c.high for c in charts]
    low = max([*ends, *places], default=math.inf)
    last = found.arcs[-1].last if found.arcs else None
    if last is not None:
        pole = pole_near(equation, last.v) if last.at_pole else None
        thin = pole is not None and pole.touched(1)
        for factor, x in zip(equation.factors, last.v, strict=True):
            law = factor.law
            if law.infimum == 0.0 and law.cut_density is not None and (thin or x.real * law.smallest > 1.0):
                # The far side of this edge is not a gap but a tail: beyond the nodes' reach, or of next to no mass.
                low = math.inf
    return low, high


def _true_top(equation: MasterEquation, found: Survey) -> float:
    """Smallest log u with a density, however thin: where the first v_k meets the true supremum of its law."""
    first = found.arcs[0]
    top = float(first.low_u)
    limit = first.first.zeta.real if first.first is not None else float(first.zeta[0].real)
    for k, factor in enumerate(equation.factors):
        law = factor.law
        if law.supremum is None or law.cut_density is None or law.supremum <= law.largest * (1.0 + 1e-12):
            continue
        if math.isinf(law.supremum):
            return -math.inf
        # 1 + ψ_k there.
        plus = float((law.weights / (1.0 - law.points / law.supremum)).sum().real)
        zeta = 1.0 - float(equation.omegas[k, 0]) / (plus - float(equation.gaps[k, 0]))
        if 0.0 < zeta < limit:
            reached = equation.real_point(zeta, k, 1.0 / law.supremum)
            if reached is not None:
                top = min(top, reached)
    return top
