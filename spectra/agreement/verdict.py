"""The verdict: whether sampled Jacobians agree with the predicted spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..distances import Grid, floor_notes
from ..errors import ConfigError
from ..sampling import Ensemble, Progress
from ..sampling import companions as draw_companions
from ..shape import LINEAR, amplification
from .edge import COUNTS, atom_record, edge_record, edge_spacings, rare_counts, usable_atoms
from .finite import exact_at, finite_records, scatter_records
from .moments import extrapolate_moment, log_moments, moment_records, predicted_moments
from .outliers import outlier_records, places_of, without
from .records import CrossCheck, WidthRecord
from .rounding import measured_zeros
from .statistics import shape_records

if TYPE_CHECKING:
    from ..prediction import Prediction

FALSE_ALARM_RATE = 0.01  # of the verdict as a whole: Bonferroni over all its statements
_SHAPE_AND_DISTANCES = 4  # two of the shape, two distances
_ASYMPTOTIC = 0.4  # variance of log q_l between networks, at the largest width, beyond which a reader is warned


def crosscheck(
    pred: Prediction,
    ensemble: Ensemble | Sequence[Ensemble] | np.ndarray,
    *,
    moments: int = 4,
    companions: bool = True,
    progress: Progress | None = None,
) -> CrossCheck:
    """Compare sampled spectra of JJᵀ with a prediction: m_k, E log s, Var log s, λ_max at 1/N → 0, ‖F_N − F‖.

    Parameters
    ----------
    pred : the prediction, a law in the limit of infinite width.
    ensemble : samples of the same network, at one width or at several (widths in fixed proportion); or singular values
        from elsewhere, (samples, n), as `measured_zeros` takes them.
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

    *Outliers.* Eigenvalues predicted above the law are compared each with its own prediction
    (`spectra.agreement.outliers`), and left out of all other statements.

    *Edge and atoms.* λ_max by its spacing, of order N^{-2/3} at a square-root edge, and masses by that of the largest
    of L fractions of dead units: see `spectra.agreement.edge`.

    *Finite width.* Where E m̂_1 and E m̂_2 are known exactly at the widths sampled (`spectra.finite_width`), the samples
    are held against them too, with no bias to allow for.

    The false-alarm rate of the verdict is at most 1 %, Bonferroni over all of these.

    Source
    ------
    Gaussian concentration: Ledoux, Talagrand, Probability in Banach Spaces (1991), section 3.1.
    """
    notes: list[str] = []
    if not isinstance(ensemble, Ensemble | Sequence):
        # An array, numpy's or a tensor; anything else is refused like none at all.
        ensemble, zeros = measured_zeros(pred, ensemble) if hasattr(ensemble, "__array__") else ((), ())
        notes += zeros
    ensembles = _validated(ensemble, moments)
    if companions and len(ensembles) == 1:
        ensembles = (*ensembles, *draw_companions(ensembles[0], progress=progress))
    several = len(ensembles) > 1
    if not several:
        notes.append("one width only: finite-width bias allowed for, not measured; KS and Wasserstein not judged")
    notes += floor_notes(pred)
    places = places_of(pred)
    whole, ensembles = ensembles, tuple(without(e, len(places)) for e in ensembles)
    if places:
        notes.append(
            f"the largest {'eigenvalue' if len(places) == 1 else f'{len(places)} eigenvalues'} of every network, "
            "predicted above the law, is compared with its own prediction and left out of all else"
        )
    h = inverse_widths(ensembles)
    atoms = usable_atoms(pred, ensembles)
    exact = exact_at(pred, ensembles)
    statements = (
        moments + _SHAPE_AND_DISTANCES + 1 + len(places) + len(atoms) + 2 * any(known is not None for known in exact)
    )
    level = FALSE_ALARM_RATE / statements
    kappa = amplification(ensembles[-1].q, float(h[-1]))
    if (scatter := LINEAR * kappa * h[0]) > _ASYMPTOTIC:
        notes.append(
            f"between networks of this width log q_l has a variance of {scatter:.2f}, too large for an expansion in "
            "1/N: the moments test little"
        )
    predicted, bias = predicted_moments(pred, ensembles, moments, h, kappa, notes)
    logs = [log_moments(e, max(moments, 2)) for e in ensembles]
    vanishing = any(np.isneginf(y).any() for y in logs)
    shape, shapes = shape_records(pred, ensembles, kappa * h, level)
    counting = rare_counts(pred, ensembles)
    if rare := counting is not None:
        shape = ()
        notes.append(
            f"fewer than {COUNTS} eigenvalues off 0 are expected at some width: log s and the distances are not judged,"
            " the moments test little; more samples, or a larger width, help"
        )
    if vanishing:
        notes.append("some sampled Jacobians are exactly zero: moments extrapolated themselves, not as logarithms")
    width = ensembles[0].width
    extrapolated = tuple(
        extrapolate_moment(
            k,
            [y[:, k - 1] for y in logs],
            predicted[k - 1],
            k * (k + 1) / 2 * bias,
            level,
            vanishing,
            width,
            0.0 if counting is None else counting,
        )
        for k in range(1, moments + 1)
        if np.isfinite(predicted[k - 1])
    )
    edge = edge_record(pred, ensembles, np.where(np.isfinite(bias), bias, kappa * h), level)
    if edge is None:
        notes.append("λ_max is not compared: the law or a sample has none")
    allowed = np.where(np.isfinite(bias), bias, kappa * h)
    outliers = outlier_records(pred, whole, edge_spacings(pred, ensembles), allowed, level)
    if len(outliers) < len(places):
        notes.append("eigenvalues above the law are not compared: a sampled Jacobian has none but zeros")
    masses = tuple(
        atom_record(pred, atom, tuple(ensembles[i] for i in usable), (kappa * h)[usable], level)
        for atom, usable in atoms
    )
    finite = finite_records(ensembles, exact, logs, level)
    tested = [(f"moment {m.k}", m.z_with_bias, m.limit) for m in extrapolated]
    tested += [(s.name, s.z_with_bias, s.limit) for s in shape]
    tested += [("λ_max", edge.z_with_bias, edge.limit)] if edge is not None else []
    tested += [(f"outlier at λ = {o.predicted:.4g}", o.z_with_bias, o.limit) for o in outliers]
    tested += [(f"mass at λ = {a.location:.4g}", a.z_with_bias, a.limit) for a in masses]
    failed = [f"{name}: z with bias = {z:.2f} beyond ±{limit:.2f}" for name, z, limit in tested if abs(z) > limit]
    failed += [
        f"moment {f.k} against its exact expectation at finite width: z = {f.z:.2f} beyond ±{f.limit:.2f}"
        for f in finite
        if abs(f.z) > f.limit
    ]

    grid = Grid.build(pred, ensembles)
    curves = [grid.empirical(e) for e in ensembles]
    distances = [grid.distances(e, c) for e, c in zip(ensembles, curves, strict=True)]
    ks_limit, w_limit = (
        grid.limit(norm, ensembles, curves, level) if several and not rare else None
        for norm in (grid.supremum, grid.integral)
    )
    ks, _, w, _ = distances[0]
    for name, distance, limit in (("KS", ks, ks_limit), ("Wasserstein", w, w_limit)):
        if limit is not None and distance > limit:
            failed.append(f"{name} distance {distance:.3g} at width {ensembles[0].width} exceeds {limit:.3g}")
    widths = tuple(
        WidthRecord(e.width, e.samples, *d, moment_records(y[:, :moments], predicted, b), shape=s)
        for e, d, y, b, s in zip(ensembles, distances, logs, bias, shapes, strict=True)
    )
    if not pred.checks.certified:
        failed.append("the prediction itself is not certified: no agreement with it counts")
    return CrossCheck(
        widths=widths,
        extrapolated=extrapolated,
        shape=shape,
        edge=edge,
        outliers=outliers,
        atoms=masses,
        finite=finite,
        scatter=tuple(scatter_records(pred, ensembles, logs)),
        ks_limit=ks_limit,
        wasserstein_limit=w_limit,
        wasserstein_variable=grid.variable,
        agree=not failed,
        notes=(*notes, *failed),
    )


def _validated(ensemble: Any, moments: int) -> tuple[Ensemble, ...]:
    """Check the arguments; return the ensembles, widest first."""
    found = tuple(ensemble) if isinstance(ensemble, Sequence) else (ensemble,)
    if not found or not all(isinstance(e, Ensemble) for e in found):
        raise ConfigError(
            "`crosscheck(pred, ensemble)`: `ensemble` must be what `spectra.sample` returns, or several, or an array."
        )
    if isinstance(moments, bool) or not isinstance(moments, int) or moments < 1:
        raise ConfigError(f"`crosscheck(moments={moments!r})`: `moments` must be a positive integer.")
    if any(e.samples < 2 for e in found):
        raise ConfigError("`crosscheck`: needs at least 2 samples a width; standard errors come from their spread.")
    if len({e.width for e in found}) < len(found):
        raise ConfigError("`crosscheck`: two ensembles have the same width; merge them or leave one out.")
    if len({e.depth for e in found}) > 1:
        raise ConfigError("`crosscheck`: the ensembles have different depths, so they sample different networks.")
    return tuple(sorted(found, key=lambda e: -e.width))


def inverse_widths(ensembles: tuple[Ensemble, ...]) -> np.ndarray:
    """Σ_l 1/N_l of every ensemble."""
    return np.array([sum(1.0 / n for n in e.widths[1:]) for e in ensembles])
