"""Lanczos of a Gram operator from a block of starting vectors: as many runs, which share every product."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EPS = float(np.finfo(float).eps)
_CONVERGED = 1e-8  # of the largest node: eigenvalues closer than this are one atom to anyone who compares

Gram = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Krylov:
    """For every probe p: G U_p = U_p T_p + β_p u_p e_kᵀ, U_p orthonormal.

    Parameters
    ----------
    basis : (probes, steps + 1, n): the rows of U_pᵀ, then u_p; zero after an invariant subspace.
    tridiagonal : T, (probes, steps, steps).
    remainder : β, (probes,); 0 where the subspace is invariant.
    """

    basis: np.ndarray
    tridiagonal: np.ndarray
    remainder: np.ndarray

    def gauss_rule(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes, ascending, weights and `converged`, (probes, steps), of the spectral measure in each starting vector.

        `converged`: the residual of the node as an eigenvalue is below 1e-8 of the largest. Exact for
        polynomials of degree 2 · steps − 1. Nodes below n ε of the largest are rounding and count as 0.

        Source
        ------
        Golub, Welsch, Math. Comp. 23 (1969), 221–230.
        """
        nodes, vectors = np.linalg.eigh(self.tridiagonal)
        floor = self.basis.shape[2] * EPS * nodes.max(initial=0.0)
        residuals = self.remainder[:, None] * np.abs(vectors[:, -1, :])
        converged = residuals <= _CONVERGED * nodes[:, -1:]
        return np.where(nodes <= floor, 0.0, nodes), vectors[:, 0, :] ** 2, converged


def lanczos(gram: Gram, start: np.ndarray, steps: int) -> Krylov:
    """Run `steps` steps from every column of `start`, (n, probes), each step one product of `gram` with all of them.

    Full reorthogonalisation, twice: O(probes · steps · n) memory, 8 probes · steps² · n flops in all.

    Source
    ------
    Golub, Van Loan, Matrix Computations (4th ed., 2013), section 10.3.
    """
    n, probes = start.shape
    steps = min(steps, n)
    basis = np.zeros((probes, steps + 1, n))
    norms = np.linalg.norm(start, axis=0)
    basis[:, 0] = (start / np.where(norms > 0.0, norms, 1.0)).T
    t = np.zeros((probes, steps, steps))
    beta, size = np.zeros(probes), np.zeros(probes)
    for k in range(steps):
        w = gram(np.ascontiguousarray(basis[:, k].T)).T.copy()
        t[:, k, k] = np.einsum("pn,pn->p", w, basis[:, k])
        known = basis[:, : k + 1]
        for _ in range(2):
            w -= (np.matmul(known, w[:, :, None]).transpose(0, 2, 1) @ known)[:, 0]
        beta = np.linalg.norm(w, axis=1)
        size = np.maximum(size, np.maximum(np.abs(t[:, k, k]), beta))
        # What is left after an invariant subspace is rounding; in all of the space nothing can be left.
        beta = np.where((beta > n * EPS * size) & (k + 1 < n), beta, 0.0)
        basis[:, k + 1] = np.where(beta > 0.0, 1.0, 0.0)[:, None] * w / np.where(beta > 0.0, beta, 1.0)[:, None]
        if k + 1 < steps:
            t[:, k, k + 1] = t[:, k + 1, k] = beta
    return Krylov(basis, t, beta)
