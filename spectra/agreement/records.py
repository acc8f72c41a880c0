"""What a comparison of prediction and samples says, as records of plain numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class MomentRecord:
    """Moment k of JJᵀ at one width: `z` = (`sampled` − `predicted`)/`standard_error`.

    `z_with_bias` divides by `standard_error` and the bias expected at this width together. `log_ratio`, the mean of
    log m̂_k − log `predicted` over the networks, is what is extrapolated; None where a Jacobian vanishes.
    """

    k: int
    predicted: float | None
    sampled: float | None
    standard_error: float | None
    z: float | None
    z_with_bias: float | None
    log_ratio: float | None
    log_ratio_error: float | None


@dataclass(frozen=True)
class WidthRecord:
    """Distances and moments at one width; `ks` and `wasserstein` compare the pooled spectrum with the prediction.

    `shape` has the means over the samples of the mean and the standard deviation of log s, as they are compared, each
    with its standard error; None where one does not exist.
    """

    width: int
    samples: int
    ks: float
    ks_standard_error: float
    wasserstein: float
    wasserstein_standard_error: float
    moments: tuple[MomentRecord, ...]
    shape: tuple[tuple[float, float] | None, ...] = ()


@dataclass(frozen=True)
class ExtrapolatedMoment:
    """Moment k extrapolated to infinite width: `z` = (`value` − prediction)/`standard_error`.

    The verdict wants |`z_with_bias`| ≤ `limit`, a Student-t quantile; it counts standard errors of the logarithm, whose
    scatter is nearly normal. Both allow for what is not known of the finite-width bias. `detectable` is the relative
    error of the prediction that would be noticed half of the time. E m̂_k ≈ `value` · (1 + `slope`/N) at width N; the
    intervals hold the truth 95 times in a hundred, one by one. `fit` are the coefficients of 1, 1/N, 1/N² in the fit of
    the mean of log m̂_k − log m_k (of m̂_k/m_k − 1 where Jacobians vanish).
    """

    k: int
    value: float | None
    standard_error: float | None
    z: float
    z_with_bias: float
    limit: float
    detectable: float | None
    interval: Interval
    slope: float
    slope_interval: tuple[float, float]
    fit: tuple[float, ...]


@dataclass(frozen=True)
class ShapeRecord:
    """A statistic of the spectrum's shape, extrapolated to infinite width and tested as the moments are.

    `name` is "mean of log s" or "sd of log s", with s clipped below at `clipped_at`. `detectable` is the error of the
    prediction that would be noticed half of the time: absolute for the mean, relative for the standard deviation.
    At width N the statistic is about `value` + `slope`/N, or `value` · (1 + `slope`/N) for the standard deviation;
    `fit` are the coefficients of powers of 1/N in its deviation from the prediction, or in that of its logarithm.
    """

    name: str
    predicted: float | None
    value: float | None
    standard_error: float | None
    z: float
    z_with_bias: float
    limit: float
    detectable: float | None
    clipped_at: float | None
    interval: Interval
    slope: float
    slope_interval: tuple[float, float]
    fit: tuple[float, ...]


@dataclass(frozen=True)
class EdgeRecord:
    """λ_max extrapolated to infinite width and tested as the moments are; `spacing` says how far N is from it.

    `spacing` is log(λ_+/λ_N) at the largest width, λ_N the 1 − 1/N quantile of the law: what a finite spectrum falls
    short of the edge by. `sampled` is the geometric mean of the largest eigenvalue of every network at that width.
    """

    predicted: float | None
    sampled: float | None
    sampled_standard_error: float | None
    value: float | None
    standard_error: float | None
    z: float
    z_with_bias: float
    limit: float
    detectable: float | None
    interval: Interval
    spacing: float


@dataclass(frozen=True)
class AtomRecord:
    """Share of the eigenvalues that sit on an atom at `location`: sampled at the largest width, and extrapolated.

    `detectable` is an absolute error of the mass.
    """

    location: float
    predicted: float
    sampled: float
    sampled_standard_error: float
    value: float
    standard_error: float
    z: float
    z_with_bias: float
    limit: float
    detectable: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class FiniteMomentRecord:
    """m̂_k held against its exact expectation at the widths sampled; no bias to allow for (`spectra.finite_width`).

    `expected` are E m̂_k at `widths`; `deviation` is the weighted mean over all widths of log (sampled/expected).
    """

    k: int
    widths: tuple[int, ...]
    expected: tuple[float | None, ...]
    deviation: float
    standard_error: float
    z: float
    limit: float
    detectable: float | None


@dataclass(frozen=True)
class ScatterRecord:
    """Standard deviation of log m̂_1 between networks of one width, in theory and as sampled, with its standard error.

    `exact`: by the recursion of `spectra.finite_width.finite_moments`; else Σ c_l/N_l to leading order. `gradient` is
    the relative variance of ‖Jv‖², v uniform, in theory (None without a recursion), `gradient_sampled` as sampled.
    Nothing is judged by these.
    """

    width: int
    predicted: float | None
    sampled: float
    standard_error: float
    exact: bool
    gradient: float | None
    gradient_sampled: float | None


@dataclass(frozen=True)
class CrossCheck:
    """The comparison, its verdict and its reasons.

    Parameters
    ----------
    widths : one record a width, largest first, the companions drawn to measure the bias included.
    extrapolated : moments at infinite width.
    shape : statistics at infinite width that see the number of layers better than moments do.
    edge : λ_max at infinite width; None where the law has no end, or vanishes there in a sample. Where eigenvalues
        above the law are predicted, they are not among what is compared with the law, here and in all else.
    outliers : eigenvalues predicted above the law, at infinite width.
    atoms : masses at infinite width.
    finite : m̂_1 and m̂_2 against what is exact at finite width, where there is such a theory.
    scatter : between networks, a record a width.
    ks_limit, wasserstein_limit : what the distances at the largest width may be; None where it cannot be known.
    wasserstein_variable : "s", or "log s" where the singular values spread over more than two decades.
    agree : every statement above but the scatter is within its limit.
    notes : what was left out, what failed, what makes the verdict weak.
    """

    widths: tuple[WidthRecord, ...]
    extrapolated: tuple[ExtrapolatedMoment, ...]
    shape: tuple[ShapeRecord, ...]
    edge: EdgeRecord | None
    outliers: tuple[EdgeRecord, ...]
    atoms: tuple[AtomRecord, ...]
    finite: tuple[FiniteMomentRecord, ...]
    scatter: tuple[ScatterRecord, ...]
    ks_limit: float | None
    wasserstein_limit: float | None
    wasserstein_variable: str
    agree: bool
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings, ready for JSON; what does not exist is None."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
