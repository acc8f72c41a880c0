"""From master equation to law: sweep, charts, and the choice of resolution for the factor laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial


from .chart import chart
from .master import MasterEquation
from .series import scaled_moments
from .spectrum import Spectrum
from .sweep import survey

# log u at the solution must not move by more than this when the laws of D² are resolved more finely.
STABLE = 3e-12
FINEST_LEVEL = 4


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
    refined : `refined(level=n)` builds it with finer laws of D²; used until the answer no longer moves.
    """
    del refined
    found = survey(equation)
    charts = tuple(chart(equation, arc) for arc in found.arcs)
    ends = [float(c.low) for c in charts] + [u for u, _ in found.atoms]
    lows = [math.inf if c.slope < 0 else c.high for c in charts] + [u for u, _ in found.atoms]
    zero = max(0.0, 1.0 - equation.rank)
    low = math.inf if zero > 0 else max(lows, default=math.inf)
    high = min(ends, default=math.inf)
    law = Spectrum(
        arcs=charts,
        log_atoms=tuple((float(u), float(m)) for u, m in found.atoms),
        atom_at_zero=zero,
        log_support=(low, high),
        scaled_moments=partial(scaled_moments, equation),
        log_mean=-equation.constant,
    )
    notes: tuple[str, ...] = ()
    uncertified = sum(c.uncertified for c in charts)
    residual = max([c.residual for c in charts], default=0.0)
    return Assembly(law, equation, residual, uncertified, notes)


