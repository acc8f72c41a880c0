"""Ratios of dimensions to ranks, of which what a projection loses keeps all its digits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


class Ratio(float):
    """base/rank: a ratio of dimensions over the rank of a projection, of which `lost` = 1 − rank is known as well.

    Where next to nothing is lost, all there is off one point hangs on 1 − rank, which the quotient itself has rounded.
    A loss that the quotient has rounded away altogether counts as none: nothing shows it, and equations tell ratios
    apart by their values.
    """

    __slots__ = ("base", "lost", "rank")
    base: float
    rank: float
    lost: float

    def __new__(cls, base: float, rank: float = 1.0, lost: float = 0.0) -> Ratio:
        """The quotient, 0 < rank ≤ 1."""
        self = super().__new__(cls, base / rank)
        self.base, self.rank, self.lost = float(base), float(rank), float(lost)
        if self == self.base:
            self.rank, self.lost = 1.0, 0.0
        return self

    def __reduce__(self) -> tuple[type[Ratio], tuple[float, float, float]]:
        return Ratio, (self.base, self.rank, self.lost)


def gap(ratio: float, top: float) -> np.longdouble:
    """1 − ratio/top, in long doubles; to relative accuracy where the two differ by what projections lose."""
    a, b = (x if isinstance(x, Ratio) else Ratio(x) for x in (ratio, top))
    if a.base != b.base:
        return 1 - _exact(a) / _exact(b)
    # 1 − rank_b/rank_a, from the smaller ones of two complements.
    return np.longdouble((b.lost - a.lost) if b.lost < 0.5 else (a.rank - b.rank)) / a.rank


def digits(ratio: float) -> tuple[float, float]:
    """What ratios that are the same number have in common: the quotient, and what it has rounded."""
    return float(ratio), float(gap(ratio, float(ratio)))


def largest(ratios: Iterable[float]) -> float:
    """The largest, also where it is so by what projections lose."""
    found, *rest = ratios
    for ratio in rest:
        if ratio > found or (ratio == found and gap(ratio, found) < 0):
            found = ratio
    return found


def is_hidden(ratios: Iterable[float], top: float) -> bool:
    """Whether what some projection loses must be told from a ratio of widths, by rounded numbers."""
    base = top.base if isinstance(top, Ratio) else float(top)
    return any(isinstance(x, Ratio) and x.lost > 0.0 and x.base != base for x in ratios)


def _exact(x: Ratio) -> np.longdouble:
    return np.longdouble(x.base) / (1 - np.longdouble(x.lost) if x.lost < 0.5 else np.longdouble(x.rank))
