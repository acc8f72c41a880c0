"""From mean field to the master equation of JJᵀ: each layer adds its logarithms.

With w_l = r_l w, r_l = N_L/N_l, and mean-one laws: a Gaussian W_l adds −log(1 + w_l); a (semi-)orthogonal one adds
log(1 + w_{l−1}) − log(1 + w_l) if it narrows, else nothing; D_l² adds log S_l(w_l), where a projection of rank p
splits off as log(1 + w_l) − log(1 + w_l/p).  All constants sum to −Σ log χ_l.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..activations import Activation
from ..effort import ONE_LAW, spend
from ..errors import ConfigError, ConvergenceError
from ..laws import gauss
from ..laws.nodes import NodeLaw
from ..laws.pushforward import NoSlope, slope_law, slope_split
from ..master import Factor, MasterEquation, combine
from ..ratio import Ratio
from .architectures import refuse_but_free
from .meanfield import LayerState, MeanField
from .rule import gauss_rule, nodes_needed, position, variance_at
from .weight_shifts import weight_shifts

# Relative drift of q that is rounding: the error left by the mean is its square.
SAME = 1e-11

# Mass of an atom that is none.
NO_MASS = 1e-11
# Share of the variance below which a factor is left out.
NO_SPREAD = 1e-18
# Two quadratures of E φ'² must agree to this, relative.
MEANS_AGREE = 1e-10
# Layers of which fewer units than this carry E φ'² are refused: no network is so wide, and the law off zero lives on
# 1 − d in `spectra.master`, which then has fewer than six digits.
NO_RANK = 1e-10


@lru_cache(maxsize=1024)
def _slope_law(activation: Activation, variance: float, level: int, first: int = 0) -> NodeLaw:
    """Law of D² at a level; all but the nodes is that of the law at level `first`."""
    spend(ONE_LAW)
    known = _slope_law(activation, variance, first, first) if level != first else None
    law = slope_law(activation, variance, level=level, known=known)
    _refuse_saturated(law.rank / (1.0 + law.variance), activation, variance)
    return law


# Layers that differ in nothing but their variance q: q → (multiplicity, E φ'²).
_Kin = dict[float, tuple[float, float]]


def jacobian_equation(state: MeanField, *, level: int = 0, extra: int = 0, first: int = 0) -> MasterEquation:
    """The master equation of JJᵀ for the network of `state`.

    Parameters
    ----------
    state : variances and slopes of the layers, with their widths where the net is rectangular.
    level : resolution of the laws of D² near the edges of their supports.
    extra : nodes added to the rules that stand for many layers of slightly different q (see `rule`).
    first : the level at which the laws were asked for first.

    Raises
    ------
    ConfigError : a layer at so large a variance that next to none of its units is active; a layer that is no D W, up to
        a few directions.

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, eq. 13; rectangular: Chhaibi, Daouda, Kahn, NeurIPS 2022, Theorem
    3.1, in fan-in normalisation.
    """
    refuse_but_free(run.spec for run in state.runs)
    last = state.runs[-1].fan_out
    widths = [_shares(run, last) for run in state.runs]
    shifts: list[tuple[float, float]] = weight_shifts(
        (run.spec.weights, before, after, run.repeat) for run, (before, after) in zip(state.runs, widths, strict=True)
    )
    families: dict[tuple[Activation, float], _Kin] = {}
    log_m1: list[float] = []
    merged = _merged_variances(state)
    for run, (_, ratio) in zip(state.runs, widths, strict=True):
        count = float(run.repeat)
        activation = run.spec.activation
        q = merged[run.q]
        rank, lost = _split(activation, q)
        if lost > 0.0:
            shifts += [(ratio, count), (Ratio(ratio, rank, lost), -count)]
        if not activation.is_projection:
            kin = families.setdefault((activation, ratio), {})
            variance = 1.0 if activation.is_homogeneous else q
            kin[variance] = (kin.get(variance, (0.0, 0.0))[0] + count, run.slope_moment)
        if run.chi != 1.0:
            log_m1.append(count * math.log(run.chi))
    factors = [
        factor
        for (activation, ratio), kin in families.items()
        for factor in _representatives(activation, ratio, kin, (level, first), extra)
    ]
    return MasterEquation(tuple(shifts), combine(_that_count(factors, shifts)), -math.fsum(log_m1))


def ends_at_atom(state: MeanField) -> bool:
    """Whether an atom of mass zero is to be expected at which the densities of the D² end.

    The atoms p_l of all D_l², of the steepest slope each, meet in one of mass 1 − Σ (1 − p_l) where all W_l are
    orthogonal and square.
    """
    rest = 1.0
    for run in state.runs:
        activation = run.spec.activation
        if run.spec.weights != "orthogonal" or run.fan_in != run.fan_out or activation.is_piecewise_linear:
            return False
        steepest = [b for b in activation.branches if abs(b.constant_slope or 0.0) == activation.slope_bound]
        mass = sum(gauss.mass_between(b.lower, b.upper, run.q) for b in steepest) if run.q else 0.0
        rest -= run.repeat * (1.0 - mass)
        if rest < -NO_MASS:
            return False
    return rest < NO_MASS


def _shares(run: LayerState, last: int | None) -> tuple[float, float]:
    """N_L/N before a run and in it; 1 where widths are not stated."""
    before, after = (last / width if last and width else 1.0 for width in (run.fan_in, run.fan_out))
    return before, after


def _split(activation: Activation, variance: float) -> tuple[float, float]:
    """P(φ' ≠ 0) and P(φ' = 0), where there is anything to φ'."""
    try:
        rank, lost = slope_split(activation, variance)
    except NoSlope:
        rank, lost = 0.0, 1.0
    _refuse_saturated(rank, activation, variance)
    return rank, lost


def _refuse_saturated(share: float, activation: Activation, variance: float) -> None:
    if share < NO_RANK:
        raise ConfigError(
            f"`sigma_w`, `input_variance`: a layer of {activation.name} is reached with variance {variance:.3g}, where "
            f"{share:.1g} of its units carry all of E φ'²: too few for any network; lower `sigma_w` or the depth."
        )


def _that_count(factors: list[Factor], shifts: list[tuple[float, float]]) -> list[Factor]:
    """Without the factors that are 1 beside the others: log S ≈ −n·Var·w far below the rounding of the sum."""
    merged: dict[float, float] = {}
    # The first stands for w itself, and spreads nothing.
    for ratio, exponent in shifts[1:]:
        merged[ratio] = merged.get(ratio, 0.0) + exponent
    spreads = [factor.count * factor.ratio * factor.law.variance for factor in factors]
    total = math.fsum(spreads) + math.fsum(map(abs, merged.values()))
    return [factor for factor, spread in zip(factors, spreads, strict=True) if spread > NO_SPREAD * total]


def _merged_variances(state: MeanField) -> dict[float, float]:
    """Each q, and what stands for it: those that differ by rounding alone are one, their mean."""
    groups: list[list[float]] = []
    for q in sorted({run.q for run in state.runs}):
        if groups and q - groups[-1][0] <= SAME * q:
            groups[-1].append(q)
        else:
            groups.append([q])
    return {q: group[0] if len(group) == 1 else math.fsum(group) / len(group) for group in groups for q in group}


def _representatives(
    activation: Activation, ratio: float, kin: _Kin, levels: tuple[int, int], extra: int
) -> list[Factor]:
    """Factors that together act like the D² of all the layers of `kin`."""
    if len(kin) == 1:
        return [_factor(activation, ratio, kin, q, levels) for q in kin]
    # Of projections the one of smallest rank decides the behaviour for λ → 0, alone: nothing stands for it.
    lowest = max(kin, key=lambda q: slope_split(activation, q)[1])
    single = [lowest] if slope_split(activation, lowest)[1] > 0.0 else []
    others = [q for q in kin if q not in single]
    places = np.array([position(q) for q in others])
    counts = np.array([kin[q][0] for q in others])
    size = nodes_needed(places) + extra if others else 0
    if len(others) <= size:
        return [_factor(activation, ratio, kin, q, levels) for q in kin]
    family = (activation, ratio)
    places, counts = gauss_rule(places, counts, size)
    factors = [_factor(activation, ratio, kin, q, levels) for q in single]
    for place, count in zip(places, counts, strict=True):
        law = _slope_law(activation, variance_at(float(place)), *levels)
        factors.append(Factor(law, law.over_rank(ratio), float(count), family, float(place), thinned=True))
    return factors


def _factor(activation: Activation, ratio: float, kin: _Kin, variance: float, levels: tuple[int, int]) -> Factor:
    law = _slope_law(activation, variance, *levels)
    count, mean = kin[variance]
    _verify_mean(activation, variance, law.mean, mean)
    return Factor(law, law.over_rank(ratio), count, (activation, ratio), position(variance))


def _verify_mean(activation: Activation, variance: float, mean: float, expected: float) -> None:
    """The law's nodes off the real axis against the mean field's quadrature on it."""
    if not abs(mean - expected) <= MEANS_AGREE * expected:
        raise ConvergenceError(
            f"E φ'² of {activation.name} at q = {variance:g}: {expected:.15g} by one quadrature, {mean:.15g} by another"
        )
