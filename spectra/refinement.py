"""Whether a law stays where it is when the laws of D² are resolved more finely: its density, its edges, its atoms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from ._types import Array
from .chart import Chart
from .effort import OutOfWork
from .errors import ConvergenceError
from .guess import THIN
from .marginal import MarginalArc, moved_beside
from .master import MasterEquation
from .shift import as_shift
from .survey import survey
from .walker import Arc, Edge, Survey, Walker


@dataclass(frozen=True)
class Move:
    """By how much finer laws move what was found, in log u relative to 1 + |log u|.

    Attributes
    ----------
    size : what an edge moves by, and the shift that would change the density as much; infinite where an edge is there
        with one of the laws only.
    beside : what of that is beside an atom of mass zero.
    lost : finer laws could not tell whether an edge in a thin tail is there.
    begun : what the place moves by where a density begins that has no edge: one is hidden there, if it does.
    """

    size: float
    beside: float
    lost: bool = False
    begun: float = 0.0


def moved(
    finer: MasterEquation, others: Iterable[MasterEquation], found: Survey, charts: Sequence[Chart | MarginalArc]
) -> Move:
    """Compare with `finer` laws; `others`, still finer, where these are too coarse for a sweep of their own."""
    beside = moved_beside(finer, [c for c in charts if isinstance(c, MarginalArc)])
    inside = _density_moved(finer, [c.solutions for c in charts if isinstance(c, Chart) and c.solutions is not None])
    edges, begun = _edges_moved(finer, others, found)
    return Move(max(beside, inside, edges or 0.0, begun), beside, edges is None, begun)


def _density_moved(finer: MasterEquation, solved: Sequence[tuple[Array, Array, Array]]) -> float:
    """The largest relative change of the density, by what a shift of log u would do to it, on all arcs."""
    if not solved:
        return 0.0
    u, zeta, v = solved[0] if len(solved) == 1 else (np.concatenate(rows, -1) for rows in zip(*solved, strict=True))
    with np.errstate(all="ignore"):
        counts = finer.log_share(zeta) > THIN
        u, zeta, v = u[counts], zeta[counts].astype(complex), v[:, counts]
        point = finer.evaluate(zeta, v)
        step, _ = finer.newton_step(point, u)
        return float(as_shift(finer, u, point, step).max(initial=0.0))


def _edges_moved(finer: MasterEquation, others: Iterable[MasterEquation], found: Survey) -> tuple[float | None, float]:
    """By how much edges lie elsewhere, however thin the density there, and by how much beginnings without an edge do.

    None where that could not be told.
    """
    walker = Walker(finer)
    ends = [end for arc in found.arcs for end in (arc.first, arc.last) if end is not None and not end.at_pole]
    with np.errstate(all="ignore"):
        again = [walker.polished(end) for end in ends]
    if None not in again and all(arc.first is not None for arc in found.arcs):
        return max((_apart(old, new) for old, new in zip(ends, again, strict=True)), default=0.0), 0.0
    # Only a sweep can tell a tail without an end from a thin one with an end, and whether an edge is gone.
    for equation in chain([finer], others):
        try:
            arcs = survey(equation).arcs
            return _swept(arcs, found.arcs), _begun(walker, arcs, found.arcs)
        except OutOfWork:
            raise
        except ConvergenceError:
            continue
    return None, 0.0


def _swept(again: tuple[Arc, ...], found: tuple[Arc, ...]) -> float:
    """By how much the edges of some arcs lie elsewhere."""
    if len(again) != len(found):
        return math.inf
    pairs = [(old.first, new.first) for old, new in zip(found, again, strict=True)]
    pairs += [(old.last, new.last) for old, new in zip(found, again, strict=True)]
    return max((_apart(old, new) for old, new in pairs), default=0.0)


def _begun(walker: Walker, again: tuple[Arc, ...], found: tuple[Arc, ...]) -> float:
    """By how much the first place with a density lies elsewhere, where that is no edge but the end of a law of D²."""
    if not (again and found) or again[0].first is not None or found[0].first is not None:
        return 0.0
    old, new = found[0], again[0]
    law = min((abs(1.0 - x * law.largest), k) for k, (law, x) in enumerate(zip(walker.laws, old.v[:, 0], strict=True)))
    ending = walker.laws[law[1]]
    # Beyond the nodes' reach next to nothing moves it.
    if ending.supremum is not None and ending.supremum > ending.largest * (1.0 + 1e-12):
        return 0.0
    return abs(old.low_u - new.low_u) / (1.0 + abs(old.low_u))


def _apart(old: Edge | None, new: Edge | None) -> float:
    if old is None or new is None:
        return 0.0 if old is new else math.inf
    return abs(float(new.log_u - old.log_u)) / (1.0 + abs(float(old.log_u)))
