"""The largest eigenvalue of a Gram operator, from the subspaces that Lanczos runs have built together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import ConvergenceError
from .lanczos import EPS, Gram, Krylov, lanczos

_ROUNDS = 30  # restarts before giving up
MOST_TOGETHER = 32  # probes whose spaces are joined: the cost of joining grows with the square
_DEPENDENT = 1e-10  # squared sines below which a vector adds nothing: rounding, over this, stays under 1e-5


@dataclass(frozen=True)
class Top:
    """The largest eigenvalue `value`, its relative error at most `bound` if no larger one hides from every probe.

    `residual` is ‖G x − value x‖/value for the unit vector x it belongs to.
    """

    value: float
    bound: float
    residual: float


def largest_eigenvalue(gram: Gram, krylov: Krylov, tolerance: float) -> Top:
    """λ_max of G to `tolerance`: Rayleigh–Ritz in the sum of all probes' Krylov spaces, restarted while too rough.

    The sum is the block Krylov space, in which the p-th gap counts, not the first: at N^{2/3} crowded edges some three
    times fewer steps than one vector needs with sixteen probes, and no product more than the runs have made. ARPACK
    (`scipy.sparse.linalg.svds`) takes one vector at a time: with weights drawn anew, at the price of a block.

    Raises
    ------
    ConvergenceError : not there after 30 restarts.

    Accuracy
    --------
    `bound`, from the residuals r_1, r_2 of the first two Ritz values: the least of r_1 and r_1²/(θ_1 − θ_2 − r_2).

    Source
    ------
    Kato–Temple: Parlett, The Symmetric Eigenvalue Problem (1998), section 10.5. Restarts: Golub, Underwood (1977).
    """
    steps = krylov.tridiagonal.shape[1]
    probes = krylov.basis.shape[0]
    top = Top(0.0, 0.0, 0.0)
    for _ in range(_ROUNDS):
        vectors = _ritz_vectors(krylov, probes)
        if vectors.shape[1] == 0:
            return Top(0.0, 0.0, 0.0)
        top = _refined(gram, vectors[:, : min(2, vectors.shape[1])])
        if top.bound <= tolerance:
            return top
        krylov = lanczos(gram, vectors, steps)
    raise ConvergenceError(
        "the largest eigenvalue did not settle; raise `steps` or `probes`", residual=top.bound, tolerance=tolerance
    )


def _ritz_vectors(krylov: Krylov, count: int) -> np.ndarray:
    """The first `count` Ritz vectors in the sum of the subspaces, (n, ≤ count), largest value first."""
    probes, long, n = krylov.basis.shape
    steps = long - 1
    probes = min(probes, MOST_TOGETHER, n // steps + 1)  # more of them than fill the space add nothing
    whole = krylov.basis[:probes, :steps].reshape(probes * steps, n)
    overlap = whole @ whole.T
    # SᵀGS = (SᵀS) T + (Sᵀu) β e_kᵀ, probe by probe: no further product is needed.
    moved = np.empty_like(overlap)
    for p in range(probes):
        own = slice(p * steps, (p + 1) * steps)
        moved[:, own] = overlap[:, own] @ krylov.tridiagonal[p]
        moved[:, own.stop - 1] += krylov.remainder[p] * (whole @ krylov.basis[p, steps])
    squares, directions = np.linalg.eigh(overlap)
    kept = squares > _DEPENDENT * max(squares[-1], 1.0)
    reduced = directions[:, kept] / np.sqrt(squares[kept])
    small = reduced.T @ moved @ reduced
    values, inside = np.linalg.eigh((small + small.T) / 2)
    chosen = inside[:, ::-1][:, : min(count, values.size)]
    vectors = whole.T @ (reduced @ chosen)
    return np.linalg.qr(vectors)[0] if vectors.size else vectors


def _refined(gram: Gram, vectors: np.ndarray) -> Top:
    """Ritz values of one or two orthonormal vectors from a product of their own, with the bound on the first."""
    images = gram(vectors)
    small = vectors.T @ images
    values, inside = np.linalg.eigh((small + small.T) / 2)
    order = np.argsort(-values)
    values, inside = values[order], inside[:, order]
    residuals = np.linalg.norm(images @ inside - vectors @ inside * values, axis=0)
    first = float(values[0])
    if first <= 0.0:
        return Top(0.0, 0.0, 0.0)
    n = vectors.shape[0]
    residual = max(float(residuals[0]) / first, math.sqrt(n) * EPS)
    bound = residual
    if values.size > 1:
        gap = float(values[0] - values[1] - residuals[1]) / first
        if gap > 0.0:
            bound = min(bound, max(residual**2 / gap, math.sqrt(n) * EPS))
    return Top(first, bound, residual)
