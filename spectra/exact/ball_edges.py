"""λ_max of JJᵀ, proven: the first critical point of log u on the positive axis, and that there is none before it.

On the real axis, from w = 0 on, log u increases with w until λ_max = 1/u is met; there d log u/dw = 0.  With
X_k = 1/(1 − y_k φ'²)

    w d log u/dw = 1 + Σ_i e_i r_i w/(1 + r_i w) − Σ_k n_k Var X_k/(E X_k E X_k(X_k − 1)),

E X(X − 1) = Var X + E X (E X − 1), and E X_k, Var X_k increase with w: between two points every term is bounded by its
values there.
"""

from __future__ import annotations

from dataclasses import dataclass

from flint import acb, arb

from ..errors import ConvergenceError
from .ball_equation import BallEquation
from .enclosures import enclosed_zero
from .power_series import working_precision

# Bits for the search and for the proof that nothing comes before.
ROUGH_BITS = 64
# First w of the search, and its steps.
FIRST, STEP, LARGEST = 1e-9, 2.0, 1e12
# The search ends where its steps are as short as this, relative; without a point beyond the edge, as this.
CLOSE, CLOSEST, MOST_TRIALS = 0.03, 1e-14, 400
# Relative half width of the interval about the edge on which log u is shown to be concave, and how often it is halved.
CONCAVE, TRIES = 0.05, 16
# Boxes of the proof, at most.
MOST_BOXES = 800


@dataclass(frozen=True)
class _Here:
    """One w with what the bounds need: y_k, E X_k and Var X_k."""

    w: arb
    y: tuple[arb, ...]
    means: tuple[arb, ...]
    variances: tuple[arb, ...]


def enclosed_largest(equation: BallEquation) -> arb:
    """λ_max as a ball.

    Raises
    ------
    ConvergenceError : the law does not end in a critical point (an atom, or the end of a law of D², comes first), or
        one that cannot be shown to be the first.
    """
    atom = _atom_on_top(equation)
    if atom is not None:
        return atom
    with working_precision(ROUGH_BITS):
        rough = _beside_edge(equation)
    inverted = equation.follower(rough.y)
    w = enclosed_zero(
        lambda w: equation.slope(w, inverted(w)), lambda w: equation.bend(w, inverted(w)), rough.w, "λ_max"
    )
    y = inverted(w)
    with working_precision(ROUGH_BITS):
        _prove_first(equation, w, y)
    return (-equation.log_u(w, y)).exp()


def enclosed_edge(equation: BallEquation, w: arb, y: tuple[arb, ...]) -> arb:
    """λ at the critical point of log u near real w and y_k, as a ball that holds one; it may be no end of the law.

    Raises
    ------
    ConvergenceError : no critical point was found there.
    """
    inverted = equation.follower(y)
    w = enclosed_zero(lambda w: equation.slope(w, inverted(w)), lambda w: equation.bend(w, inverted(w)), w, "an edge")
    # Of negative numbers the logarithms have half turns, which cancel: λ > 0.
    there = tuple(acb(one) for one in inverted(w))
    return (-equation.log_u(acb(w), there).real).exp()


def _at(equation: BallEquation, w: arb, start: tuple[arb, ...]) -> _Here:
    y = equation.inverted(w, start)
    means, variances = [], []
    for f, one in zip(equation.factors, y, strict=True):
        mean = 1 + f.ratio * w
        means.append(mean)
        variances.append(f.law.spread(one, mean))
    return _Here(w, y, tuple(means), tuple(variances))


def _moved(equation: BallEquation, here: _Here, factor: arb) -> _Here:
    """Another point: w times `factor`; of one law, for which ψ(y) is sooner had than χ(w), y or its room below 1/T.

    Raises
    ------
    ConvergenceError : beyond the end of what ψ of some law reaches on the real axis.
    """
    if len(equation.factors) != 1 or equation.factors[0].law.closed_chi:
        w = (here.w * factor).mid()
        y = tuple(f.law.real_chi_near(f.ratio * w, one) for f, one in zip(equation.factors, here.y, strict=True))
        return _at(equation, w, y if factor > 1 else here.y)
    (f,) = equation.factors
    y = here.y[0].mid()
    end = 1 / f.law.largest
    y = (y * factor if factor < 1 else y + (end - y) * (1 - 1 / factor)).mid()
    w = f.law.psi(acb(y)).real / f.ratio
    mean = 1 + f.ratio * w
    return _Here(w, (y,), (mean,), (f.law.spread(y, mean),))


def _rise(equation: BallEquation, here: _Here, there: _Here) -> arb:
    """A lower bound of w d log u/dw between two points."""
    total = arb(1)
    for ratio, exponent in equation.shifts:
        at = here.w if exponent > 0 else there.w
        total += exponent * ratio * at / (1 + ratio * at)
    for f, mean, variance in zip(equation.factors, here.means, there.variances, strict=True):
        total -= f.count * variance / (mean * (variance + mean * (mean - 1)))
    return total.lower()


def _atom_on_top(equation: BallEquation) -> arb | None:
    """Π σ_l² sup φ_l'², where that is an atom, if of mass zero: 1 − Σ (1 − p_l) ≥ 0, and no eigenvalue is larger.

    Source
    ------
    Bercovici and Voiculescu (1998) for the atoms of free convolutions; the norm of a product for the bound.
    """
    if equation.shifts and sum(e for _, e in equation.shifts) != -1:
        # Gaussian layers have no atom off 0.
        return None
    if any(r != 1 for r, _ in equation.shifts):
        return None
    mass, log_top = arb(1), equation.log_scale
    for f in equation.factors:
        if f.law.atoms is None or f.ratio != 1:
            return None
        value = f.law.largest
        mass -= f.count * (1 - sum((p for p, t in f.law.atoms if t.overlaps(value)), arb(0)))
        log_top += f.count * value.log()
    return log_top.exp() if mass >= 0 else None


def _beside_edge(equation: BallEquation) -> _Here:
    """A point a little beyond the edge, where w d log u/dw has just changed its sign."""
    size = sum(f.count for f in equation.factors) + sum(abs(e) for _, e in equation.shifts)
    w = arb(FIRST) / size
    here = _at(equation, w, tuple(f.ratio * w / f.law.mean for f in equation.factors))
    if not _rise(equation, here, here) > 0:
        raise ConvergenceError("λ_max: log u does not increase from the start")
    there, step = None, arb(STEP)
    for _ in range(MOST_TRIALS):
        try:
            trial = _moved(equation, here, step)
        except ConvergenceError:
            # Beyond the end of what ψ of some law reaches on the real axis.
            trial = None
        if trial is not None and _rise(equation, trial, trial) > 0:
            here = trial
            if there is None and here.w > LARGEST:
                break
        else:
            there, step = trial or there, step.sqrt()
            if trial is not None and step - 1 < CLOSE:
                return trial
            if step - 1 < CLOSEST:
                break
    raise ConvergenceError("λ_max is no critical point: the law ends at an atom, or with a law of D²")


def _prove_first(equation: BallEquation, w: arb, y: tuple[arb, ...]) -> None:
    """Show that log u increases up to w: concave beside w, and by bounds on boxes before."""
    edge, part = w.mid(), CONCAVE
    for _ in range(TRIES):
        around = edge + arb(0, part * edge)
        try:
            wide = tuple(f.law.wide_chi(f.ratio * around, one) for f, one in zip(equation.factors, y, strict=True))
            if equation.bend(around, wide) < 0:
                break
        except ConvergenceError:
            pass
        part /= 2
    else:
        raise ConvergenceError("λ_max: log u was not shown to be concave beside its critical point")
    here = _at(equation, (edge * (1 - part)).mid(), y)
    boxes, step = 0, arb(2)
    # From the edge down, in steps that shrink where the bound is not good enough.
    while True:
        boxes += 1
        if boxes > MOST_BOXES:
            raise ConvergenceError(f"λ_max: not shown to be the first critical point with {MOST_BOXES} boxes")
        if _rises_from_zero(equation, here):
            return
        below = _moved(equation, here, 1 / step)
        if _rise(equation, below, here) > 0:
            here, step = below, 1 + 2 * (step - 1)
        else:
            step = 1 + (step - 1) / 3


def _rises_from_zero(equation: BallEquation, here: _Here) -> bool:
    """Whether w d log u/dw > 0 on all of (0, w].

    Var X/E X(X − 1) ≤ y E φ'⁴/(E φ'² (1 − yT)²), T an upper bound of φ'².
    """
    total = arb(1)
    for ratio, exponent in equation.shifts:
        if exponent < 0:
            total += exponent * ratio * here.w / (1 + ratio * here.w)
    for f, y in zip(equation.factors, here.y, strict=True):
        room = 1 - y * f.law.largest
        if not room > 0:
            return False
        total -= f.count * y * f.law.moment(2) / (f.law.mean * room**2)
    return bool(total > 0)
