"""Widths of layers as exact shares of the last one's, and what weights of these widths add to log u."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from ..network.weight_shifts import weight_shifts


def ratio_of(last: int | None, width: int | None) -> Fraction:
    """N_L/N; 1 where widths are not stated."""
    return Fraction(last, width) if last and width else Fraction(1)


def exact_shifts(layers: Iterable[tuple[str, int | None, int | None, Any]], last: int | None) -> dict[Fraction, Any]:
    """Exponents e by ratio r, of terms e log(1 + r w), for runs (weights, width before, width in it, repeat)."""
    runs = ((kind, ratio_of(last, before), ratio_of(last, after), repeat) for kind, before, after, repeat in layers)
    found: dict[Fraction, Any] = {}
    for ratio, exponent in weight_shifts(runs):
        found[ratio] = found.get(ratio, 0) + exponent
    return {ratio: exponent for ratio, exponent in found.items() if exponent != 0}
