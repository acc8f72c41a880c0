"""What the weights add to log u, exactly: pairs (r, e) of terms e log(1 + r w), for widths as integers."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any


def ratio_of(last: int | None, width: int | None) -> Fraction:
    """N_L/N; 1 where widths are not stated."""
    return Fraction(last, width) if last and width else Fraction(1)


def weight_shifts(layers: Iterable[tuple[str, int | None, int | None, Any]], last: int | None) -> dict[Fraction, Any]:
    """Exponents by ratio, of runs (weights, width before, width in it, repeat).

    A Gaussian layer adds −log(1 + w_l), a narrowing orthogonal one log(1 + w_{l−1}) − log(1 + w_l); −log(1 + w_0) is
    there once.  `repeat` may be a symbol.

    Source
    ------
    Marchenko-Pastur S-transform in fan-in normalisation; projections: Voiculescu, S(w) = (1 + w)/(p + w).
    """
    found: dict[Fraction, Any] = {}

    def add(ratio: Fraction, exponent: Any) -> None:
        found[ratio] = found.get(ratio, 0) + exponent

    for index, (weights, fan_in, fan_out, repeat) in enumerate(layers):
        before, after = ratio_of(last, fan_in), ratio_of(last, fan_out)
        if index == 0:
            add(before, -1)
        if weights != "orthogonal":
            add(after, -repeat)
        elif before < after:
            # Of a run of equal layers only the first can change the width.
            add(before, 1)
            add(after, -1)
    return {ratio: exponent for ratio, exponent in found.items() if exponent != 0}
