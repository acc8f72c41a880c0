"""Slopes that grow: which moments of D² lie within the reach of its nodes, 9.5 standard deviations of h."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..activations import Activation
from ..errors import ConfigError
from ..laws.pushforward import REACH
from .meanfield import MeanField

# Moments that miss more than this, relative, of what they are, are not known.
MISSED = 1e-9
# Orders looked at, and how far, in standard deviations: what peaks beyond is missed by far.
ORDERS = np.arange(1.0, 13.0)
FARTHEST, STEPS = 60.0, 600


@dataclass(frozen=True)
class Reach:
    """The last order up to which all E φ'^2k are within reach, and the layer for which the next is not."""

    order: int
    activation: Activation
    variance: float

    @property
    def reason(self) -> str:
        """What is to be said of it."""
        return (
            f"the slopes of {self.activation.name} grow so fast that at q = {self.variance:.6g} more than 1e-9 of "
            f"E φ'^{2 * self.order + 2} lies beyond {REACH} standard deviations of h"
        )


def reach_of(state: MeanField) -> Reach | None:
    """The fewest moments of any layer's D² that are within reach; None where all of those looked at are.

    E φ'^2k of h ~ N(0, q) by a rule of some per cent, inside and outside of 9.5 standard deviations.
    """
    found: list[Reach] = []
    for activation, variance in {(run.spec.activation, run.q) for run in state.runs}:
        if math.isfinite(activation.slope_bound) or variance == 0.0:
            continue
        z = np.linspace(0.0, FARTHEST, STEPS + 1)
        inside = np.concatenate([z <= REACH] * 2)
        h = math.sqrt(variance) * np.concatenate([z, -z])
        with np.errstate(all="ignore"):
            try:
                log_t = 2.0 * np.log(np.abs(activation.derivative(h)))
            except ConfigError:
                # A callable that is not made for arguments so large.
                continue
        # So far out a formula may be ∞/∞, and says nothing.
        log_t = np.where(np.isnan(log_t), -np.inf, log_t)
        logs = ORDERS[:, None] * log_t - 0.5 * np.concatenate([z, z]) ** 2
        within = np.logaddexp.reduce(np.where(inside, logs, -np.inf), axis=1)
        beyond = np.logaddexp.reduce(np.where(inside, -np.inf, logs), axis=1)
        missed = np.flatnonzero(~(beyond - within < math.log(MISSED)))
        if missed.size:
            found.append(Reach(int(missed[0]), activation, variance))
    return min(found, key=lambda one: (one.order, one.variance), default=None)
