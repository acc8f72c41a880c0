"""What a product of matrices is computed with: what is asked of a library of arrays, and numpy with LAPACK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..native import NATIVE
from .heap import keep_freed_memory
from .reflectors import HaarMatrix, Reflectors, factored
from .weights import draw_weights

if TYPE_CHECKING:
    from typing import Protocol

    from .units import Step

    class Arrays(Protocol):
        """Matrices are opaque to the caller; vectors, and what is said of matrices, are numpy arrays of doubles."""

        xp: Any
        dtype: type
        rows: int  # of a triangular product made at once
        span: float  # nats that the factors of these rows may span: they stay in range
        far: bool  # numpy may draw the next matrices while these work

        def drawn(self, kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> Any:
            """What numpy draws for W."""
            ...

        def weights(self, drawn: Any) -> Any:
            """W from it."""
            ...

        def array(self, values: np.ndarray) -> Any:
            """An array of this library."""
            ...

        def host(self, matrix: Any) -> np.ndarray:
            """Doubles of numpy."""
            ...

        def product(self, weights: Any, rows: np.ndarray | None, columns: np.ndarray | None, left: Any) -> Any:
            """W[rows, columns] C, C None for the identity or what `factor` returned."""
            ...

        def scaled(self, matrix: Any, rows: np.ndarray) -> tuple[Any, float]:
            """diag(rows) C / f, and f: its largest entry where that is far from 1, else 1."""
            ...

        def beside_skip(self, weights: Any, left: np.ndarray, right: np.ndarray | None, skip: float) -> Any:
            """The matrix skip · 1 + diag(left) W diag(right), `right` None for ones; W may be overwritten."""
            ...

        def sizes(self, matrix: Any) -> tuple[np.ndarray, np.ndarray]:
            """Euclidean norm of every column, largest entry of every row."""
            ...

        def gather(self, matrix: Any, places: np.ndarray, axis: int = 0, room: Any = None) -> Any:
            """The rows, or columns, asked for; in `room`, perhaps, where that is no part of the matrix."""
            ...

        def factor(self, matrix: Any, rows: np.ndarray | None, columns: np.ndarray) -> tuple[Any, Any, np.ndarray]:
            """Q, R and diag R of C[rows, columns], rows of Q in the old order, up to the first zero of diag R."""
            ...

        def scaled_triangle(self, matrix: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
            """diag(rows) A diag(columns), zeros below its diagonal."""
            ...

        def unit(self, r: Any, steps: list[Step], room: Any) -> Any:
            """These steps of scaled rows, each a `scaled_triangle`, with zeros before them; in `room`, perhaps."""
            ...

        def triangle(self, matrix: Any) -> Any:
            """R of the QR of A, which may be overwritten; what is below its diagonal is no part of it."""
            ...

        def diagonal(self, matrix: Any) -> np.ndarray:
            """The diagonal."""
            ...

        def triangular_product(self, blocks: list[Any], matrix: Any) -> Any:
            """U T: rows of U a few at a time, each from the diagonal on and up to where it is negligible."""
            ...

        def singular_values(self, matrix: Any) -> np.ndarray:
            """Singular values, descending."""
            ...

        def doubles(self, matrix: Any) -> tuple[Arrays, Any]:
            """Arrays of the same kind in doubles, numpy's where the device has none, and this matrix among them."""
            ...


_FAR = {np.float64: 1e20, np.float32: 1e3}  # entries and their squares stay in range, beside slopes of any size


class Permuted:
    """Q from a QR of permuted rows: row `order[i]` of what is meant is row i of `q`."""

    def __init__(self, q: Reflectors, order: np.ndarray | None) -> None:
        self.q, self.order, self.shape = q, order, q.shape

    def dense(self) -> np.ndarray:
        """The matrix itself."""
        found = self.q.dense()
        if self.order is None:
            return found
        unsorted = np.empty_like(found)
        unsorted[self.order] = found
        return unsorted


class HostArrays:
    """Numpy and LAPACK, in double or single precision."""

    xp, rows, far = np, 64, False
    span = 300.0  # the factors are doubles

    def __init__(self, dtype: type = np.float64) -> None:
        self.dtype = dtype
        keep_freed_memory()

    def drawn(
        self, kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator
    ) -> np.ndarray | HaarMatrix:
        """W itself."""
        return draw_weights(kind, n_out, n_in, sigma_w, rng, self.dtype)

    def weights(self, drawn: np.ndarray | HaarMatrix) -> np.ndarray | HaarMatrix:
        """The same."""
        return drawn

    def array(self, values: np.ndarray) -> np.ndarray:
        """An array of this library."""
        return values.astype(self.dtype, copy=False)

    def host(self, matrix: np.ndarray) -> np.ndarray:
        """Doubles of numpy."""
        return matrix.astype(float, copy=False)

    def product(
        self,
        weights: np.ndarray | HaarMatrix,
        rows: np.ndarray | None,
        columns: np.ndarray | None,
        left: np.ndarray | Permuted | None,
    ) -> np.ndarray:
        """W[rows, columns] C, C None for the identity or what `factor` returned."""
        if isinstance(weights, HaarMatrix):
            if left is None:
                found = weights.dense()
                found = found if columns is None else found[:, columns]
            else:
                right = left.dense() if isinstance(left, Permuted) else left
                if columns is not None:
                    right, some = np.zeros((weights.shape[1], right.shape[1]), right.dtype, order="F"), right
                    right[columns] = some
                found = weights @ right
            return found if rows is None else found[rows]
        if isinstance(left, Permuted) and left.order is not None:
            columns = left.order if columns is None else columns[left.order]
        if rows is not None and columns is not None:
            weights = weights[np.ix_(rows, columns)]
        elif rows is not None or columns is not None:
            weights = weights[rows] if columns is None else weights[:, columns]
        if left is None:
            return weights.copy()
        # Fortran order is what LAPACK takes without a copy.
        return left.q.after(weights) if isinstance(left, Permuted) else (left.T @ weights.T).T

    def scaled(self, matrix: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """diag(rows) C / f, and f: its largest entry where that is far from 1, else 1."""
        far = 0.5 * _FAR[self.dtype] ** 2
        if compiles(matrix):
            square = NATIVE.scale_rows(matrix, np.ascontiguousarray(rows, self.dtype))
        else:
            matrix *= self.array(rows)[:, None]
            flat = matrix.ravel(order="K")
            with np.errstate(over="ignore", under="ignore"):
                square = float(np.dot(flat, flat))
        # The largest lies between the root mean square and the root of all squares: mostly that says enough.
        if matrix.size / far < square < far:
            return matrix, 1.0
        scale = needed_scale(float(max(matrix.max(initial=0.0), -matrix.min(initial=0.0))), self.dtype)
        if scale != 1.0:
            matrix /= self.dtype(scale)
        return matrix, scale

    def beside_skip(
        self, weights: np.ndarray | HaarMatrix, left: np.ndarray, right: np.ndarray | None, skip: float
    ) -> np.ndarray:
        """The matrix skip · 1 + diag(left) W diag(right), `right` None for ones; W may be overwritten."""
        block = weights.dense() if isinstance(weights, HaarMatrix) else weights
        block *= self.array(left)[:, None]
        if right is not None:
            block *= self.array(right)
        np.einsum("ii->i", block)[:] += self.dtype(skip)  # a view of the diagonal
        return block

    def sizes(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Euclidean norm of every column, largest entry of every row."""
        if compiles(matrix):
            squares, largest = np.empty(matrix.shape[1]), np.empty(matrix.shape[0], self.dtype)
            NATIVE.sizes(matrix, squares, largest)
            return np.sqrt(squares), largest.astype(float, copy=False)
        norms = np.sqrt(np.einsum("ij,ij->j", matrix, matrix))
        return norms.astype(float), np.maximum(matrix.max(axis=1), -matrix.min(axis=1)).astype(float)

    def gather(
        self, matrix: np.ndarray, places: np.ndarray, axis: int = 0, room: np.ndarray | None = None
    ) -> np.ndarray:
        """The rows, or columns, asked for; in `room`, perhaps, where that is no part of the matrix."""
        # Places are permutations: "clip" changes none, and lets numpy write where it is to.
        return matrix.take(places, axis=axis, out=room, mode="clip")

    def factor(
        self, matrix: np.ndarray, rows: np.ndarray | None, columns: np.ndarray
    ) -> tuple[Permuted, np.ndarray, np.ndarray]:
        """Q, R and diag R of C[rows, columns], rows of Q in the old order, up to the first zero of diag R."""
        # Rows of the transpose: contiguous where the matrix is in Fortran order, and again the order LAPACK takes.
        chosen = matrix.T.take(columns, axis=0).T if rows is None else matrix.T[np.ix_(columns, rows)].T
        q, r = factored(np.asfortranarray(chosen))
        diagonal = np.diagonal(r).astype(float)
        rank = diagonal.size if diagonal.all() else int(np.argmin(diagonal != 0))
        return Permuted(Reflectors(q.packed, q.tau, rank), rows), r[:rank], diagonal[:rank]

    def scaled_triangle(
        self, matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray, room: np.ndarray | None = None
    ) -> np.ndarray:
        """diag(rows) A diag(columns), zeros below its diagonal."""
        if room is None:
            room = np.empty(matrix.shape, self.dtype, order="F")
            if compiles(matrix):
                NATIVE.scaled_triangle(matrix, rows, columns, room)
                return room
        with np.errstate(over="ignore"):  # of single precision, below the diagonal
            np.multiply(matrix * columns, rows[:, None], out=room, casting="same_kind")
        k = rows.size
        np.copyto(room[:, :k], 0, where=_BELOW[:k, :k])
        return room

    def unit(self, r: np.ndarray, steps: list[Step], room: np.ndarray | None) -> np.ndarray:
        """These steps of scaled rows, each a `scaled_triangle`, with zeros before them; in `room`, perhaps."""
        # Row after row, for rows are what is gathered next; new memory costs more than what is done with it.
        found = np.empty(r.shape, self.dtype) if room is None else room
        for start, stop, rows, columns in steps:
            found[start:stop, :start] = 0
            self.scaled_triangle(r[start:stop, start:], rows, columns, found[start:stop, start:])
        return found

    def triangle(self, matrix: np.ndarray) -> np.ndarray:
        """R of the QR of A, which may be overwritten; what is below its diagonal is no part of it."""
        return factored(np.asfortranarray(matrix))[1]

    def diagonal(self, matrix: np.ndarray) -> np.ndarray:
        """The diagonal."""
        return np.diagonal(matrix).astype(float)

    def triangular_product(self, blocks: list[np.ndarray], matrix: np.ndarray) -> np.ndarray:
        """U T: rows of U a few at a time, each from the diagonal on and up to where it is negligible."""
        found, start = np.empty((sum(len(block) for block in blocks), matrix.shape[1]), self.dtype), 0
        for block in blocks:
            stop = start + len(block)
            np.matmul(block, matrix[start : start + block.shape[1]], out=found[start:stop])
            start = stop
        return found

    def singular_values(self, matrix: np.ndarray) -> np.ndarray:
        """Singular values, descending."""
        return np.linalg.svd(matrix, compute_uv=False).astype(float)

    def doubles(self, matrix: np.ndarray) -> tuple[Arrays, np.ndarray]:
        """Numpy in doubles, and this matrix in them."""
        return (self if self.dtype is np.float64 else HostArrays()), self.host(matrix)


_BELOW = np.asfortranarray(np.tri(HostArrays.rows, k=-1, dtype=bool))


def compiles(matrix: np.ndarray) -> bool:
    """Whether the compiled passes take this matrix: each column in one piece."""
    return NATIVE is not None and matrix.strides[0] == matrix.itemsize


def needed_scale(largest: float, dtype: type) -> float:
    """What a matrix with this largest entry is divided by: 1 while no product with it can leave the range."""
    return largest if largest > 0 and not 1 / _FAR[dtype] < largest < _FAR[dtype] else 1.0
