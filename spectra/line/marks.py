"""Atoms of sums and products, and the places where a density without bound may stand for one."""

from __future__ import annotations

from collections.abc import Iterable

# Masses this small are rounding: an atom that two masses of sum 1 just fail to make.
ROUNDING = 1e-12


def kept(found: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Those of mass ≥ 0, in ascending order; of mass 0 where it is zero but for rounding, equal places joined."""
    merged: dict[float, float] = {}
    for place, mass in found:
        if mass > -ROUNDING:
            merged[place] = max(merged.get(place, 0.0), mass if mass > ROUNDING else 0.0)
    return tuple(sorted(merged.items()))
