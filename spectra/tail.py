"""What lies beyond the end of an arc that fades out: its mass in closed form, its shape by extrapolation."""

from __future__ import annotations

import numpy as np

from .chart import Chart
from .master import MasterEquation
from .walker import Arc

# Density in U below which a fading arc is left where its laws are no longer resolved (see `spectra.bulk`).
LOST = 1e-8
# Mass that rounding may have made.
NOTHING = 1e-15
# The laws are known well enough where the density has its exact mass up to this part of what lies beyond.
AGREEMENT = 0.01
# So many times what masses disagree by elsewhere is more than their rounding.
TOLD = 10.0


def with_exact_tail(made: Chart, equation: MasterEquation, arc: Arc) -> Chart:
    """Give what lies beyond the end of a fading arc its exact mass, where the laws of D² are known well enough."""
    if arc.last is not None or made.solutions is None:
        return made
    # What is found is taken only where it is more than this, and no more than twice what is extrapolated.
    if made.beyond[-1] < 0.5 * NOTHING:
        return made
    u, zeta, v = made.solutions
    both = np.array([np.argmin(u), np.argmax(u)])
    # At solutions of the chart: those of the sweep are rough.
    above = equation.mass_above(zeta[both], v[:, both].astype(complex))
    chart = made.mass_beyond(u[both].astype(float))
    beyond = equation.rank - float(above[1]) - float(chart[1] - made.beyond[-1])
    density = float(made.beyond[-1]) * -made.slope
    noise = abs(float(above[1] - above[0] - (chart[0] - chart[1])))
    known = beyond > NOTHING and noise < AGREEMENT * beyond
    # What differs by rounding says less of the slope than the series does.
    known &= abs(beyond - float(made.beyond[-1])) > NOTHING + TOLD * noise
    # What falls off far more slowly is no tail: a bulk that was missed must be missing in the mass as well.  Nothing is
    # missing where less is left than the slope says: beyond the nodes' reach the laws of D² fade out.
    known &= 0.5 * made.slope > -density / max(beyond, 1e-300)
    return made.sloped(-density / beyond) if known and 0.0 < density < LOST else made
