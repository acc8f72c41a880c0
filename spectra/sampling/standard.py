"""What a product of matrices is computed with where that is not numpy: any library of the array API standard."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from .arrays import HostArrays, needed_scale
from .weights import draw_weights

if TYPE_CHECKING:
    from .arrays import Arrays
    from .units import Step


@dataclass(frozen=True)
class Normals:
    """W = scale · Q, or scale · Qᵀ where `transposed`: Q from the QR of normals, signs of the diagonal divided out."""

    normals: np.ndarray
    scale: float
    transposed: bool


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

    # All at once: on a device a call costs more than the zeros that are multiplied.
    rows, far = 2**14, True

    def __init__(self, module: Any, device: Any = None, dtype: type = np.float64) -> None:
        self.xp, self.device, self.dtype = namespace(module), device, dtype
        self.span = 300.0 if dtype is np.float64 else 30.0
        try:
            self._kind = getattr(self.xp, np.dtype(dtype).name)
            self.host(self.array(np.ones(1)))
        except Exception as error:  # each library has errors of its own
            raise ConfigError(
                f"`sample(array_module={module!r}, device={device!r})`: no {np.dtype(dtype).name} there ({error})."
            ) from None

    def drawn(self, kind: str, n_out: int, n_in: int, sigma_w: float, rng: np.random.Generator) -> np.ndarray | Normals:
        """W, or for a Haar matrix the normals that it is the Q of."""
        if kind == "orthogonal":
            longer, shorter = max(n_out, n_in), min(n_out, n_in)
            normals = rng.standard_normal((longer, shorter)).astype(self.dtype, copy=False)
            return Normals(normals, sigma_w * np.sqrt(longer / n_in), transposed=n_out < n_in)
        weights = draw_weights(kind, n_out, n_in, sigma_w, rng, self.dtype)
        assert isinstance(weights, np.ndarray)
        return weights

    def weights(self, drawn: np.ndarray | Normals) -> Any:
        """W on the device."""
        if isinstance(drawn, np.ndarray):
            return self.array(drawn)
        q, r = self.xp.linalg.qr(self.array(drawn.normals))
        q = q * self.array(np.where(self.diagonal(r) < 0, -drawn.scale, drawn.scale))[None, :]
        return q.T if drawn.transposed else q

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
        """diag(rows) C / f, and f: its largest entry where that is far from 1, else 1."""
        matrix = matrix * self.array(rows)[:, None]
        scale = needed_scale(float(self.xp.max(self.xp.abs(matrix))) if 0 not in matrix.shape else 0.0, self.dtype)
        return (matrix / scale if scale != 1.0 else matrix), scale

    def beside_skip(self, weights: Any, left: np.ndarray, right: np.ndarray | None, skip: float) -> Any:
        """The matrix skip · 1 + diag(left) W diag(right), `right` None for ones."""
        block = weights * self.array(left)[:, None]
        if right is not None:
            block = block * self.array(right)[None, :]
        return block + skip * self.xp.eye(len(left), dtype=self._kind, device=self.device)

    def sizes(self, matrix: Any) -> tuple[np.ndarray, np.ndarray]:
        """Euclidean norm of every column, largest entry of every row."""
        norms = np.sqrt(self.host(self.xp.sum(matrix * matrix, axis=0)))
        return norms, self.host(self.xp.max(self.xp.abs(matrix), axis=1))

    def gather(self, matrix: Any, places: np.ndarray, axis: int = 0, room: Any = None) -> Any:  # noqa: ARG002
        """The rows, or columns, asked for; the standard writes nowhere but where it chooses."""
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

    def scaled_triangle(self, matrix: Any, rows: np.ndarray, columns: np.ndarray) -> Any:
        """diag(rows) A diag(columns), zeros below its diagonal."""
        return self.xp.triu(matrix * self.array(columns)[None, :] * self.array(rows)[:, None])

    def unit(self, r: Any, steps: list[Step], room: Any) -> Any:  # noqa: ARG002
        """These steps of scaled rows, each a `scaled_triangle`, with zeros before them."""
        found = []
        for start, stop, rows, columns in steps:
            block = self.scaled_triangle(r[start:stop, start:], rows, columns)
            before = [self.array(np.zeros((stop - start, start)))] if start else []
            found.append(self.xp.concat([*before, block], axis=1))
        return self.xp.concat(found, axis=0)

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

    def triangular_product(self, blocks: list[Any], matrix: Any) -> Any:
        """U T: rows of U a few at a time, each from the diagonal on and up to where it is negligible."""
        found, start = [], 0
        for block in blocks:
            found.append(block @ matrix[start : start + block.shape[1], :])
            start += block.shape[0]
        return self.xp.concat(found, axis=0)

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
