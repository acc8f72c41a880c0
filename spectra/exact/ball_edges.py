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
from .ball_equation import BallEquation, BallFactor
from .budget import OverBudget
from .enclosures import enclosed_zero
from .power_series import working_precision

# Bits for the search and for the proof that nothing comes before.
ROUGH_BITS = 64
# First w of the search, and its steps.
FIRST, STEP, LARGEST = 1e-9, 2.0, 1e12
# The search ends where its steps are as short as this, relative; without a point beyond the edge, as this.
CLOSE, CLOSEST, MOST_TRIALS = 0.03, 1e-14, 400
# Relative half width of the interval about the edge on which log u is shown to be concave, and how often it is halved.
CONCAVE, TRIES = 0.05, 32
# Boxes of the proof, at most, and trials for the length of each.
MOST_BOXES, HALVINGS = 800, 40


@dataclass(frozen=True)
class _Here:
    """One w with what the bounds need: upper bounds of y_k, E X_k there and Var X_k."""

    w: arb
    y: tuple[arb, ...]
    means: tuple[arb, ...]
    variances: tuple[arb, ...]


def enclosed_largest(equation: BallEquation, guess: tuple[arb, tuple[arb, ...]] | None = None) -> arb:
    """λ_max as a ball.

    Parameters
    ----------
    guess : w and y_k near the edge, if something is known of it.

    Raises
    ------
    ConvergenceError : the law does not end in a critical point (an atom, or the end of a law of D², comes first), or
        one that cannot be shown to be the first.
    """
    atom = _atom_on_top(equation)
    if atom is not None:
        return atom
    if guess is not None:
        try:
            return _largest_near(equation, *guess)
        except OverBudget:
            raise
        except ConvergenceError:
            # It may have been no good.
            pass
    with working_precision(ROUGH_BITS):
        rough = _beside_edge(equation)
    return _largest_near(equation, rough.w, rough.y)


def _largest_near(equation: BallEquation, start: arb, y: tuple[arb, ...]) -> arb:
    """The critical point near `start`, proven to be the first."""
    inverted = equation.follower(y)
    w = enclosed_zero(lambda w: equation.slope(w, inverted(w)), lambda w: equation.bend(w, inverted(w)), start, "λ_max")
    y = inverted(w)
    for f, one in zip(equation.factors, y, strict=True):
        # There ψ increases, and χ is its only inverse.
        if not (one > 0 and one * f.law.largest < 1):
            raise ConvergenceError("λ_max: a root that is not the first")
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
    """A point farther out: w times `factor` > 1; of one law, for which ψ(y) is sooner had than χ(w), y nearer to 1/T.

    Raises
    ------
    ConvergenceError : beyond the end of what ψ of some law reaches on the real axis.
    """
    if len(equation.factors) != 1 or equation.factors[0].law.closed_chi:
        w = (here.w * factor).mid()
        y = tuple(f.law.real_chi_near(f.ratio * w, one) for f, one in zip(equation.factors, here.y, strict=True))
        return _at(equation, w, y)
    (f,) = equation.factors
    y = here.y[0].mid()
    end = 1 / f.law.largest
    y = (y + (end - y) * (1 - 1 / factor)).mid()
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
    here = _bounds(equation, w.upper(), tuple(one.upper() for one in y))
    for _ in range(TRIES):
        around = edge + arb(0, part * edge)
        wide = _wide(equation, w, y, here, around)
        if wide is not None and _is_concave(equation, around, wide):
            break
        part /= 2
    else:
        raise ConvergenceError("λ_max: log u was not shown to be concave beside its critical point")
    here = _lower(equation, here, around.lower() * (1 + arb(2) ** -32))
    # From the edge down, as far as every bound reaches.
    for _ in range(MOST_BOXES):
        if _rises_from_zero(equation, here):
            return
        below = _reach_of(equation, here)
        if below is None:
            break
        here = _lower(equation, here, below)
    raise ConvergenceError(f"λ_max: not shown to be the first critical point with {MOST_BOXES} boxes")


def _bounds(equation: BallEquation, w: arb, y: tuple[arb, ...]) -> _Here:
    """Where y_k ≥ χ_k(ρ_k w): E X_k and Var X_k at y_k, no less than at w."""
    means, variances = [], []
    for f, one in zip(equation.factors, y, strict=True):
        mean = 1 + f.law.psi(acb(one)).real
        means.append(mean)
        variances.append(f.law.spread(one, mean))
    return _Here(w, y, tuple(means), tuple(variances))


def _lower(equation: BallEquation, here: _Here, w: arb) -> _Here:
    """The same at a smaller w."""
    w = w.mid()
    moved = (_above(f, f.ratio * w, *rest) for f, *rest in zip(equation.factors, *_parts(here), strict=True))
    return _bounds(equation, w, tuple(moved))


def _parts(here: _Here) -> tuple[tuple[arb, ...], ...]:
    return here.y, here.means, here.variances


def _above(factor: BallFactor, w: arb, y: arb, mean: arb, variance: arb) -> arb:
    """An upper bound of χ(w), from y, E X and Var X at another point: by a tangent.

    1/ψ(1/s) = s/μ_1 − b − ∫ ν(dt)/(s − t), ν ≥ 0, for it is the reciprocal of a Stieltjes transform: it is concave, and
    its tangents lie above it.  yψ'(y) = E X(X − 1).
    """
    psi = mean - 1
    # d(1/ψ)/ds = y²ψ'/ψ².
    rate = y * (variance + mean * psi) / psi**2
    s = 1 / y + (1 / w - 1 / psi) / rate
    end = factor.law.largest
    return (1 / s).upper() if s > end else (1 / end).upper()


def _wide(equation: BallEquation, w: arb, y: tuple[arb, ...], here: _Here, around: arb) -> tuple[arb, ...] | None:
    """Enclosures of all χ_k over an interval about w; None where it reaches beyond what some law does."""
    found = []
    for f, middle, *rest in zip(equation.factors, y, *_parts(here), strict=True):
        high = _above(f, f.ratio * around.upper(), *rest)
        if not high * f.law.largest < 1:
            return None
        # d(1/ψ)/ds ≥ 1/μ_1, its value at infinity.
        s = 1 / middle + f.law.mean * (1 / (f.ratio * around.lower()) - 1 / (f.ratio * w))
        found.append((1 / s).lower().union(high))
    return tuple(found)


def _is_concave(equation: BallEquation, around: arb, wide: tuple[arb, ...]) -> bool:
    try:
        return bool(equation.bend(around, wide) < 0)
    except OverBudget:
        raise
    except ConvergenceError:
        return False


def _reach_of(equation: BallEquation, here: _Here) -> arb | None:
    """A w below, down to which the bounds at `here` show that log u increases; None where they show nothing."""
    step = arb(1) / 2
    near, far = None, arb(0)
    # As far as may be, in halves of the logarithm.
    for _ in range(HALVINGS):
        trial = (here.w * step).mid()
        if _rises_down_to(equation, here, trial):
            near = trial
            if not far > 0:
                step = step * step
                continue
            break
        far, step = trial, step.sqrt()
    return near


def _rises_down_to(equation: BallEquation, here: _Here, w: arb) -> bool:
    """Whether w d log u/dw > 0 from `w` to `here`."""
    return bool(_rise(equation, _Here(w, (), tuple(1 + f.ratio * w for f in equation.factors), ()), here) > 0)


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
        total -= f.count * y * f.law.second / (f.law.mean * room**2)
    return bool(total > 0)
