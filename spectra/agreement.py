"""Whether sampled Jacobians agree with the predicted spectrum, within uncertainties that are derived, not tuned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .distances import ROUNDING, Grid
from .errors import ConfigError
from .extrapolation import Intercept, extrapolate
from .sampling import Ensemble, Progress, measured
from .sampling import companions as draw_companions
from .shape import LINEAR, amplification, clip, shape_of_law, shape_of_samples

if TYPE_CHECKING:
    from .prediction import Prediction

FALSE_ALARM_RATE = 0.01  # of the verdict as a whole: Bonferroni over moments, shape statistics and both distances
_OTHER_TESTS = 4  # two of the shape, two distances
_ASYMPTOTIC = 0.4  # variance of log q_l between networks, at the largest width, beyond which a reader is warned


@dataclass(frozen=True)
class MomentRecord:
    """Moment k of JJᵀ at one width: `z` = (`sampled` − `predicted`)/`standard_error`.

    `z_with_bias` divides by `standard_error` and the bias expected at this width together.
    """

    k: int
    predicted: float | None
    sampled: float | None
    standard_error: float | None
    z: float | None
    z_with_bias: float | None


@dataclass(frozen=True)
class WidthRecord:
    """Distances and moments at one width; `ks` and `wasserstein` compare the pooled spectrum with the prediction."""

    width: int
    samples: int
    ks: float
    ks_standard_error: float
    wasserstein: float
    wasserstein_standard_error: float
    moments: tuple[MomentRecord, ...]


@dataclass(frozen=True)
class ExtrapolatedMoment:
    """Moment k extrapolated to infinite width: `z` = (`value` − prediction)/`standard_error`.

    The verdict wants |`z_with_bias`| ≤ `limit`, a Student-t quantile; it counts standard errors of the logarithm, whose
    scatter is nearly normal. Both allow for what is not known of the finite-width bias. `detectable` is the relative
    error of the prediction that would be noticed half of the time.
    """

    k: int
    value: float | None
    standard_error: float | None
    z: float
    z_with_bias: float
    limit: float
    detectable: float | None


@dataclass(frozen=True)
class ShapeRecord:
    """A statistic of the spectrum's shape, extrapolated to infinite width and tested as the moments are.

    `name` is "mean of log s" or "sd of log s", with s clipped below at `clipped_at`. `detectable` is the error of the
    prediction that would be noticed half of the time: absolute for the mean, relative for the standard deviation.
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


@dataclass(frozen=True)
class CrossCheck:
    """The comparison, its verdict and its reasons.

    Parameters
    ----------
    widths : one record a width, largest first, the companions drawn to measure the bias included.
    extrapolated : moments at infinite width.
    shape : statistics at infinite width that see the number of layers better than moments do.
    ks_limit, wasserstein_limit : what the distances at the largest width may be; None where it cannot be known.
    wasserstein_variable : "s", or "log s" where the singular values spread over more than two decades.
    agree : every moment, every statistic of the shape and both distances are within their limits.
    notes : what was left out, what failed, what makes the verdict weak.
    """

    widths: tuple[WidthRecord, ...]
    extrapolated: tuple[ExtrapolatedMoment, ...]
    shape: tuple[ShapeRecord, ...]
    ks_limit: float | None
    wasserstein_limit: float | None
    wasserstein_variable: str
    agree: bool
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings, ready for JSON; what does not exist is None."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()} | {
            "widths": [asdict(record) | {"moments": [asdict(m) for m in record.moments]} for record in self.widths],
            "extrapolated": [asdict(record) for record in self.extrapolated],
            "shape": [asdict(record) for record in self.shape],
        }


def crosscheck(
    pred: Prediction,
    ensemble: Ensemble | Sequence[Ensemble] | np.ndarray,
    *,
    moments: int = 4,
    companions: bool = True,
    progress: Progress | None = None,
) -> CrossCheck:
    """Compare sampled spectra of JJᵀ with a prediction: m_k, E log s, Var log s at 1/N → 0, sup and ∫ of |F_N − F|.

    Parameters
    ----------
    pred : the prediction, a law in the limit of infinite width.
    ensemble : samples of the same network, at one width or at several (widths in fixed proportion); or singular values
        from elsewhere, (samples, n), as `spectra.measured` takes them.
    moments : number of moments compared.
    companions : with a single width, also sample at N/2 and N/4 (`spectra.sampling.companions`, ¾ of the cost again)
        to measure the finite-width bias. Without them it is only allowed for, and the distances are not judged.
    progress : passed to the sampling of the companions.

    Returns
    -------
    CrossCheck: distances and moments at every width, extrapolations with their z, `agree`, and the reasons in `notes`.

    Raises
    ------
    ValueError : fewer than two samples, two ensembles of one width, different depths, `moments` below 1.

    Notes
    -----
    *Moments.* y = log m̂_k of one network is nearly normal even where m̂_k is log-normal, so Student's t applies to
    its mean at 8 samples. Bias: E y = log m_k + c_1 h + c_2 h² + …, in the small parameter of the expansion,
    h = ½k(k+1) Σ_l 1/N_l max(κ, V/L), V = m_2/m_1² − 1: Gaussian linear layers have V = L and the exact
    E m̂_2 = m_2 (1 + L/2N + …), so |c_1| < 1 there, and V/L is the per-layer variance of other layers; κ ≥ 1 measures
    how far the q_l scatter between networks (`spectra.shape.amplification`), on which the laws of the layers depend.
    c_1 and c_2 are independent standard normal variables; the intercept is the generalised least-squares mean under
    Cov = diag(SE²) + h hᵀ + h² (h²)ᵀ. With one width this is an allowance; with three the data fix c_1 and c_2.

    *Shape.* E log s and Var log s (s clipped below, see `spectra.shape`), in the same way. One layer more moves E log s
    of Gaussian layers by about −½, while the mean over N directions scatters by √(2L log N)/N and what the q_l add:
    16 layers are told from 17 that way, while log m_k scatter by √(L/N). h is κ Σ 1/N_l, in units of the predicted
    spread for the mean; the further terms of the bias are in proportion to the first, c_1 h (1 + c_2 h + c_3 h²).
    (m_2/m_1² would see orthogonal layers better still, but its second term is 5 times the first where h is 1:
    Gaussian linear layers, measured.)

    *Distances.* Both are norms of F̄_N − F. Let ν_N = r/√(S − 1), r the rms of ‖F_N^{(s)} − F̄_N‖ over the samples.
    By Gaussian concentration ‖F̄_N − E F_N‖ ≤ (1 + t) ν_N up to the tail probability of t (the mean of the norm and
    its weak deviation are each at most ν_N). The bias falls at least like N^{-1/2} (the rate of the largest of L
    fractions of dead ReLUs; other biases fall like 1/N), so ‖E F_N − F‖ ≤ ‖E F_n − E F_N‖ / (√(N/n) − 1), n < N.
    The limit is the sum, each expectation replaced by its mean and allowance.

    The false-alarm rate of the verdict is at most 1 %, Bonferroni over moments, shape and the two distances.

    Source
    ------
    Gaussian concentration: Ledoux, Talagrand, Probability in Banach Spaces (1991), section 3.1.
    """
    notes: list[str] = []
    if isinstance(ensemble, np.ndarray):
        ensemble = measured(pred.network, ensemble)
    ensembles = _validated(ensemble, moments)
    if companions and len(ensembles) == 1:
        ensembles = (*ensembles, *draw_companions(ensembles[0], progress=progress))
    several = len(ensembles) > 1
    if not several:
        notes.append("one width only: finite-width bias allowed for, not measured; KS and Wasserstein not judged")
    level = FALSE_ALARM_RATE / (moments + _OTHER_TESTS)
    h = _inverse_widths(ensembles)
    kappa = amplification(ensembles[-1].q, float(h[-1]))
    if (scatter := LINEAR * kappa * h[0]) > _ASYMPTOTIC:
        notes.append(
            f"between networks of this width log q_l has a variance of {scatter:.2f}, too large for an expansion in "
            "1/N: the moments test little"
        )
    predicted, bias = _predicted_moments(pred, ensembles, moments, h, kappa, notes)
    logs = [_log_moments(e, moments) for e in ensembles]
    vanishing = any(np.isneginf(y).any() for y in logs)
    shape = _shape_records(pred, ensembles, kappa * h, level)
    if vanishing:
        notes.append("some sampled Jacobians are exactly zero: moments extrapolated themselves, not as logarithms")
    extrapolated = tuple(
        _extrapolate(k, [y[:, k - 1] for y in logs], predicted[k - 1], k * (k + 1) / 2 * bias, level, vanishing)
        for k in range(1, moments + 1)
        if np.isfinite(predicted[k - 1])
    )
    tested = [(f"moment {m.k}", m) for m in extrapolated] + [(s.name, s) for s in shape]
    failed = [
        f"{name}: z with bias = {test.z_with_bias:.2f} beyond ±{test.limit:.2f}"
        for name, test in tested
        if abs(test.z_with_bias) > test.limit
    ]

    grid = Grid.build(pred, ensembles)
    curves = [grid.empirical(e) for e in ensembles]
    distances = [grid.distances(e, c) for e, c in zip(ensembles, curves, strict=True)]
    ks_limit, w_limit = (
        grid.limit(norm, ensembles, curves, level) if several else None for norm in (grid.supremum, grid.integral)
    )
    ks, _, w, _ = distances[0]
    for name, distance, limit in (("KS", ks, ks_limit), ("Wasserstein", w, w_limit)):
        if limit is not None and distance > limit:
            failed.append(f"{name} distance {distance:.3g} at width {ensembles[0].width} exceeds {limit:.3g}")
    widths = tuple(
        WidthRecord(e.width, e.samples, *d, _moment_records(y, predicted, h))
        for e, d, y, h in zip(ensembles, distances, logs, bias, strict=True)
    )
    if not pred.checks.certified:
        failed.append("the prediction itself is not certified: no agreement with it counts")
    return CrossCheck(widths, extrapolated, shape, ks_limit, w_limit, grid.variable, not failed, (*notes, *failed))


def _validated(ensemble: Ensemble | Sequence[Ensemble], moments: int) -> tuple[Ensemble, ...]:
    """Check the arguments; return the ensembles, widest first."""
    found = tuple(ensemble) if isinstance(ensemble, Sequence) else (ensemble,)
    if not found or not all(isinstance(e, Ensemble) for e in found):
        raise ConfigError("`crosscheck(pred, ensemble)`: `ensemble` must be what `spectra.sample` returns, or several.")
    if isinstance(moments, bool) or not isinstance(moments, int) or moments < 1:
        raise ConfigError(f"`crosscheck(moments={moments!r})`: `moments` must be a positive integer.")
    if any(e.samples < 2 for e in found):
        raise ConfigError("`crosscheck`: needs at least 2 samples a width; standard errors come from their spread.")
    if len({e.width for e in found}) < len(found):
        raise ConfigError("`crosscheck`: two ensembles have the same width; merge them or leave one out.")
    if len({e.depth for e in found}) > 1:
        raise ConfigError("`crosscheck`: the ensembles have different depths, so they sample different networks.")
    return tuple(sorted(found, key=lambda e: -e.width))


def _predicted_moments(
    pred: Prediction, ensembles: tuple[Ensemble, ...], moments: int, ratio: np.ndarray, kappa: float, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of m_1 … m_K (NaN where no double holds m_k), and Σ 1/N_l max(κ, V/L) for every ensemble."""
    values = np.asarray(pred.moments(max(moments, 2)), dtype=float)
    usable = np.isfinite(values) & (values > 0)
    with np.errstate(all="ignore"):
        logs = np.where(usable, np.log(values), np.nan)
        variance = np.expm1(logs[1] - 2 * logs[0]) / ensembles[0].depth
    if not usable[:moments].all():
        left_out = ", ".join(f"m_{k + 1}" for k in np.flatnonzero(~usable[:moments]))
        notes.append(f"outside the range of double precision, not compared: {left_out}")
    if ratio[0] > 0.25:
        notes.append(
            f"depth is not small against width (Σ 1/N_l = {ratio[0]:.2f}): squared gradients are log-normal-like, the "
            "infinite-width law is a poor guide at this width, and the moments test little"
        )
    return logs[:moments], ratio * np.fmax(kappa, variance)


def _inverse_widths(ensembles: tuple[Ensemble, ...]) -> np.ndarray:
    """Σ_l 1/N_l of every ensemble."""
    return np.array([sum(1.0 / n for n in e.widths[1:]) for e in ensembles])


def _log_moments(ensemble: Ensemble, moments: int) -> np.ndarray:
    """Logarithms of (1/N_L) Σ_i λ_i^k of every sampled network, (samples, moments), at any scale; −inf where J = 0."""
    logs = 2 * ensemble.log_singular_values
    top = np.maximum(logs[:, :1], -1e300)
    powers = [np.sum(np.exp(k * (logs - top)), axis=1) for k in range(1, moments + 1)]
    with np.errstate(divide="ignore"):
        return np.log(np.stack(powers, axis=1) / ensemble.n_out) + top * np.arange(1, moments + 1)


def _extrapolate(
    k: int, logs: list[np.ndarray], log_predicted: float, h: np.ndarray, level: float, vanishing: bool
) -> ExtrapolatedMoment:
    """Extrapolate y = log(m̂_k / m_k), or m̂_k / m_k − 1 where some m̂_k vanish: zero in the mean if the law holds."""
    y = [np.expm1(v - log_predicted) if vanishing else v - log_predicted for v in logs]
    found = extrapolate(y, h, level, ROUNDING * k)
    expected = _finite_exp(log_predicted)
    growth = 1 + found.value if vanishing else math.exp(min(found.value, 700.0))
    value = None if expected is None else expected * growth
    scale = expected if vanishing else value
    error = None if scale is None else scale * found.standard_error
    detectable = found.detectable if vanishing else _growth(found)
    z = found.z if vanishing else _linear_z(found)
    return ExtrapolatedMoment(k, value, error, z, found.z, found.limit, detectable)


def _linear_z(found: Intercept) -> float:
    """(e^y − 1)/(e^y σ): standard errors of what y ± σ is the logarithm of, relative to its prediction."""
    return -math.expm1(min(-found.value, 700.0)) / found.standard_error


def _growth(found: Intercept) -> float | None:
    """Relative change that is noticed half of the time, of what `found` is a logarithm of; None beyond all bounds."""
    return math.expm1(found.detectable) if found.detectable < 700.0 else None


def _shape_records(
    pred: Prediction, ensembles: tuple[Ensemble, ...], h: np.ndarray, level: float
) -> tuple[ShapeRecord, ...]:
    """Mean and standard deviation of log s, as far as they exist, against the prediction's."""
    log_clip = clip(pred.spectrum, min(e.log_singular_values.shape[1] for e in ensembles))
    law = shape_of_law(pred.spectrum, log_clip)
    found = [shape_of_samples(e.log_eigenvalues, log_clip) for e in ensembles]
    clipped_at = _finite_exp(log_clip / 2)

    def test(values: list[np.ndarray], expected: float, unit: float) -> Intercept | None:
        """None where the statistic does not exist, here or in a sample."""
        if not all(np.isfinite(v).all() for v in values) or not math.isfinite(expected):
            return None
        return extrapolate([v - expected for v in values], unit * h, level, 2 * ROUNDING, proportional=True)

    records = []
    spread = math.sqrt(law.variance)
    mean = test([s.mean / 2 for s in found], law.mean / 2, spread / 2)
    if mean is not None:
        value = law.mean / 2 + mean.value
        records.append(_record("mean of log s", law.mean / 2, value, 1.0, mean.z, mean, mean.detectable, clipped_at))
    if spread > ROUNDING:
        with np.errstate(divide="ignore"):
            sd = test([np.log(s.variance) / 2 for s in found], math.log(spread), 0.5)
        if sd is not None:
            value = spread / 2 * math.exp(sd.value)
            z = _linear_z(sd)
            records.append(_record("sd of log s", spread / 2, value, value, z, sd, _growth(sd), clipped_at))
    return tuple(records)


def _record(
    name: str,
    predicted: float,
    value: float,
    scale: float,
    z: float,
    found: Intercept,
    detectable: float | None,
    clipped_at: float | None,
) -> ShapeRecord:
    error = scale * found.standard_error
    return ShapeRecord(name, predicted, value, error, z, found.z, found.limit, detectable, clipped_at)


def _moment_records(logs: np.ndarray, log_predicted: np.ndarray, bias: float) -> tuple[MomentRecord, ...]:
    """Put the sampled moments of one width beside the predicted ones."""
    records = []
    for k, (y, expected) in enumerate(zip(logs.T, log_predicted, strict=True), start=1):
        top = max(float(y.max()), -1e300)
        shares = np.exp(y - top)
        mean = shares.mean()
        error = math.hypot(shares.std(ddof=1) / math.sqrt(y.size), ROUNDING * k * mean)
        z = with_bias = None
        if np.isfinite(expected) and abs(expected - top) < 700:  # beyond e^700 the ratio itself has no double
            expected_share = math.exp(expected - top)
            z = float((mean - expected_share) / error) if error else None
            with_bias = float((mean - expected_share) / math.hypot(error, k * (k + 1) / 2 * bias * expected_share))
        scale = _finite_exp(float(top))
        records.append(
            MomentRecord(
                k=k,
                predicted=_finite_exp(float(expected)),
                sampled=None if scale is None else float(mean * scale),
                standard_error=None if scale is None else float(error * scale),
                z=z,
                z_with_bias=with_bias,
            )
        )
    return tuple(records)


def _finite_exp(x: float) -> float | None:
    """Return exp(x), or None where that is not a positive finite double."""
    return math.exp(x) if -700 < x < 700 else None
