"""What the weights add to log u: pairs (r, e) of terms e log(1 + r w); over numbers of any kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def weight_shifts(runs: Iterable[tuple[str, Any, Any, Any]]) -> list[tuple[Any, Any]]:
    """Pairs (r, e) for runs (weights, N_L/N before, N_L/N in it, repeat); ratios may recur.

    A Gaussian layer adds −log(1 + w_l), a narrowing orthogonal one log(1 + w_{l−1}) − log(1 + w_l).  The first pair is
    −log(1 + w_0), which is w's own.  `repeat` may be a symbol.

    Source
    ------
    Marchenko-Pastur S-transform in fan-in normalisation; projections: Voiculescu, S(w) = (1 + w)/(p + w).
    """
    found: list[tuple[Any, Any]] = []
    for weights, before, after, repeat in runs:
        if not found:
            found.append((before, -1))
        if weights != "orthogonal":
            found.append((after, -repeat))
        elif before < after:
            # Of a run of equal layers only the first can change the width.
            found += [(before, 1), (after, -1)]
    return found
