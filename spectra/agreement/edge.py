"""The largest eigenvalue and the masses of atoms, extrapolated to infinite width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..distances import ROUNDING, cuts_slopes, log_floor
from ..extrapolation import Intercept, extrapolate_terms
from ..sampling import Ensemble
from .moments import finite_exp, growth_of, linear_z
from .records import AtomRecord, EdgeRecord

if TYPE_CHECKING:
    from ..prediction import Prediction

# At a square-root edge, P(λ > λ_+ − x) = (2/3π) (x/γ)^{3/2}/N for small x defines γ, and λ_max = λ_+ + γ TW_1 with
# mean −1.2065 γ; the expected number of eigenvalues above λ_+ − x is 1 at x = (3π/2)^{2/3} γ.
TRACY_WIDOM = (-1.2065336, 1.2679806)  # mean and standard deviation, β = 1
SOFT_SCALE = (1.5 * math.pi) ** (-2 / 3)
# Of c = log (λ_max/λ_+) over the spacing: its mean, what is not known of that, and the least scatter between networks.
SOFT, OTHER = (TRACY_WIDOM[0] * SOFT_SCALE, SOFT_SCALE, TRACY_WIDOM[1] * SOFT_SCALE), (-1.0, 1.0, 0.0)
SOFT_EXPONENTS = (1.3, 1.7)  # of the mass near an edge; 3/2 at a square root
COUNTS = 25  # eigenvalues expected on an atom, and off it, from which their scatter is nearly normal
CLIPPED = 3.0  # standard deviations of a mass that must lie between it and 0: an intersection has no negative dimension


def edge_record(pred: Prediction, ensembles: tuple[Ensemble, ...], bias: np.ndarray, level: float) -> EdgeRecord | None:
    """λ_max at infinite width, from y = log (λ̂_max/λ_+) at every width; None where λ_+ or log λ̂_max is infinite.

    The spacing s_N = log (λ_+/λ_N), λ_N the 1 − 1/N quantile, is what y is about: −0.43 s_N in the mean at a
    square-root edge, where s_N ~ N^{−2/3}; between −2 and −0.4 s_N for N independent values at edges of mass x^{1/2} to
    x^{3/2} (Γ(1 + 1/p) s_N in the mean). So E y = α + c s_N + c_1 b + c_2 b², c of known mean and standard deviation,
    b the finite-width parameter of the moments (`bias`), which scales the whole spectrum.

    Source
    ------
    Tracy–Widom (β = 1) at edges of Wishart and of general covariance matrices: Johnstone, Ann. Statist. 29 (2001),
    295–327; Lee, Schnelli, Ann. Appl. Probab. 26 (2016), 3786–3839. Real products are taken to be alike: the standard
    deviation of c, γ/s_N, allows for that. Means and deviations of TW_1: Bornemann, Markov Process. Related Fields 16
    (2010), 803–866, table 10.
    """
    with np.errstate(all="ignore"):
        top = float(np.log(pred.spectrum.icdf(1.0)))
    largest = [2 * e.log_singular_values[:, 0] for e in ensembles]
    if not (-700.0 < top < 700.0) or not all(np.isfinite(y).all() for y in largest):
        return None
    spacings = edge_spacings(pred, ensembles)
    wide = _spacing(pred, top, ensembles[0], 8.0)
    exponent = math.log(8.0) / math.log(wide / spacings[0]) if wide > spacings[0] > ROUNDING else math.inf
    mean, spread, scatter = SOFT if SOFT_EXPONENTS[0] < exponent < SOFT_EXPONENTS[1] else OTHER
    y = [v - top - mean * s for v, s in zip(largest, spacings, strict=True)]
    # Few networks may happen to lie close together: the scatter of one edge is known.
    floors = (scatter * spacings) ** 2 + (2 * ROUNDING) ** 2 * np.array([v.size for v in y])
    found = extrapolate_terms(y, [spread * spacings, bias, bias**2], level, floors)
    return top_record(math.exp(top), top, largest[0], found, float(spacings[0]))


def top_record(predicted: float, place: float, sampled: np.ndarray, found: Intercept, spacing: float) -> EdgeRecord:
    """One eigenvalue λ, predicted at e^`place`: samples of log λ at the largest width, log λ − place at infinity."""
    mean, error = finite_exp(float(sampled.mean())), float(sampled.std(ddof=1)) / math.sqrt(sampled.size)
    value = finite_exp(place + found.value)
    low, high = (finite_exp(place + found.value + side * found.half_width) for side in (-1.0, 1.0))
    return EdgeRecord(
        predicted=predicted,
        sampled=mean,
        sampled_standard_error=None if mean is None else mean * error,
        value=value,
        standard_error=None if value is None else value * found.standard_error,
        z=linear_z(found),
        z_with_bias=found.z,
        limit=found.limit,
        detectable=growth_of(found),
        interval=(low, high),
        spacing=spacing,
    )


def edge_spacings(pred: Prediction, ensembles: Sequence[Ensemble]) -> np.ndarray:
    """Logarithm of λ_+/λ_N at every width, λ_N the 1 − 1/N quantile of the law."""
    with np.errstate(all="ignore"):
        top = float(np.log(pred.spectrum.icdf(1.0)))
    return np.array([_spacing(pred, top, e, 1.0) for e in ensembles])


def _spacing(pred: Prediction, top: float, ensemble: Ensemble, count: float) -> float:
    """Logarithm of λ_+/λ, λ the place above which `count` eigenvalues are expected; 0 on an atom at the top."""
    heavy = sum(a.mass for a in pred.spectrum.atoms if a.location and abs(math.log(a.location) - top) < ROUNDING)
    # An atom whose share of a finite network may be 0 is passed over.
    share = count / ensemble.n_out
    if heavy and not _is_off_zero(heavy, ensemble):
        share += heavy
    with np.errstate(all="ignore"):
        place = float(np.log(pred.spectrum.icdf(max(1.0 - share, 0.0))))
    found = top - max(place, -700.0)
    return found if found > ROUNDING else 0.0


def _is_off_zero(mass: float, ensemble: Ensemble) -> bool:
    return mass > CLIPPED * math.sqrt((1.0 - mass) / ensemble.n_out)


def rare_counts(pred: Prediction, ensembles: tuple[Ensemble, ...]) -> np.ndarray | None:
    """Relative error of the number of eigenvalues off 0 at every width, where few are expected; else None.

    Samples with none of them have no scatter that would tell how far off they are.
    """
    off = 1.0 - float(sum(a.mass for a in pred.spectrum.atoms if a.location == 0))
    counts = off * np.array([float(e.n_out * e.samples) for e in ensembles])
    return 1.0 / np.sqrt(counts) if 0.0 < off < 1.0 and counts.min() < COUNTS else None


def usable_atoms(pred: Prediction, ensembles: tuple[Ensemble, ...]) -> list[tuple[Any, list[int]]]:
    """Atoms whose sampled mass is nearly normal, each with the numbers of the ensembles for which it is."""
    found = []
    for atom in pred.spectrum.atoms:
        mass = mass_of(pred, atom)
        rest = 1.0 - mass
        usable = [
            index
            for index, e in enumerate(ensembles)
            if (min(mass, rest) * e.n_out * e.samples >= COUNTS or rest < ROUNDING)
            and (atom.location == 0 or _is_off_zero(mass, e))
        ]
        if usable:
            found.append((atom, usable))
    return found


def atom_record(
    pred: Prediction, atom: Any, ensembles: tuple[Ensemble, ...], h: np.ndarray, level: float
) -> AtomRecord:
    """Mass p of an atom at infinite width, from the share of eigenvalues within rounding of it at every width.

    The mass at 0 is the largest of L fractions of dead units, each with variance p(1 − p)/N: in the mean it exceeds p
    by up to √(2 log L p(1 − p)/N), which is the first term of the bias; the others are √(p(1 − p)) h and its h-fold,
    from the fluctuations of q_l. The scatter is taken to be at least that of one layer's N units.
    """
    p = mass_of(pred, atom)
    scale = math.sqrt(max(p * (1 - p), 0.0))
    shares = [_shares(pred, float(atom.location), e) for e in ensembles]
    n = np.array([e.n_out for e in ensembles])
    largest_of = scale * math.sqrt(2 * math.log(ensembles[0].depth)) / np.sqrt(n) if atom.location == 0 else 0.0 * n
    floors = np.maximum(scale**2 / n, ROUNDING**2 * np.array([e.samples for e in ensembles]))
    y = [share - p for share in shares]
    found = extrapolate_terms(y, [largest_of, scale * h, scale * h**2], level, floors)
    first = shares[0]
    return AtomRecord(
        location=float(atom.location),
        predicted=p,
        sampled=float(first.mean()),
        sampled_standard_error=float(first.std(ddof=1)) / math.sqrt(first.size),
        value=p + found.value,
        standard_error=found.standard_error,
        z=found.z,
        z_with_bias=found.z,
        limit=found.limit,
        detectable=found.detectable,
        interval=(p + found.value - found.half_width, p + found.value + found.half_width),
    )


def mass_of(pred: Prediction, atom: Any) -> float:
    """Predicted mass of an atom; at 0 of all that counts as 0, see `log_floor`."""
    if atom.location == 0 and cuts_slopes(pred):
        return float(pred.spectrum.cdf(math.exp(log_floor(pred))))
    return float(atom.mass)


def _shares(pred: Prediction, location: float, ensemble: Ensemble) -> np.ndarray:
    """Share of every network's N_L eigenvalues that sits at `location`."""
    logs = ensemble.log_eigenvalues
    if location:
        return np.mean(np.abs(logs - math.log(location)) < ROUNDING, axis=1)
    if cuts_slopes(pred):
        return np.mean(logs < log_floor(pred), axis=1)
    # Slopes of 1e-50 count as zero in the law, not in the samples: far below everything else is at 0, too.
    lowest = [float(low) for low, _ in getattr(pred.spectrum, "bulks", ())]
    lowest += [float(a.location) for a in pred.spectrum.atoms if a.location > 0]
    floor = min(lowest, default=0.0)
    return np.mean(logs < (math.log(floor) - 20.0 if floor > 0.0 else -np.finfo(float).max), axis=1)
