"""A law that is known by its curve alone, and what follows from it: transforms, moments, the spectrum."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .._types import Array
from ..errors import ConvergenceError
from ..exact.chain import cumulants_from_moments
from ..exact.power_series import fractions_of, rationals
from ..law import Law
from ..transforms import free_cumulants, moments, psi, r_transform, s_transform, stieltjes
from .newton import along_ray, descend

if TYPE_CHECKING:
    from ..distribution import Distribution
    from .assembly import Found
    from .newton import Points


class LineLaw(Law):
    """A law that may reach below zero, or of which the S-transform is not at hand."""

    def spectrum(self) -> Distribution:
        """Law on the real axis: density, distribution function, quantiles, bulks and atoms; computed once.

        On [0, ∞) with a density that goes like a power other than ±1/2 at 0 it is a `Spectrum`, in log λ.

        Raises
        ------
        ConvergenceError : a point failed its certificate, or the mass does not come to 1.
        """
        return self._found.spectrum

    # Whether the unknown is z itself, and G a formula.
    is_formula = False

    @property
    def residual(self) -> float:
        """Largest residual of the equations at the points the spectrum was made of, relative to their terms."""
        return self._found.residual

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of the spectrum."""
        return self._found.notes

    @cached_property
    def _found(self) -> Found:
        from .assembly import spectrum_of

        _refuse_unbounded(self)
        return spectrum_of(self)


def _refuse_unbounded(law: Law) -> None:
    if not np.isfinite(law.hull).all():
        raise ConvergenceError(f"`{type(law).__name__}`: the law reaches to infinity; only bounded ones are found here")


def _found(law: Law, z: Array) -> Points:
    """Certified points of the curve at z in the closed upper half plane.

    Raises
    ------
    ConvergenceError : some could not be certified.
    """
    _refuse_unbounded(law)
    points = descend(law, z)
    if not points.good.all():
        worst = z[~points.good][0]
        raise ConvergenceError(f"no certified value at z = {worst}: an edge of the law, or an atom")
    return points


def _above(z: ArrayLike) -> tuple[Array, Array]:
    """Raveled complex z reflected into the closed upper half plane, and which were reflected."""
    flat: Array = np.atleast_1d(np.asarray(z, complex)).ravel()
    return np.where(flat.imag < 0.0, flat.conj(), flat), flat.imag < 0.0


@stieltjes.register
def _(law: LineLaw, z: ArrayLike) -> Array:
    upper, below = _above(z)
    # A law whose unknown is z itself needs no solving.
    with np.errstate(divide="ignore", invalid="ignore"):
        g = law.trace(upper[None]).g if law.is_formula else _found(law, upper).trace.g
    return np.where(below, g.conj(), g).reshape(np.shape(z))[()]


@psi.register
def _(law: LineLaw, u: ArrayLike) -> Array:
    flat: Array = np.atleast_1d(np.asarray(u, complex)).ravel()
    result = np.zeros(flat.size, complex)
    some = flat != 0.0
    if some.any():
        # Real u is a limit from above, 1/u one from below.
        upper = np.where(flat[some].imag < 0.0, 1.0 / flat[some], (1.0 / flat[some]).conj())
        w = _found(law, upper).trace.w
        result[some] = np.where(flat[some].imag < 0.0, w, w.conj())
    return result.reshape(np.shape(u))[()]


@r_transform.register
def _(law: LineLaw, g: ArrayLike) -> Array:
    given = np.asarray(g)
    flat = np.atleast_1d(given.astype(complex)).ravel()
    result: Array = np.full(flat.size, complex(law.mean))
    some = flat != 0.0
    if some.any():
        z = along_ray(law, flat[some], of="g").trace.z
        result[some] = z - 1.0 / flat[some]
    result = result.reshape(given.shape)
    return (result if np.iscomplexobj(given) else result.real)[()]


@s_transform.register
def _(law: LineLaw, w: ArrayLike) -> Array:
    if law.mean == 0.0:
        raise ValueError(f"`s_transform({law!r}, w)`: the mean is 0, so that the law has no S-transform.")
    given = np.asarray(w)
    flat = np.atleast_1d(given.astype(complex)).ravel()
    result: Array = np.full(flat.size, complex(1.0 / law.mean))
    some = flat != 0.0
    if some.any():
        z = along_ray(law, flat[some], of="w").trace.z
        result[some] = (1.0 + flat[some]) / (flat[some] * z)
    result = result.reshape(given.shape)
    return (result if np.iscomplexobj(given) else result.real)[()]


@moments.register
def _(law: LineLaw, order: int) -> Array:
    from .assembly import moments_in_doubles

    return np.array(moments_in_doubles(law, order))


@free_cumulants.register
def _(law: LineLaw, order: int) -> Array:
    ring = rationals()
    return np.array([float(k) for k in fractions_of(cumulants_from_moments(ring, law.moment_list(ring, order)))])
