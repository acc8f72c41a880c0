"""Moments of JJᵀ as balls."""

from __future__ import annotations

from typing import Any

from .ball_field import BallField
from .moment_series import Layers, log_generator, scaled_moments
from .power_series import balls
from .widths import exact_shifts, ratio_of

# Bits that terms lose to each other, for every order.
PER_ORDER = 6


def ball_moments(field: BallField, order: int) -> list[Any]:
    """m_1 … m_n as balls, at the precision in force."""
    ring, runs = balls(), field.runs
    last = runs[-1].fan_out
    shifts = exact_shifts(((r.weights, r.fan_in, r.fan_out, r.repeat) for r in runs), last)
    known: dict[int, tuple[Any, ...]] = {}
    laws, mean = [], ring.number(1)
    for run in runs:
        slopes = known.setdefault(id(run.law), tuple(run.law.moment(k) for k in range(1, order + 1)))
        laws.append(Layers(slopes, ring.number(ratio_of(last, run.fan_out)), run.repeat))
        mean *= run.chi**run.repeat
    generator = log_generator(ring, [(ring.number(r), e) for r, e in shifts.items()], laws, order)
    return [m * mean**k for k, m in enumerate(scaled_moments(generator), 1)]
