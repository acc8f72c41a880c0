"""Operators from elsewhere: what is asked of them, and whether their two products belong together."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from ...errors import ConfigError

# Of the size of the products; above rounding in single precision through many layers, far below 1, the error of a
# product that is not the transposed one.
_ADJOINT = 1e-3


def usable_operator(given: Any, rng: np.random.Generator) -> LinearOperator:
    """`given` as scipy's `LinearOperator`, its transposed product compared with the forward one in a random pair.

    Parameters
    ----------
    given : a `LinearOperator`, a matrix, dense or sparse, or anything with `shape`, `matmat` and `rmatmat`.

    Raises
    ------
    ConfigError : none of these, not real, or ⟨u, Jv⟩ ≠ ⟨Jᵀu, v⟩.
    """
    name = type(given).__name__
    if hasattr(given, "rmatmat") and hasattr(given, "matmat") and not isinstance(given, LinearOperator):
        wrap = _Wrapped
    else:
        wrap = aslinearoperator
    try:
        operator = wrap(given)
        n_out, n_in = (int(n) for n in operator.shape)
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"`estimate({name})`: needs `shape`, `matmat` and `rmatmat`, as scipy's LinearOperator has ({error})."
        ) from None
    if min(n_out, n_in) < 1 or np.issubdtype(np.dtype(operator.dtype or float), np.complexfloating):
        raise ConfigError(f"`estimate({name})`: must be real and not empty, not {operator.dtype} {operator.shape}.")
    right, left = rng.standard_normal((n_in, 1)), rng.standard_normal((n_out, 1))
    try:
        forward, back = np.asarray(operator.matmat(right)), np.asarray(operator.rmatmat(left))
    except (NotImplementedError, ValueError, TypeError) as error:
        raise ConfigError(f"`estimate({name})`: a product failed: {error or type(error).__name__}.") from None
    if not (np.all(np.isfinite(forward)) and np.all(np.isfinite(back))):
        raise ConfigError(f"`estimate({name})`: a product is not finite.")
    difference = abs(float(np.sum(left * forward) - np.sum(back * right)))
    if difference > _ADJOINT * float(np.linalg.norm(forward) + np.linalg.norm(back)):
        raise ConfigError(
            f"`estimate({name})`: `rmatmat` is not the transposed product: ⟨u, Jv⟩ and ⟨Jᵀu, v⟩ differ by "
            f"{difference:.2g}."
        )
    return operator


class _Wrapped(LinearOperator):
    """Scipy's operator around one that has only products with blocks."""

    def __init__(self, given: Any) -> None:
        super().__init__(np.dtype(float), tuple(int(n) for n in given.shape))
        self._given = given

    def _matmat(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self._given.matmat(X), dtype=float)

    def _rmatmat(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self._given.rmatmat(X), dtype=float)
