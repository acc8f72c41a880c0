"""Few layers that stand for many: a Gauss rule over the variances of layers that differ in nothing else.

Σ_l n_l log S(w; q_l) is an integral of a smooth function of q against a discrete measure, and a rule of M nodes with
positive weights is exact for polynomials up to degree 2M − 1.
"""

from __future__ import annotations

import math

import numpy as np

from .._types import Array

# √q beyond which a unit is either far on the one side or far on the other, all the way down to φ'² = 1e-100.
FAR = 300.0
# Nodes to begin with at most: over a wide range of q little depends on the large ones.
FIRST_GUESS = 24


def position(variance: float) -> float:
    """Variable in which log S(w; q) is smooth: like √q for q → 0, then like ½ log q; for q → ∞ a series in 1/√q."""
    if variance == 0.0:
        return 0.0
    return math.asinh(1.0 / (1.0 / math.sqrt(variance) + 1.0 / FAR))


def variance_at(place: float) -> float:
    """Inverse of `position`; 1e40 where the place is as good as that of q = ∞."""
    if place == 0.0:
        return 0.0
    return max(1.0 / math.sinh(place) - 1.0 / FAR, 1e-20) ** -2


def nodes_needed(places: Array) -> int:
    """Nodes for 1e-14 if the nearest singularity is about 2 away from the range of `places`; a first guess."""
    half = 0.5 * float(np.ptp(places))
    return min(3 + math.ceil(16.0 / math.log1p(4.0 / max(half, 1e-12))), FIRST_GUESS)


def gauss_rule(places: Array, counts: Array, size: int) -> tuple[Array, Array]:
    """Nodes and weights (≤ `size`,) of the Gauss rule of the measure Σ counts δ_places.

    The measure itself where it has no more than `size` places.  Lanczos' process with full orthogonalisation.

    Source
    ------
    Golub and Welsch, Math. Comp. 23 (1969); Gautschi, Orthogonal Polynomials (2004), §2.2.
    """
    if places.size <= size:
        return places, counts
    total = float(counts.sum())
    basis = [np.sqrt(counts / total)]
    centre, spread = float(places.mean()), float(np.ptp(places))
    if spread <= 4.0 * np.finfo(float).eps * abs(centre):
        return np.array([centre]), np.array([total])
    scaled = (places - centre) / spread
    diagonal, beside = [], []
    for _ in range(size):
        here = basis[-1]
        diagonal.append(float(here @ (scaled * here)))
        rest = scaled * here
        for _ in range(2):
            for one in basis:
                rest = rest - (one @ rest) * one
        norm = float(np.linalg.norm(rest))
        if norm < 1e-14:
            break
        beside.append(norm)
        basis.append(rest / norm)
    order = len(diagonal)
    matrix = np.diag(diagonal) + np.diag(beside[: order - 1], 1) + np.diag(beside[: order - 1], -1)
    nodes, vectors = np.linalg.eigh(matrix)
    return centre + spread * nodes, total * vectors[0] ** 2
