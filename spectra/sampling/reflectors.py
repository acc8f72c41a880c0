"""Orthogonal matrices held as Householder reflectors (LAPACK geqrf), multiplied by without being formed (ormqr)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import get_lapack_funcs

_BLOCK = 64  # columns LAPACK works on at once; its workspace is so many rows


@dataclass(frozen=True)
class Reflectors:
    """Q = H_1 ⋯ H_p [1; 0] diag(signs), (m, k): orthonormal columns.

    Parameters
    ----------
    packed : what geqrf left, (m, k) or more columns, in Fortran order.
    tau : the scalars of its reflectors.
    columns : k.
    signs : (k,), a factor for each column; None for ones.

    Notes
    -----
    At m = k = 1000, in double, on one thread: ormqr 54 ms, where orgqr and a product take 37 + 40.
    """

    packed: np.ndarray
    tau: np.ndarray
    columns: int
    signs: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of Q."""
        return self.packed.shape[0], self.columns

    def dense(self) -> np.ndarray:
        """Q itself, in Fortran order."""
        (orgqr,) = get_lapack_funcs(("orgqr",), (self.packed,))
        reflectors = self.tau.size
        q, _, info = orgqr(self.packed[:, :reflectors], self.tau, lwork=_BLOCK * max(1, reflectors))
        _check(info, "orgqr")
        q = q[:, : self.columns]
        if self.signs is not None:
            q *= self.signs
        return q

    def times(self, right: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Q B times `scale`, (m, n), for B of shape (k, n)."""
        rows, k = self.shape
        padded = np.empty((rows, right.shape[1]), self.packed.dtype, order="F")
        padded[k:] = 0
        np.multiply(self._factors(scale), right, out=padded[:k])
        return self._multiply("L", "N", padded)

    def transposed_times(self, right: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Qᵀ B times `scale`, (k, n), for B of shape (m, n)."""
        full = self._multiply("L", "T", np.array(right, self.packed.dtype, order="F"))[: self.columns]
        full *= self._factors(scale)
        return full

    def after(self, left: np.ndarray) -> np.ndarray:
        """A Q, (n, k), for A of shape (n, m)."""
        full = self._multiply("R", "N", np.array(left, self.packed.dtype, order="F"))[:, : self.columns]
        if self.signs is not None:
            full *= self.signs
        return full

    def _factors(self, scale: float) -> Any:
        """Of the rows of B."""
        return float(scale) if self.signs is None else (self.signs * float(scale))[:, None]

    def _multiply(self, side: str, trans: str, other: np.ndarray) -> np.ndarray:
        """LAPACK ormqr, in place of `other`."""
        if not other.size:
            return other
        (ormqr,) = get_lapack_funcs(("ormqr",), (self.packed,))
        # Blocks of reflectors cost more to form than a vector has use for; without workspace there are none.
        lwork = _BLOCK * (max(other.shape) + _BLOCK) if min(other.shape) > 1 else max(other.shape)
        found, _, info = ormqr(
            side, trans, self.packed[:, : self.tau.size], self.tau, other, lwork=lwork, overwrite_c=True
        )
        _check(info, "ormqr")
        return found


def factored(matrix: np.ndarray) -> tuple[Reflectors, np.ndarray]:
    """QR of a matrix in Fortran order, which is overwritten; return Q and R, (min(m, n), n).

    What lies below the diagonal of R is no part of it, and not zero.
    """
    (geqrf,) = get_lapack_funcs(("geqrf",), (matrix,))
    packed, tau, _, info = geqrf(matrix, lwork=_BLOCK * max(1, matrix.shape[1]), overwrite_a=True)
    _check(info, "geqrf")
    return Reflectors(packed, tau, tau.size), packed[: tau.size]


@dataclass(frozen=True)
class HaarMatrix:
    """W = scale · Q, or scale · Qᵀ where `transposed`, Q orthonormal columns held as reflectors."""

    q: Reflectors
    scale: float
    transposed: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of W."""
        rows, columns = self.q.shape
        return (columns, rows) if self.transposed else (rows, columns)

    def dense(self) -> np.ndarray:
        """W itself."""
        dense = self.q.dense()
        dense *= self.scale
        return np.ascontiguousarray(dense.T) if self.transposed else dense

    def __matmul__(self, right: np.ndarray) -> np.ndarray:
        """W B, for a matrix or a vector B."""
        columns = right[:, None] if right.ndim == 1 else right
        found = (self.q.transposed_times if self.transposed else self.q.times)(columns, self.scale)
        return found[:, 0] if right.ndim == 1 else found


def haar(normals: np.ndarray, scale: float, *, transposed: bool) -> HaarMatrix:
    """Haar orthonormal columns from a tall matrix of normals: its Q, the signs of the diagonal of R divided out.

    Source
    ------
    Mezzadri, Notices AMS 54 (2007), 592–604, section 5.
    """
    q, r = factored(np.asfortranarray(normals))
    signs = np.where(np.diagonal(r) < 0, -1.0, 1.0).astype(r.dtype)
    return HaarMatrix(Reflectors(q.packed, q.tau, q.columns, signs), scale, transposed)


def _check(info: int, name: str) -> None:
    if info != 0:
        raise AssertionError(f"LAPACK {name} returned info = {info}; please report")
