"""FLINT's enclosed integrals, with what goes wrong in an integrand handed on."""

from __future__ import annotations

from collections.abc import Callable

from flint import acb, arb

from .budget import spend


def enclosed_integral(
    integrand: Callable[[acb, bool], acb], lower: arb, upper: arb, *, tiny: arb, part: arb, most: int
) -> acb:
    """∫ integrand from `lower` to `upper`, to `tiny` or to `part` of it; not finite where it takes more than `most`.

    Raises
    ------
    Whatever the integrand raises, Ctrl-C and a spent allowance of work included: FLINT drops it by itself.
    """
    failures: list[BaseException] = []

    def guarded(z: acb, analytic: bool) -> acb:
        try:
            if failures:
                return acb("nan")
            spend()
            return integrand(z, analytic)
        except BaseException as error:
            failures.append(error)
            return acb("nan")

    value = acb.integral(guarded, acb(lower), acb(upper), abs_tol=tiny, rel_tol=part, eval_limit=most)
    if failures:
        raise failures[0]
    return value
