"""The edge of chaos χ_1 = 1: σ_w and σ_b from q*, or σ_w and q* from σ_b."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from spectra.activations import Activation
from spectra.errors import ConfigError, ConvergenceError
from spectra.network.expectations import gaussian_moments
from spectra.network.gaussian import slopes_at_zero, value_at_zero
from spectra.network.qmap import CRITICAL_TOLERANCE, scan
from spectra.network.zeros import bracketed_zero
from spectra.quadrature import Array


@dataclass(frozen=True)
class CriticalPoint:
    """A point of the edge of chaos, σ_w² E φ'² = 1 at the fixed point q* of the variance map.

    Parameters
    ----------
    sigma_w, sigma_b : Var W = σ_w²/fan_in, Var b = σ_b².
    q_star : q*; None where every q is fixed (positively homogeneous φ at σ_b = 0): the input variance decides.
    slope : d q'/dq at q*; > 1 where q* is an unstable fixed point.
    notes : what was chosen, and why.
    """

    sigma_w: float
    sigma_b: float
    q_star: float | None
    slope: float
    notes: tuple[str, ...] = ()


def critical_point(activation: Activation, sigma_b: float | None = None, q_star: float | None = None) -> CriticalPoint:
    """Edge of chaos: σ_w² = 1/E φ'², σ_b² = q* − σ_w² E φ², expectations at q*.

    Parameters
    ----------
    activation : φ.
    sigma_b, q_star : exactly one of them, ≥ 0.

    Returns
    -------
    CriticalPoint. Given σ_b there is one at most: σ_b²/√q* never falls along the curve (proof: `spectra.phase.curve`).

    Raises
    ------
    ConfigError : q* off the curve (σ_b² < 0), no point of the curve has this σ_b, or it lies beyond the q* searched.

    Accuracy
    --------
    σ_w and σ_b to 1e-13 relative given q*, also where q* − σ_w² E φ² cancels (tests/test_criticality.py).

    Source
    ------
    Pennington, Schoenholz, Ganguli, AISTATS 2018, section 2; Hayou, Doucet, Rousseau (2019) for σ_b = 0.

    Examples
    --------
    >>> from spectra.activations import get_activation
    >>> round(critical_point(get_activation("tanh"), sigma_b=0.05).sigma_w, 12)
    1.12253900477
    """
    if (sigma_b is None) == (q_star is None):
        raise ConfigError("`critical_point`: give exactly one of `sigma_b` and `q_star`.")
    if q_star is not None:
        return _from_variance(activation, float(q_star))
    return _from_bias(activation, float(sigma_b or 0.0))


def bias_variance(activation: Activation, q: float) -> tuple[float, float]:
    """σ_b² = (q E φ'² − E φ²)/E φ'² of the curve at q* = q, and its absolute error."""
    moments = gaussian_moments(activation)
    slope2 = moments.at(q).slope2
    if slope2 == 0.0:
        return -math.inf, 0.0
    deficit, error = moments.deficit(q)
    return deficit / slope2, error / slope2


def _point(activation: Activation, q: float, sigma_b: float, notes: tuple[str, ...] = ()) -> CriticalPoint:
    m = gaussian_moments(activation).at(q)
    return CriticalPoint(math.sqrt(1.0 / m.slope2), sigma_b, q, m.gain / m.slope2, notes)


def _from_variance(activation: Activation, q: float) -> CriticalPoint:
    if not (q >= 0.0 and math.isfinite(q)):
        raise ConfigError(f"`q_star = {q!r}`: must be a number ≥ 0.")
    if q == 0.0:
        return _origin(activation)
    try:
        square, error = bias_variance(activation, q)
    except ConvergenceError as failure:
        raise ConfigError(f"`q_star = {q:g}`: {failure}") from None
    if not math.isfinite(square):
        raise ConfigError(f"`q_star = {q:g}`: E φ'² of `{activation.name}` is zero or not finite there.")
    if square < -error:
        raise ConfigError(
            f"`q_star = {q:g}`: off the edge-of-chaos curve of `{activation.name}`: with sigma_w² = 1/E φ'² it needs "
            f"sigma_b² = q_star − sigma_w² E φ² = {square:.6g} < 0{_nearest(activation, q)}."
        )
    return _point(activation, q, math.sqrt(max(square, 0.0)))


def _nearest(activation: Activation, q: float) -> str:
    """'; the nearest valid q_star is …', or that there is none."""
    variances, squares = _curve(activation)
    valid = np.flatnonzero(squares >= 0.0)
    if not valid.size:
        return f"; no q_star from {variances[0]:.0e} to {variances[-1]:.0e} is on it"
    best = int(valid[np.argmin(np.abs(np.log(variances[valid] / q)))])
    inside, outside = float(variances[best]), q
    for _ in range(60):
        middle = math.sqrt(inside * outside)
        if bias_variance(activation, middle)[0] >= 0.0:
            inside = middle
        else:
            outside = middle
        if abs(math.log(inside / outside)) < 1e-7:
            break
    # Rounded towards the valid side, so that the number shown can be given back.
    digits = 5 - math.floor(math.log10(inside))
    shown = (math.ceil if inside > outside else math.floor)(inside * 10.0**digits) / 10.0**digits
    return f"; the nearest valid q_star is {shown:.6g}"


def _from_bias(activation: Activation, sigma_b: float) -> CriticalPoint:
    if not (sigma_b >= 0.0 and math.isfinite(sigma_b)):
        raise ConfigError(f"`sigma_b = {sigma_b!r}`: must be a number ≥ 0.")
    scale_free = gaussian_moments(activation).scale_free
    if scale_free is not None:
        if sigma_b > 0.0:
            raise ConfigError(
                f'`sigma_b = {sigma_b:g}`: must be 0 for `sigma_w = "critical"` with `{activation.name}`: it is '
                "positively homogeneous, and at sigma_w² E φ'² = 1 any bias makes the variance grow without bound."
            )
        if scale_free == 0.0:
            raise ConfigError(f"`activation = {activation.name!r}`: its slope is zero everywhere; no edge of chaos.")
        return CriticalPoint(math.sqrt(1.0 / scale_free), 0.0, None, 1.0)
    if sigma_b == 0.0 and value_at_zero(activation) == 0.0 and any(slopes_at_zero(activation)):
        return _origin(activation)
    point = _point(activation, _root(activation, sigma_b), sigma_b)
    if abs(point.slope) > 1.0 + CRITICAL_TOLERANCE:
        note = f"the critical fixed point q* = {point.q_star:.6g} is unstable: variances near it move away"
        return replace(point, notes=(note,))
    return point


def _origin(activation: Activation) -> CriticalPoint:
    """Limit q* → 0: σ_b = 0, σ_w² the inverse mean of φ'(0±)²."""
    if value_at_zero(activation) != 0.0:
        raise ConfigError(f"`q_star = 0`: must be positive for `{activation.name}`: its value at 0 is not 0.")
    left, right = slopes_at_zero(activation)
    slope2 = (left * left + right * right) / 2.0
    if slope2 == 0.0:
        raise ConfigError(f"`q_star = 0`: `{activation.name}` has slope 0 at 0; no sigma_w is critical there.")
    note = "q* = 0: the critical network is linear in the limit, each D the slope of the activation at 0"
    return CriticalPoint(math.sqrt(1.0 / slope2), 0.0, 0.0, 1.0, (note,))


@lru_cache(maxsize=256)
def _curve(activation: Activation) -> tuple[Array, Array]:
    """σ_b² of the curve over scanned q*, as far as φ can be resolved; −inf where φ' vanishes or overflows."""
    variances, table = scan(activation)
    with np.errstate(all="ignore"):
        squares = variances - table[:, 0] / table[:, 1]
    squares[~np.isfinite(squares)] = -np.inf
    # Where the difference cancels σ_b² is a power of q: one accurate value in four of the scan's is enough.
    cancels = np.abs(squares) < 1e-9 * variances
    keep = ~cancels
    keep[::4] = True
    for i in np.flatnonzero(cancels & keep):
        squares[i] = bias_variance(activation, float(variances[i]))[0]
    return variances[keep], squares[keep]


def _root(activation: Activation, sigma_b: float) -> float:
    """The q* with σ_b(q*) = `sigma_b`: σ_b² rises wherever it is positive."""
    variances, squares = _curve(activation)
    above = np.flatnonzero((squares >= sigma_b**2) & (squares > 0.0))
    if above.size and above[0] > 0:
        i = int(above[0])
        return root_between(activation, sigma_b**2, float(variances[i - 1]), float(variances[i]))
    name, end = activation.name, float(variances[-1])
    if not (squares > 0.0).any():
        raise ConfigError(
            f"`sigma_b = {sigma_b:g}`: `{name}` has no edge of chaos: sigma_b² would be negative at every q_star from "
            f"{variances[0]:.0e} to {end:.0e}."
        )
    raise ConfigError(
        f"`sigma_b = {sigma_b:g}`: on the edge of chaos of `{name}` it needs a q_star beyond {end:.0e}, as far as the "
        f"curve is followed; below, sigma_b is at most {math.sqrt(float(squares.max())):.6g}."
    )


def farthest(activation: Activation) -> float:
    """The largest q* to which the curve is followed."""
    return float(_curve(activation)[0][-1])


def beginning(activation: Activation) -> float | None:
    """The q* from which on σ_b² ≥ 0; None where it is negative as far as the curve is followed.

    Where φ(0) = 0 it is 0. Else σ_b² has one zero at most, found to rounding, on the side where it is not negative.
    """
    if value_at_zero(activation) == 0.0:
        return 0.0
    variances, squares = _curve(activation)
    above = np.flatnonzero(squares > 0.0)
    if not above.size:
        return None
    root = root_between(activation, 0.0, float(variances[above[0] - 1]), float(variances[above[0]]))
    for step in range(60):
        square, error = bias_variance(activation, root)
        if square >= -error:
            return root
        root *= 1.0 + 2.0**-52 * 2.0**step
    raise ConvergenceError(f"edge of chaos of `{activation.name}`: σ_b² stays negative at q* = {root:.6g}.")


def root_between(activation: Activation, square: float, lower: float, upper: float) -> float:
    """q* in (lower, upper) with σ_b²(q*) = square, to rounding, where σ_b² passes it once."""
    moments = gaussian_moments(activation)

    def sides(q: float) -> tuple[float, float]:
        """(q E φ'² − E φ², σ_b² E φ'²): equal on the curve."""
        return moments.deficit(q)[0], square * moments.at(q).slope2

    # Power laws become straight lines in logarithms; near a zero of σ_b² there is no logarithm.
    logarithmic = min(*sides(lower), *sides(upper)) > 0.0

    def excess(log_q: float) -> float:
        q = math.exp(log_q)
        deficit, bias = sides(q)
        return math.log(deficit / bias) if logarithmic and deficit > 0.0 else (deficit - bias) / q

    return math.exp(bracketed_zero(excess, math.log(lower), math.log(upper)))
