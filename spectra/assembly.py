"""From master equation to law: sweep, charts, and the choice of resolution for the factor laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from .chart import Chart
from .effort import OutOfWork, limited
from .errors import ConvergenceError
from .marginal import MarginalArc, resolve
from .master import MasterEquation
from .pole import heaviest_pole, pole_near
from .pushed import PushedDensity
from .series import log_scaled_moments
from .solve import CERTIFIED, measure
from .spectrum import ArcDensity, Spectrum
from .sweep import Survey, resurvey, survey
from .thinning import FEW, STABLE, along, is_thinned, widened
from .walker import Walker

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

# v_k, ζ and the nodes are rounded, and so is 1 − v t: together up to 6 units of 1.1e-16 in log v_k, which finer laws
# do not change.
ROUNDING = 7e-16
FINEST_LEVEL = 8
# Where a density of D² ends at the atom that becomes one of mass zero its end must be resolved so well at least: the
# error falls with the fineness only, from 4e-5 or less.
LEVEL_BESIDE = 7
# Finer laws that move the solutions by less than this leave arcs, edges and atoms where they are, but for polishing.
SAME_SHAPE = 1e-5
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


def spectrum_of(equation: MasterEquation, refined: Callable[..., MasterEquation] | None = None) -> Assembly:
    """The law that a master equation describes.

    Parameters
    ----------
    equation : as built at level 0.
    refined : `refined(level=n, extra=m)` builds it with finer laws of D², and with more of them where some stand for
        many; used until the answer no longer moves.

    Raises
    ------
    ConvergenceError : the law could not be computed.
    """
    with _blas().limit(limits=1, user_api="blas"), limited():
        return _spectrum_of(equation, refined)


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """The matrices here are small: more than one BLAS thread only costs."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _spectrum_of(equation: MasterEquation, refined: Callable[..., MasterEquation] | None) -> Assembly:
    factor = equation.single_factor
    if factor is not None:
        return _pushed(equation)
    notes: tuple[str, ...] = ()
    level, extra, before = 0, 0, math.inf
    if refined is not None and equation.factors:
        pole = heaviest_pole(equation)
        if pole is not None and pole.ends_density:
            level = LEVEL_BESIDE
            equation = refined(level=level)
    known: Survey | None = None
    wide, stalls = False, 0
    while True:
        try:
            found = survey(equation) if known is None else resurvey(equation, known)
            more = extra
            if refined is not None and is_thinned(equation) and not wide:
                wide = True
                more = widened(equation, partial(refined, level=level), extra, [along(a) for a in found.arcs])
            if more == extra:
                charts = tuple(part for arc in found.arcs for part in resolve(equation, arc))
                if refined is not None and is_thinned(equation) and any(a.log_u.size < FEW for a in found.arcs):
                    solved = [c.solutions for c in charts if isinstance(c, Chart) and c.solutions is not None]
                    more = widened(equation, partial(refined, level=level), extra, solved)
            if refined is not None and more > extra:
                extra, known = more, None
                equation = refined(level=level, extra=extra)
                continue
        except OutOfWork:
            raise
        except ConvergenceError:
            # Beside a corner of a law of D² its nodes may be too coarse to find one's way.
            if refined is None or level == FINEST_LEVEL:
                raise
            level, known = min(level + 2, FINEST_LEVEL), None
            equation = refined(level=level, extra=extra)
            continue
        residual = max([c.residual for c in charts], default=0.0)
        if refined is None or all(factor.law.cut_density is None for factor in equation.factors):
            break
        if level < FINEST_LEVEL and any(c.uncertified for c in charts):
            level, known = min(level + 2, FINEST_LEVEL), None
            equation = refined(level=level, extra=extra)
            continue
        finer = refined(level=level + 1, extra=extra)
        beside = max([c.moved(finer) for c in charts if isinstance(c, MarginalArc)], default=0.0)
        moved = max(beside, _moved(finer, charts), _moved_edges(finer, found))
        # What a finer law leaves as it was is rounding.
        if moved < STABLE or 0.3 * before < moved < CERTIFIED:
            residual = max(residual, moved)
            break
        stalls = stalls + 1 if moved > 0.3 * before else 0
        if level == FINEST_LEVEL or stalls == STALLS:
            notes = (f"the laws of D² are resolved to {moved:.1e} only, near the edges of their supports",)
            residual = max(residual, moved)
            break
        # Beside an atom of mass zero the error falls with the fineness, by 16 a level; elsewhere much faster.
        steps = max(1, math.ceil(math.log(max(beside, STABLE) / STABLE, 16.0)))
        level, before = min(level + steps, FINEST_LEVEL), moved
        equation = finer if steps == 1 else refined(level=level, extra=extra)
        known = found if moved < SAME_SHAPE else None
    uncertified = sum(c.uncertified for c in charts) + (1 if notes else 0)
    thin = sum(c.thin for c in charts)
    notes = (*notes, *_neglected(equation))
    if thin:
        notes = (*notes, f"{thin} nodes where the density in log λ is below 1e-9 are interpolated, not certified")
    atoms = tuple((float(u), float(m)) for u, m in found.atoms)
    law = _law(equation, charts, atoms, _log_support(equation, found, charts))
    return Assembly(law, equation, residual, uncertified, notes)


def _pushed(equation: MasterEquation) -> Assembly:
    """One factor and nothing else: JJᵀ has the law of D² itself, up to scale."""
    factor = equation.factors[0]
    law = factor.law
    scale = -equation.constant - math.log(equation.rank)
    ends = [x if x is not None else y for x, y in ((law.infimum, law.smallest), (law.supremum, law.largest))]
    low = math.inf if equation.rank < 1.0 or ends[0] <= 0.0 else -scale - math.log(ends[0])
    arcs: tuple[ArcDensity, ...] = (PushedDensity(law, scale, equation.rank),) if law.cut_density is not None else ()
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
        atom_at_zero=max(0.0, 1.0 - equation.rank),
        log_support=log_support,
        log_scaled_moments=partial(log_scaled_moments, equation),
        log_mean=-equation.constant,
    )


def _neglected(equation: MasterEquation) -> tuple[str, ...]:
    """What is to be said of slopes too small to be told from zero."""
    share = max([f.law.neglected for f in equation.factors], default=0.0)
    if share <= NEGLECTED:
        return ()
    return (f"slopes below 1e-46 ({share:.2g} of a layer's) count as zero: what they lead to is in the atom at zero",)


def _moved(finer: MasterEquation, charts: tuple[Chart | MarginalArc, ...]) -> float:
    """Largest residual of the solutions in the equation with finer laws, of those in charts."""
    worst = 0.0
    for one in charts:
        if isinstance(one, MarginalArc):
            continue
        assert one.solutions is not None
        u, zeta, v = one.solutions
        # What counts is the error times the density; thin tails carry rounding that no finer law removes.
        weight = finer.weight(zeta, 1.0 + np.abs(u - one.low))
        counts = weight > 1e-8
        with np.errstate(all="ignore"):
            point = finer.evaluate(zeta[counts].astype(complex), v[:, counts])
            sizes = measure(finer, point, u[counts], rounding=ROUNDING / STABLE) * weight[counts]
        worst = max(worst, float(np.max(sizes, initial=0.0)))
    return worst


def _moved_edges(finer: MasterEquation, found: Survey) -> float:
    """By how much the edges lie elsewhere with finer laws, relative to 1 + |log u|, however thin the density there."""
    walker, worst = Walker(finer), 0.0
    with np.errstate(all="ignore"):
        for edge in (end for arc in found.arcs for end in (arc.first, arc.last)):
            same = walker.polished(edge) if edge is not None and not edge.at_pole else None
            if edge is not None and same is not None:
                worst = max(worst, abs(float(same.log_u - edge.log_u)) / (1.0 + abs(float(edge.log_u))))
    return worst


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
    low = max([math.inf if c.slope < 0 else c.high for c in charts] + places, default=math.inf)
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
        v = np.full((len(equation.factors), 1), 1.0 / law.supremum, complex)
        plus = equation.stack.evaluate(v)[1][k, 0].real
        omega = float(equation.omegas[k, 0])
        zeta = 1.0 - omega / (plus - (1.0 - omega))
        if 0.0 < zeta < limit:
            reached = equation.real_point(zeta, k, 1.0 / law.supremum)
            if reached is not None:
                top = min(top, reached)
    return top
