"""The shape of a law: from a sweep along the axis, or edge by edge; and that of one nearly the same."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace

import numpy as np

from . import between_atoms
from .errors import ConvergenceError
from .lowest_gap import with_end
from .master import MasterEquation
from .sweep import Sweep
from .walker import Arc, Survey, Walker


def survey(equation: MasterEquation) -> Survey:
    """Gaps, edges, atoms and bulks of the law that `equation` describes."""
    if between_atoms.applies(equation):
        # Edges that are next to nothing may be out of its reach.
        with suppress(ConvergenceError):
            return between_atoms.survey(equation)
    with np.errstate(all="ignore"):
        return with_end(equation, Sweep(equation).run())


def resurvey(equation: MasterEquation, known: Survey) -> Survey:
    """The survey of nearly the same equation: the edges found again from those known, everything else kept.

    A sweep of its own where an edge is not found, or is another one.
    """
    walker = Walker(equation)
    arcs: list[Arc] = []
    with np.errstate(all="ignore"):
        for arc in known.arcs:
            ends = [walker.polished(end) for end in (arc.first, arc.last)]
            if any(new is None for new, old in zip(ends, (arc.first, arc.last), strict=True) if old is not None):
                return survey(equation)
            low = -math.inf if ends[0] is None else ends[0].log_u
            high = math.inf if ends[1] is None else ends[1].log_u
            if not np.all((arc.log_u > low) & (arc.log_u < high)):
                return survey(equation)
            arcs.append(replace(arc, first=ends[0], last=ends[1]))
    return with_end(equation, replace(known, arcs=tuple(arcs)))
