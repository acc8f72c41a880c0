"""Distances between the distribution function of sampled spectra and the predicted one, and what chance explains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .assembly import CUT_SLOPES
from .sampling import Ensemble

if TYPE_CHECKING:
    from .prediction import Prediction

ROUNDING = 1e-8  # relative accuracy of sampled singular values: no standard error is taken to be smaller
_GRID = 2000  # points on which whole distribution functions are compared; their spacing in mass is 1/2000 or finer
_DECADES = 2.0  # singular values spread over more than this are compared as logarithms
_SMALLEST = 1e-300  # a law has no double for λ below
_CUT, _KEPT = 1e-46, 1e4
_TAIL = 0.01  # lowest share of the nonzero law that the logarithmic Wasserstein distance clips to one point


@dataclass(frozen=True)
class Grid:
    """Points u = log λ on which distribution functions are compared, with F and F(·−) there, and their norms.

    A distribution function is an array (…, 2, points): its values from the right and from the left.
    """

    pred: Any
    u: np.ndarray
    law: np.ndarray
    position: np.ndarray
    variable: str

    @staticmethod
    def build(pred: Prediction, ensembles: tuple[Ensemble, ...]) -> Grid:
        """Choose the points: quantiles of the samples and of the law, and all atoms."""
        floor = log_floor(pred)
        pooled = np.unique(np.concatenate([_snapped(pred, e).ravel() for e in ensembles]))
        chosen = pooled[np.linspace(0, pooled.size - 1, min(_GRID, pooled.size)).astype(int)]
        zero = float(sum(a.mass for a in pred.spectrum.atoms if a.location == 0))
        low, high = pred.spectrum.icdf(zero + (1 - zero) * np.array([_TAIL, 1 - _TAIL]))
        with np.errstate(divide="ignore"):
            quantiles = np.log(pred.spectrum.icdf(np.linspace(0.0, 1.0, 201)))
            quantiles = quantiles[(quantiles < np.inf) & (quantiles > floor)]
            u = np.unique(np.concatenate([chosen, quantiles, _atom_positions(pred)]))
        low = max(float(low), math.exp(floor))
        wide = high > low and (math.log10(high) - math.log10(low)) / 2 > _DECADES
        position = np.maximum(u, math.log(low)) / 2 if wide else np.exp(u / 2)
        return Grid(pred, u, _distribution(pred, u), position, "log s" if wide else "s")

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
        noise = [allowance(norm, c, level) for c in (curves[0], curves[-1])]
        difference = float(norm(curves[0].mean(axis=0) - curves[-1].mean(axis=0)))
        rate = 1 / (math.sqrt(ensembles[0].width / ensembles[-1].width) - 1)
        return rate * (difference + sum(noise)) + noise[0] + ROUNDING

    @staticmethod
    def supremum(difference: np.ndarray) -> np.ndarray:
        """Largest modulus of a difference of distribution functions, (…, 2, points) → (…)."""
        return np.max(np.abs(difference), axis=(-2, -1))

    def integral(self, difference: np.ndarray) -> np.ndarray:
        """∫ |difference| over s, or over log s above the clip: trapezoids between the jumps, (…, 2, points) → (…)."""
        size = np.abs(difference)
        return np.sum((size[..., 0, :-1] + size[..., 1, 1:]) / 2 * np.diff(self.position), axis=-1)


def allowance(norm: Callable[[np.ndarray], np.ndarray], curves: np.ndarray, level: float) -> float:
    """(1 + t) ν, ν the standard deviation of the mean curve in the norm: ‖mean − expectation‖ exceeds it at `level`."""
    from scipy.special import stdtrit

    dof = len(curves) - 1
    scatter = math.sqrt(np.mean(norm(curves - curves.mean(axis=0)) ** 2) / dof)
    return (1 + float(stdtrit(dof, 1 - level))) * scatter


def log_floor(pred: Prediction) -> float:
    """Log λ below which eigenvalues count as 0, in law and samples.

    A law has no double for λ below 1e-300. Where it counts slopes below δ = 1e-46 as zero, it moves singular values by
    δ ∏_l 2σ_w max |φ'| at most (D without them differs from D by δ; 2 is the norm of a square Gaussian matrix): those
    10⁴ times larger are as they were to 1e-4, and what is below is told from zero in the samples alone.
    """
    if not cuts_slopes(pred):
        return math.log(_SMALLEST)
    log_norms = 0.0
    for run in pred.mean_field.runs:
        h = np.linspace(-8.0, 8.0, 1001) * math.sqrt(float(np.max(run.variances)))
        steepest = float(np.max(np.abs(run.spec.activation.derivative(h))))
        log_norms += run.repeat * math.log(2.0 * float(run.spec.sigma_w) * max(steepest, 1.0))
    return max(math.log(_SMALLEST), 2.0 * (math.log(_CUT) + math.log(_KEPT) + log_norms))


def cuts_slopes(pred: Prediction) -> bool:
    """Whether the law counts slopes as zero that are not, so that its atom at 0 is none of the samples'."""
    return any(note.startswith(CUT_SLOPES) for note in pred.checks.notes)


def floor_notes(pred: Prediction) -> list[str]:
    """What is to be said of a floor that the law brings."""
    return [f"λ below {math.exp(log_floor(pred)):.1g} count as 0, in law and samples"] if cuts_slopes(pred) else []


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
    law = np.asarray(pred.spectrum.cdf(np.maximum(points, math.exp(log_floor(pred)))), dtype=float)
    return np.stack([law, np.where(np.isneginf(u), 0.0, law - jumps)])


def _snapped(pred: Prediction, ensemble: Ensemble) -> np.ndarray:
    """Logarithms of the eigenvalues, those that rounding alone, or no double, tells from an atom moved onto it."""
    logs = ensemble.log_eigenvalues
    logs = np.where(logs < log_floor(pred), -np.inf, logs)
    for position in _atom_positions(pred):
        logs = np.where(np.abs(logs - position) < ROUNDING, position, logs) if np.isfinite(position) else logs
    return logs
