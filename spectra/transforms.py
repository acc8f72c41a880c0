"""What follows from a law: ψ, the Stieltjes, S- and R-transforms, density, moments and free cumulants.

Each is a `singledispatch` function with a generic route; closed forms register themselves beside their laws.  Arrays of
any shape in, arrays of that shape out.  G(z) = E 1/(z − t); a real argument stands for the limit from above.
"""

from __future__ import annotations

import math
from functools import singledispatch

import numpy as np
from numpy.typing import ArrayLike

from ._types import Array
from .assembly import FINEST_LEVEL
from .law import Law
from .laws.nodes import LawStack, NodeLaw
from .positive_law import NodalLaw, PositiveLaw
from .series import IN_DOUBLES, log_scaled_moments, scaled_moments
from .subordination import along_rays, inverse_psi, roots


def _no_route(name: str, law: object, at: object) -> NotImplementedError:
    return NotImplementedError(f"`{name}({law!r}, {at!r})`: there is no route for this kind of law.")


def _upper(x: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Raveled complex x reflected into the upper half plane, which of them were reflected, log x of the result."""
    x = np.atleast_1d(np.asarray(x, complex)).ravel()
    below = np.imag(x) < 0.0
    x = np.where(below, x.conj(), x)
    with np.errstate(divide="ignore"):
        log = np.log(np.abs(x)) + 1j * np.arctan2(np.abs(np.imag(x)), np.real(x))
    return x, below, log


@singledispatch
def s_transform(law: Law, w: ArrayLike) -> Array:
    """S(w) = (1 + w) χ(w)/w, ψ(χ(w)) = w: Voiculescu's S-transform.

    Parameters
    ----------
    law : any.
    w : real or complex, any shape; S is continued from (ρ{0} − 1, 0) along segments from 0.  Real values give real
        ones, NaN where S is not real.

    Raises
    ------
    ConvergenceError : ψ of a factor could not be inverted there.

    Accuracy
    --------
    1e-12 relative away from both ends (tests/test_laws.py).

    Source
    ------
    Voiculescu, J. Operator Theory 18 (1987), 223-235.
    """
    raise _no_route("s_transform", law, w)


@s_transform.register
def _(law: PositiveLaw, w: ArrayLike) -> Array:
    given = np.asarray(w)
    is_complex = np.iscomplexobj(given)
    if is_complex:
        w, below, _ = _upper(given)
    else:
        w = np.atleast_1d(given.astype(float)).ravel()
        below = np.zeros(w.size, bool)
    with np.errstate(all="ignore"):
        result = np.full(w.shape, math.exp(-law.log_mean), w.dtype)
        for ratio, exponent in law.shifts():
            result = result * (1.0 + ratio * w) ** exponent
        for factor in law.factors():
            value = _s_of_nodes(factor.law, factor.ratio * w.astype(complex))
            result = result * (value if is_complex else value.real) ** factor.count
    return np.where(below, result.conj(), result).reshape(given.shape)[()]


def _s_of_nodes(law: NodeLaw, w: Array) -> Array:
    """S of the mean-one part of a nodal law; 1 at w = 0."""
    result = np.ones(w.size, complex)
    some = w != 0.0
    if some.any():
        v = inverse_psi(law, w[some])
        psi, plus, excess, _ = (part[0] for part in LawStack([law]).evaluate(v[None, :]))
        deviation = excess / psi
        result[some] = np.where(np.abs(deviation) < 0.3, 1.0 - deviation, v * plus / psi)
    return result


@singledispatch
def psi(law: Law, u: ArrayLike) -> Array:
    """ψ(u) = E ut/(1 − ut), the moment generating function without its constant.

    Parameters
    ----------
    law : any.
    u : complex, any shape; real u is the limit from above.

    Raises
    ------
    ConvergenceError : no certified root; 1/u is at an edge of the law, or at an atom.

    Accuracy
    --------
    1e-11 relative; every value carries the certificate of `spectra.solve`.  Of a law of D² as `stieltjes`.
    """
    raise _no_route("psi", law, u)


@psi.register
def _(law: PositiveLaw, u: ArrayLike) -> Array:
    shape = np.shape(u)
    u, below, log_u = _upper(u)
    result = np.zeros(u.size, complex)
    some = u != 0.0
    if some.any():
        result[some] = law.equation.moment_function(roots(law.equation, log_u[some]))
    return np.where(below, result.conj(), result).reshape(shape)[()]


@psi.register
def _(law: NodalLaw, u: ArrayLike) -> Array:
    shape = np.shape(u)
    u, below, _ = _upper(u)
    nodes = law.node_law(FINEST_LEVEL)
    value = nodes.rank * LawStack([nodes]).evaluate(u[None, :] * (nodes.mean / nodes.rank))[0][0]
    return np.where(below, value.conj(), value).reshape(shape)[()]


@singledispatch
def stieltjes(law: Law, z: ArrayLike) -> Array:
    """G(z) = E 1/(z − t); Im G < 0 above the axis.

    Parameters
    ----------
    law : any.
    z : complex, any shape, not 0; real z is the limit from above, so that density = −Im G/π.

    Raises
    ------
    ValueError : z = 0.
    ConvergenceError : no certified value; z is at an edge of the law, or at an atom.

    Accuracy
    --------
    1e-11 relative; every value carries the certificate of `spectra.solve`.  Of a law of D² beside an end of its support
    1e-16 over the distance from there, relative, where that is more.

    Source
    ------
    Belinschi and Bercovici, J. Anal. Math. 101 (2007), 357-365: the subordination functions that are followed.
    """
    raise _no_route("stieltjes", law, z)


@stieltjes.register
def _(law: PositiveLaw, z: ArrayLike) -> Array:
    shape = np.shape(z)
    z, below, log_z = _upper(z)
    if np.any(z == 0.0):
        raise ValueError("`stieltjes(law, 0)`: `z` must not be 0; take the limit, or `spectrum().moment(-1)`.")
    lost = law.equation.lost
    zeta = roots(law.equation, -log_z.conj()).conj()
    # (1 + w)/z without cancellation at w = −1.
    value = (1.0 - lost * zeta) / ((1.0 - zeta) * z)
    return np.where(below, value.conj(), value).astype(complex).reshape(shape)[()]


@stieltjes.register
def _(law: NodalLaw, z: ArrayLike) -> Array:
    shape = np.shape(z)
    z, below, _ = _upper(z)
    nodes = law.node_law(FINEST_LEVEL)
    plus = LawStack([nodes]).evaluate((nodes.mean / nodes.rank / z.conj())[None, :])[1][0].conj()
    value = (nodes.lost + nodes.rank * plus) / z
    return np.where(below, value.conj(), value).reshape(shape)[()]


@singledispatch
def density(law: Law, x: ArrayLike) -> Array:
    """ρ(x), the density of the absolutely continuous part.

    Parameters
    ----------
    law : any.
    x : real, any shape.

    Accuracy
    --------
    1e-10 relative inside the bulks, exactly 0 outside.
    """
    return law.spectrum().pdf(x)


@singledispatch
def r_transform(law: Law, g: ArrayLike) -> Array:
    """R(g) = G^{−1}(g) − 1/g = Σ κ_{k+1} g^k, continued from 0 along a ray.

    Parameters
    ----------
    law : any.
    g : real or complex, any shape, near 0.  Real values give real ones.

    Raises
    ------
    ConvergenceError : the ray to g meets a branch point of R, or leaves where a factor of the law is known.

    Accuracy
    --------
    1e-11 relative; w = g R(g) solves w S(w) = g to that residual.

    Source
    ------
    Voiculescu, J. Funct. Anal. 66 (1986), 323-346; w S(w) = g: Haagerup and Larsen, J. Funct. Anal. 176 (2000).
    """
    raise _no_route("r_transform", law, g)


@r_transform.register
def _(law: PositiveLaw, g: ArrayLike) -> Array:
    given = np.asarray(g)
    g, below, log_g = _upper(given)
    equation = law.additive_equation
    result = np.full(g.size, math.exp(law.log_mean), complex)
    some = g != 0.0
    if some.any():
        result[some] = equation.moment_function(along_rays(equation, log_g[some])) / g[some]
    result = np.where(below, result.conj(), result).reshape(given.shape)
    return (result if np.iscomplexobj(given) else np.real(result))[()]


@singledispatch
def moments(law: Law, order: int) -> Array:
    """m_1 … m_order, by Lagrange inversion: m_k = (1/k) [w^{k−1}] ((1 + w)/S(w))^k.

    Parameters
    ----------
    law : any.
    order : how many.

    Returns
    -------
    Array (order,); inf beyond the range of doubles.

    Accuracy
    --------
    1e-12 relative, at any order.

    Source
    ------
    Nica and Speicher, Lectures on the Combinatorics of Free Probability (2006), Lecture 18.
    """
    raise _no_route("moments", law, order)


@moments.register
def _(law: PositiveLaw, order: int) -> Array:
    k = np.arange(1.0, order + 1.0)
    with np.errstate(over="ignore"):
        if order > IN_DOUBLES:
            return np.exp(k * law.log_mean + log_scaled_moments(law.equation, order))
        # A dilation by a power of two changes no digit.
        return law.mean**k * scaled_moments(law.equation, order)


@moments.register
def _(law: NodalLaw, order: int) -> Array:
    nodes = law.node_law()
    k = np.arange(1, order + 1)
    with np.errstate(over="ignore"):
        return nodes.rank * (nodes.mean / nodes.rank) ** k * nodes.moments(order)


@singledispatch
def free_cumulants(law: Law, order: int) -> Array:
    """κ_1 … κ_order, by Lagrange inversion of g = w S(w): κ_k = (1/k) [w^{k−1}] S(w)^{−k}.

    Parameters
    ----------
    law : any.
    order : how many.

    Returns
    -------
    Array (order,).

    Accuracy
    --------
    1e-13 relative to the moment of the same order, to order 12; beyond, digits are lost to cancellation.

    Source
    ------
    Nica and Speicher, Lectures on the Combinatorics of Free Probability (2006), Lecture 18: w = g R(g) inverts w S(w).
    """
    raise _no_route("free_cumulants", law, order)


@free_cumulants.register
def _(law: PositiveLaw, order: int) -> Array:
    k = np.arange(1.0, order + 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        return law.mean**k * scaled_moments(law.additive_equation, order)
