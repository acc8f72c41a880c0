"""Atoms of sums and products, and the places where a density without bound may stand for one."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from math import ceil
from typing import TypeAlias

Marks: TypeAlias = tuple[tuple[float, float], ...]

# Masses this small are rounding: an atom that two masses of sum 1 just fail to make.
ROUNDING = 1e-12


def kept(found: Iterable[tuple[float, float]]) -> Marks:
    """Those of mass ≥ 0, in ascending order; of mass 0 where it is zero but for rounding, equal places joined."""
    merged: dict[float, float] = {}
    for place, mass in found:
        if mass > -ROUNDING:
            merged[place] = max(merged.get(place, 0.0), mass if mass > ROUNDING else 0.0)
    return tuple(sorted(merged.items()))


def added(first: Marks, second: Marks) -> Marks:
    """Of ⊞: a + b of mass p + q − 1."""
    return kept((x + y, p + q - 1.0) for (x, p), (y, q) in product(first, second))


def multiplied(first: Marks, second: Marks) -> Marks:
    """Of ⊠: off zero a b of mass p + q − 1, at zero the larger of the two masses."""
    off = [(x * y, p + q - 1.0) for (x, p), (y, q) in product(first, second) if x != 0.0 and y != 0.0]
    return kept([*off, *((0.0, p) for x, p in (*first, *second) if x == 0.0)])


def marks_of_power(marks: Marks, t: float) -> Marks:
    """Of a ⊠ power: a^t of mass 1 − t (1 − p); at zero the mass stays."""
    return kept((a**t, p if a == 0.0 else 1.0 - t * (1.0 - p)) for a, p in marks)


def hull_of_power(hull: tuple[float, float], t: float) -> tuple[float, float]:
    """Of a ⊠ power: the ends to powers that are whole, as for products of so many, and on the safe side."""
    low, high = hull
    up, down = ceil(t), int(t)
    return low ** (up if low < 1.0 else down), high ** (up if high > 1.0 else down)
