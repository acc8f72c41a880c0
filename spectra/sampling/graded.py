"""Products of many matrices, J = C diag(d) T, kept graded so that the smallest singular values survive."""

from __future__ import annotations

import numpy as np

_FLUSH = np.log(1e7)  # condition a plain product may reach: eps · 1e7 = 2e-9 relative on its smallest singular value
_RANGE = 250.0  # nats one Jacobi SVD may span: 1e108, inside the square root of the double range
_MARGIN = 40.0  # nats of overlap between windows: the coupling left out is below exp(−2 · 40), far under eps


class GradedProduct:
    """J = C diag(exp `_log_d`) T · exp `_log_scale`: C the newest factors, d graded, in logarithms, T well conditioned.

    A plain product of matrices loses every singular value below eps times the largest. Here new factors multiply C
    alone; before the condition of C can pass 1e7 it is factored, C diag(d) = Q diag(d′) U with U unit triangular, and
    Q takes its place. Rows that a zero slope removes are dropped from the factors, so rank deficiency is counted
    (`rank`), never guessed from small numbers.

    Parameters
    ----------
    n_in : number of columns of J.

    Accuracy
    --------
    1e-8 relative on every nonzero singular value, whatever their ratio (tests/test_sampling.py, against mpmath).

    Source
    ------
    Bai, Lee, Li, Xu, Linear Algebra Appl. 435 (2011), 659–673: stratified (UDT) products, with pre-pivoting.
    Demmel et al., Linear Algebra Appl. 299 (1999), 21–80: one-sided Jacobi on a rank-revealing decomposition.
    """

    def __init__(self, n_in: int) -> None:
        self._columns = n_in
        self._active: np.ndarray | None = None  # rows of the full J that C holds; None for all
        self._left: np.ndarray | None = None  # C; None stands for the identity
        self._right: np.ndarray | None = None  # T; None while nothing was factored: d = 1, T = 1
        self._log_d = np.zeros(n_in)
        self._log_scale = 0.0
        self._log_condition = 0.0

    @property
    def rank(self) -> int:
        """Number of singular values not known to be exactly zero."""
        return self._columns if self._left is None else min(self._left.shape)

    def multiply(self, weights: np.ndarray, slopes: np.ndarray, *, orthogonal: bool = False) -> None:
        """Put D W to the left of the product, D = diag(slopes); `orthogonal`: W has equal singular values."""
        active = np.flatnonzero(slopes)
        factor = weights if active.size == slopes.size else weights[active]
        if self._active is not None:
            factor = factor[:, self._active]
        isometric = orthogonal and factor.shape == weights.shape and factor.shape[0] >= factor.shape[1]
        growth = _log_condition(slopes[active], min(self.rank, factor.shape[1]), isometric)
        if self._left is not None:
            widens = self._left.shape[0] < min(self._left.shape[1], active.size)  # else the rank bound would be lost
            if widens or self._log_condition + growth > _FLUSH:
                self._factor()
        product = slopes[active, None] * factor
        product = product if self._left is None else product @ self._left
        largest = float(np.max(np.abs(product), initial=0.0))
        if largest > 0:
            product /= largest
            self._log_scale += np.log(largest)
        self._active = None if active.size == slopes.size else active
        self._left = product
        self._log_condition += growth

    def log_singular_values(self) -> np.ndarray:
        """Natural logarithms of the `rank` singular values not known to vanish, descending, (rank,)."""
        if self._left is None:
            return np.zeros(self._columns)
        if self.rank == 0:
            return np.empty(0)
        if self._right is None and self._log_condition <= _FLUSH:
            with np.errstate(divide="ignore"):
                return self._log_scale + np.log(np.linalg.svd(self._left, compute_uv=False))
        self._factor()
        return self._log_scale + _graded_log_singular_values(self._log_d, self._right)

    def _factor(self) -> None:
        """Replace C diag(d) T by Q diag(d′) (U T), the columns of C diag(d) and the rows of C in the order of size."""
        left, log_d = self._left, self._log_d
        assert left is not None
        with np.errstate(divide="ignore"):
            columns = np.argsort(-(np.log(np.linalg.norm(left, axis=0)) + log_d), kind="stable")
        # Householder QR is backward stable row by row only with the large rows first (slopes may be graded, too).
        rows = np.argsort(-np.max(np.abs(left), axis=1), kind="stable")
        q, r = np.linalg.qr(left[np.ix_(rows, columns)])
        rank = np.count_nonzero(np.cumprod(np.diagonal(r) != 0))
        q, r = q[:, :rank], r[:rank]
        log_d, unit, sign = _split(r, log_d[columns])
        self._left = np.empty_like(q)
        self._left[rows] = q * sign
        self._right = unit[:, np.argsort(columns)] if self._right is None else unit @ self._right[columns]
        self._log_d, self._log_condition = log_d, 0.0


def _log_condition(slopes: np.ndarray, columns: int, isometric: bool) -> float:
    """Estimate log κ(D W) for W Gaussian-like with `columns` columns (restricted to the range it acts on)."""
    if slopes.size == 0:
        return 0.0
    size = np.abs(slopes)
    growth = float(np.log(size.max() / size.min()))
    if isometric:
        return growth
    wide, narrow = np.sqrt(max(slopes.size, columns)), np.sqrt(min(slopes.size, columns))
    return growth + float(np.log((wide + narrow) / max(wide - narrow, 0.5 / wide)))  # square: κ ~ 4 N (Edelman: 2–5 N)


def _split(r: np.ndarray, log_d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split upper triangular R diag(d) = diag(sign · d′) U with U unit upper triangular; return (log d′, U, sign)."""
    diagonal = np.diagonal(r)
    rows = log_d[: diagonal.size]
    unit = np.triu(r) / diagonal[:, None] * np.exp(np.triu(log_d - rows[:, None]))
    return rows + np.log(np.abs(diagonal)), unit, np.sign(diagonal)


def _graded_log_singular_values(log_d: np.ndarray, right: np.ndarray | None) -> np.ndarray:
    """Logarithms of the singular values of diag(exp log_d) T, descending, for T of full row rank, (k, n), n ≥ k.

    One-sided Jacobi on Tᵀ diag(d) has relative accuracy κ(T) eps. Where d spans more than `_RANGE`, steps of the QR
    iteration first push the coupling of distant rows below eps; then overlapping diagonal windows suffice.
    """
    assert right is not None
    if np.ptp(log_d) <= _RANGE:
        return _jacobi(log_d, right)
    for _ in range(3):  # coupling ~ (d_j/d_i)^2 more with every step
        order = np.argsort(-log_d, kind="stable")
        log_d, right, _ = _split(np.linalg.qr(right[order].T)[1], log_d[order])
    order = np.argsort(-log_d, kind="stable")
    log_d, right = log_d[order], right[np.ix_(order, order)]
    found, start = np.empty(log_d.size), 0
    while start < log_d.size:
        stop = int(np.searchsorted(-log_d, -log_d[start] + _RANGE - 2 * _MARGIN, side="right"))
        low = int(np.searchsorted(-log_d, -log_d[start] - _MARGIN))
        high = int(np.searchsorted(-log_d, -log_d[stop - 1] + _MARGIN, side="right"))
        window = _jacobi(log_d[low:high], right[low:high, low:high])
        found[start:stop] = window[start - low : stop - low]
        start = stop
    return found


def _jacobi(log_d: np.ndarray, right: np.ndarray) -> np.ndarray:
    """One-sided Jacobi (LAPACK dgejsv, job 'C': columns scaled) of Tᵀ diag(d), the largest d scaled to 1."""
    from scipy.linalg.lapack import dgejsv  # pyright: ignore[reportAttributeAccessIssue]  # made at run time by f2py

    top = float(np.max(log_d))
    values, _, _, work, _, info = dgejsv(right.T * np.exp(log_d - top), joba=0, jobu=3, jobv=3, jobr=0, jobt=0, jobp=0)
    if info != 0:
        raise AssertionError(f"one-sided Jacobi (dgejsv) returned info = {info}; please report")
    with np.errstate(divide="ignore"):
        return top + np.log(values * (work[0] / work[1]))
