"""What a product of matrices is computed with: LAPACK on this machine, or any library of the array API standard."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from .reflectors import HaarMatrix, Reflectors, factored
from .weights import draw_weights

if TYPE_CHECKING:
    from typing import Protocol

    class Arrays(Protocol):
        """Matrices are opaque to the caller; vectors, and what is said of matrices, are numpy arrays of doubles."""

        xp: Any
        dtype: type

        def weights(self, kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> Any:
            """Draw W."""
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
            """diag(rows) C divided by its largest entry, and that entry."""
            ...

        def beside_skip(self, weights: Any, left: np.ndarray, right: np.ndarray | None, skip: float) -> Any:
            """The matrix skip · 1 + diag(left) W diag(right), `right` None for ones; W may be overwritten."""
            ...

        def column_norms(self, matrix: Any) -> np.ndarray:
            """Euclidean norm of every column."""
            ...

        def row_sizes(self, matrix: Any) -> np.ndarray:
            """Largest entry of every row."""
            ...

        def gather(self, matrix: Any, places: np.ndarray, axis: int = 0) -> Any:
            """The rows, or columns, asked for."""
            ...

        def factor(self, matrix: Any, rows: np.ndarray | None, columns: np.ndarray) -> tuple[Any, Any, np.ndarray]:
            """Q, R and diag R of C[rows, columns], rows of Q in the old order, up to the first zero of diag R."""
            ...

        def triangle(self, matrix: Any) -> Any:
            """R of the QR of A, which may be overwritten; what is below its diagonal is no part of it."""
            ...

        def diagonal(self, matrix: Any) -> np.ndarray:
            """The diagonal."""
            ...

        def signed(self, q: Any, signs: np.ndarray) -> Any:
            """Q diag(signs)."""
            ...

        def joined(self, blocks: list[Any], axis: int) -> Any:
            """Matrices beside or below each other."""
            ...

        def singular_values(self, matrix: Any) -> np.ndarray:
            """Singular values, descending."""
            ...

        def doubles(self, matrix: Any) -> tuple[Arrays, Any]:
            """Arrays of the same kind in doubles, numpy's where the device has none, and this matrix among them."""
            ...


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

    xp = np

    def __init__(self, dtype: type = np.float64) -> None:
        self.dtype = dtype

    def weights(
        self, kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator
    ) -> np.ndarray | HaarMatrix:
        """Draw W."""
        return draw_weights(kind, n_out, n_in, sigma_w, rng, self.dtype)

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
        """diag(rows) C divided by its largest entry, and that entry."""
        matrix *= self.array(rows)[:, None]
        largest = float(max(np.max(matrix, initial=0.0), -np.min(matrix, initial=0.0)))
        if largest > 0:
            matrix /= self.dtype(largest)
        return matrix, largest

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

    def column_norms(self, matrix: np.ndarray) -> np.ndarray:
        """Euclidean norm of every column."""
        return np.sqrt(np.einsum("ij,ij->j", matrix, matrix)).astype(float)

    def row_sizes(self, matrix: np.ndarray) -> np.ndarray:
        """Largest entry of every row."""
        return np.maximum(matrix.max(axis=1), -matrix.min(axis=1)).astype(float)

    def gather(self, matrix: np.ndarray, places: np.ndarray, axis: int = 0) -> np.ndarray:
        """The rows, or columns, asked for."""
        return matrix.take(places, axis=axis)

    def factor(
        self, matrix: np.ndarray, rows: np.ndarray | None, columns: np.ndarray
    ) -> tuple[Permuted, np.ndarray, np.ndarray]:
        """Q, R and diag R of C[rows, columns], rows of Q in the old order, up to the first zero of diag R."""
        # Rows of the transpose: contiguous where the matrix is in Fortran order, and again the order LAPACK takes.
        chosen = matrix.T[columns].T if rows is None else matrix.T[np.ix_(columns, rows)].T
        q, r = factored(np.asfortranarray(chosen))
        diagonal = np.diagonal(r).astype(float)
        rank = np.count_nonzero(np.cumprod(diagonal != 0))
        q = Reflectors(q.packed, q.tau, q.signs[:rank])
        return Permuted(q, rows), r[:rank], diagonal[:rank]

    def triangle(self, matrix: np.ndarray) -> np.ndarray:
        """R of the QR of A, which may be overwritten; what is below its diagonal is no part of it."""
        return factored(np.asfortranarray(matrix))[1]

    def diagonal(self, matrix: np.ndarray) -> np.ndarray:
        """The diagonal."""
        return np.diagonal(matrix).astype(float)

    def signed(self, q: Permuted, signs: np.ndarray) -> Permuted:
        """Q diag(signs)."""
        return Permuted(Reflectors(q.q.packed, q.q.tau, self.array(signs)), q.order)

    def joined(self, blocks: list[np.ndarray], axis: int) -> np.ndarray:
        """Matrices beside or below each other."""
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis)

    def singular_values(self, matrix: np.ndarray) -> np.ndarray:
        """Singular values, descending."""
        return np.linalg.svd(matrix, compute_uv=False).astype(float)

    def doubles(self, matrix: np.ndarray) -> tuple[Arrays, np.ndarray]:
        """Numpy in doubles, and this matrix in them."""
        return (self if self.dtype is np.float64 else HostArrays()), self.host(matrix)


class StandardArrays:
    """A library of the array API standard: PyTorch, CuPy, JAX, …, on a device of its own.

    Parameters
    ----------
    module : its name, "torch", or its namespace.
    device : as the library names it, "cuda"; None for its default.
    dtype : float64 or float32.

    Raises
    ------
    ConfigError : not installed, no such device, or the device has no such numbers.
    """

    def __init__(self, module: Any, device: Any = None, dtype: type = np.float64) -> None:
        self.xp, self.device, self.dtype = namespace(module), device, dtype
        try:
            self._kind = getattr(self.xp, np.dtype(dtype).name)
            self.host(self.array(np.ones(1)))
        except Exception as error:  # each library has errors of its own
            raise ConfigError(
                f"`sample(array_module={module!r}, device={device!r})`: no {np.dtype(dtype).name} there ({error})."
            ) from None

    def weights(self, kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> Any:
        """Draw W."""
        if kind != "orthogonal":
            weights = draw_weights(kind, n_out, n_in, sigma_w, rng)
            assert isinstance(weights, np.ndarray)
            return self.array(weights)
        longer, shorter = max(n_out, n_in), min(n_out, n_in)
        q, r = self.xp.linalg.qr(self.array(rng.standard_normal((longer, shorter))))
        signs = np.where(np.diagonal(self.host(r)) < 0, -1.0, 1.0)
        q = q * self.array(signs * (sigma_w * np.sqrt(longer / n_in)))[None, :]
        return q if n_out >= n_in else q.T

    def array(self, values: np.ndarray) -> Any:
        """An array of this library."""
        return self.xp.asarray(np.ascontiguousarray(values, self.dtype), dtype=self._kind, device=self.device)

    def host(self, matrix: Any) -> np.ndarray:
        """Doubles of numpy."""
        if hasattr(matrix, "get"):  # CuPy
            matrix = matrix.get()
        elif hasattr(matrix, "cpu"):  # PyTorch
            matrix = matrix.cpu()
        return np.asarray(matrix, dtype=float)

    def product(self, weights: Any, rows: np.ndarray | None, columns: np.ndarray | None, left: Any) -> Any:
        """W[rows, columns] C, C None for the identity or what `factor` returned."""
        if rows is not None:
            weights = self.gather(weights, rows)
        if columns is not None:
            weights = self.gather(weights, columns, 1)
        return weights if left is None else weights @ left

    def scaled(self, matrix: Any, rows: np.ndarray) -> tuple[Any, float]:
        """diag(rows) C divided by its largest entry, and that entry."""
        matrix = matrix * self.array(rows)[:, None]
        largest = float(self.xp.max(self.xp.abs(matrix))) if 0 not in matrix.shape else 0.0
        return (matrix / largest if largest > 0 else matrix), largest

    def beside_skip(self, weights: Any, left: np.ndarray, right: np.ndarray | None, skip: float) -> Any:
        """The matrix skip · 1 + diag(left) W diag(right), `right` None for ones."""
        block = weights * self.array(left)[:, None]
        if right is not None:
            block = block * self.array(right)[None, :]
        return block + skip * self.xp.eye(len(left), dtype=self._kind, device=self.device)

    def column_norms(self, matrix: Any) -> np.ndarray:
        """Euclidean norm of every column."""
        return np.sqrt(self.host(self.xp.sum(matrix * matrix, axis=0)))

    def row_sizes(self, matrix: Any) -> np.ndarray:
        """Largest entry of every row."""
        return self.host(self.xp.max(self.xp.abs(matrix), axis=1))

    def gather(self, matrix: Any, places: np.ndarray, axis: int = 0) -> Any:
        """The rows, or columns, asked for."""
        places = self.xp.asarray(np.ascontiguousarray(places, np.int64), device=self.device)
        return self.xp.take(matrix, places, axis=axis)

    def factor(self, matrix: Any, rows: np.ndarray | None, columns: np.ndarray) -> tuple[Any, Any, np.ndarray]:
        """Q, R and diag R of C[rows, columns], rows of Q in the old order, up to the first zero of diag R."""
        chosen = self.gather(matrix if rows is None else self.gather(matrix, rows), columns, 1)
        q, r = self.xp.linalg.qr(chosen)
        if rows is not None:
            q = self.gather(q, np.argsort(rows))
        diagonal = self.diagonal(r)
        rank = int(np.count_nonzero(np.cumprod(diagonal != 0)))
        return q[:, :rank], r[:rank, :], diagonal[:rank]

    def triangle(self, matrix: Any) -> Any:
        """R of the QR of A."""
        # The standard knows no QR without its Q, these two do.
        library = type(matrix).__module__.partition(".")[0]
        if library == "torch":
            return self.xp.linalg.qr(matrix, mode="r")[1]
        if library == "cupy":
            return sys.modules["cupy"].linalg.qr(matrix, mode="r")
        return self.xp.linalg.qr(matrix)[1]

    def diagonal(self, matrix: Any) -> np.ndarray:
        """The diagonal."""
        return self.host(self.xp.linalg.diagonal(matrix))

    def signed(self, q: Any, signs: np.ndarray) -> Any:
        """Q diag(signs)."""
        return q * self.array(signs)[None, :]

    def joined(self, blocks: list[Any], axis: int) -> Any:
        """Matrices beside or below each other."""
        return self.xp.concat(blocks, axis=axis)

    def singular_values(self, matrix: Any) -> np.ndarray:
        """Singular values, descending."""
        return self.host(self.xp.linalg.svdvals(matrix))

    def doubles(self, matrix: Any) -> tuple[Arrays, Any]:
        """The same device in doubles, or numpy where it has none, and this matrix there."""
        if self.dtype is np.float64:
            return self, matrix
        try:
            arrays = StandardArrays(self.xp, self.device)
        except ConfigError:
            return HostArrays(), self.host(matrix)
        return arrays, self.xp.astype(matrix, self.xp.float64)


def namespace(module: Any) -> Any:
    """Array API namespace of a library given by name, or the namespace itself."""
    import importlib

    if not isinstance(module, str):
        return module
    # array_api_compat mends what PyTorch and CuPy lack; other libraries keep to the standard themselves.
    for name in (f"array_api_compat.{module}", module):
        try:
            found = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(found, "linalg") and hasattr(found, "take"):
            return found
    raise ConfigError(
        f"`sample(array_module={module!r})`: no array library of that name; install it, and `array-api-compat` beside "
        "PyTorch or CuPy."
    )
