"""What lies beyond the end of an arc that fades out: its mass in closed form, its shape by extrapolation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .chart import Chart
from .master import MasterEquation
from .solve import solve
from .walker import Arc

# Density in U below which a fading arc is left where its laws are no longer resolved (see `spectra.bulk`).
LOST = 1e-8
# The laws are known well enough where the density has its exact mass up to this part of what lies beyond.
AGREEMENT = 0.01


def with_exact_tail(made: Chart, equation: MasterEquation, arc: Arc) -> Chart:
    """Give what lies beyond the end of a fading arc its exact mass, where the laws of D² are known well enough."""
    if arc.last is not None or made.solutions is None:
        return made
    u, zeta, v = made.solutions
    first = int(np.argmin(u))
    # The sweep's own points are rough.
    last = solve(equation, arc.log_u[-1:].astype(float), arc.zeta[-1:], arc.v[:, -1:])
    if not last.certified[0]:
        return made
    ends = equation.mass_above(
        np.array([zeta[first], last.zeta[0]]), np.stack([v[:, first], last.v[:, 0]], axis=1).astype(complex)
    )
    beyond = equation.rank - float(ends[1])
    density = float(made.beyond[-1]) * -made.slope
    within = float(made.mass_beyond(u[first : first + 1])[0] - made.beyond[-1])
    known = beyond > 1e-15 and abs(float(ends[1] - ends[0]) - within) < AGREEMENT * beyond
    return replace(made, slope=-density / beyond) if known and 0.0 < density < LOST else made
