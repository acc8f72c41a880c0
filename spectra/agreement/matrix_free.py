"""Whether matrix-free estimates agree with the predicted spectrum, by the rules of `spectra.agreement`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..distances import ROUNDING, Grid, allowance, floor_notes, log_floor
from ..errors import ConfigError
from ..extrapolation import Intercept, extrapolate
from ..sampling.matrix_free.estimate import Estimate
from ..shape import amplification
from .moments import extrapolate_moment, finite_exp, moment_records, predicted_moments
from .outliers import log_shares, places_of
from .records import ExtrapolatedMoment, MomentRecord
from .verdict import FALSE_ALARM_RATE, inverse_widths

if TYPE_CHECKING:
    from ..prediction import Prediction

_OTHER_TESTS = 2  # the largest eigenvalue and the distance
_BINS = 12  # of the density
_LOWEST = 0.01  # share of the nonzero law below its first bin, for densities may go on to log λ = −∞
_RESOLVED = 0.5
_BESIDE = 1e-6  # nats that edges of bins are moved away from atoms


@dataclass(frozen=True)
class TopRecord:
    """λ_max of JJᵀ: `z` = (`sampled` − `predicted`)/`standard_error`; `z_with_bias` allows for the finite width.

    `limit` is what the verdict allows |`z_with_bias`| to be; None but at the width, or widths, that it judges.
    """

    predicted: float | None
    sampled: float | None
    standard_error: float | None
    z: float | None
    z_with_bias: float | None
    limit: float | None


@dataclass(frozen=True)
class DensityRecord:
    """Density of log λ between `log_low` and `log_high`, estimated and predicted; see `LogDensity`."""

    log_low: float
    log_high: float
    estimated: float
    standard_error: float
    resolution: float
    predicted: float


@dataclass(frozen=True)
class EstimateRecord:
    """Estimates at one width.

    `ks` is the distance of the pooled distribution function, through the middle of its jumps, from the prediction.
    `ks_resolution` is half of what its sure bounds leave open, at most; `ks_beyond_bounds` how far the prediction lies
    outside them. `products` counts the vectors that J and Jᵀ were applied to. `density` has a bin for every twelfth of
    the nonzero law, fewer where its Lanczos steps do not resolve them; none where atoms are all of it.
    """

    width: int
    samples: int
    probes: int
    steps: int
    products: int
    ks: float
    ks_standard_error: float
    ks_resolution: float
    ks_beyond_bounds: float
    lambda_max: TopRecord | None
    moments: tuple[MomentRecord, ...]
    density: tuple[DensityRecord, ...]


@dataclass(frozen=True)
class MatrixFreeCheck:
    """The comparison, its verdict and its reasons; see `spectra.agreement.CrossCheck`, whose fields these are."""

    widths: tuple[EstimateRecord, ...]
    extrapolated: tuple[ExtrapolatedMoment, ...]
    lambda_max: TopRecord | None
    ks_limit: float | None
    agree: bool
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings, ready for JSON; what does not exist is None."""
        plain = asdict(self)
        for record in plain["widths"]:
            record["moments"], record["density"] = list(record["moments"]), list(record["density"])
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def compare(pred: Prediction, estimates: Estimate | Sequence[Estimate]) -> MatrixFreeCheck:
    """Compare estimates with a prediction: m_k and λ_max at 1/N → 0, and sup |F_N − F|.

    Parameters
    ----------
    pred : the prediction, a law in the limit of infinite width.
    estimates : of the same network, at one width or at several.

    Returns
    -------
    MatrixFreeCheck.

    Raises
    ------
    ValueError : fewer than two networks a width, two estimates of one width, different depths or numbers of moments.

    Notes
    -----
    *Moments* as in `spectra.crosscheck`, from log m̂_k of every network with the scatter of the probes in it.

    *λ_max.* Log λ_max of one network is off by the scale on which eigenvalues near the edge lie, δ = log λ_max − log of
    the (1 − 1/N_L)-quantile of the law, and by the bias of the scale of J, that of log m_1. Tracy and Widom's mean is
    −0.43 δ at an edge where the density ends like a square root, so the allowance is a normal prior with
    h = √(δ² + h_1²) as standard deviation; with several widths the data fix its coefficient.

    Eigenvalues predicted above the law count in the predicted m_k, as λ^k/N_L, and the largest is the predicted λ_max.

    *Distance.* F is in the mean of the bounds that the Gauss rules prove, up to chance and bias, however few the steps.
    Both are measured with several widths, as in `spectra.crosscheck`; with one, the distance is not judged.

    Source
    ------
    Edge scaling: Johnstone, Ann. Statist. 29 (2001), 295–327.
    """
    found = _validated(estimates)
    notes: list[str] = []
    several, orders = len(found) > 1, found[0].log_probe_moments.shape[2]
    if not several:
        notes.append("one width only: finite-width bias allowed for, not measured; KS not judged")
    notes += floor_notes(pred)
    level = FALSE_ALARM_RATE / (orders + _OTHER_TESTS)
    like: Any = found  # the functions of `spectra.agreement` ask only for widths, depth and q
    h = inverse_widths(like)
    kappa = amplification(found[-1].q, float(h[-1]))
    predicted, bias = predicted_moments(pred, like, orders, h, kappa, notes)
    # What the eigenvalues above the law add is in the estimates.
    shares = [log_shares(pred, predicted, e.widths[-1]) for e in found]
    logs = [e.log_moments(corrected=True) - share for e, share in zip(found, shares, strict=True)]
    vanishing = any(np.isneginf(y).any() for y in logs)
    extrapolated = tuple(
        extrapolate_moment(k, [y[:, k - 1] for y in logs], predicted[k - 1], k * (k + 1) / 2 * bias, level, vanishing)
        for k in range(1, orders + 1)
        if np.isfinite(predicted[k - 1])
    )
    tops, top = _tops(pred, found, bias, level, notes)
    distances, limit = _distances(pred, found, level)
    failed = [
        f"moment {m.k}: z with bias = {m.z_with_bias:.2f} beyond ±{m.limit:.2f}"
        for m in extrapolated
        if abs(m.z_with_bias) > m.limit
    ]
    if top is not None and top.limit is not None and abs(top.z_with_bias or 0.0) > top.limit:
        failed.append(f"largest eigenvalue: z with bias = {top.z_with_bias:.2f} beyond ±{top.limit:.2f}")
    if limit is not None and distances[0][3] > limit:
        failed.append(
            f"the predicted distribution function is {distances[0][3]:.3g} outside its bounds at width "
            f"{found[0].width}, more than {limit:.3g}"
        )
    if not pred.checks.certified:
        failed.append("the prediction itself is not certified: no agreement with it counts")
    records = tuple(
        EstimateRecord(
            e.width,
            e.samples,
            e.probes,
            e.steps,
            e.products,
            *d,
            t,
            moment_records(e.log_moments(), predicted + share, b),
            _densities(pred, e),
        )
        for e, d, t, b, share in zip(found, distances, tops, bias, shares, strict=True)
    )
    return MatrixFreeCheck(records, extrapolated, top, limit, not failed, (*notes, *failed))


def _validated(estimates: Estimate | Sequence[Estimate]) -> tuple[Estimate, ...]:
    """Check the arguments; return the estimates, widest first."""
    found = (estimates,) if isinstance(estimates, Estimate) else tuple(estimates)
    if not found or not all(isinstance(e, Estimate) for e in found):
        raise ConfigError("`compare(pred, estimates)`: needs what `matrix_free.sample` returns, or several of it.")
    if any(e.samples < 2 for e in found):
        raise ConfigError("`compare`: needs at least 2 samples a width; standard errors come from their spread.")
    if len({e.width for e in found}) < len(found):
        raise ConfigError("`compare`: two estimates have the same width; leave one out.")
    if len({(e.depth, e.log_probe_moments.shape[2]) for e in found}) > 1:
        raise ConfigError("`compare`: the estimates differ in depth, or in the number of moments.")
    if any(e.q.shape[1] != e.depth for e in found):
        raise ConfigError("`compare`: the estimates are of operators from elsewhere, with no forward pass known.")
    return tuple(sorted(found, key=lambda e: -e.width))


def _tops(
    pred: Prediction, found: tuple[Estimate, ...], bias: np.ndarray, level: float, notes: list[str]
) -> tuple[list[TopRecord | None], TopRecord | None]:
    """λ_max at every width, and extrapolated."""
    edge = -pred.spectrum.log_support[1]
    if not math.isfinite(edge) or any(np.isneginf(e.log_top).any() for e in found):
        notes.append("the largest eigenvalue is not compared: the law has none, or a sampled Jacobian is zero")
        return [None] * len(found), None
    quantiles = pred.spectrum.quantile_at(np.array([1.0 - 1.0 / e.widths[-1] for e in found]))
    h = np.hypot(edge + quantiles, bias)
    edge = max([edge, *map(math.log, places_of(pred))])
    y = [e.log_top - edge for e in found]
    accuracy = max(float(e.top_bound.max()) for e in found)
    records: list[TopRecord | None] = [
        _top_record(
            edge, extrapolate([own], np.zeros(1), level, accuracy), extrapolate([own], h[i : i + 1], level, accuracy)
        )
        for i, own in enumerate(y)
    ]
    judged = extrapolate(y, h, level, accuracy)
    return records, _top_record(edge, judged, judged, judged.limit)


def _top_record(edge: float, plain: Intercept, with_bias: Intercept, limit: float | None = None) -> TopRecord:
    value = finite_exp(edge + plain.value)
    error = None if value is None else value * plain.standard_error
    return TopRecord(finite_exp(edge), value, error, plain.z, with_bias.z, limit)


def _densities(pred: Prediction, estimate: Estimate) -> tuple[DensityRecord, ...]:
    """The density of log λ, estimated and predicted, in bins of equal predicted mass, the last up to the largest λ."""
    zero = float(sum(atom.mass for atom in pred.spectrum.atoms if atom.location == 0))
    shares = np.linspace(0.0, 1.0, _BINS + 1)
    shares[0] = _LOWEST
    edges = -pred.spectrum.quantile_at(zero + (1.0 - zero) * shares)
    with np.errstate(divide="ignore"):
        atoms = np.log(np.array([float(atom.location) for atom in pred.spectrum.atoms if atom.location > 0]))
    # A jump at an edge would fall to either side.
    for place in atoms:
        edges = np.where(np.abs(edges - place) < _BESIDE, place + _BESIDE, edges)
    edges = np.unique(edges[np.isfinite(edges)])
    edges = edges[np.append(True, np.diff(edges) > 2 * _BESIDE)] if edges.size else edges
    if edges.size < 3:
        return ()
    edges[-1] = max(edges[-1], float(np.max(estimate.log_top)) + _BESIDE)
    # From the top down, bins made one until what Lanczos leaves open is less than half of what is in them.
    kept = [edges[-1]]
    for edge in edges[-2::-1]:
        bin_ = estimate.density(np.array([edge, kept[-1]]))
        if bin_.resolution[0] < _RESOLVED * bin_.value[0]:
            kept.append(edge)
    if len(kept) < 2:
        return ()
    edges = np.array(kept[::-1])
    found = estimate.density(edges)
    law = np.diff(np.asarray(pred.spectrum.cdf(np.exp(edges)), float)) / np.diff(edges)
    columns = (edges[:-1], edges[1:], found.value, found.error, found.resolution, law)
    return tuple(DensityRecord(*row) for row in np.stack(columns, axis=1).tolist())


def _distances(
    pred: Prediction, found: tuple[Estimate, ...], level: float
) -> tuple[list[tuple[float, float, float, float]], float | None]:
    """(ks, its error, resolution, distance beyond the bounds) at every width; what the last may be at the largest."""
    with np.errstate(divide="ignore"):
        atoms = np.log(np.array([float(atom.location) for atom in pred.spectrum.atoms]))
    nodes: Any = tuple(SimpleNamespace(log_eigenvalues=e.log_nodes.reshape(e.samples, -1)) for e in found)
    grid = Grid.build(pred, nodes)
    curves = [e.curves(grid.u, atoms, ROUNDING, log_floor(pred)) for e in found]
    distances = []
    for middle, bounds in curves:
        mean, (low, high), n = middle.mean(axis=0), bounds.mean(axis=0), len(middle)
        left_out = (n * mean - middle) / (n - 1) - grid.law
        outside = float(max(np.max(low - grid.law[1]), np.max(grid.law[0] - high), 0.0))
        error = math.sqrt((n - 1) * np.var(grid.supremum(left_out)))
        # At an atom the bounds are those of the two sides of its jump.
        resolution = float(np.max((high - low)[grid.law[0] == grid.law[1]], initial=0.0)) / 2
        distances.append((float(grid.supremum(mean - grid.law)), error, resolution, outside))
    if len(found) == 1:
        return distances, None
    like: Any = found
    limit = grid.limit(grid.supremum, like, [middle for middle, _ in curves], level)
    # The bounds jump where a node lies, and scatter more than the curve through their middle.
    return distances, limit + allowance(grid.supremum, curves[0][1], level)
