"""The few functions activations are made of, accurate in both tails and off the real line.

Everything is elementwise, takes real or complex128 input of any shape and needs no warning filter:
exponentials are taken of arguments with nonpositive real part, so that overflow cannot happen and the
slopes keep their *relative* accuracy where they underflow (sech² is 4 e^{−2|u|}/(1 + e^{−2|u|})², never
1 − tanh²). The even and odd symmetries used for that are chosen by the sign of Re u, which is exact for
analytic functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# exp(709.78) is the largest finite one; a branch continued far outside its interval stops here instead of warning
_EXP_CAP = 700.0


def _folded(u: Any) -> tuple[Any, Any]:
    """(Re u < 0, v) with v = ±u of nonnegative real part."""
    negative = np.real(u) < 0.0
    return negative, (np.where(negative, -u, u) if np.iscomplexobj(u) else np.abs(u))


def constant(x: Any, value: float) -> Any:
    """Constant function with the shape and dtype of `x`."""
    return np.full(np.shape(x), value, dtype=complex if np.iscomplexobj(x) else float)


def zero(x: Any) -> Any:
    """Zero function."""
    return constant(x, 0.0)


def one(x: Any) -> Any:
    """Constant function 1."""
    return constant(x, 1.0)


def copy(x: Any) -> Any:
    """Identity x; a new array, so that a caller may write into it."""
    return np.positive(x)


def exp(u: Any) -> Any:
    """Exponential eᵘ, with Re u cut at 700 (so that a continued branch stays finite)."""
    if np.iscomplexobj(u):
        u = np.asarray(u)
        over = u.real > _EXP_CAP
        return np.exp(np.where(over, _EXP_CAP + 1j * u.imag, u) if over.any() else u)
    return np.exp(np.minimum(u, _EXP_CAP))


def expm1(u: Any) -> Any:
    """eᵘ − 1 without cancellation at 0, with Re u cut at 700."""
    if not np.iscomplexobj(u):
        return np.expm1(np.minimum(u, _EXP_CAP))
    u = np.asarray(u)
    a, b = np.minimum(u.real, _EXP_CAP), u.imag
    # e^a cos b − 1 = expm1(a) cos b − 2 sin²(b/2): norm-wise accurate near 0, unlike exp − 1
    return np.expm1(a) * np.cos(b) - 2.0 * np.sin(0.5 * b) ** 2 + 1j * (np.exp(a) * np.sin(b))


def log1p(u: Any) -> Any:
    """log(1 + u), principal branch; accurate near 0 also for complex u (numpy's complex log1p is not)."""
    if not np.iscomplexobj(u):
        return np.log1p(u)
    u = np.asarray(u)
    a, b = u.real, u.imag
    return 0.5 * np.log1p(a * (2.0 + a) + b * b) + 1j * np.arctan2(b, 1.0 + a)


def tanh(u: Any) -> Any:
    """Hyperbolic tangent (numpy's own: accurate for real and complex input)."""
    return np.tanh(u)


def sech2(u: Any) -> Any:
    """Slope of tanh, sech² u = 4 e^{−2|u|}/(1 + e^{−2|u|})²."""
    decay = np.exp(-2.0 * _folded(u)[1])
    return 4.0 * decay / (1.0 + decay) ** 2


def sigmoid(u: Any) -> Any:
    """Logistic function 1/(1 + e^{−u})."""
    negative, v = _folded(u)
    decay = np.exp(-v)
    return np.where(negative, decay, 1.0) / (1.0 + decay)


def sigmoid_slope(u: Any) -> Any:
    """Slope of the logistic function, e^{−|u|}/(1 + e^{−|u|})²."""
    decay = np.exp(-_folded(u)[1])
    return decay / (1.0 + decay) ** 2


def softplus(u: Any) -> Any:
    """log(1 + eᵘ), continued from the real line to |Im u| < π."""
    negative, v = _folded(u)
    return np.where(negative, 0.0, u) + log1p(np.exp(-v))


def erf(u: Any) -> Any:
    """Error function."""
    from scipy.special import erf as scipy_erf

    return scipy_erf(u)


def erfc(u: Any) -> Any:
    """Complementary error function."""
    from scipy.special import erfc as scipy_erfc

    return scipy_erfc(u)


def normal_pdf(u: Any) -> Any:
    """Gaussian density e^{−u²/2}/√(2π)."""
    return 0.3989422804014327 * np.exp(-0.5 * (u * u))


def normal_cdf(u: Any) -> Any:
    """Gaussian distribution function erfc(−u/√2)/2, relatively accurate as u → −∞."""
    from scipy.special import erfc as scipy_erfc

    return 0.5 * scipy_erfc(-0.7071067811865476 * u)


def sinh(u: Any) -> Any:
    """Hyperbolic sine, with |Re u| cut at 700."""
    return np.sinh(_capped(u))


def cosh(u: Any) -> Any:
    """Hyperbolic cosine, with |Re u| cut at 700."""
    return np.cosh(_capped(u))


def log_cosh(u: Any) -> Any:
    """Logarithm of cosh u, from log1p(2 sinh²(u/2)) near 0 and |u| − log 2 + log1p(e^{−2|u|}) elsewhere."""
    v = _folded(u)[1]
    near = np.where(np.real(v) < 1.0, v, 0.0)
    far = v - 0.6931471805599453 + log1p(np.exp(-2.0 * v))
    return np.where(np.real(v) < 1.0, log1p(2.0 * np.sinh(0.5 * near) ** 2), far)


def _capped(u: Any) -> Any:
    if np.iscomplexobj(u):
        return np.clip(np.real(u), -_EXP_CAP, _EXP_CAP) + 1j * np.imag(u)
    return np.clip(u, -_EXP_CAP, _EXP_CAP)


sin, cos, sqrt, log, atan, asinh = np.sin, np.cos, np.sqrt, np.log, np.arctan, np.arcsinh
