"""Products of many matrices, J = C diag(d) T, kept graded so that the smallest singular values survive."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from .arrays import HostArrays, needed_scale
from .condition import Condition, Step, block_steps, layer_steps
from .spread import graded_log_singular_values
from .units import unit_matrix, unit_rows

if TYPE_CHECKING:
    from .arrays import Arrays

METHODS = ("auto", "graded", "plain")
# Estimated condition a plain product may reach: eps · 2e6 = 5e-10 relative on its smallest singular value, 6e-5 in
# single precision. The median of what it is lies a factor 2 to 5 below the estimate, see `Condition`.
_FLUSH = {np.float64: 2e6, np.float32: 1e3}
# The more factors, the worse conditioned the worst of them is by chance. In narrow deep products more factoring is
# cheap: at a thousand layers, N = 4 … 64, it takes 7e-6 on the smallest singular value down to 7e-9.
_NARROW, _SHALLOW, _NARROW_FLUSH = 64, 16, 1e4
_STEEP = 1e3  # ratio of rows that Householder QR takes unsorted: it costs that many eps on the smallest of them
_REACH = {np.float64: 1e-120, np.float32: 1e-16}  # least over largest slope that one factor may hold


class GradedProduct:
    """J = C diag(exp `_log_d`) T · exp `_log_scale`: C the newest factors, d graded, in logarithms, T well conditioned.

    A plain product of matrices loses every singular value below eps times the largest. Here new factors multiply C
    alone; before the condition of C passes 2e6, as estimated, it is factored, C diag(d) = Q diag(d′) U with U
    triangular, ±1 on its diagonal, and Q takes its place, as reflectors where LAPACK holds it. Rows that a zero slope
    removes are dropped from the factors, so rank deficiency is counted (`rank`), never guessed from small numbers.

    Parameters
    ----------
    n_in : number of columns of J.
    method : "plain" never factors and takes the singular values of the product; "graded" always factors
        at the end; "auto" is graded where the condition is estimated to pass 2e6, and plain where it is not.
    arrays : where and how matrices are multiplied; numpy in doubles where left out.

    Accuracy
    --------
    1e-8 relative on every nonzero singular value, whatever their ratio (tests/test_sampling.py, against mpmath); a few
    times that on the smallest where a Gaussian factor is by chance worse conditioned than expected. In single precision
    1e-5 on most and 1e-3 on the smallest; after a thousand layers 2e-4 and 5e-2, for the weights are rounded. With
    "plain": eps times the ratio to the largest; nothing is left below eps, and exact zeros are at that level, too.
    Measured in benchmarks/README.md.

    Source
    ------
    Bai, Lee, Li, Xu, Linear Algebra Appl. 435 (2011), 659–673: stratified (UDT) products, with pre-pivoting.
    Demmel et al., Linear Algebra Appl. 299 (1999), 21–80: singular values of a rank-revealing decomposition.
    """

    def __init__(self, n_in: int, *, method: str = "auto", arrays: Arrays | None = None) -> None:
        self._arrays: Arrays = HostArrays() if arrays is None else arrays
        self._method = checked_method(method)
        self._layers = 0
        self._columns = n_in
        self._active: np.ndarray | None = None  # rows of the full J that C holds; None for all
        self._left: Any = None  # C; None stands for the identity
        self._right: Any = None  # T; None while nothing was factored: d = 1, T = 1
        self._log_d = np.zeros(n_in)
        self._log_scale = 0.0
        self._condition = Condition()
        self.factorings = 0

    @property
    def _limit(self) -> float:
        """Estimated condition from which C is factored."""
        if self._method == "plain":
            return np.inf
        limit = _FLUSH[self._arrays.dtype]
        return min(limit, _NARROW_FLUSH) if self._layers > _SHALLOW and self._columns <= _NARROW else limit

    @property
    def rank(self) -> int:
        """Number of singular values not known to be exactly zero."""
        return self._columns if self._left is None else min(self._left.shape)

    def multiply(
        self, weights: Any, slopes: np.ndarray, *, orthogonal: bool = False, steps: list[Step] | None = None
    ) -> None:
        """Put D W to the left of the product, D = diag(slopes).

        Parameters
        ----------
        orthogonal : W has equal singular values.
        steps : what is known of W; None for a Gaussian or such an orthogonal matrix.
        """
        active: np.ndarray | None = np.flatnonzero(slopes)
        live = active.size
        if live == slopes.size:
            active = None
        if self.rank == 0:
            # Nothing passes any more.
            self._left, self._active = np.zeros((live, 0)), active
            return
        if live and self._method != "plain":
            sizes = np.abs(slopes if active is None else slopes[active])
            # Slopes are doubles: single precision would hold none of those below 1e-45.
            scale = needed_scale(largest := float(sizes.max()), self._arrays.dtype)
            if scale != 1.0:
                self._log_scale += math.log(scale)
                slopes, sizes, largest = slopes / scale, sizes / scale, 1.0
            if sizes.min() < (least := _REACH[self._arrays.dtype]) * largest:
                self._multiply_in_steps(weights, slopes, least * largest, orthogonal, steps)
                return
        columns = weights.shape[1] if self._active is None else self._active.size
        isometric = orthogonal and active is self._active is None and weights.shape[0] >= weights.shape[1]
        alive, columns = slopes if active is None else slopes[active], min(self.rank, columns)
        if steps is None:
            self._put(weights, alive, active, layer_steps(alive, columns, isometric))
        else:
            self._put(weights, alive, active, [*steps, *layer_steps(alive, columns, isometric=True)])

    def multiply_block(self, block: Any, skip: float, mean_square: float, rows: np.ndarray | None = None) -> None:
        """Put diag(rows) (β1 + X) to the left of the product, `rows` None for ones.

        Parameters
        ----------
        block, skip : β1 + X, X a full matrix, and β.
        mean_square : of all singular values of β1 + X.
        """
        if self.rank:
            n = block.shape[0]
            steps = block_steps(skip, mean_square, n)
            if rows is None:
                self._put(block, np.ones(n), None, steps)
            else:
                self.multiply(block, rows, steps=steps)

    def _put(self, matrix: Any, slopes: np.ndarray, active: np.ndarray | None, steps: list[Step]) -> None:
        """Put diag(slopes) A[active] to the left of the product; `steps`: what is known of its condition."""
        condition = self._condition.before(steps)
        if self._left is not None and self._method != "plain":
            # A matrix with more rows than there are: else the rank bound would be lost.
            widens = self._left.shape[0] < min(self._left.shape[1], slopes.size)
            if widens or condition.value > self._limit:
                self._factor()
                condition = Condition().before(steps)
        product = self._arrays.product(matrix, active, self._active, self._left)
        self._left, scale = self._arrays.scaled(product, slopes)
        self._log_scale += math.log(scale)
        self._active = active
        self._condition = condition
        self._layers += 1

    def _multiply_in_steps(
        self, weights: Any, slopes: np.ndarray, least: float, orthogonal: bool, steps: list[Step] | None
    ) -> None:
        """D W for slopes of all sizes: |D| not below `least` first, then the rest; the condition forces a factoring."""
        live = slopes != 0.0
        first = np.where(live, np.copysign(np.maximum(np.abs(slopes), least), slopes), 0.0)
        self.multiply(weights, first, orthogonal=orthogonal, steps=steps)
        self.multiply(self._arrays.array(np.eye(slopes.size)), np.divide(slopes, first, where=live, out=0.0 * first))

    def log_singular_values(self) -> np.ndarray:
        """Natural logarithms of the `rank` singular values not known to vanish, descending, (rank,)."""
        if self._left is None:
            return np.zeros(self._columns)
        if self.rank == 0:
            return np.empty(0)
        safe = self._right is None and self._condition.value <= self._limit
        if safe and self._method != "graded":
            with np.errstate(divide="ignore"):
                return self._log_scale + np.log(self._arrays.singular_values(self._left))
        self._factor()
        if self.rank == 0:
            return np.empty(0)
        return self._log_scale + graded_log_singular_values(self._log_d, *self._arrays.doubles(self._right))

    def _factor(self) -> None:
        """Replace C diag(d) T by Q diag(d′) (U T), the columns of C diag(d) and the rows of C in the order of size."""
        arrays, left = self._arrays, self._left
        norms, sizes = arrays.sizes(left)
        with np.errstate(divide="ignore"):
            log_sizes = np.log(norms) + self._log_d
        columns = np.argsort(-log_sizes, kind="stable")
        # Householder QR is backward stable row by row only with the large rows first (slopes may be graded, too).
        rows = np.argsort(-sizes, kind="stable") if sizes.max() > _STEEP * sizes.min() else None
        self._left, r, diagonal = arrays.factor(left, rows, columns)
        log_d = self._log_d[columns]
        self._log_d = log_d[: diagonal.size] + np.log(np.abs(diagonal))
        if self._right is None:
            self._right = arrays.gather(unit_matrix(arrays, r, self._log_d, log_d), np.argsort(columns), 1)
        else:
            blocks = unit_rows(arrays, r, self._log_d, log_d, log_sizes[columns])
            self._right = arrays.triangular_product(blocks, arrays.gather(self._right, columns))
        self._condition = Condition()
        self.factorings += 1


def checked_method(method: str) -> str:
    """Return the method, one of "auto", "graded" and "plain"."""
    if method not in METHODS:
        raise ConfigError(f"`sample(method={method!r})`: allowed are 'auto', 'graded', 'plain'.")
    return method
