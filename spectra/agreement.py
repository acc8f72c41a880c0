"""Whether sampled Jacobians agree with the predicted spectrum, within uncertainties that are derived, not tuned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ConfigError
from .sampling import Ensemble, Progress
from .sampling import companions as draw_companions

if TYPE_CHECKING:
    from .prediction import Prediction

FALSE_ALARM_RATE = 0.01  # of the verdict as a whole: Bonferroni over the moments, the KS and the Wasserstein distance
_GRID = 2000  # points on which whole distribution functions are compared; their spacing in mass is 1/2000 or finer
_ROUNDING = 1e-8  # relative accuracy of sampled singular values: no standard error is taken to be smaller
_DECADES = 2.0  # singular values spread over more than this are compared as logarithms
_TAIL = 0.01  # lowest share of the nonzero law that the logarithmic Wasserstein distance clips to one point


@dataclass(frozen=True)
class MomentRecord:
    """Moment k of JJᵀ at one width; `z` counts `standard_error` and the bias expected at this width together."""

    k: int
    predicted: float | None
    sampled: float | None
    standard_error: float | None
    z: float | None


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
    """Moment k extrapolated to infinite width; the verdict wants |z| ≤ `limit`, a Student-t quantile."""

    k: int
    value: float | None
    standard_error: float | None
    z: float
    limit: float


@dataclass(frozen=True)
class CrossCheck:
    """The comparison, its verdict and its reasons.

    Parameters
    ----------
    widths : one record a width, largest first, the companions drawn to measure the bias included.
    extrapolated : moments at infinite width.
    ks_limit, wasserstein_limit : what the distances at the largest width may be; None where it cannot be known.
    wasserstein_variable : "s", or "log s" where the singular values spread over more than two decades.
    agree : every moment and both distances are within their limits.
    notes : what was left out, what failed, what makes the verdict weak.
    """

    widths: tuple[WidthRecord, ...]
    extrapolated: tuple[ExtrapolatedMoment, ...]
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
        }


def crosscheck(
    pred: Prediction,
    ensemble: Ensemble | Sequence[Ensemble],
    *,
    moments: int = 4,
    companions: bool = True,
    progress: Progress | None = None,
) -> CrossCheck:
    """Compare sampled spectra of JJᵀ with a prediction: m_k at 1/N → 0, sup |F_N − F|, ∫ |F_N − F|.

    Parameters
    ----------
    pred : the prediction, a law in the limit of infinite width.
    ensemble : samples of the same network, at one width or at several (widths in fixed proportion).
    moments : number of moments compared.
    companions : with a single width, also sample at N/2 and N/4 (`spectra.sampling.companions`, ¾ of the cost again)
        to measure the finite-width bias. Without them it is only allowed for, and the distances are not judged.
    progress : passed to the sampling of the companions.

    Raises
    ------
    ValueError : fewer than two samples, two ensembles of one width, different depths, `moments` below 1.

    Notes
    -----
    *Moments.* y = log m̂_k of one network is nearly normal even where m̂_k is log-normal, so Student's t applies to
    its mean at 8 samples. Bias: E y = log m_k + c_1 h + c_2 h² + …, in the small parameter of the expansion,
    h = ½k(k+1) Σ_l 1/N_l max(1, V/L), V = m_2/m_1² − 1: Gaussian linear layers have V = L and the exact
    E m̂_2 = m_2 (1 + L/2N + …), so |c_1| < 1 there, and V/L is the per-layer variance of other layers. c_1 and c_2 are
    independent standard normal variables; the intercept is the generalised least-squares mean under
    Cov = diag(SE²) + h hᵀ + h² (h²)ᵀ. With one width this is an allowance; with three the data fix c_1 and c_2.

    *Distances.* Both are norms of F̄_N − F. Let ν_N = r/√(S − 1), r the rms of ‖F_N^{(s)} − F̄_N‖ over the samples.
    By Gaussian concentration ‖F̄_N − E F_N‖ ≤ (1 + t) ν_N up to the tail probability of t (the mean of the norm and
    its weak deviation are each at most ν_N). The bias falls at least like N^{-1/2} (the rate of the largest of L
    fractions of dead ReLUs; other biases fall like 1/N), so ‖E F_N − F‖ ≤ ‖E F_n − E F_N‖ / (√(N/n) − 1), n < N.
    The limit is the sum, each expectation replaced by its mean and allowance.

    The false-alarm rate of the verdict is at most 1 %, Bonferroni over the moments and the two distances.

    Source
    ------
    Gaussian concentration: Ledoux, Talagrand, Probability in Banach Spaces (1991), section 3.1.
    """
    notes: list[str] = []
    ensembles = _validated(ensemble, moments)
    if companions and len(ensembles) == 1:
        ensembles = (*ensembles, *draw_companions(ensembles[0], progress=progress))
    several = len(ensembles) > 1
    if not several:
        notes.append("one width only: finite-width bias allowed for, not measured; KS and Wasserstein not judged")
    level = FALSE_ALARM_RATE / (moments + 2)
    predicted, bias = _predicted_moments(pred, ensembles, moments, notes)
    logs = [_log_moments(e, moments) for e in ensembles]
    vanishing = any(np.isneginf(y).any() for y in logs)
    if vanishing:
        notes.append("some sampled Jacobians are exactly zero: moments extrapolated themselves, not as logarithms")
    extrapolated = tuple(
        _extrapolate(k, [y[:, k - 1] for y in logs], predicted[k - 1], k * (k + 1) / 2 * bias, level, vanishing)
        for k in range(1, moments + 1)
        if np.isfinite(predicted[k - 1])
    )
    failed = [f"moment {m.k}: z = {m.z:.2f} beyond ±{m.limit:.2f}" for m in extrapolated if abs(m.z) > m.limit]

    grid = _Grid.build(pred, ensembles)
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
    return CrossCheck(widths, extrapolated, ks_limit, w_limit, grid.variable, not failed, (*notes, *failed))


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
    pred: Prediction, ensembles: tuple[Ensemble, ...], moments: int, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of m_1 … m_K (NaN where no double holds m_k), and Σ 1/N_l max(1, V/L) for every ensemble."""
    values = np.asarray(pred.moments(max(moments, 2)), dtype=float)
    usable = np.isfinite(values) & (values > 0)
    with np.errstate(all="ignore"):
        logs = np.where(usable, np.log(values), np.nan)
        variance = np.expm1(logs[1] - 2 * logs[0]) / ensembles[0].depth
    if not usable[:moments].all():
        left_out = ", ".join(f"m_{k + 1}" for k in np.flatnonzero(~usable[:moments]))
        notes.append(f"outside the range of double precision, not compared: {left_out}")
    ratio = np.array([sum(1.0 / n for n in e.widths[1:]) for e in ensembles])
    if ratio[0] > 0.25:
        notes.append(
            f"depth is not small against width (Σ 1/N_l = {ratio[0]:.2f}): squared gradients are log-normal-like, the "
            "infinite-width law is a poor guide at this width, and the moments test little"
        )
    return logs[:moments], ratio * np.fmax(1.0, variance)


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
    """Intercept of E y = α + c_1 h + c_2 h² by generalised least squares, c_1, c_2 ~ N(0, 1); see `crosscheck`.

    y is log(m̂_k / m_k), or m̂_k / m_k − 1 where some m̂_k vanish: zero in the mean if the prediction holds.
    """
    from scipy.special import stdtrit

    y = [np.expm1(v - log_predicted) if vanishing else v - log_predicted for v in logs]
    means = np.array([v.mean() for v in y])
    dof = np.array([v.size - 1 for v in y])
    variances = np.array([v.var(ddof=1) / v.size for v in y]) + (_ROUNDING * k) ** 2
    covariance = np.diag(variances) + np.outer(h, h) + np.outer(h**2, h**2)
    weights = np.linalg.solve(covariance, np.ones_like(means))
    variance = 1 / weights.sum()
    weights *= variance
    intercept = float(weights @ means)
    # Welch–Satterthwaite: only the sampled part of the variance is estimated; the prior part is known.
    effective = variance**2 / np.sum((weights**2 * variances) ** 2 / dof)
    error = math.sqrt(variance)
    limit = float(stdtrit(effective, 1 - level / 2))
    expected = _finite_exp(log_predicted)
    value = None if expected is None else expected * (1 + intercept if vanishing else math.exp(min(intercept, 700.0)))
    scale = expected if vanishing else value
    return ExtrapolatedMoment(k, value, None if scale is None else scale * error, intercept / error, limit)


def _moment_records(logs: np.ndarray, log_predicted: np.ndarray, bias: float) -> tuple[MomentRecord, ...]:
    """Put the sampled moments of one width beside the predicted ones."""
    records = []
    for k, (y, expected) in enumerate(zip(logs.T, log_predicted, strict=True), start=1):
        top = max(float(y.max()), -1e300)
        shares = np.exp(y - top)
        mean, error = shares.mean(), shares.std(ddof=1) / math.sqrt(y.size)
        z = None
        if np.isfinite(expected) and abs(expected - top) < 700:  # beyond e^700 the ratio itself has no double
            expected_share = math.exp(expected - top)
            z = float((mean - expected_share) / math.hypot(error, k * (k + 1) / 2 * bias * expected_share))
        scale = _finite_exp(float(top))
        records.append(
            MomentRecord(
                k=k,
                predicted=_finite_exp(float(expected)),
                sampled=None if scale is None else float(mean * scale),
                standard_error=None if scale is None else float(error * scale),
                z=z,
            )
        )
    return tuple(records)


def _finite_exp(x: float) -> float | None:
    """Return exp(x), or None where that is not a positive finite double."""
    return math.exp(x) if -700 < x < 700 else None


@dataclass(frozen=True)
class _Grid:
    """Points u = log λ on which distribution functions are compared, with F and F(·−) there, and their norms.

    A distribution function is an array (…, 2, points): its values from the right and from the left.
    """

    pred: Any
    u: np.ndarray
    law: np.ndarray
    position: np.ndarray
    variable: str

    @staticmethod
    def build(pred: Prediction, ensembles: tuple[Ensemble, ...]) -> _Grid:
        """Choose the points: quantiles of the samples and of the law, and all atoms."""
        pooled = np.unique(np.concatenate([_snapped(pred, e).ravel() for e in ensembles]))
        chosen = pooled[np.linspace(0, pooled.size - 1, min(_GRID, pooled.size)).astype(int)]
        zero = float(sum(a.mass for a in pred.spectrum.atoms if a.location == 0))
        low, high = pred.spectrum.icdf(zero + (1 - zero) * np.array([_TAIL, 1 - _TAIL]))
        with np.errstate(divide="ignore"):
            quantiles = np.log(pred.spectrum.icdf(np.linspace(0.0, 1.0, 201)))
            u = np.unique(np.concatenate([chosen, quantiles[quantiles < np.inf], _atom_positions(pred)]))
        wide = low > 0 and math.log10(high / low) / 2 > _DECADES
        position = np.maximum(u, math.log(low)) / 2 if wide else np.exp(u / 2)
        return _Grid(pred, u, _distribution(pred, u), position, "log s" if wide else "s")

    def empirical(self, ensemble: Ensemble) -> np.ndarray:
        """Distribution function of every sampled spectrum, (samples, 2, points)."""
        rows = np.sort(_snapped(self.pred, ensemble), axis=1)
        counts = [[np.searchsorted(row, self.u, side) for side in ("right", "left")] for row in rows]
        return np.array(counts) / ensemble.n_out

    def distances(self, ensemble: Ensemble, curves: np.ndarray) -> tuple[float, float, float, float]:
        """KS distance and its standard error, Wasserstein distance and its standard error; errors by jackknife."""
        pooled = np.sort(_snapped(self.pred, ensemble).ravel())
        points = np.unique(np.concatenate([pooled, self.u[np.isin(self.u, _atom_positions(self.pred))]]))
        exact = np.stack([np.searchsorted(pooled, points, side) for side in ("right", "left")]) / pooled.size
        ks = float(np.max(np.abs(exact - _distribution(self.pred, points))))
        n, mean = len(curves), curves.mean(axis=0)
        left_out = (n * mean - curves) / (n - 1) - self.law
        errors = [math.sqrt((n - 1) * np.var(norm(left_out))) for norm in (self.supremum, self.integral)]
        return ks, errors[0], float(self.integral(mean - self.law)), errors[1]

    def limit(
        self,
        norm: Callable[[np.ndarray], np.ndarray],
        ensembles: tuple[Ensemble, ...],
        curves: list[np.ndarray],
        level: float,
    ) -> float:
        """Largest distance at the largest width that chance and a bias of order N^{-1/2} explain; see `crosscheck`."""
        noise = [_allowance(norm, c, level) for c in (curves[0], curves[-1])]
        difference = float(norm(curves[0].mean(axis=0) - curves[-1].mean(axis=0)))
        rate = 1 / (math.sqrt(ensembles[0].width / ensembles[-1].width) - 1)
        return rate * (difference + sum(noise)) + noise[0] + _ROUNDING

    @staticmethod
    def supremum(difference: np.ndarray) -> np.ndarray:
        """Largest modulus of a difference of distribution functions, (…, 2, points) → (…)."""
        return np.max(np.abs(difference), axis=(-2, -1))

    def integral(self, difference: np.ndarray) -> np.ndarray:
        """∫ |difference| over s, or over log s above the clip: trapezoids between the jumps, (…, 2, points) → (…)."""
        size = np.abs(difference)
        return np.sum((size[..., 0, :-1] + size[..., 1, 1:]) / 2 * np.diff(self.position), axis=-1)


def _allowance(norm: Callable[[np.ndarray], np.ndarray], curves: np.ndarray, level: float) -> float:
    """(1 + t) ν, ν the standard deviation of the mean curve in the norm: ‖mean − expectation‖ exceeds it at `level`."""
    from scipy.special import stdtrit

    dof = len(curves) - 1
    scatter = math.sqrt(np.mean(norm(curves - curves.mean(axis=0)) ** 2) / dof)
    return (1 + float(stdtrit(dof, 1 - level))) * scatter


def _atom_positions(pred: Prediction) -> np.ndarray:
    """Logarithms of the atoms' locations, −inf for the one at zero."""
    with np.errstate(divide="ignore"):
        return np.log(np.array([float(a.location) for a in pred.spectrum.atoms]))


def _distribution(pred: Prediction, u: np.ndarray) -> np.ndarray:
    """F and F(·−) of the prediction at λ = exp(u), (2, points)."""
    points, jumps = np.exp(u), np.zeros_like(u)
    for position, atom in zip(_atom_positions(pred), pred.spectrum.atoms, strict=True):
        points[u == position] = atom.location  # not exp(log(location)), which may round to the wrong side of the jump
        jumps[u == position] = atom.mass
    law = np.asarray(pred.spectrum.cdf(points), dtype=float)
    return np.stack([law, law - jumps])


def _snapped(pred: Prediction, ensemble: Ensemble) -> np.ndarray:
    """Logarithms of the eigenvalues, those that rounding alone tells from an atom moved onto it."""
    logs = ensemble.log_eigenvalues
    for position in _atom_positions(pred):
        logs = np.where(np.abs(logs - position) < _ROUNDING, position, logs) if np.isfinite(position) else logs
    return logs
